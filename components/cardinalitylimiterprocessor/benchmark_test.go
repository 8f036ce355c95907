package cardinalitylimiterprocessor

import (
	"context"
	"runtime"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/consumer"
	"go.opentelemetry.io/collector/consumer/consumertest"
	"go.opentelemetry.io/collector/pdata/pmetric"
)

const million = 1_000_000

// The limits of hits are far away, for a leaf that fills up also counts values. The one of "full" is reached.
var loads = []load{
	{name: "hit/10k", resources: 1, metrics: 10, services: 1, series: 1000, limit: 100_000},
	{name: "hit/1M", resources: 1, metrics: 10, services: 1, series: 100_000, limit: million},
	{name: "hit/10M", resources: 1, metrics: 10, services: 1, series: million, limit: 10 * million},
	{name: "hit/10k/gauge", shape: gauge, resources: 1, metrics: 10, services: 1, series: 1000, limit: 100_000},
	{name: "hit/10k/full", resources: 1, metrics: 10, services: 1, series: 1000, limit: 1000, action: "degrade"},
	{name: "hit/1M/one_metric", resources: 1, metrics: 1, services: 1, series: million, limit: 10 * million},
	{name: "hit/100k_leaves", resources: 100, metrics: 10, services: 10_000, series: 1, limit: 1000},
	{name: "fold/10k/delta_sum", resources: 1, metrics: 10, services: 1, series: 1000, limit: 1},
	{name: "fold/1M/delta_sum", resources: 1, metrics: 10, services: 1, series: 100_000, limit: 1},
	{name: "fold/10k/cumulative_sum", shape: cumulativeSum, resources: 1, metrics: 10, services: 1, series: 1000, limit: 1},
	{name: "fold/10k/delta_histogram", shape: deltaHistogram, resources: 1, metrics: 10, services: 1, series: 1000, limit: 1},
	{name: "fold/10k/cumulative_histogram", shape: cumulativeHistogram, resources: 1, metrics: 10, services: 1, series: 1000, limit: 1},
	{name: "churn/10%", resources: 1, metrics: 10, services: 1, series: 1000, fresh: 10, limit: 1000},
}

// arm is a way to take the batches.
type arm struct {
	name  string
	start func(b *testing.B, l *load) (take consumer.ConsumeMetricsFunc, renew func(at time.Time))
	takes func(l *load) bool
}

var arms = []arm{
	{"noop", func(*testing.B, *load) (consumer.ConsumeMetricsFunc, func(time.Time)) { return pastPoints, nil }, func(*load) bool { return true }},
	{"limiter", startLimiter, func(*load) bool { return true }},
	{"map", startMap, func(l *load) bool { return l.shape == deltaSum }},
	{"deltatocumulative", startUpstream, func(l *load) bool { return l.shape == deltaSum && l.total() <= million }},
}

// BenchmarkLimiter takes batches of 1,000 points with 5 attributes, to a consumer that does nothing. The noop arm goes past the points
// and does nothing with them. `go run ./e2e/bench -table` makes a table of the output.
func BenchmarkLimiter(b *testing.B) {
	for i := range loads {
		l := &loads[i]
		for _, a := range arms {
			if a.takes(l) {
				b.Run(l.name+"/"+a.name, func(b *testing.B) {
					if l.total() > million && testing.Short() {
						b.Skip("it takes a minute, and a gigabyte for the map")
					}
					perPoint(b, l, a)
				})
			}
		}
	}
}

// perPoint measures the taking, not the making of batches. Its own clock does so, as stopping the benchmark's takes longer than a batch.
// The median batch counts: others wait for what else the machine does.
func perPoint(b *testing.B, l *load, a arm) {
	b.Helper()
	f := newFeed(l)
	f.batch()
	before := heap()
	take, renew := a.start(b, l)
	next := func() pmetric.Metrics {
		md := f.batch()
		if renew != nil {
			renew(f.at)
		}
		return md
	}
	for range l.cycle() + 10 {
		require.NoError(b, take(b.Context(), next()))
	}
	held := heap() - before
	var from, to runtime.MemStats
	var allocs, bytes uint64
	const counted = 20
	for range counted {
		md := next()
		runtime.ReadMemStats(&from)
		require.NoError(b, take(b.Context(), md))
		runtime.ReadMemStats(&to)
		allocs += to.Mallocs - from.Mallocs
		bytes += to.TotalAlloc - from.TotalAlloc
	}
	var took []time.Duration
	for b.Loop() {
		md := next()
		begin := time.Now()
		err := take(b.Context(), md)
		took = append(took, time.Since(begin))
		if err != nil {
			b.Fatal(err)
		}
	}
	slices.Sort(took)
	b.ReportMetric(float64(took[len(took)/2].Nanoseconds())/batchPoints, "ns/point")
	b.ReportMetric(float64(took[len(took)*99/100].Nanoseconds())/batchPoints, "p99-ns/point")
	b.ReportMetric(float64(bytes)/counted/batchPoints, "B/point")
	b.ReportMetric(float64(allocs)/counted/batchPoints, "allocs/point")
	b.ReportMetric(float64(max(0, held))/float64(l.total()), "heap-B/series")
	b.ReportMetric(0, "ns/op") // an op is a batch with its making: of no use to a reader
	runtime.KeepAlive(f)
}

// heap is what is in use after a collection.
func heap() int64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc) //nolint:gosec // it fits
}

// BenchmarkCores has every core send batches that are there already. Nothing is measured but the taking, so the arms of one load compare:
// twice the cores should halve the time.
func BenchmarkCores(b *testing.B) {
	for _, l := range []load{
		{name: "10_metrics", resources: 1, metrics: 10, services: 1, series: 1000, limit: 100_000},
		{name: "one_metric", resources: 1, metrics: 1, services: 1, series: 10_000, limit: 100_000},
	} {
		for _, a := range arms[:3] { // upstream's processor does nothing with a batch that it has changed
			for _, cores := range []int{1, 2} {
				name := map[int]string{1: "one_core", 2: "two_cores"}[cores]
				b.Run(l.name+"/"+name+"/"+a.name, func(b *testing.B) { onCores(b, &l, a, cores) })
			}
		}
	}
}

func onCores(b *testing.B, l *load, a arm, cores int) {
	b.Helper()
	take, _ := a.start(b, l)
	f := newFeed(l)
	for range l.cycle() {
		require.NoError(b, take(b.Context(), f.batch()))
	}
	const many = 5 // few enough to stay in the caches
	ready := make([][many]pmetric.Metrics, cores)
	for i := range cores * many {
		md := pmetric.NewMetrics()
		f.batch().CopyTo(md)
		ready[i%cores][i/cores] = md
	}
	const rounds = 10
	var took []time.Duration
	for b.Loop() {
		begin := time.Now()
		var all sync.WaitGroup
		for _, mine := range ready {
			all.Go(func() {
				for i := range rounds * many {
					if err := take(context.Background(), mine[i%many]); err != nil {
						b.Error(err)
					}
				}
			})
		}
		all.Wait()
		took = append(took, time.Since(begin))
	}
	slices.Sort(took)
	b.ReportMetric(float64(took[len(took)/2].Nanoseconds())/float64(cores*rounds*many*batchPoints), "ns/point")
	b.ReportMetric(0, "ns/op")
}

func startLimiter(b *testing.B, l *load) (take consumer.ConsumeMetricsFunc, renew func(time.Time)) {
	p, c := start(b, consumertest.NewNop(), func(cfg *Config) {
		cfg.Rules = []RuleConfig{{Name: "metric", Per: []string{"resource.service.name", "metric"}, MaxSeries: l.limit, Action: l.action}}
		if l.action == "" {
			cfg.Rules[0].Action = "overflow"
		}
		cfg.MaxMemoryMiB = 4096
	})
	batches := 0
	return p.ConsumeMetrics, func(at time.Time) {
		c.advance(at.Sub(c.now()))
		if batches++; l.fresh > 0 && batches%100 == 0 { // series come and go
			p.sweep()
			require.NoError(b, p.flush(context.Background()))
			p.folds.Sweep(p.unixNano())
		}
	}
}

// pastPoints is what any processor must do.
func pastPoints(_ context.Context, md pmetric.Metrics) error {
	md.ResourceMetrics().RemoveIf(func(rm pmetric.ResourceMetrics) bool {
		rm.ScopeMetrics().RemoveIf(func(sm pmetric.ScopeMetrics) bool {
			sm.Metrics().RemoveIf(func(m pmetric.Metric) bool {
				switch m.Type() {
				case pmetric.MetricTypeGauge:
					m.Gauge().DataPoints().RemoveIf(func(pmetric.NumberDataPoint) bool { return false })
				case pmetric.MetricTypeSum:
					m.Sum().DataPoints().RemoveIf(func(pmetric.NumberDataPoint) bool { return false })
				case pmetric.MetricTypeHistogram:
					m.Histogram().DataPoints().RemoveIf(func(pmetric.HistogramDataPoint) bool { return false })
				}
				return false
			})
			return false
		})
		return false
	})
	return nil
}
