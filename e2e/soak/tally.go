package soak

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"time"
)

// Tally is what became of one signal.
type Tally struct {
	Signal       string
	Written      int // by the application
	Acknowledged int // taken over by the first collector: lost after that is lost
	Stored       int // of those written, at least once
	Lost         int // acknowledged, and not stored
	Duplicated   int // stored again
	// CountsCopies is false where the store keeps one of two equal ones, so that there is nothing to count.
	CountsCopies bool
	// Drain is from the end of the troubles until all was stored; less than zero when it never was.
	Drain  time.Duration
	Sample []string // some of what is lost
}

// LostPercent is of what was acknowledged.
func (y Tally) LostPercent() float64 { return percent(y.Lost, y.Acknowledged) }

// DuplicatedPercent is of what is stored.
func (y Tally) DuplicatedPercent() float64 { return percent(y.Duplicated, y.Stored) }

func percent(n, of int) float64 {
	if of == 0 {
		return 0
	}
	return 100 * float64(n) / float64(of)
}

// Count compares what was acknowledged with what is stored and how often. Both may be large, so that they are made once.
func Count[K comparable](acknowledged map[K]struct{}, stored map[K]int, name func(K) string) Tally {
	y := Tally{Acknowledged: len(acknowledged), Stored: len(stored)}
	for key := range acknowledged {
		if stored[key] == 0 {
			if y.Lost++; len(y.Sample) < 10 {
				y.Sample = append(y.Sample, name(key))
			}
		}
	}
	for _, n := range stored {
		y.Duplicated += n - 1
	}
	slices.Sort(y.Sample)
	return y
}

// Report is what a run prints, and keeps in a file.
type Report struct {
	Name    string
	Seed    uint64
	Shape   string // of the tiers: "as shipped", "stock"
	Tallies []Tally
	Notes   []string
}

// WriteTo writes the table as Markdown.
func (r *Report) WriteTo(w io.Writer) (int64, error) {
	var b strings.Builder
	fmt.Fprintf(&b, "### %s, %s, seed %d\n\n", r.Name, r.Shape, r.Seed)
	b.WriteString("| signal | written | acknowledged | stored | lost | duplicated | drained after |\n|---|---:|---:|---:|---:|---:|---:|\n")
	for _, y := range r.Tallies {
		copies := "not visible"
		if y.CountsCopies {
			copies = fmt.Sprintf("%d (%.2f %%)", y.Duplicated, y.DuplicatedPercent())
		}
		drain := "never"
		if y.Drain >= 0 {
			drain = y.Drain.Round(100 * time.Millisecond).String()
		}
		fmt.Fprintf(&b, "| %s | %d | %d | %d | %d (%.2f %%) | %s | %s |\n",
			y.Signal, y.Written, y.Acknowledged, y.Stored, y.Lost, y.LostPercent(), copies, drain)
	}
	for _, note := range r.Notes {
		fmt.Fprintf(&b, "\n%s\n", note)
	}
	n, err := io.WriteString(w, b.String())
	return int64(n), err
}
