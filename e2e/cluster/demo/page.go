package main

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/sluice-otel/sluice/e2e/scraped"
)

// atOnce is how much one request may ask for.
const atOnce = 100_000

type classCounts struct {
	Made         int `json:"made"`         // traces
	Acknowledged int `json:"acknowledged"` // of these, with all of their spans
}

type counts struct {
	Pod           string                 `json:"pod"`
	Run           string                 `json:"run"`
	LastLine      int                    `json:"last_line"` // the lines of this run are 1 to this
	Lines         map[string]int         `json:"lines"`     // by kind
	Traces        map[string]classCounts `json:"traces"`    // by class
	FailedExports int                    `json:"failed_exports"`
}

func count(w *writer, t *tracer) counts {
	c := counts{Pod: os.Getenv("POD_NAME"), Run: w.run, Traces: map[string]classCounts{}}
	c.LastLine, c.Lines = w.wrote()
	var made []traceRecord
	made, c.FailedExports = t.records()
	for class := range classes {
		c.Traces[class] = classCounts{}
	}
	for _, r := range made {
		n := c.Traces[r.Class]
		n.Made++
		if r.Acknowledged == r.Spans {
			n.Acknowledged++
		}
		c.Traces[r.Class] = n
	}
	return c
}

func newPage(w *writer, t *tracer) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", func(http.ResponseWriter, *http.Request) {})
	mux.HandleFunc("GET /counts", func(rw http.ResponseWriter, _ *http.Request) { answer(rw, count(w, t)) })
	mux.HandleFunc("GET /traces", func(rw http.ResponseWriter, _ *http.Request) {
		made, _ := t.records()
		answer(rw, made)
	})
	mux.HandleFunc("POST /lines", func(rw http.ResponseWriter, r *http.Request) {
		n, ok := number(rw, r)
		if !ok {
			return
		}
		w.write(n)
		answer(rw, count(w, t))
	})
	mux.HandleFunc("POST /traces", func(rw http.ResponseWriter, r *http.Request) {
		class := r.FormValue("class")
		if _, ok := classes[class]; !ok {
			http.Error(rw, fmt.Sprintf("class must be error, slow or normal, got %q", class), http.StatusBadRequest)
			return
		}
		n, ok := number(rw, r)
		if !ok {
			return
		}
		for range n {
			t.make(class)
		}
		answer(rw, count(w, t))
	})
	samples := scraped.New("demo_scraped_total")
	mux.Handle("GET /scraped", samples)
	mux.HandleFunc("GET /scraped/acknowledged", func(rw http.ResponseWriter, _ *http.Request) {
		answer(rw, map[string]any{"served": samples.Served(), "acknowledged": samples.Acknowledged()})
	})
	var asked visitors
	mux.HandleFunc("GET /scrapes", func(rw http.ResponseWriter, _ *http.Request) { answer(rw, asked.list()) })
	mux.HandleFunc("GET /metrics", func(rw http.ResponseWriter, r *http.Request) {
		asked.note(r.RemoteAddr)
		metrics(rw, count(w, t))
	})
	return mux
}

func number(rw http.ResponseWriter, r *http.Request) (n int, ok bool) {
	n, err := strconv.Atoi(r.FormValue("n"))
	if err != nil || n < 1 || n > atOnce {
		http.Error(rw, fmt.Sprintf("n must be 1 to %d, got %q", atOnce, r.FormValue("n")), http.StatusBadRequest)
		return 0, false
	}
	return n, true
}

func answer(rw http.ResponseWriter, v any) {
	rw.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(rw).Encode(v) // one who hung up needs no answer
}

// metrics is in the text format of Prometheus.
func metrics(rw http.ResponseWriter, c counts) {
	var b strings.Builder
	fmt.Fprintf(&b, "# HELP demo_info The run.\n# TYPE demo_info gauge\ndemo_info{run=%q} 1\n", c.Run)
	b.WriteString("# HELP demo_lines_total Lines written, by kind.\n# TYPE demo_lines_total counter\n")
	for _, kind := range []string{"json", "long", "plain"} {
		fmt.Fprintf(&b, "demo_lines_total{kind=%q} %d\n", kind, c.Lines[kind])
	}
	b.WriteString("# HELP demo_traces_total Traces made, by class.\n# TYPE demo_traces_total counter\n")
	for _, class := range slices.Sorted(maps.Keys(c.Traces)) {
		fmt.Fprintf(&b, "demo_traces_total{class=%q} %d\n", class, c.Traces[class].Made)
	}
	rw.Header().Set("Content-Type", "text/plain; version=0.0.4")
	_, _ = io.WriteString(rw, b.String()) // one who hung up needs no answer
}
