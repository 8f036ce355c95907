package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

var (
	idleFiles   = []int{10, 100, 500, 2000}
	spreadFiles = []int{1, 20, 200, 2000}
)

// rest measures what files cost that nobody writes to, and whether a line costs more when its file has many neighbors.
func (b *bench) rest(ctx context.Context) error {
	idle, spread, err := chooseRest(b.arms)
	if err != nil {
		return err
	}
	at := grid{title: fmt.Sprintf("Percent of a core with no new line, poll_interval 1s, over %s", b.idle), arms: idle}
	for _, files := range idleFiles {
		if err := b.over(ctx, &at, 10*files, files, func(a arm, c corpus) (float64, error) { return b.watch(ctx, a, c) }); err != nil {
			return err
		}
	}
	per := grid{title: fmt.Sprintf("CPU s per million lines, %d lines, median of %d", b.lines, b.runs), arms: spread}
	for _, files := range spreadFiles {
		if err := b.over(ctx, &per, b.lines, files, func(a arm, c corpus) (float64, error) {
			results, err := b.repeat(ctx, []arm{a}, c)
			if err != nil {
				return 0, err
			}
			return median(results[a.name]).perMillion(), nil
		}); err != nil {
			return err
		}
	}
	_, err = io.WriteString(b.out, at.String()+"\n"+per.String())
	return err
}

// over adds a row to a grid: what measure says of each arm over the same corpus.
func (b *bench) over(ctx context.Context, g *grid, lines, files int, measure func(arm, corpus) (float64, error)) error {
	if len(g.arms) == 0 {
		return nil
	}
	c, err := writeCorpus(filepath.Join(b.dir, "corpus"), lines, files)
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(c.dir) }()
	row := row{files: files}
	for _, a := range g.arms {
		value, err := measure(a, c)
		if err != nil {
			return fmt.Errorf("%s over %d files: %w", a.name, files, err)
		}
		progress("%s over %d files: %.2f", a.name, files, value)
		row.values = append(row.values, value)
	}
	g.rows = append(g.rows, row)
	return ctx.Err()
}

// watch is the share of a core, in percent, that the collector of an arm uses when it has read all there is.
func (b *bench) watch(ctx context.Context, a arm, c corpus) (percent float64, err error) {
	p, err := b.start(ctx, a, "1s")
	if err != nil {
		return 0, err
	}
	defer func() { _ = p.stop() }() // on success it is stopped below, and that stop's error counts
	if err := os.Rename(c.dir, p.pods); err != nil {
		return 0, err
	}
	defer func() { _ = os.Rename(p.pods, c.dir) }() // for the next arm, which fails if it is not there
	if _, err := b.waitThrough(ctx, a, p, c.lines); err != nil {
		return 0, err
	}
	if err := sleep(ctx, 5*settle); err != nil {
		return 0, err
	}
	before, err := p.cpu()
	if err != nil {
		return 0, err
	}
	if err := sleep(ctx, b.idle); err != nil {
		return 0, err
	}
	after, err := p.cpu()
	if err != nil {
		return 0, err
	}
	return 100 * (after - before).Seconds() / b.idle.Seconds(), p.stop()
}

func sleep(ctx context.Context, d time.Duration) error {
	select {
	case <-time.After(d):
	case <-ctx.Done():
	}
	return ctx.Err()
}

// grid is a table with a row for each number of files and a column for each arm.
type grid struct {
	title string
	arms  []arm
	rows  []row
}

type row struct {
	files  int
	values []float64
}

func (g grid) String() string {
	var t strings.Builder
	t.WriteString(g.title + "\n\n| files |")
	for _, a := range g.arms {
		t.WriteString(" " + a.name + " |")
	}
	t.WriteString("\n|---:|" + strings.Repeat("---:|", len(g.arms)) + "\n")
	for _, r := range g.rows {
		t.WriteString("| " + strconv.Itoa(r.files) + " |")
		for _, v := range r.values {
			fmt.Fprintf(&t, " %.2f |", v)
		}
		t.WriteString("\n")
	}
	return t.String()
}
