package main

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"

	"go.opentelemetry.io/collector/pdata/plog"

	"github.com/sluice-otel/sluice/components/lokihintprocessor/internal/config"
	"github.com/sluice-otel/sluice/components/lokihintprocessor/internal/lokimodel"
)

func explainCommand(ctx context.Context, args []string, env environment) error {
	s, rest, err := parse("explain", "--config FILE… [flags] [FILE]\n\nFILE has logs as OTLP JSON, such as the collector's file exporter writes: one request, or one on each line. Without it, or with -: standard input.", args, env,
		func(*flag.FlagSet) {})
	if err != nil {
		return err
	}
	if len(rest) > 1 {
		return fmt.Errorf("explain: takes one file, got %q", rest)
	}
	l, err := load(ctx, s)
	if err != nil {
		return err
	}
	name, in := "standard input", env.in
	if len(rest) == 1 && rest[0] != "-" {
		file, err := os.Open(rest[0])
		if err != nil {
			return err
		}
		defer file.Close()
		name, in = rest[0], file
	}
	requests, err := read(in)
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	outcome, counters, err := process(ctx, l, requests)
	if err != nil {
		return err
	}
	var out bytes.Buffer
	tell(&out, l, requests, outcome, counters)
	_, err = env.out.Write(out.Bytes())
	return err
}

// read takes documents of OTLP JSON, one after the other.
func read(in io.Reader) ([]plog.Logs, error) {
	var requests []plog.Logs
	documents := json.NewDecoder(bufio.NewReader(in))
	for {
		var document json.RawMessage
		err := documents.Decode(&document)
		if errors.Is(err, io.EOF) {
			return requests, nil
		}
		if err != nil {
			return nil, fmt.Errorf("document %d: no JSON: %w", len(requests)+1, err)
		}
		var keys map[string]json.RawMessage
		if err = json.Unmarshal(document, &keys); err == nil && len(keys) > 0 && keys["resourceLogs"] == nil && keys["resource_logs"] == nil {
			err = errors.New("must have resourceLogs")
		}
		var ld plog.Logs
		if err == nil {
			ld, err = (&plog.JSONUnmarshaler{}).UnmarshalLogs(document)
		}
		if err != nil {
			return nil, fmt.Errorf("document %d: no OTLP logs: %w", len(requests)+1, err)
		}
		requests = append(requests, ld)
	}
}

// stream is what Loki has of one, in the order in which it came.
type stream struct {
	tenant, selector string
	entries          []lokimodel.Entry
}

// tell prints streams with their entries, and then what did not go as configured.
func tell(out *bytes.Buffer, l *loaded, requests []plog.Logs, outcome []sent, counters []counter) {
	records := 0
	for _, ld := range requests {
		records += ld.LogRecordCount()
	}
	var refused []string
	streams := map[[2]string]*stream{}
	for _, s := range outcome {
		result := l.loki().Store(s.logs)
		if result.Refused != "" && s.logs.LogRecordCount() > 0 {
			refused = append(refused, fmt.Sprintf("%s: %s", count(s.logs.LogRecordCount(), "record"), result.Refused))
		}
		for _, e := range result.Entries {
			key := [2]string{s.tenant, e.Selector()}
			if streams[key] == nil {
				streams[key] = &stream{tenant: key[0], selector: key[1]}
			}
			streams[key].entries = append(streams[key].entries, e)
		}
	}
	sorted := make([]*stream, 0, len(streams))
	for _, s := range streams {
		sorted = append(sorted, s)
	}
	slices.SortFunc(sorted, func(a, b *stream) int {
		return cmp.Or(strings.Compare(a.tenant, b.tenant), strings.Compare(a.selector, b.selector))
	})
	for _, s := range sorted {
		s.tell(out)
	}
	fmt.Fprintf(out, "%s in %s, contract: %s.\n", count(records, "record"), count(len(streams), "stream"), l.cfg.Contract)
	for _, r := range refused {
		fmt.Fprintf(out, "Loki refuses a request of %s.\n", r)
	}
	tellCounters(out, counters)
}

func (s *stream) tell(out *bytes.Buffer) {
	if s.tenant != "" {
		fmt.Fprintf(out, "tenant %s ", s.tenant)
	}
	fmt.Fprintln(out, s.selector)
	for i := range s.entries {
		e := &s.entries[i]
		at := "no time"
		if !e.Time.IsZero() {
			at = e.Time.UTC().Format(time.RFC3339Nano)
		}
		fmt.Fprintf(out, "  %s  %s\n", at, printable(e.Line))
		var metadata []string
		for _, p := range e.Metadata {
			if p.Value != "" { // as in queries
				metadata = append(metadata, p.Name+"="+strconv.Quote(p.Value))
			}
		}
		if len(metadata) > 0 {
			fmt.Fprintf(out, "    %s\n", strings.Join(metadata, ", "))
		}
		if e.Refused != "" {
			fmt.Fprintf(out, "    NOT STORED with Loki's default limits: %s\n", e.Refused)
		}
	}
	fmt.Fprintln(out)
}

// printable is a line as it is, or quoted when it is none.
func printable(line string) string {
	if line == "" || strings.ContainsFunc(line, func(r rune) bool { return r == unicode.ReplacementChar || unicode.IsControl(r) && r != '\t' }) {
		return strconv.Quote(line)
	}
	return line
}

// reasons say in words why a label's value is none.
var reasons = map[string]string{
	"value":      "it had max_values values already",
	"stream":     "there were max_streams streams already",
	"length":     "the value is longer than max_value_bytes",
	"vocabulary": "the value is not one of its values",
	"count":      "the stream has max_labels labels without it",
}

// tellCounters leaves out what the streams show.
func tellCounters(out *bytes.Buffer, counters []counter) {
	var others []string
	for _, c := range counters {
		switch c.name {
		case "demoted_records":
			label, _ := c.attributes.Value("label")
			reason, _ := c.attributes.Value("reason")
			what := "Demoted: " + label.AsString()
			if label.AsString() == config.ServiceLabel {
				what = "Overflow: " + config.ServiceLabel // always a label
			}
			fmt.Fprintf(out, "%s of %s, as %s (%s).\n", what, count(int(c.value), "record"), reasons[reason.AsString()], reason.AsString())
		case "new_streams", "refusable_records":
		default:
			others = append(others, fmt.Sprintf("%s %d", c, c.value))
		}
	}
	if len(others) > 0 {
		fmt.Fprintf(out, "Counted by the processor: %s.\n", strings.Join(others, ", "))
	}
}
