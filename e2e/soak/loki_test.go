//go:build e2e

package soak

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sluice-otel/sluice/e2e/backends"
	"github.com/sluice-otel/sluice/e2e/harness"
	"github.com/sluice-otel/sluice/e2e/proc"
	"github.com/sluice-otel/sluice/e2e/tiers"
)

// Of two gateways one cannot reach Loki for two hours (the lines say so, nobody waits for it); the other one goes on, with newer lines
// of the same streams. When the first one is through again, Loki throws its lines away, unless it has been told to keep them apart by time.
func TestLokiGatewayTwoHoursBehind(t *testing.T) {
	const lines = 100
	k := tiers.StartKubernetes(t)
	f := func(name, limits string, want int) {
		t.Run(name, func(t *testing.T) {
			l := backends.StartLoki(t, backends.LokiOptions{Limits: limits})
			behind, err := NewFront(proc.FreeAddress(t), strings.TrimPrefix(l.URL, "http://"))
			require.NoError(t, err)
			t.Cleanup(behind.Refuse)
			gateways := [2]*harness.Collector{}
			for i, url := range []string{"http://" + behind.Addr, l.URL} {
				gateways[i] = tiers.Start(t, k, tiers.Tier{
					Name: fmt.Sprintf("sluice-gateway-%d", i), Profile: "gateway", Backends: []string{"backends/lgtm"},
					Env: map[string]string{"LOKI_URL": url, "PROMETHEUS_URL": "http://127.0.0.1:1", "TRACES_ENDPOINT": "127.0.0.1:1"}, Override: "exporters: {otlp_http/loki: " + soon + "}",
				})
			}
			send := func(to *harness.Collector, at time.Time) {
				for i := range lines {
					require.NoError(t, harness.SendLogs(t, to.OTLPGRPC, harness.Logs(harness.Log{Service: "shop", Body: fmt.Sprintf("line %d", i), Time: at.Add(time.Duration(i))})))
				}
			}
			behind.Refuse()
			now := time.Now()
			send(gateways[0], now.Add(-2*time.Hour))
			send(gateways[1], now)
			stored := func() int { return len(l.Lines(t, `{service_name="shop"}`)) }
			proc.Eventually(t, 20*time.Second, func() error {
				if n := stored(); n != lines {
					return fmt.Errorf("%d lines", n)
				}
				return nil
			}, gateways[1].Proc)
			require.NoError(t, behind.Heal())
			gone := func() int {
				return int(gateways[0].Metric(t, "otelcol_exporter_sent_log_records", nil) + gateways[0].Metric(t, "otelcol_exporter_send_failed_log_records", nil))
			}
			proc.Eventually(t, 30*time.Second, func() error {
				if n := gone(); n != lines {
					return fmt.Errorf("the gateway is rid of %d lines", n)
				}
				return nil
			}, gateways[0].Proc)
			discarded := l.Discarded(t)
			t.Logf("stored %d of %d; Loki counts as discarded: %v; the gateway as failed: %v, as sent: %v", stored(), 2*lines, discarded,
				gateways[0].Metric(t, "otelcol_exporter_send_failed_log_records", nil), gateways[0].Metric(t, "otelcol_exporter_sent_log_records", nil))
			assert.Equal(t, want, stored())
			assert.Equal(t, float64(2*lines-want), discarded["too_far_behind"]) //nolint:testifylint // a counter
		})
	}
	f("Loki's default", "", lines)
	f("time_sharding_enabled", "shard_streams: {time_sharding_enabled: true}", 2*lines)
}
