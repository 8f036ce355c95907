package cardinalitylimiterprocessor

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/consumer"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/pmetric"
	"go.opentelemetry.io/collector/processor/processortest"

	"github.com/sluice-otel/sluice/components/cardinalitylimiterprocessor/internal/metadata"
)

// sink keeps what comes out, by identity. It refuses when err is set.
type sink struct {
	mu      sync.Mutex
	batches []pmetric.Metrics
	err     error
}

func (*sink) Capabilities() consumer.Capabilities { return consumer.Capabilities{} }

func (s *sink) ConsumeMetrics(_ context.Context, md pmetric.Metrics) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err != nil {
		return s.err
	}
	kept := pmetric.NewMetrics()
	md.CopyTo(kept)
	s.batches = append(s.batches, kept)
	return nil
}

// clock is moved by the test.
type clock struct {
	mu sync.Mutex
	at time.Time
}

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.at
}

func (c *clock) advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.at = c.at.Add(d)
}

var epoch = time.Unix(1_700_000_000, 0)

// start makes a limiter that is driven by hand: its clock stands, and nothing is flushed or swept in the background.
func start(t testing.TB, next consumer.Metrics, configure func(*Config)) (*limiter, *clock) {
	t.Helper()
	cfg := createDefaultConfig().(*Config)
	cfg.StartupGrace = 0
	cfg.Overflow.FlushInterval = time.Hour
	configure(cfg)
	require.NoError(t, cfg.Validate())
	p, err := newProcessor(processortest.NewNopSettings(metadata.Type), cfg, next)
	require.NoError(t, err)
	c := &clock{at: epoch}
	p.now, p.started = c.now, epoch
	require.NoError(t, p.Start(context.Background(), componenttest.NewNopHost()))
	t.Cleanup(func() { require.NoError(t, p.Shutdown(context.Background())) })
	return p, c
}

// rule is one for all series of a metric.
func perMetric(limit int, action string) func(*Config) {
	return func(c *Config) {
		c.Rules = []RuleConfig{{Name: "metric", Per: []string{"metric"}, MaxSeries: limit, Action: action}}
	}
}


func batch(service string, build func(pmetric.MetricSlice)) pmetric.Metrics {
	md := pmetric.NewMetrics()
	rm := md.ResourceMetrics().AppendEmpty()
	rm.Resource().Attributes().PutStr("service.name", service)
	build(rm.ScopeMetrics().AppendEmpty().Metrics())
	return md
}

// counter is a delta sum with one point per series: user=0…, each worth 1.
func counter(name string, from, to int, at time.Time) func(pmetric.MetricSlice) {
	return func(ms pmetric.MetricSlice) {
		m := ms.AppendEmpty()
		m.SetName(name)
		sum := m.SetEmptySum()
		sum.SetIsMonotonic(true)
		sum.SetAggregationTemporality(pmetric.AggregationTemporalityDelta)
		for i := from; i < to; i++ {
			p := sum.DataPoints().AppendEmpty()
			p.SetStartTimestamp(pcommon.NewTimestampFromTime(at.Add(-time.Second)))
			p.SetTimestamp(pcommon.NewTimestampFromTime(at))
			p.SetIntValue(1)
			p.Attributes().PutStr("user", fmt.Sprint("u", i))
			p.Attributes().PutStr("method", []string{"GET", "POST"}[i%2])
		}
	}
}

// series are the identities of all points, with the sum of their values.
func seriesOf(batches []pmetric.Metrics) map[string]int64 {
	all := map[string]int64{}
	for _, md := range batches {
		for _, rm := range md.ResourceMetrics().All() {
			for _, sm := range rm.ScopeMetrics().All() {
				for _, m := range sm.Metrics().All() {
					if m.Type() != pmetric.MetricTypeSum {
						continue
					}
					for _, p := range m.Sum().DataPoints().All() {
						all[fmt.Sprint(rm.Resource().Attributes().AsRaw(), m.Name(), p.Attributes().AsRaw())] += p.IntValue()
					}
				}
			}
		}
	}
	return all
}

func total(series map[string]int64) (sum int64) {
	for _, n := range series {
		sum += n
	}
	return sum
}
