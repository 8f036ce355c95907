package main

import (
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"github.com/sluice-otel/sluice/e2e/harness"
)

// result is what one run cost.
type result struct {
	lines   int
	cpu     time.Duration // from the moment the files were there until the last line was through
	startup time.Duration // CPU time before that
	wall    time.Duration
	rss     int64 // the peak, mapped files and all: the queue on disk is one
	anon    int64 // the peak of what is no file, as seen now and then
}

// perMillion is the CPU time that a million lines take, in seconds.
func (r result) perMillion() float64 { return r.cpu.Seconds() * 1e6 / float64(r.lines) }

// perCore is how many lines a second one core does.
func (r result) perCore() float64 { return float64(r.lines) / r.cpu.Seconds() }

// settle is how long a collector that has started, or has read all there is, gets to come to rest.
const settle = time.Second

// collector is a collector of one arm, with a directory of its own.
type collector struct {
	*process
	pods    string // where it looks for files
	metrics string // its own metrics page
}

// start runs the collector of an arm on a directory that is not there yet.
func (b *bench) start(ctx context.Context, a arm, poll string) (*collector, error) {
	dir := filepath.Join(b.dir, "run")
	if err := os.RemoveAll(dir); err != nil {
		return nil, err
	}
	for _, sub := range []string{"state", filepath.Join("var", "log")} {
		if err := os.MkdirAll(filepath.Join(dir, sub), 0o755); err != nil {
			return nil, err
		}
	}
	var args []string
	for _, name := range append([]string{"base"}, a.configs...) {
		text, err := configs.ReadFile("configs/" + name + ".yaml")
		if err != nil {
			return nil, err
		}
		args = append(args, "--config=yaml:"+string(text))
	}
	if a.gate {
		args = append(args, "--feature-gates=stanza.synchronousLogEmitter")
	} else {
		args = append(args, "--feature-gates=-stanza.synchronousLogEmitter")
	}
	port, err := freePort()
	if err != nil {
		return nil, err
	}
	c := &collector{pods: filepath.Join(dir, "var", "log", "pods"), metrics: fmt.Sprintf("http://127.0.0.1:%d/metrics", port)}
	env := []string{
		"SINK=" + b.sink.addr, "METRICS_PORT=" + strconv.Itoa(port), "POLL_INTERVAL=" + poll,
	}
	if c.process, err = startProcess(ctx, b.binary, dir, args, env); err != nil {
		return nil, err
	}
	return c, nil
}

func freePort() (int, error) {
	lis, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	defer lis.Close()
	return lis.Addr().(*net.TCPAddr).Port, nil
}

// read has the collector of an arm read a corpus. The files appear all at once when it has started, so that its start is
// not counted.
func (b *bench) read(ctx context.Context, a arm, c corpus) (r result, err error) {
	b.sink.reset()
	p, err := b.start(ctx, a, "200ms")
	if err != nil {
		return r, err
	}
	defer func() { _ = p.stop() }() // on success it is stopped below, and that stop's error counts
	if err := sleep(ctx, settle); err != nil {
		return r, err
	}

	r.lines = c.lines
	if r.startup, err = p.cpu(); err != nil {
		return r, err
	}
	start := time.Now()
	if err := os.Rename(c.dir, p.pods); err != nil {
		return r, err
	}
	defer func() { _ = os.Rename(p.pods, c.dir) }() // for the next arm, which fails if it is not there
	if r.anon, err = b.waitThrough(ctx, a, p, c.lines); err != nil {
		return r, err
	}
	r.wall = time.Since(start)
	end, err := p.cpu()
	if err != nil {
		return r, err
	}
	r.cpu = end - r.startup
	if r.rss, err = p.memory("VmHWM"); err != nil {
		return r, err
	}
	if err := p.stop(); err != nil {
		return r, err
	}
	return r, b.verify(a, c)
}

// waitThrough waits until all lines are through, and keeps an eye on the memory. Asking the collector for its metrics costs
// it CPU time, so it is asked seldom; the sink is asked for free.
func (b *bench) waitThrough(ctx context.Context, a arm, p *collector, lines int) (anon int64, err error) {
	interval := 50 * time.Millisecond
	if !a.toSink {
		interval = 250 * time.Millisecond
	}
	err = p.wait(ctx, 10*time.Minute, interval, func() (bool, error) {
		now, err := p.memory("RssAnon")
		anon = max(anon, now)
		if a.toSink || err != nil {
			return b.sink.count.Load() >= int64(lines), err
		}
		page, err := harness.ReadMetrics(p.metrics)
		return page.Sum("otelcol_receiver_accepted_log_records", nil) >= float64(lines), err
	})
	return anon, err
}

// verify fails a run that measured something else: lines that came twice, or that nobody parsed.
func (b *bench) verify(a arm, c corpus) error {
	if !a.toSink {
		return nil
	}
	want := 0
	if a.parsed {
		want = c.lines
	}
	if count, parsed := b.sink.count.Load(), b.sink.parsed.Load(); count != int64(c.lines) || parsed != int64(want) {
		return fmt.Errorf("%d lines at the sink, %d of them parsed; want %d and %d", count, parsed, c.lines, want)
	}
	return nil
}
