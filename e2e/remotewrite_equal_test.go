//go:build e2e

package e2e

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/pmetric"

	"github.com/sluice-otel/sluice/e2e/backends"
	"github.com/sluice-otel/sluice/e2e/harness"
	"github.com/sluice-otel/sluice/e2e/proc"
	"github.com/sluice-otel/sluice/e2e/tiers"
)

// The same metrics of every type through both exporters into one VictoriaMetrics are the same series, with the same samples.
func TestRemoteWriteEqualsUpstream(t *testing.T) {
	v := backends.StartVictoriaMetrics(t)
	c := tiers.Start(t, nil, tiers.Tier{
		Profile: "local", Backends: []string{"backends/victoria"},
		Override: `
exporters:
  remote_write: {external_labels: {by: ours}, target_info: {enabled: true}, max_request_bytes: 2048}
  prometheusremotewrite:
    endpoint: ${env:VICTORIAMETRICS_URL}/api/v1/write
    resource_to_telemetry_conversion: {enabled: true}
    external_labels: {by: upstream}
service: {pipelines: {metrics: {exporters: [remote_write, prometheusremotewrite]}}}
`,
		Env: map[string]string{"VICTORIAMETRICS_URL": v.URL, "LOCAL_METRICS_INTERVAL": "1h"},
	})
	start := time.Now().Add(-time.Minute)
	for round := range 3 {
		require.NoError(t, harness.SendMetrics(t, c.OTLPGRPC, golden(start.Add(time.Duration(round)*15*time.Second), round)))
	}
	var ours, upstream map[string]string
	proc.Eventually(t, 30*time.Second, func() error {
		ours, upstream = spelled(t, v, "ours"), spelled(t, v, "upstream")
		if len(ours) != len(upstream) || len(ours) < 100 {
			return fmt.Errorf("%d series of ours, %d of upstream", len(ours), len(upstream))
		}
		if !maps.Equal(ours, upstream) {
			return fmt.Errorf("they differ in %s", firstDifference(ours, upstream))
		}
		return nil
	}, c.Proc)
	assert.Greater(t, requests(t, c, "written"), 5.0, "so small requests should be many")
	t.Logf("%d series are the same", len(ours))
}

// spelled maps a series of golden to its samples; target_info may be sent with each of several requests.
func spelled(t *testing.T, v *backends.VictoriaMetrics, by string) map[string]string {
	t.Helper()
	all := map[string]string{}
	for _, s := range v.Export(t, `{by="`+by+`",job="golden"}`) {
		delete(s.Metric, "by")
		name, err := json.Marshal(s.Metric)
		require.NoError(t, err)
		var samples []string
		for i := range s.Values {
			samples = append(samples, fmt.Sprintf("%v@%d", s.Values[i], s.Timestamps[i]))
		}
		all[string(name)] = fmt.Sprint(slices.Compact(samples))
	}
	return all
}

func firstDifference(a, b map[string]string) string {
	for key := range a {
		if a[key] != b[key] {
			return fmt.Sprintf("%s: %s, %s", key, a[key], b[key])
		}
	}
	return "series that only one of them has"
}

// golden has every type of metric, units, odd names and attributes, two resources, and in its last round the end of a series.
func golden(at time.Time, round int) pmetric.Metrics {
	md := pmetric.NewMetrics()
	ts := pcommon.NewTimestampFromTime(at)
	for _, pod := range []string{"a", "b"} {
		rm := md.ResourceMetrics().AppendEmpty()
		for key, value := range map[string]string{"service.name": "golden", "service.instance.id": pod, "k8s.pod.name": "shop-" + pod, "9lives": "x", "_x": "y"} {
			rm.Resource().Attributes().PutStr(key, value)
		}
		metrics := rm.ScopeMetrics().AppendEmpty().Metrics()
		add := func(name, unit string) pmetric.Metric {
			m := metrics.AppendEmpty()
			m.SetName(name)
			m.SetUnit(unit)
			return m
		}
		const cumulative = pmetric.AggregationTemporalityCumulative
		gauge, sum, updown := add("golden.temperature", "Cel").SetEmptyGauge(), add("golden.requests", "{request}").SetEmptySum(), add("golden.in use", "By").SetEmptySum()
		sum.SetAggregationTemporality(cumulative)
		sum.SetIsMonotonic(true)
		updown.SetAggregationTemporality(cumulative)
		histogram, summary := add("golden.duration", "s").SetEmptyHistogram(), add("golden.size", "1").SetEmptySummary()
		histogram.SetAggregationTemporality(cumulative)
		for i := range 10 {
			attrs := func(m pcommon.Map) {
				m.PutStr("http.route", "/"+strconv.Itoa(i))
				m.PutInt("status", int64(200+i))
				m.PutBool("ü.ok", true)
				m.PutEmptySlice("list").AppendEmpty().SetDouble(1.5)
			}
			for _, points := range []pmetric.NumberDataPointSlice{gauge.DataPoints(), sum.DataPoints(), updown.DataPoints()} {
				p := points.AppendEmpty()
				p.SetTimestamp(ts)
				p.SetDoubleValue(float64(i*round) + 0.25)
				attrs(p.Attributes())
			}
			h := histogram.DataPoints().AppendEmpty()
			h.SetTimestamp(ts)
			h.ExplicitBounds().FromRaw([]float64{0.1, 1, 10})
			h.BucketCounts().FromRaw([]uint64{1, uint64(round), 3, 4})
			h.SetCount(uint64(8 + round))
			h.SetSum(12.5)
			attrs(h.Attributes())
			s := summary.DataPoints().AppendEmpty()
			s.SetTimestamp(ts)
			s.SetCount(uint64(round))
			s.SetSum(1.5)
			attrs(s.Attributes())
			q := s.QuantileValues().AppendEmpty()
			q.SetQuantile(0.99)
			q.SetValue(7)
		}
		if round == 2 {
			gauge.DataPoints().At(0).SetFlags(pmetric.DefaultDataPointFlags.WithNoRecordedValue(true))
		}
	}
	return md
}
