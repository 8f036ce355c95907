//go:build e2e

package soak

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sluice-otel/sluice/e2e/harness"
	"github.com/sluice-otel/sluice/e2e/podlogs"
	"github.com/sluice-otel/sluice/e2e/scraped"
)

// Names of the signals.
const (
	logLines, spans               = "log lines", "spans"
	pushedSamples, scrapedSamples = "pushed samples", "scraped samples"
)

// signal is one way from a writer to a store.
type signal struct {
	name   string
	copies bool         // whether the store shows what came twice
	want   func() int   // acknowledged
	have   func() int   // stored, as a count that is cheap and may include copies
	tally  func() Tally // exact
}

func (r *rig) signals() []signal {
	w := r.writers
	return []signal{
		{logLines, true, func() int { return total(w.fleet.Counts()) }, r.lokiCount, r.logs},
		{spans, true, func() int { return len(w.takenSpans()) }, func() int {
			return int(r.jaeger.Counted(r.t, "jaeger_collector_spans_saved_by_svc_total"))
		}, r.spans},
		{pushedSamples, false, func() int { return len(w.pushedAndTaken()) }, func() int {
			sum := r.prometheus.Query(r.t, fmt.Sprintf("sum(count_over_time(soak_pushed_total[%ds]))", r.past()))
			if len(sum) == 0 {
				return 0
			}
			return int(sum[0].Value)
		}, func() Tally {
			y := Count(w.pushedAndTaken(), r.inPrometheus("soak_pushed_total"), key.String)
			y.Written = w.pushed * scraped.Series
			return y
		}},
		{scrapedSamples, true, func() int { return len(w.scrapedAndTaken()) }, func() int { return len(r.inVictoria("soak_scraped_total")) }, func() Tally {
			y := Count(w.scrapedAndTaken(), r.inVictoria("soak_scraped_total"), key.String)
			y.Written = w.page.Served() * scraped.Series
			return y
		}},
	}
}

func (r *rig) past() int { return int(time.Since(r.begun).Seconds()) + 60 }

func (w *writers) pushedAndTaken() map[key]struct{} {
	w.mu.Lock()
	defer w.mu.Unlock()
	return maps.Clone(w.acknowledged)
}

func total(counts [][len(podlogs.Streams)]int) int {
	n := 0
	for _, c := range counts {
		for _, m := range c {
			n += m
		}
	}
	return n
}

const (
	everyRecord = `{service_name=~".+"}`
	everyLine   = everyRecord + ` |= "<<c"`
)

func (r *rig) lokiCount() int {
	sum := r.loki.Query(r.t, fmt.Sprintf("sum(count_over_time(%s [%ds]))", everyLine, r.past()))
	if len(sum) == 0 {
		return 0
	}
	return int(sum[0].Value)
}

// logs takes the files for the application's ledger: a line that is written is acknowledged, the file keeps it.
func (r *rig) logs() Tally {
	type id struct{ container, stream, number int }
	written, stored, inside := map[id]struct{}{}, map[id]int{}, map[id]string{}
	name := func(i id) string {
		e, err := r.writers.fleet.Entry(i.container, i.stream, i.number)
		if err != nil {
			return err.Error()
		}
		var copies []int
		for n := i.number - 3; n <= i.number+3; n++ {
			copies = append(copies, stored[id{i.container, i.stream, n}])
		}
		return fmt.Sprintf("container %d (%s) %s record %d, written %s, at %s; copies from three before to three after it: %v; %s", i.container,
			r.writers.fleet.Container(i.container).Runtime, podlogs.Streams[i.stream], i.number, e.Written.Format("15:04:05.000"), e.Begin, copies,
			cmp.Or(inside[i], "in no other record"))
	}
	for c, counts := range r.writers.fleet.Counts() {
		for s, n := range counts {
			for i := range n {
				written[id{c, s, i}] = struct{}{}
			}
		}
	}
	lines := r.loki.AllLines(r.t, everyRecord, r.begun)
	for _, line := range lines {
		for n, i := range podlogs.FindIDs(line.Line) {
			if i := (id{i.Container, i.Stream, i.Number}); n == 0 {
				stored[i]++
			} else {
				inside[i] = fmt.Sprintf("in a record that it is no part of: %.400q", line.Line)
			}
		}
	}
	for _, i := range inPieces(lines) {
		i := id{i.Container, i.Stream, i.Number}
		stored[i] = max(stored[i], 1)
	}
	y := Count(written, stored, name)
	y.Written = len(written)
	return y
}

func (r *rig) spans() Tally {
	stored := map[[2]string]int{}
	for i := range services {
		maps.Copy(stored, r.jaeger.Spans(r.t, service(i)))
	}
	y := Count(r.writers.takenSpans(), stored, func(id [2]string) string { return "trace " + id[0] + " span " + id[1] })
	y.Written = r.writers.spansEnded
	return y
}

func (r *rig) inPrometheus(metric string) map[key]int {
	stored := map[key]int{}
	for _, s := range r.prometheus.Raw(r.t, metric, time.Duration(r.past())*time.Second) {
		for _, v := range s.Samples {
			stored[r.key(s.Labels, v.Value)]++
		}
	}
	return stored
}

func (r *rig) inVictoria(metric string) map[key]int {
	stored := map[key]int{}
	for _, s := range r.victoria.Export(r.t, metric) {
		for _, v := range s.Values {
			stored[r.key(s.Metric, v)]++
		}
	}
	return stored
}

func (r *rig) key(labels map[string]string, value float64) key {
	writer, err := strconv.Atoi(labels["writer"])
	require.NoError(r.t, err, "%v", labels)
	return key{writer, int(value)}
}

// settle ends the writing, heals everything, waits until all has come or nothing comes any more, and returns the table.
func (r *rig) settle() *Report {
	r.t.Helper()
	for name := range r.fronts {
		require.NoError(r.t, r.fronts[name].Heal())
	}
	for name := range r.networks {
		require.NoError(r.t, r.networks[name].Heal())
	}
	require.NoError(r.t, r.writers.stop())
	r.writers.page.Close()
	require.NoError(r.t, r.writers.fleet.Finish())
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	if err := r.writers.flush(ctx); err != nil {
		r.note("the SDK has not yet given everything away: %v", err)
	}
	r.note("the troubles are over")
	report := &Report{Name: r.t.Name(), Seed: r.seed, Shape: r.shape.name, Tallies: r.await(), Notes: r.notes}
	r.print(report)
	return report
}

// await polls the stores. A signal is through when nothing of it is missing; all end when nothing new has come for a while.
func (r *rig) await() []Tally {
	r.t.Helper()
	signals := r.signals()
	tallies := make([]Tally, len(signals))
	through, have := make([]bool, len(signals)), make([]int, len(signals))
	end, progress := time.Now(), time.Now()
	for {
		open, late := 0, time.Since(progress) > r.patience
		for i, s := range signals {
			if through[i] {
				continue
			}
			if n := s.have(); n != have[i] {
				have[i], progress = n, time.Now()
			}
			if have[i] >= s.want() || late {
				tallies[i] = s.tally()
				tallies[i].Signal, tallies[i].CountsCopies, tallies[i].Drain = s.name, s.copies, time.Since(end)
				through[i] = tallies[i].Lost == 0
			}
			if !through[i] {
				tallies[i].Drain = -1
				open++
			}
			if late {
				through[i] = true
			}
		}
		if open == 0 || late {
			return tallies
		}
		for name, c := range r.collectors {
			if c.Proc.Exited() {
				r.t.Fatalf("%s is gone", name)
			}
		}
		time.Sleep(500 * time.Millisecond)
	}
}

// print writes the table to the test's output, and adds it to the file that SLUICE_SOAK_REPORT names.
func (r *rig) print(report *Report) {
	r.t.Helper()
	var b bytes.Buffer
	_, err := report.WriteTo(&b)
	require.NoError(r.t, err)
	b.WriteString("\n")
	r.t.Logf("\n%s", b.String())
	path := os.Getenv("SLUICE_SOAK_REPORT")
	if path == "" {
		path = filepath.Join(harness.Root(r.t), ".work", "soak.md")
	}
	require.NoError(r.t, os.MkdirAll(filepath.Dir(path), 0o755))
	f, err := os.OpenFile(path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
	require.NoError(r.t, err)
	defer f.Close()
	_, err = f.Write(b.Bytes())
	require.NoError(r.t, err)
	require.NoError(r.t, os.WriteFile(strings.TrimSuffix(path, ".md")+"-diary-"+strings.ReplaceAll(r.t.Name(), "/", "-")+".txt", []byte(strings.Join(r.diary, "\n")+"\n"), 0o644))
}

// assertWhole is the promise: nothing is lost, and at most so many percent come twice, of spans and of all else.
func (r *rig) assertWhole(report *Report, spansTwice, otherTwice float64) {
	r.t.Helper()
	for _, y := range report.Tallies {
		assert.Positive(r.t, y.Acknowledged, "%s: nothing was acknowledged, so nothing is proven", y.Signal)
		assert.Zero(r.t, y.Lost, "%s: lost, among them\n  %s", y.Signal, strings.Join(y.Sample, "\n  "))
		most := otherTwice
		if y.Signal == spans {
			most = spansTwice
		}
		assert.LessOrEqual(r.t, y.DuplicatedPercent(), most, "%s: percent duplicated", y.Signal)
	}
	assert.Zero(r.t, r.jaeger.Counted(r.t, "jaeger_collector_spans_dropped_total"), "spans that Jaeger took and threw away")
}
