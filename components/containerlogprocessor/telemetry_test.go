package containerlogprocessor

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/processor/processortest"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/sluice-otel/sluice/components/containerlogprocessor/internal/line"
	"github.com/sluice-otel/sluice/components/containerlogprocessor/internal/metadata"
)

// sum is the value of a counter or gauge over the points that have all attributes; -1 when there is no such metric.
func sum(t testing.TB, tel *componenttest.Telemetry, name string, attrs map[string]string) (total int64) {
	t.Helper()
	m, err := tel.GetMetric(name)
	if err != nil {
		return -1
	}
	var points []metricdata.DataPoint[int64]
	switch data := m.Data.(type) {
	case metricdata.Sum[int64]:
		points = data.DataPoints
	case metricdata.Gauge[int64]:
		points = data.DataPoints
	}
	for _, p := range points {
		match := true
		for k, v := range attrs {
			got, _ := p.Attributes.Value(attribute.Key(k))
			match = match && got.AsString() == v
		}
		if match {
			total += p.Value
		}
	}
	return total
}

func TestMetrics(t *testing.T) {
	tel := componenttest.NewTelemetry()
	t.Cleanup(func() { require.NoError(t, tel.Shutdown(context.Background())) })
	core, logs := observer.New(zap.InfoLevel)
	set := processortest.NewNopSettings(metadata.Type)
	set.TelemetrySettings = tel.NewTelemetrySettings()
	set.Logger = zap.New(core)
	next := &sink{refuse: refuseFirst(1)}
	now := func() time.Time { return time.Date(2026, 3, 1, 10, 20, 33, 123456789, time.UTC) } // 3 s after the lines
	p := start(t, next, options{set: &set, now: now, cfg: func(c *Config) { c.MaxRecordSize, c.MaxFiles = 1024, 2 }})
	long := make([]byte, 1024)
	for i := range long {
		long[i] = 'x'
	}
	file := logFile{path: podPath}
	batch := []string{
		cri("out", "F", "a"), cri("err", "F", "b\xff"),
		cri("out", "P", "c"), cri("out", "F", "d"),
		cri("out", "P", string(long)), cri("out", "F", "e"),
		"\x00\x00\x00" + cri("out", "F", "f"),
		"no line", "2026-03-01T10:20:30Z stdout X g",
		`{"log":"h\n","stream":"stdout","time":"` + stamp + `"}`,
		cri("err", "P", "held"),
	}
	send(t, p, file.batch(batch...))
	file.offset = 0
	send(t, p, file.batch(batch...))

	f := func(want int64, name string, pairs ...string) {
		t.Helper()
		attrs := map[string]string{}
		for i := 0; i < len(pairs); i += 2 {
			attrs[pairs[i]] = pairs[i+1]
		}
		assert.Equal(t, want, sum(t, tel, "otelcol_processor_containerlog_"+name, attrs), "%s %v", name, pairs)
	}
	f(3, "records", "format", "cri", "outcome", "complete")
	f(1, "records", "format", "cri", "stream", "stderr", "outcome", "complete")
	f(1, "records", "format", "docker", "stream", "stdout", "outcome", "complete")
	f(1, "records", "outcome", "joined")
	f(2, "records", "outcome", "piece")
	f(2, "records", "outcome", "malformed", "stream", "unknown")
	f(1, "malformed", "reason", line.UnknownFormat.String())
	f(1, "malformed", "reason", line.BadTag.String())
	f(4, "fragments")
	f(1, "forced_flushes", "cause", "size")
	f(11, "duplicates", "origin", "retry")
	f(4, "held_bytes")
	f(1, "held_records")
	f(1, "cached_files")
	f(1, "invalid_utf8")
	f(3, "nul_bytes")
	f(1, "refusals")
	m, err := tel.GetMetric("otelcol_processor_containerlog_lag")
	require.NoError(t, err)
	assert.InDelta(t, 3, m.Data.(metricdata.Histogram[float64]).DataPoints[0].Sum, 0.001)

	for _, path := range []string{podDir + "1.log", podDir + "2.log"} {
		other := logFile{path: path}
		send(t, p, other.batch("no line"))
	}
	f(1, "cache_evictions")
	f(1, "forced_flushes", "cause", "evicted")
	f(2, "cached_files")
	f(0, "held_bytes")

	malformed := logs.FilterMessageSnippet("cannot be read").All()
	require.Len(t, malformed, 2, "once for each reason")
	assert.Equal(t, podPath, malformed[0].ContextMap()[filePath])
	for _, e := range logs.All() {
		assert.NotContains(t, e.Message, "no line", "a line's text may be a secret")
		for k, v := range e.ContextMap() {
			assert.NotEqual(t, "no line", v, k)
		}
	}
}

func TestGateIsOnAndSaidSo(t *testing.T) {
	core, logs := observer.New(zap.InfoLevel)
	reportGate(zap.New(core))
	require.Equal(t, 1, logs.Len())
	assert.Equal(t, zap.InfoLevel, logs.All()[0].Level)
	assert.Contains(t, logs.All()[0].Message, "offsets follow delivery")
}
