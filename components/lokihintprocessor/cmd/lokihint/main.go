// Command lokihint is about the labels that a loki_hint processor gives its logs in Loki:
//
//	lokihint print   --config FILE…                 how Loki has to be configured for it
//	lokihint explain --config FILE… [OTLP JSON]     what becomes of logs
//	lokihint verify  --config FILE… --loki ADDRESS  whether a running Loki makes the same labels
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"strings"
)

const usage = `Usage: lokihint <command> --config FILE… [flags]

The labels that a loki_hint processor of the collector gives its logs in Loki.

Commands:
  print     prints how Loki has to be configured for the processor
  explain   runs logs through the processor and prints the streams and the structured metadata that Loki makes of them
  verify    sends one record to a running Loki and compares the labels that it gets

--config takes a file of the collector's configuration, as the collector does: it can be given several times, and ${env:NAME:-default} is
expanded. lokihint <command> --help has the other flags.

Exit status: 0, or 1 if verify finds other labels, or 2 if something else went wrong.
`

// environment is what the command has from its caller.
type environment struct {
	in       io.Reader
	out, err io.Writer
}

// errDiffers ends verify when Loki has other labels; what differs is printed by then.
var errDiffers = errors.New("Loki makes other labels than the configuration says") //nolint:staticcheck // a name begins with a capital

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	status := run(ctx, os.Args[1:], environment{in: os.Stdin, out: os.Stdout, err: os.Stderr})
	stop()
	os.Exit(status)
}

func run(ctx context.Context, args []string, env environment) int {
	commands := map[string]func(context.Context, []string, environment) error{"print": printCommand, "explain": explainCommand, "verify": verifyCommand}
	err := flag.ErrHelp
	switch {
	case len(args) > 0 && commands[args[0]] != nil:
		err = commands[args[0]](ctx, args[1:], env)
	case len(args) > 0 && slices.Contains([]string{"help", "-h", "-help", "--help"}, args[0]):
		say(env.out, usage)
	default:
		say(env.err, usage)
		return 2
	}
	switch {
	case err == nil, errors.Is(err, flag.ErrHelp):
		return 0
	case errors.Is(err, errDiffers):
		return 1
	}
	say(env.err, "lokihint: %v\n", err)
	return 2
}

// say tells people; when they do not listen there is nobody else to tell.
func say(to io.Writer, format string, args ...any) {
	_, _ = fmt.Fprintf(to, format, args...)
}

// source says where the processor's configuration is.
type source struct {
	files     []string
	processor string
}

// parse reads a command's flags: its own, and those that all have.
func parse(name, synopsis string, args []string, env environment, define func(flags *flag.FlagSet)) (source, []string, error) {
	var s source
	flags := flag.NewFlagSet("lokihint "+name, flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	flags.Func("config", "`file` of the collector's configuration, as the collector takes it; can be given several times", func(file string) error {
		s.files = append(s.files, file)
		return nil
	})
	flags.StringVar(&s.processor, "processor", "", "`name` of the processor, such as loki_hint/2; needed when there are several")
	define(flags)
	err := flags.Parse(args)
	if errors.Is(err, flag.ErrHelp) {
		say(env.out, "Usage: lokihint %s %s\n\n", name, synopsis)
		flags.SetOutput(env.out)
		flags.PrintDefaults()
		return s, nil, err
	}
	if err == nil && len(s.files) == 0 {
		err = errors.New("--config is missing")
	}
	if err != nil {
		return s, nil, fmt.Errorf("%s: %s (lokihint %s --help)", name, strings.TrimSpace(err.Error()), name)
	}
	return s, flags.Args(), nil
}
