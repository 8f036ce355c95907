package remotewriteexporter

import (
	"encoding/hex"
	"math"
	"strings"
	"testing"

	"github.com/prometheus/prometheus/prompb"
	writev2 "github.com/prometheus/prometheus/prompb/io/prometheus/write/v2"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/pmetric"

	"github.com/sluice-otel/sluice/components/remotewriteexporter/internal/answer"
)

// staleNaN is the one NaN that Prometheus takes for the end of a series.
const staleNaN = 0x7ff0000000000002

// A point without a recorded value ends its series, with either protocol and for every type.
func TestStaleMarkers(t *testing.T) {
	md := every(1)
	for _, rm := range md.ResourceMetrics().All() {
		m := rm.ScopeMetrics().At(0).Metrics().At(0)
		flags := pmetric.DefaultDataPointFlags.WithNoRecordedValue(true)
		//exhaustive:enforce
		switch m.Type() {
		case pmetric.MetricTypeGauge:
			p := m.Gauge().DataPoints().At(0)
			pmetric.NewNumberDataPoint().CopyTo(p) // without a value, as the scrape receiver sends it
			p.SetTimestamp(1e9)
			p.SetFlags(flags)
		case pmetric.MetricTypeSum:
			m.Sum().DataPoints().At(0).SetFlags(flags)
		case pmetric.MetricTypeHistogram:
			m.Histogram().DataPoints().At(0).SetFlags(flags)
		case pmetric.MetricTypeExponentialHistogram:
			m.ExponentialHistogram().DataPoints().At(0).SetFlags(flags)
		case pmetric.MetricTypeSummary:
			m.Summary().DataPoints().At(0).SetFlags(flags)
		case pmetric.MetricTypeEmpty:
		}
	}
	md, found := newCleaner(true).clean(md)
	assert.Zero(t, found)
	n := 0
	stale := func(v float64) {
		n++
		assert.Equal(t, uint64(staleNaN), math.Float64bits(v))
	}
	msg, stats, problems := (&converter{}).convert(md)
	assert.Empty(t, problems)
	for _, s := range msg.(*prompb.WriteRequest).Timeseries {
		for _, x := range s.Samples {
			stale(x.Value)
		}
		for i := range s.Histograms {
			stale(s.Histograms[i].Sum)
		}
	}
	assert.Equal(t, stats.Points(), n)
	msg, v2, problems := (&converter{v2: true}).convert(md)
	assert.Empty(t, problems)
	for _, s := range msg.(*writev2.Request).Timeseries {
		for _, x := range s.Samples {
			stale(x.Value)
		}
		for i := range s.Histograms {
			stale(s.Histograms[i].Sum)
		}
	}
	assert.Equal(t, stats, v2)
	assert.Equal(t, 2*stats.Points(), n)
}

// Samples of one series are in the order of time, whatever the order of the batches that were joined.
func TestOrder(t *testing.T) {
	md := pmetric.NewMetrics()
	for _, at := range []pcommon.Timestamp{5e9, 3e9, 9e9, 3e9, 7e9} {
		put(md, "g", pmetric.MetricTypeGauge, 1).Gauge().DataPoints().At(0).SetTimestamp(at)
		put(md, "n", pmetric.MetricTypeExponentialHistogram, 1).ExponentialHistogram().DataPoints().At(0).SetTimestamp(at)
		s := put(md, "s", pmetric.MetricTypeSum, 1).Sum().DataPoints().At(0)
		s.SetTimestamp(at)
		e := s.Exemplars().AppendEmpty()
		e.SetTimestamp(at)
		e.SetIntValue(1) // without a value the translator forgets the time
	}
	want := []int64{3000, 3000, 5000, 7000, 9000}
	msg, stats, _ := (&converter{}).convert(md)
	assert.Equal(t, answer.Stats{Samples: 10, Histograms: 5, Exemplars: 5}, stats)
	for _, s := range msg.(*prompb.WriteRequest).Timeseries {
		assertTimes(t, want, s.Samples, func(x prompb.Sample) int64 { return x.Timestamp })
		assertTimes(t, want, s.Histograms, func(x prompb.Histogram) int64 { return x.Timestamp })
		assertTimes(t, want, s.Exemplars, func(x prompb.Exemplar) int64 { return x.Timestamp })
	}
	msg, _, _ = (&converter{v2: true}).convert(md)
	for _, s := range msg.(*writev2.Request).Timeseries {
		assertTimes(t, want, s.Samples, func(x writev2.Sample) int64 { return x.Timestamp })
		assertTimes(t, want, s.Histograms, func(x writev2.Histogram) int64 { return x.Timestamp })
	}
}

func assertTimes[T any](t *testing.T, want []int64, items []T, at func(T) int64) {
	t.Helper()
	var got []int64
	for _, item := range items {
		got = append(got, at(item))
	}
	if got != nil {
		assert.Equal(t, want, got)
	}
}

// Exemplars go with 1.0; the translator makes none for 2.0, which is counted.
func TestExemplars(t *testing.T) {
	md := every(1)
	for _, rm := range md.ResourceMetrics().All() {
		m := rm.ScopeMetrics().At(0).Metrics().At(0)
		var e pmetric.ExemplarSlice
		//exhaustive:enforce
		switch m.Type() {
		case pmetric.MetricTypeSum:
			e = m.Sum().DataPoints().At(0).Exemplars()
		case pmetric.MetricTypeHistogram:
			e = m.Histogram().DataPoints().At(0).Exemplars()
		case pmetric.MetricTypeExponentialHistogram:
			e = m.ExponentialHistogram().DataPoints().At(0).Exemplars()
		case pmetric.MetricTypeGauge, pmetric.MetricTypeSummary, pmetric.MetricTypeEmpty:
			continue
		}
		x := e.AppendEmpty()
		x.SetTimestamp(1e9)
		x.SetDoubleValue(0.5)
		x.SetTraceID(pcommon.TraceID{1})
	}
	msg, stats, _ := (&converter{}).convert(md)
	assert.Equal(t, 3, stats.Exemplars)
	for _, s := range msg.(*prompb.WriteRequest).Timeseries {
		for _, e := range s.Exemplars {
			assert.Equal(t, []prompb.Label{{Name: "trace_id", Value: hex.EncodeToString(append([]byte{1}, make([]byte, 15)...))}}, e.Labels)
		}
	}

	b := newBackend(t, status(204, "", "X-Prometheus-Remote-Write-Samples-Written", "9", "X-Prometheus-Remote-Write-Histograms-Written", "1"))
	r := newRig(t, b.URL, "protobuf_message: io.prometheus.write.v2.Request")
	require.NoError(t, r.w.push(t.Context(), md))
	assert.Equal(t, map[string]int{"": 3}, r.counts("unsent_exemplars"))
	assert.Equal(t, map[string]int{"sample": 9, "histogram": 1}, r.counts("written_samples"))
}

// Resource attributes become labels after the queue, once, however often the batch is sent.
func TestResourceAttributes(t *testing.T) {
	b := newBackend(t, nil)
	r := newRig(t, b.URL, "resource_to_telemetry_conversion: {enabled: true}")
	md := gauge(1)
	md.ResourceMetrics().At(0).Resource().Attributes().PutStr("k8s.pod.name", "x")
	for range 2 {
		require.NoError(t, r.w.push(t.Context(), md))
	}
	want := "load{i=0000,k8s_pod_name=x} 0@1000"
	assert.Equal(t, []string{want, want}, b.sent())
}

// target_info and suffixes are as their keys say.
func TestNames(t *testing.T) {
	md := gauge(1)
	a := md.ResourceMetrics().At(0).Resource().Attributes()
	a.PutStr("service.name", "shop")
	a.PutStr("host.name", "blue")
	md.ResourceMetrics().At(0).ScopeMetrics().At(0).Metrics().At(0).SetUnit("By")
	for config, want := range map[string]string{
		"{}": "load_bytes{i=0000,job=shop} 0@1000\ntarget_info{host_name=blue,job=shop} 1@1000",
		"{target_info: {enabled: false}, add_metric_suffixes: false}": "load{i=0000,job=shop} 0@1000",
	} {
		b := newBackend(t, nil)
		r := newRigOf(t, parse(t, strings.Replace(config, "{", "{endpoint: '"+b.URL+"', ", 1)))
		require.NoError(t, r.w.push(t.Context(), md))
		assert.Equal(t, []string{want}, b.sent())
	}
}
