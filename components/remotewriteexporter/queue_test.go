package remotewriteexporter

import (
	"context"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/exporter/exportertest"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"

	"github.com/sluice-otel/sluice/components/remotewriteexporter/internal/metadata"
)

// Through exporterhelper's queue and retries: what failed in the middle of a batch goes on from there, in order and once.
func TestRetriesGoOn(t *testing.T) {
	var taken []string
	b := newBackend(t, func(i int, r received, w http.ResponseWriter) {
		if i < 8 && i%2 == 0 {
			w.WriteHeader(503)
			return
		}
		taken = append(taken, r.samples...)
		w.WriteHeader(204)
	})
	cfg := parse(t, "{endpoint: '"+b.URL+"', max_request_bytes: 8192, target_info: {enabled: false}, retry_on_failure: {initial_interval: 1ms, max_interval: 2ms}, "+
		"sending_queue: {batch: {flush_timeout: 1ms, sizer: bytes, min_size: 1000, max_size: 1000000}}}")
	e, err := NewFactory().CreateMetrics(t.Context(), exportertest.NewNopSettings(metadata.Type), cfg)
	require.NoError(t, err)
	require.NoError(t, e.Start(t.Context(), componenttest.NewNopHost()))
	require.NoError(t, e.ConsumeMetrics(t.Context(), gauge(1000)))
	require.Eventually(t, func() bool { return strings.Contains(strings.Join(b.sent(), "\n"), "i=0999}") }, 10*time.Second, time.Millisecond)
	require.NoError(t, e.Shutdown(context.Background()))

	assert.True(t, lines(0, 1000) == strings.Join(taken, "\n"), "every point once and in order") //nolint:testifylint // Equal would print them all
	assert.Greater(t, len(b.requests), 8)
}

// The log says once a minute what comes with every request, and what to do.
func TestLogs(t *testing.T) {
	core, logs := observer.New(zapcore.WarnLevel)
	b := newBackend(t, status(401, "no such\ntoken"))
	r := newRig(t, b.URL, "")
	r.w.tel.logger = zap.New(core)
	now := time.Now()
	r.w.tel.now = func() time.Time { return now }
	for range 5 {
		require.Error(t, r.w.push(t.Context(), gauge(1)))
	}
	require.Equal(t, 1, logs.Len())
	assert.Contains(t, logs.All()[0].Message, "the credentials")
	assert.Equal(t, "no such token", logs.All()[0].ContextMap()["answer"])
	now = now.Add(silence)
	require.Error(t, r.w.push(t.Context(), gauge(1)))
	assert.Len(t, logs.TakeAll(), 2)

	b.answer = status(400, "too old sample")
	md := gauge(1)
	md.ResourceMetrics().At(0).ScopeMetrics().At(0).Metrics().At(0).Gauge().DataPoints().AppendEmpty()
	for range 5 {
		require.Error(t, r.w.push(t.Context(), md))
	}
	messages := map[string]int{}
	for _, entry := range logs.All() {
		messages[entry.Message]++
	}
	assert.Equal(t, map[string]int{
		"points that remote write cannot express are left out":         1,
		"the backend will never take these samples, they are given up": 1,
	}, messages)
}
