// Command replay is what `make run` starts: it runs the collector with the local profile and feeds it as a small shop
// in a Kubernetes cluster would. It copies the sample log files next to it line by line into a work folder that the
// collector tails, with the current time in place of each line's own, and sends the spans that belong to the lines.
//
//	go run ./configs/local/replay [-rate 5] [-loops 0] [-drain 3s] [-work .work/local] [arguments for the collector]
//
// An argument for the collector that begins with a dash goes behind "--".
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"
)

// options is everything that a test wants to be different.
type options struct {
	root      string   // the repository; the collector's working directory
	work      string   // the work folder; relative to root unless absolute
	templates fs.FS    // pods/, docker/ and traces/
	collector []string // program and arguments
	health    string   // host:port that answers 200 on / when the collector is up
	otlp      string   // host:port of OTLP over HTTP
	rate      float64  // lines a second
	loops     int      // 0: until stopped
	drain     time.Duration
	out       io.Writer
}

// workDir is the work folder as this process, which may have started anywhere in the repository, has to name it.
func (o options) workDir() string {
	if filepath.IsAbs(o.work) {
		return o.work
	}
	return filepath.Join(o.root, o.work)
}

func main() {
	rate := flag.Float64("rate", 5, "lines a `second`, on average")
	loops := flag.Int("loops", 0, "how `often` to replay the sample before stopping by itself; 0: until stopped")
	drain := flag.Duration("drain", 3*time.Second, "`time` between the last line and stopping the collector, with -loops")
	work := flag.String("work", filepath.Join(".work", "local"), "the `folder` to write to, made afresh; relative to the repository")
	flag.Parse()
	if *rate <= 0 || *loops < 0 {
		fmt.Fprintln(os.Stderr, "replay: -rate must be above 0 and -loops not below 0")
		os.Exit(2)
	}
	root, err := findRoot()
	if err == nil {
		args := []string{
			"bin/otelcol",
			"--config", "configs/local.yaml", "--config", "configs/backends/debug.yaml",
		}
		err = run(stopSignals(), options{
			root:      root,
			work:      *work,
			templates: os.DirFS(filepath.Join(root, "configs", "local")),
			collector: append(args, flag.Args()...),
			health:    env("HEALTH_ENDPOINT", "127.0.0.1:13133"),
			otlp:      env("OTLP_HTTP_ENDPOINT", "127.0.0.1:4318"),
			rate:      *rate,
			loops:     *loops,
			drain:     *drain,
			out:       os.Stdout,
		})
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "replay:", err)
		os.Exit(1)
	}
}

// run starts the collector, replays, and stops the collector again, whatever happened in between.
func run(ctx context.Context, o options) error {
	sample, err := load(o.templates)
	if err != nil {
		return err
	}
	c, err := startCollector(o)
	if err != nil {
		return err
	}
	err = c.waitHealthy(ctx, o.health)
	if err == nil && ctx.Err() == nil {
		banner(o)
		err = feed(ctx, c, o, sample)
	}
	if stopErr := c.stop(); err == nil {
		err = stopErr
	}
	if err == nil {
		say(o.out, "stopped\n")
	}
	return err
}

// feed replays until it is told to stop, the loops are done or the collector is gone. With a number of loops it is
// strict, as its callers are tests: what could not be sent is an error.
func feed(ctx context.Context, c *collector, o options, sample *sample) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	go func() {
		select {
		case <-c.done:
			cancel()
		case <-ctx.Done():
		}
	}()

	p := player{sample: sample, dir: o.workDir(), rate: o.rate, post: poster(o.otlp), out: o.out}
	defer p.close()
	for n := 0; o.loops == 0 || n < o.loops; n++ {
		if err := p.loop(ctx); err != nil {
			return err
		}
		if ctx.Err() != nil {
			return c.exitError()
		}
	}
	sleep(ctx, o.drain)
	say(o.out, "replayed %d lines and %d traces in %d loops\n", p.lines, p.traces, o.loops)
	if p.failed > 0 {
		return fmt.Errorf("%d traces were not accepted", p.failed)
	}
	return c.exitError()
}

// stopSignals ends with Ctrl-C, SIGTERM or the death of our parent: `go run`, when it is killed, does not take us along,
// and a collector that nobody sees would keep its ports. A second Ctrl-C ends us at once.
func stopSignals() context.Context {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	parent := os.Getppid()
	go func() {
		for os.Getppid() == parent && ctx.Err() == nil {
			sleep(ctx, time.Second)
		}
		stop()
	}()
	return ctx
}

// findRoot walks up to the folder that holds the sample, so that replay can be started from anywhere in the repository.
func findRoot() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for d := dir; ; d = filepath.Dir(d) {
		if _, err := os.Stat(filepath.Join(d, "configs", "local", "pods")); err == nil {
			return d, nil
		}
		if d == filepath.Dir(d) {
			return "", fmt.Errorf("no configs/local/pods in %s or above: start replay inside the repository", dir)
		}
	}
}

func banner(o options) {
	say(o.out, `
Sluice is running and tails the sample's log files in %s. Send it more:
  OTLP         gRPC %s, HTTP http://%s
  Jaeger       gRPC %s, thrift HTTP http://%s/api/traces
  Zipkin       http://%s/api/v2/spans
Look at it:
  pipelines    http://%s/debug/pipelinez
  own metrics  http://127.0.0.1:%s/metrics
One span to paste:
  %s
Ctrl-C stops.

`,
		o.work, env("OTLP_GRPC_ENDPOINT", "127.0.0.1:4317"), o.otlp,
		env("JAEGER_GRPC_ENDPOINT", "127.0.0.1:14250"), env("JAEGER_HTTP_ENDPOINT", "127.0.0.1:14268"),
		env("ZIPKIN_ENDPOINT", "127.0.0.1:9411"),
		env("ZPAGES_ENDPOINT", "127.0.0.1:55679"), env("METRICS_PORT", "8888"),
		curlLine(o.otlp))
}

// curlLine sends one span that began just now, whenever it is pasted.
func curlLine(endpoint string) string {
	id := hexID(16)
	return `curl -sS http://` + endpoint + `/v1/traces -H 'Content-Type: application/json' -d '{"resourceSpans":[{` +
		`"resource":{"attributes":[{"key":"service.name","value":{"stringValue":"hello"}}]},` +
		`"scopeSpans":[{"spans":[{"traceId":"` + id + `","spanId":"` + id[:16] + `","name":"hello","kind":1,` +
		`"startTimeUnixNano":"'$(date +%s)'000000000","endTimeUnixNano":"'$(date +%s)'500000000"}]}]}]}'`
}

// say prints; a terminal that is gone is no reason to fail.
func say(w io.Writer, format string, args ...any) {
	_, _ = fmt.Fprintf(w, format, args...)
}

func env(name, fallback string) string {
	if v := os.Getenv(name); v != "" {
		return v
	}
	return fallback
}

// sleep waits, or returns early when ctx ends.
func sleep(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}
