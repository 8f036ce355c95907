//go:build e2e

package e2e

import (
	"fmt"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/pmetric"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/sluice-otel/sluice/e2e/harness"
	"github.com/sluice-otel/sluice/e2e/tiers"
)

// A token that has expired, an address that is wrong and a backend with a problem of its own: what is in the queues waits for the mend. Upstream's exporters
// drop it at the first such answer. The sink plays the backends: real ones cannot be told to answer so.
func TestAnswersThatAreWaitedOut(t *testing.T) {
	sink := harness.StartSink(t, harness.SinkOptions{})
	c := tiers.Start(t, nil, tiers.Tier{Profile: "local", Backends: []string{"backends/lgtm"}, Env: tiers.With(tiers.ToSink(t, sink), map[string]string{"LOCAL_METRICS_INTERVAL": "1h"})})
	sent := 0
	for _, code := range []int{401, 403, 404, 429, 500} {
		sink.Status(code, 0)
		before := len(sink.Requests())
		name := fmt.Sprint("during ", code)
		ld := plog.NewLogs()
		ld.ResourceLogs().AppendEmpty().ScopeLogs().AppendEmpty().LogRecords().AppendEmpty().Body().SetStr(name)
		require.NoError(t, harness.SendLogs(t, c.OTLPGRPC, ld))
		td := ptrace.NewTraces()
		span := td.ResourceSpans().AppendEmpty().ScopeSpans().AppendEmpty().Spans().AppendEmpty()
		span.SetName(name)
		span.SetTraceID([16]byte{1, byte(code)})
		span.SetSpanID([8]byte{1})
		if code != 500 { // in gRPC that is Internal, an answer about the data
			require.NoError(t, harness.SendTraces(t, c.OTLPGRPC, td))
		}
		md := pmetric.NewMetrics()
		m := md.ResourceMetrics().AppendEmpty().ScopeMetrics().AppendEmpty().Metrics().AppendEmpty()
		m.SetName("during_" + strconv.Itoa(code))
		m.SetEmptyGauge().DataPoints().AppendEmpty().SetIntValue(1)
		require.NoError(t, harness.SendMetrics(t, c.OTLPGRPC, md))
		sent++
		want := 3
		if code == 500 {
			want = 2
		}
		sink.WaitRequests(t, 30*time.Second, func(all []harness.Request) error {
			refused := map[string]bool{}
			for _, r := range all[before:] {
				if !r.Accepted {
					refused[r.Signal] = true
				}
			}
			if len(refused) < want {
				return fmt.Errorf("%d: refused so far: %v", code, refused)
			}
			return nil
		}, c.Proc)
		sink.Heal(t)
		sink.WaitLogs(t, 60*time.Second, harness.AtLeast[harness.LogRecord](sent), c.Proc)
		sink.WaitPoints(t, 60*time.Second, func(points []harness.Point) error {
			for _, p := range points {
				if p.Name == "during_"+strconv.Itoa(code) {
					return nil
				}
			}
			return fmt.Errorf("the point of %d has not arrived", code)
		}, c.Proc)
		if code != 500 {
			sink.WaitSpans(t, 60*time.Second, harness.AtLeast[harness.SpanRecord](sent), c.Proc)
		}
	}
	for _, code := range []string{"401", "403", "404", "500", "Unauthenticated", "PermissionDenied", "Unimplemented", "ResourceExhausted"} {
		assert.Positive(t, c.Metric(t, "otelcol_extension_retryable_status_answers", map[string]string{"status": code}), code)
	}
	for _, signal := range []string{"log_records", "metric_points", "spans"} {
		if page := c.Metrics(t); page.Has("otelcol_exporter_send_failed_" + signal) {
			assert.Zero(t, page.Sum("otelcol_exporter_send_failed_"+signal, nil), signal)
		}
	}
}
