package main

import (
	"context"
	"io"
	"os"
	"path/filepath"
	"time"
)

// player replays the sample, loop after loop.
type player struct {
	sample *sample
	dir    string
	rate   float64
	post   func(context.Context, []byte) error
	out    io.Writer

	files  map[string]*logFile
	loops  int
	lines  int
	traces int
	failed int // traces that the collector did not take
}

// loop replays the sample once, its gaps stretched so that the lines come at the wanted rate. What carries one time in
// the sample, as the lines of one read by CRI-O do, gets one time here. It returns nil when ctx ends in the middle.
func (p *player) loop(ctx context.Context) error {
	if p.loops == 0 {
		if err := p.place(); err != nil {
			return err
		}
	}
	events := p.sample.events
	stretch := float64(p.sample.lines) / p.rate / p.sample.period.Seconds()
	ids := p.sample.fresh(p.loops)
	p.loops++

	var now time.Time
	for i, e := range events {
		if i == 0 || !e.at.Equal(events[i-1].at) {
			if i > 0 {
				sleep(ctx, time.Duration(stretch*float64(e.at.Sub(events[i-1].at))))
			}
			now = time.Now()
		}
		if ctx.Err() != nil {
			return nil
		}
		data := shift([]byte(ids.Replace(string(e.data))), e.at, now)
		if e.file == "" {
			p.send(ctx, data)
		} else if err := p.write(e.file, data, now); err != nil {
			return err
		}
	}
	first, last := events[0].at, events[len(events)-1].at
	sleep(ctx, time.Duration(stretch*float64(p.sample.period-last.Sub(first))))
	return nil
}

// place writes what Docker has written before a container's first line. Only root may read it there, only we may here.
func (p *player) place() error {
	for name, data := range p.sample.files {
		name = filepath.Join(p.dir, name)
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(name, data, 0o600); err != nil {
			return err
		}
	}
	return nil
}

func (p *player) write(name string, line []byte, now time.Time) error {
	f := p.files[name]
	if f == nil {
		var err error
		if f, err = openLogFile(filepath.Join(p.dir, name)); err != nil {
			return err
		}
		if p.files == nil {
			p.files = map[string]*logFile{}
		}
		p.files[name] = f
	}
	p.lines++
	return f.write(line, now)
}

// send never stops the replay: a collector that refuses is something to look at, not a reason to leave.
func (p *player) send(ctx context.Context, trace []byte) {
	p.traces++
	if err := p.post(ctx, trace); err != nil && ctx.Err() == nil {
		p.failed++
		say(p.out, "replay: a trace was not accepted: %v\n", err)
	}
}

func (p *player) close() {
	for _, f := range p.files {
		f.close()
	}
}
