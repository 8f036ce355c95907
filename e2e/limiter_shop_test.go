//go:build e2e

package e2e

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/pmetric"

	"github.com/sluice-otel/sluice/e2e/harness"
)

const (
	maxValues, maxPerMetric, maxPerService, maxSeries = 200, 1000, 2000, 10_000 // the gateway's limits

	users        = 4200
	roundsOfShop = 2 // points of each series
)

// shop is what the services of a shop send: a series for every combination of its attributes, each of which has so many values.
var shop = []struct {
	service, metric string
	make            func(pmetric.Metric) func(time.Time) pcommon.Map
	attrs           []dimension

	admitted int    // of its series
	rest     string // outcome of the points of the others
}{
	// A series for each user: the rule on values holds it.
	{"checkout", "http.server.request.duration", histogram, []dimension{{"user.id", users}}, maxValues, "replaced"},
	// A gauge for each session. Gauges are not added up.
	{"cart", "cart.value", gauge, []dimension{{"session.id", 450}}, maxValues, "dropped"},
	// Each attribute is within its limit, all together are not; the one with most values gives way.
	{"search", "search.requests", counter, []dimension{{"search.tenant", 150}, {"search.mode", 6}, {"search.index", 3}}, maxPerMetric, "replaced"},
	// Here none has so many values that it could be said to explode.
	{"ledger", "messaging.client.consumed.messages", counter, []dimension{
		{"messaging.destination.name", 7}, {"messaging.destination.partition.id", 7}, {"messaging.consumer.group.name", 6}, {"messaging.operation.name", 5},
	}, maxPerMetric, "overflow"},
	// These fit; the first one nearly fills its budget.
	{"catalog", "db.client.operation.duration", histogram, []dimension{{"db.collection.name", 110}, {"db.operation.name", 8}}, 880, ""},
	{"frontend", "http.client.request.duration", histogram, []dimension{{"http.request.method", 4}, {"url.template", 48}, {"http.response.status_code", 3}}, 576, ""},
	{"payment", "rpc.server.call.duration", histogram, []dimension{{"rpc.method", 24}, {"rpc.response.status_code", 6}}, 144, ""},
	{"checkout", "jvm.memory.used", gauge, []dimension{{"jvm.memory.type", 2}, {"jvm.memory.pool.name", 8}}, 16, ""},
}

type dimension struct {
	key    string
	values int
}

func histogram(m pmetric.Metric) func(time.Time) pcommon.Map {
	m.SetUnit("s")
	h := m.SetEmptyHistogram()
	h.SetAggregationTemporality(pmetric.AggregationTemporalityCumulative)
	return func(now time.Time) pcommon.Map {
		p := h.DataPoints().AppendEmpty()
		p.SetStartTimestamp(pcommon.NewTimestampFromTime(now.Add(-time.Hour)))
		p.SetTimestamp(pcommon.NewTimestampFromTime(now))
		p.ExplicitBounds().FromRaw([]float64{.005, .05, .5, 5})
		p.BucketCounts().FromRaw([]uint64{1, 3, 2, 0, 0})
		p.SetCount(6)
		p.SetSum(.4)
		return p.Attributes()
	}
}

func counter(m pmetric.Metric) func(time.Time) pcommon.Map {
	s := m.SetEmptySum()
	s.SetAggregationTemporality(pmetric.AggregationTemporalityCumulative)
	s.SetIsMonotonic(true)
	return func(now time.Time) pcommon.Map { return number(s.DataPoints().AppendEmpty(), now) }
}

func gauge(m pmetric.Metric) func(time.Time) pcommon.Map {
	g := m.SetEmptyGauge()
	return func(now time.Time) pcommon.Map { return number(g.DataPoints().AppendEmpty(), now) }
}

func number(p pmetric.NumberDataPoint, now time.Time) pcommon.Map {
	p.SetStartTimestamp(pcommon.NewTimestampFromTime(now.Add(-time.Hour)))
	p.SetTimestamp(pcommon.NewTimestampFromTime(now))
	p.SetIntValue(7)
	return p.Attributes()
}

// sendShop sends a round of everything and gives what must have become of the points.
func sendShop(t *testing.T, c *harness.Collector, now time.Time) (points map[string]float64, series int) {
	t.Helper()
	client := harness.NewClient(t, c.OTLPGRPC, harness.ClientOptions{Gzip: true})
	points = map[string]float64{}
	for _, w := range shop {
		data := pmetric.NewMetrics()
		resource := data.ResourceMetrics().AppendEmpty()
		resource.Resource().Attributes().PutStr("k8s.namespace.name", "shop")
		resource.Resource().Attributes().PutStr("service.name", w.service)
		m := resource.ScopeMetrics().AppendEmpty().Metrics().AppendEmpty()
		m.SetName(w.metric)
		add := w.make(m)
		n := 1
		for _, d := range w.attrs {
			n *= d.values
		}
		for i := range n {
			attrs, rest := add(now), i
			for _, d := range w.attrs {
				attrs.PutStr(d.key, fmt.Sprintf("%s-%d", d.key, rest%d.values))
				rest /= d.values
			}
		}
		require.NoError(t, client.SendMetrics(data))
		series += w.admitted
		points["passed"] += float64(w.admitted)
		points[w.rest] += float64(n - w.admitted)
	}
	delete(points, "")
	return points, series
}
