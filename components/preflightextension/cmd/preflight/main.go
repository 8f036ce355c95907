// Command preflight says before a rollout what the preflight extension would say at start:
//
//	preflight --config FILE… [--otelcol PROGRAM] [--disk] [--feature-gates LIST]
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"

	"github.com/sluice-otel/sluice/components/preflightextension"
)

const usage = `Usage: preflight --config FILE… [flags]

What in a configuration of the collector would lose data, and what to do about it: the checks of the preflight extension, whether or not the
configuration has it. "otelcol validate" does not make them.

Flags:
`

const status = `
Exit status: 0, or 1 if something was found, or 2 if the configuration could not be read.
`

// source says what to check.
type source struct {
	configs []string
	otelcol string
	gates   string
	disk    bool
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	code := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

func run(ctx context.Context, args []string, out, complaints io.Writer) int {
	s, err := parse(args, out)
	if errors.Is(err, flag.ErrHelp) {
		return 0
	}
	if err != nil {
		say(complaints, "preflight: %v (preflight --help)\n", err)
		return 2
	}
	l, loadErr := load(ctx, s)
	findings, left, err := preflightextension.Check(l.effective, l.raw, l.gates, s.disk)
	for _, f := range findings {
		say(out, "%s %s at %s\n    %s\n    do: %s\n", f.Severity(), f.Check, f.At, f.Problem, f.Action)
	}
	if left > 0 {
		say(out, "and %d more\n", left)
	}
	if err = errors.Join(loadErr, err); err != nil {
		say(complaints, "preflight: %v\n", err)
		return 2
	}
	if len(findings) > 0 {
		return 1
	}
	say(out, "nothing found\n")
	return 0
}

func parse(args []string, out io.Writer) (source, error) {
	var s source
	flags := flag.NewFlagSet("preflight", flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	flags.Func("config", "`file` of the collector's configuration, or anything else that the collector takes; can be given several times", func(file string) error {
		s.configs = append(s.configs, file)
		return nil
	})
	flags.StringVar(&s.otelcol, "otelcol", "otelcol", "`program` that knows the components' defaults: the collector")
	flags.StringVar(&s.gates, "feature-gates", "", "`list` of feature gates, as the collector takes it")
	flags.BoolVar(&s.disk, "disk", false, "also look at the directories that the configuration names, on this machine")
	err := flags.Parse(args)
	if errors.Is(err, flag.ErrHelp) {
		say(out, usage)
		flags.SetOutput(out)
		flags.PrintDefaults()
		say(out, status)
		return s, err
	}
	switch {
	case err != nil:
		return s, errors.New(strings.TrimSpace(err.Error()))
	case len(s.configs) == 0:
		return s, errors.New("--config is missing")
	case flags.NArg() > 0:
		return s, fmt.Errorf("takes flags only, got %q", flags.Args())
	}
	return s, nil
}

// say tells people; when they do not listen there is nobody else to tell.
func say(to io.Writer, format string, args ...any) {
	_, _ = fmt.Fprintf(to, format, args...)
}
