package traceshardsexporter

import (
	"testing"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
)

func clone(td ptrace.Traces) ptrace.Traces {
	c := ptrace.NewTraces()
	td.CopyTo(c)
	return c
}

func sum(t *testing.T, m metricdata.Metrics) (total int64) {
	t.Helper()
	s, ok := m.Data.(metricdata.Sum[int64])
	require.True(t, ok)
	for _, p := range s.DataPoints {
		total += p.Value
	}
	return total
}

// attributesOf are the values of an attribute on a gauge or sum.
func attributesOf(t *testing.T, tel *componenttest.Telemetry, name, key string) (values []string) {
	t.Helper()
	m, err := tel.GetMetric(name)
	require.NoError(t, err)
	var points []metricdata.DataPoint[int64]
	switch data := m.Data.(type) {
	case metricdata.Gauge[int64]:
		points = data.DataPoints
	case metricdata.Sum[int64]:
		points = data.DataPoints
	}
	for _, p := range points {
		for _, kv := range p.Attributes.ToSlice() {
			if string(kv.Key) == key {
				values = append(values, kv.Value.AsString())
			}
		}
	}
	return values
}
