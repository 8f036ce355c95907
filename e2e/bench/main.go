// Command bench is the whole-process half of `make bench`: it writes container log files, has bin/otelcol read them once
// with each way of parsing, and prints what that cost as tables for the README.
//
//	go run ./e2e/bench [-lines 1000000] [-files 20] [-runs 3] [-arms nop-raw,nop-operator]
//	go run ./e2e/bench -rest [-idle 30s]      cost at rest, and per line from 1 to 2,000 files
//	go run ./e2e/bench -limiter [-points 10000000] [-runs 3]      what the limiter adds to a gateway of metrics
//	go run ./e2e/bench -loki [-records 1000000] [-runs 3]         what loki_hint adds to a gateway of logs, and what upstream's processors do
//	go test -bench … | go run ./e2e/bench -table      the table of the in-process benchmark
//
// CPU time is read from /proc, so it runs on Linux only.
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"time"
)

// The main goroutine starts the collector and stays on the thread that lives as long as the program: Linux ties a
// child's Pdeathsig to the thread.
func init() { runtime.LockOSThread() }

// options are the flags.
type options struct {
	binary string
	lines  int
	files  int
	runs   int
	arms   string
	idle   time.Duration
	rest   bool
	table  bool

	limiter bool
	points  int

	loki    bool
	records int
}

func main() {
	var o options
	flag.StringVar(&o.binary, "binary", filepath.Join("bin", "otelcol"), "the collector's `path`")
	flag.IntVar(&o.lines, "lines", 1_000_000, "how `many` lines each run reads")
	flag.IntVar(&o.files, "files", 20, "over how `many` files they are spread")
	flag.IntVar(&o.runs, "runs", 1, "how `often` each arm runs; the median counts")
	flag.StringVar(&o.arms, "arms", "", "`names` of the arms to run, with commas; all when empty: "+strings.Join(names(slices.Concat(arms, restArms, plain(limiterArms), lokiArms)), " "))
	flag.DurationVar(&o.idle, "idle", 30*time.Second, "with -rest: how `long` an idle collector is watched")
	flag.BoolVar(&o.rest, "rest", false, "measure the cost at rest, and per line from 1 to 2,000 files")
	flag.BoolVar(&o.limiter, "limiter", false, "measure what cardinality_limiter adds to a gateway of metrics")
	flag.IntVar(&o.points, "points", 10_000_000, "with -limiter: how `many` points each run sends")
	flag.BoolVar(&o.loki, "loki", false, "measure what loki_hint adds to a gateway of logs")
	flag.IntVar(&o.records, "records", 1_000_000, "with -loki: how `many` records each run sends")
	flag.BoolVar(&o.table, "table", false, "make the table of what `go test -bench` printed (standard input)")
	flag.Parse()

	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, o, os.Stdout)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, o options, out io.Writer) error {
	if o.table {
		return printTable(os.Stdin, out)
	}
	if o.lines < o.files || o.files < 1 || o.runs < 1 {
		return fmt.Errorf("-files and -runs must be above 0 and -lines not below -files: got %d, %d and %d", o.files, o.runs, o.lines)
	}
	if o.limiter && o.points < minPoints {
		return fmt.Errorf("-points must not be below %d: got %d", minPoints, o.points)
	}
	if o.loki && o.records < minRecords {
		return fmt.Errorf("-records must not be below %d: got %d", minRecords, o.records)
	}
	if _, err := os.Stat(o.binary); err != nil {
		return fmt.Errorf("%w: run make build", err)
	}
	binary, err := filepath.Abs(o.binary) // the collector works in a directory of its own
	if err != nil {
		return err
	}
	o.binary = binary
	dir, err := os.MkdirTemp("", "sluice-bench-")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	b := &bench{options: o, dir: dir, out: out}
	if o.limiter {
		return b.limiter(ctx)
	}
	if b.sink, err = startSink(); err != nil {
		return err
	}
	defer b.sink.stop()
	if o.rest {
		return b.rest(ctx)
	}
	if o.loki {
		return b.loki(ctx)
	}
	return b.throughput(ctx)
}

// bench is one invocation of the program.
type bench struct {
	options
	dir  string // removed at the end
	out  io.Writer
	sink *sink
}

// throughput measures every wanted arm over the same files.
func (b *bench) throughput(ctx context.Context) error {
	chosen, err := choose(b.arms, arms)
	if err != nil {
		return err
	}
	c, err := writeCorpus(filepath.Join(b.dir, "corpus"), b.lines, b.files)
	if err != nil {
		return err
	}
	results, err := b.repeat(ctx, chosen, c)
	if err != nil {
		return err
	}
	_, err = io.WriteString(b.out, throughputTable(b.options, chosen, results))
	return err
}

// repeat has every arm read the corpus as often as wanted. The arms take turns, so that a busy minute of the machine hits
// all of them.
func (b *bench) repeat(ctx context.Context, chosen []arm, c corpus) (map[string][]result, error) {
	results := map[string][]result{}
	for n := range b.runs {
		for _, a := range chosen {
			r, err := b.read(ctx, a, c)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", a.name, err)
			}
			progress("%s, run %d of %d: %.2f CPU s, %.0f MiB, %.1f s", a.name, n+1, b.runs, r.cpu.Seconds(), mib(r.rss), r.wall.Seconds())
			results[a.name] = append(results[a.name], r)
		}
	}
	return results, nil
}

func progress(format string, args ...any) { fmt.Fprintf(os.Stderr, format+"\n", args...) }
