package cardinalitylimiterprocessor

import (
	"context"
	"fmt"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pmetric"
)

func TestAMillionSeriesBecomeAHundredAndOne(t *testing.T) {
	n := 1_000_000
	if underRace {
		n /= 20
	}
	r := newRig(t, perMetric(100, "overflow"))
	r.send(batch("shop", counter("requests", 0, n)))
	got := append(r.out.take(), r.folded()...)
	assert.Len(t, unfolded(got), 100)
	assert.Len(t, streams(got), 101)
	assert.InDelta(t, n, total(got), 0)
	assert.Equal(t, map[string]int64{"passed": 100, "overflow": int64(n) - 100}, r.points())
}

func TestNoBudgetIsPassedWhenAllSendAtOnce(t *testing.T) {
	r := newRig(t, rules(
		RuleConfig{Name: "total", MaxSeries: 150, Action: "overflow"},
		RuleConfig{Name: "metric", Per: []string{"metric"}, MaxSeries: 100, Action: "overflow"},
	))
	const senders, each = 16, 500
	var wg sync.WaitGroup
	for sender := range senders {
		wg.Go(func() {
			for i := range 10 {
				md := batch("shop", counter(fmt.Sprint("m", sender%2), sender*100+i*each/10, sender*100+(i+1)*each/10))
				assert.NoError(t, r.ConsumeMetrics(context.Background(), md))
			}
		})
	}
	wg.Go(func() {
		for range 20 {
			r.sweep()
			_ = r.points()
		}
	})
	wg.Wait()
	got := append(r.out.take(), r.folded()...)
	assert.Len(t, unfolded(got), 150)
	for _, metric := range []string{"m0", "m1"} {
		assert.LessOrEqual(t, len(unfolded(having(got, metric))), 100)
	}
	assert.InDelta(t, senders*each, total(got), 0)
	assert.EqualValues(t, senders*each, sum(r.points()))
}

// Two hundred new series in each of ten idle timeouts: those of before give their places back, and no window has more than the limit.
func TestChurnIsBoundedInEveryWindow(t *testing.T) {
	r := newRig(t, perMetric(50, "overflow"))
	for window := range 10 {
		r.send(batch("shop", counter("requests", window*200, window*200+200)))
		got := append(r.out.take(), r.folded()...)
		assert.Len(t, unfolded(got), 50, "window %d", window)
		assert.InDelta(t, 200, total(got), 0, "window %d", window)
		r.pass(r.cfg.IdleTimeout + r.cfg.IdleTimeout/steps*2)
		assert.Zero(t, r.active())
	}
}

func TestASeriesThatTheParentHasNoRoomForChargesNobody(t *testing.T) {
	r := newRig(t, rules(
		RuleConfig{Name: "metric", Per: []string{"resource.service.name", "metric"}, MaxSeries: 10, Action: "drop"},
		RuleConfig{Name: "service", Per: []string{"resource.service.name"}, MaxSeries: 15, Action: "drop"},
		RuleConfig{Name: "total", MaxSeries: 20, Action: "drop"},
	))
	r.send(batch("a", counter("m1", 0, 30), counter("m2", 0, 30)))
	r.send(batch("b", counter("m1", 0, 30)))
	got := r.out.take()
	counts := map[string]int{}
	for id := range unfolded(got) {
		for _, service := range []string{"a", "b"} {
			for _, metric := range []string{"m1", "m2"} {
				if len(having([]sample{{id: id}}, "service.name:"+service)) == 1 && len(having([]sample{{id: id}}, " "+metric+" ")) == 1 {
					counts[service+metric]++
				}
			}
		}
	}
	require.Equal(t, map[string]int{"am1": 10, "am2": 5, "bm1": 5}, counts)
	for _, b := range r.limits.Report(100).Budgets {
		want := 0
		for where, n := range counts {
			service, metric := where[:1], where[1:]
			switch {
			case b.Rule == "total", b.Rule == "service" && b.Per[0] == service, b.Rule == "metric" && b.Per[0] == service && b.Per[1] == metric:
				want += n
			}
		}
		assert.Equal(t, want, b.Active, "%s %v", b.Rule, b.Per)
	}
}

func TestANoisyServiceCannotTakeAnothersReserve(t *testing.T) {
	r := newRig(t, rules(
		RuleConfig{Name: "total", MaxSeries: 100, Action: "overflow"},
		RuleConfig{Name: "service", Per: []string{"resource.service.name"}, MaxSeries: 100, Reserve: 20, Action: "overflow"},
	))
	r.send(batch("quiet", counter("m", 0, 1)))
	r.send(batch("noisy", counter("m", 0, 1000)))
	r.send(batch("quiet", counter("m", 0, 40)))
	got := append(r.out.take(), r.folded()...)
	assert.Len(t, unfolded(having(got, "service.name:quiet")), 20)
	assert.Len(t, unfolded(having(got, "service.name:noisy")), 80)
	assert.InDelta(t, 1041, total(got), 0)
}

func TestGraceLetsWhatIsThereIn(t *testing.T) {
	n := 50_000
	if underRace {
		n /= 10
	}
	r := newRig(t, func(c *Config) {
		perMetric(n/2, "overflow")(c)
		c.StartupGrace = 1 << 40
	})
	assert.Equal(t, map[string]int64{"": 1}, r.counted("learning", "none"))
	r.send(batch("shop", counter("m", 0, n)))
	assert.Len(t, unfolded(r.out.take()), n, "twice the limit is there, and none is touched")
	r.send(batch("shop", counter("m", n, n+10)))
	assert.Empty(t, r.out.take(), "more than twice is not let in even then")

	r.learn(false)
	r.send(batch("shop", counter("m", n+10, n+20)))
	assert.Empty(t, r.out.take(), "after it the limit holds")
	r.send(batch("shop", counter("m", 0, n)))
	assert.Len(t, unfolded(r.out.take()), n, "but those that are there stay")
	assert.Equal(t, map[string]int64{"": 0}, r.counted("learning", "none"))
}

func TestAllowedMetricsHaveNoLimit(t *testing.T) {
	r := newRig(t, func(c *Config) {
		perMetric(5, "drop")(c)
		c.Allow = []string{"up", "scrape_*"}
	})
	r.send(batch("shop", counter("up", 0, 50), counter("scrape_duration", 0, 50), counter("upper", 0, 50), counter("my_scrape_x", 0, 50)))
	got := r.out.take()
	assert.Len(t, having(got, " up "), 50)
	assert.Len(t, having(got, " scrape_duration "), 50)
	assert.Len(t, having(got, " upper "), 5)
	assert.Len(t, having(got, " my_scrape_x "), 5)
	assert.Equal(t, 10, r.active(), "they are not counted either")
}

func TestMetricsThatNoRuleIsForPass(t *testing.T) {
	r := newRig(t, rules(RuleConfig{Name: "db", Metrics: []string{"db.*"}, Per: []string{"metric"}, MaxSeries: 5, Action: "drop"}))
	r.send(batch("shop", counter("db.calls", 0, 50), counter("dbx", 0, 50), counter("http", 0, 50)))
	got := r.out.take()
	assert.Len(t, having(got, " db.calls "), 5)
	assert.Len(t, having(got, " dbx "), 50)
	assert.Len(t, having(got, " http "), 50)
}

// Without memory for another series nothing new is let through: it is folded, or dropped and counted.
func TestWithoutMemoryNothingNewPasses(t *testing.T) {
	r := newRig(t, func(c *Config) {
		perMetric(1_000_000, "overflow")(c)
		c.MaxMemoryMiB = 8
		c.Overflow.MaxStreams = 10
	})
	const most = 6<<20 + 6<<16 // the table of places and the last one may pass the limit
	sent := 0
	send := func(metric string, series int) (passed int) {
		r.send(batch("shop", counter(metric, 0, series)))
		sent += series
		for _, md := range r.out.batches {
			passed += md.DataPointCount()
		}
		r.out.batches = nil
		return passed
	}
	first := send("m0", 20)
	passed := first
	for i := range 12_000 {
		passed += send(fmt.Sprint("m", i+1), 3)
	}
	assert.Less(t, passed, sent*4/5)
	assert.LessOrEqual(t, r.bytes(), most)
	assert.Zero(t, send("new", 10), "there is no memory for the place")
	assert.Less(t, send("m0", 2000), 100, "nor for many more series where there is one")
	assert.Equal(t, first, send("m0", 20), "what passed, passes")
	assert.LessOrEqual(t, r.bytes(), most)
	points := r.points()
	assert.EqualValues(t, sent, sum(points))
	assert.InDelta(t, points["overflow"], total(r.folded()), 0)
	assert.Positive(t, r.drops()["memory"])
}

func TestEmptyThingsPass(t *testing.T) {
	r := newRig(t, perMetric(1, "drop"))
	md := pmetric.NewMetrics()
	r.send(md)
	md = pmetric.NewMetrics()
	md.ResourceMetrics().AppendEmpty()
	rm := md.ResourceMetrics().AppendEmpty()
	rm.ScopeMetrics().AppendEmpty()
	sm := rm.ScopeMetrics().AppendEmpty()
	sm.Metrics().AppendEmpty().SetName("of no type")
	sm.Metrics().AppendEmpty().SetEmptyHistogram()
	want := pmetric.NewMetrics()
	md.CopyTo(want)
	r.send(md)
	require.Len(t, r.out.batches, 1)
	assert.Equal(t, want, r.out.batches[0])
	r.send(batch("shop", counter("m", 0, 1)))
	r.out.take()
	r.send(batch("shop", counter("m", 1, 2)))
	assert.Empty(t, r.out.batches, "nothing is left of it, not even its resource")
}
