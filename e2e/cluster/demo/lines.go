package main

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"sync"
)

// longLine is more than the 16 KiB that a container runtime keeps in one piece.
const longLine = 40 << 10

// writer writes lines that are numbered from 1 in each run.
type writer struct {
	run string
	out io.Writer

	mu     sync.Mutex
	seq    int
	counts map[string]int
	ended  bool
}

// write writes so many lines and returns the last one's number.
func (w *writer) write(n int) int {
	w.mu.Lock()
	defer w.mu.Unlock()
	for range n {
		if w.ended {
			break
		}
		w.line(kindOf(w.seq + 1))
	}
	return w.seq
}

// kindOf mixes the kinds: mostly JSON and plain text by turns, and one of each hundred is long.
func kindOf(seq int) string {
	switch {
	case seq%100 == 50:
		return "long"
	case seq%2 == 0:
		return "json"
	}
	return "plain"
}

// last writes the line that says how many there are. None comes after it.
func (w *writer) last() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.line("last")
	w.ended = true
}

func (w *writer) line(kind string) {
	w.seq++
	text := format(kind, w.run, w.seq)
	if w.counts == nil {
		w.counts = map[string]int{}
	}
	// A line that nobody takes is the end of the container.
	if _, err := io.WriteString(w.out, text+"\n"); err != nil {
		panic(err)
	}
	w.counts[kind]++
}

// format is a line without its end.
func format(kind, run string, seq int) string {
	switch kind {
	case "json":
		b, _ := json.Marshal(struct { // of a string and a number it never fails
			Level string `json:"level"`
			Msg   string `json:"msg"`
			Run   string `json:"run"`
			Seq   int    `json:"seq"`
		}{"info", "order taken", run, seq})
		return string(b)
	case "long":
		head, tail := fmt.Sprintf("demo run=%s seq=%d long ", run, seq), fmt.Sprintf(" end=%d", seq)
		return head + strings.Repeat("x", longLine-len(head)-len(tail)) + tail
	case "last":
		return fmt.Sprintf("demo run=%s seq=%d last line", run, seq)
	}
	return fmt.Sprintf("demo run=%s seq=%d order taken", run, seq)
}

// wrote is how many lines of each kind there are so far.
func (w *writer) wrote() (last int, byKind map[string]int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	byKind = map[string]int{}
	for kind, n := range w.counts {
		byKind[kind] = n
	}
	return w.seq, byKind
}
