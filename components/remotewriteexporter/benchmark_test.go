package remotewriteexporter

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/open-telemetry/opentelemetry-collector-contrib/exporter/prometheusremotewriteexporter"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/confmap"
	"go.opentelemetry.io/collector/exporter"
	"go.opentelemetry.io/collector/exporter/exportertest"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/pmetric"
)

// A batch of 2,000 points of 20 pods, from the exporter's entrance to the answer of a backend that reads and forgets; without a queue.
func BenchmarkRemoteWrite(b *testing.B) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		w.WriteHeader(http.StatusNoContent)
	}))
	defer server.Close()
	for _, shape := range []struct {
		name   string
		pods   int
		points int // of each pod
		kind   pmetric.MetricType
	}{
		{"counters", 20, 100, pmetric.MetricTypeSum},
		{"histograms", 20, 10, pmetric.MetricTypeHistogram},
		{"natives", 20, 100, pmetric.MetricTypeExponentialHistogram},
	} {
		for _, arm := range []struct {
			name    string
			factory exporter.Factory
			config  string
		}{
			{"remote_write", NewFactory(), "sending_queue: {enabled: false}"},
			{"prometheusremotewrite", prometheusremotewriteexporter.NewFactory(), "remote_write_queue: {enabled: false}"},
		} {
			b.Run(shape.name+"/"+arm.name, func(b *testing.B) {
				e := start(b, arm.factory, fmt.Sprintf("{endpoint: '%s', %s, resource_to_telemetry_conversion: {enabled: true}}", server.URL, arm.config))
				md := pods(shape.pods, shape.points, shape.kind)
				require.NoError(b, e.ConsumeMetrics(b.Context(), md))
				b.ReportAllocs()
				for b.Loop() {
					if err := e.ConsumeMetrics(b.Context(), md); err != nil {
						b.Fatal(err)
					}
				}
				b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(md.DataPointCount()), "ns/point")
			})
		}
	}
}

func start(b *testing.B, factory exporter.Factory, config string) exporter.Metrics {
	b.Helper()
	retrieved, err := confmap.NewRetrievedFromYAML([]byte(config))
	require.NoError(b, err)
	conf, err := retrieved.AsConf()
	require.NoError(b, err)
	cfg := factory.CreateDefaultConfig()
	require.NoError(b, conf.Unmarshal(cfg))
	e, err := factory.CreateMetrics(b.Context(), exportertest.NewNopSettings(factory.Type()), cfg)
	require.NoError(b, err)
	require.NoError(b, e.Start(b.Context(), componenttest.NewNopHost()))
	b.Cleanup(func() { require.NoError(b, e.Shutdown(context.Background())) })
	return e
}

func pods(n, points int, kind pmetric.MetricType) pmetric.Metrics {
	md := pmetric.NewMetrics()
	for i := range n {
		put(md, "http.server.requests", kind, points)
		rm := md.ResourceMetrics().At(i)
		for _, key := range []string{"service.name", "service.instance.id", "k8s.namespace.name", "k8s.pod.name", "k8s.node.name", "k8s.cluster.name", "k8s.deployment.name", "host.name"} {
			rm.Resource().Attributes().PutStr(key, fmt.Sprintf("%s-%d", key, i))
		}
		m := rm.ScopeMetrics().At(0).Metrics().At(0)
		attributes := func(a pcommon.Map) {
			for _, key := range []string{"http.request.method", "http.response.status_code", "http.route", "server.address"} {
				a.PutStr(key, "value of "+key)
			}
		}
		//exhaustive:enforce
		switch kind {
		case pmetric.MetricTypeSum:
			for _, p := range m.Sum().DataPoints().All() {
				attributes(p.Attributes())
			}
		case pmetric.MetricTypeHistogram:
			for _, p := range m.Histogram().DataPoints().All() {
				attributes(p.Attributes())
				p.ExplicitBounds().FromRaw([]float64{1, 2, 3, 4, 5, 6, 7, 8, 9})
				p.BucketCounts().FromRaw(make([]uint64, 10))
			}
		case pmetric.MetricTypeExponentialHistogram:
			for _, p := range m.ExponentialHistogram().DataPoints().All() {
				attributes(p.Attributes())
				p.Positive().BucketCounts().FromRaw(make([]uint64, 40))
			}
		case pmetric.MetricTypeGauge, pmetric.MetricTypeSummary, pmetric.MetricTypeEmpty:
		}
	}
	return md
}
