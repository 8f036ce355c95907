package cardinalitylimiterprocessor

import (
	"context"
	"testing"
	"time"

	"github.com/open-telemetry/opentelemetry-collector-contrib/processor/deltatocumulativeprocessor"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/pdata/pmetric"
	"go.opentelemetry.io/collector/processor/processortest"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
)

// deltatocumulative drops points that are older than those before them, and those whose intervals overlap. It sees none: two sources
// in many batches are one stream.
func TestWhoeverNeedsPointsInOrderDropsNone(t *testing.T) {
	out, read := &sink{}, componenttest.NewTelemetry()
	factory := deltatocumulativeprocessor.NewFactory()
	set := processortest.NewNopSettings(factory.Type())
	set.TelemetrySettings = read.NewTelemetrySettings()
	next, err := factory.CreateMetrics(context.Background(), set, factory.CreateDefaultConfig(), out)
	require.NoError(t, err)
	require.NoError(t, next.Start(context.Background(), componenttest.NewNopHost()))
	t.Cleanup(func() { require.NoError(t, next.Shutdown(context.Background())) })

	r := newRig(t, perMetric(5, "degrade"), into(next))
	const rounds, users = 8, 30
	for round := range rounds {
		for _, service := range []string{"a", "b"} {
			r.send(batch(service, func(ms pmetric.MetricSlice) {
				for _, i := range []int{0, 4, 6} { // the deltas
					m := ms.AppendEmpty()
					m.SetName(forms()[i].name)
					forms()[i].build(m, round, users)
				}
			}))
			r.clock.advance(time.Second)
			if round%3 == 0 {
				require.NoError(t, r.flush(context.Background()))
			}
		}
		r.clock.advance(roundLength - 2*time.Second)
	}
	require.NoError(t, r.flush(context.Background()))

	m, err := read.GetMetric("otelcol_deltatocumulative_datapoints")
	require.NoError(t, err)
	seen := int64(0)
	for _, p := range m.Data.(metricdata.Sum[int64]).DataPoints {
		_, failed := p.Attributes.Value("error")
		assert.False(t, failed, "%d points: %v", p.Value, p.Attributes.ToSlice())
		seen += p.Value
	}
	assert.Greater(t, seen, int64(3*rounds))
	last := map[string]sample{}
	for _, s := range out.take() {
		last[s.id] = s
	}
	sum := 0.0
	for _, s := range last {
		sum += s.value
	}
	assert.InDelta(t, 2*3*users*(3+2*(rounds-1)), sum, 0, "what it has made of them is all that came in")
}
