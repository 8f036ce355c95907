//go:build e2e

package e2e

import (
	"errors"
	"fmt"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sluice-otel/sluice/e2e/backends"
	"github.com/sluice-otel/sluice/e2e/harness"
	"github.com/sluice-otel/sluice/e2e/proc"
	"github.com/sluice-otel/sluice/e2e/tiers"
)

// upstreamRemoteWrite puts upstream's exporter, as it is by default, where victoria.yaml has ours.
const upstreamRemoteWrite = `
exporters:
  prometheusremotewrite:
    endpoint: ${env:VICTORIAMETRICS_URL}/api/v1/write
    resource_to_telemetry_conversion: {enabled: true}
    target_info: {enabled: false}
service: {pipelines: {metrics: {exporters: [prometheusremotewrite]}}}
`

// An outage of the backend, with the gateway killed in the middle of it: nothing is missing afterwards. Upstream's exporter in the
// same place loses what the outage touched.
func TestRemoteWriteOutage(t *testing.T) {
	const outage = 12 * time.Second // upstream gives a batch up after 5
	k := tiers.StartKubernetes(t)
	for _, arm := range []struct{ name, override string }{{"remote_write", ""}, {"prometheusremotewrite", upstreamRemoteWrite}} {
		t.Run(arm.name, func(t *testing.T) {
			v := backends.StartVictoriaMetrics(t)
			c := tiers.Start(t, k, tiers.Tier{
				Profile: "gateway", Backends: []string{"backends/victoria"}, Override: arm.override,
				Env: map[string]string{"VICTORIAMETRICS_URL": v.URL},
			})
			w := newCounterWriter(t, c)
			w.sendFor(2 * time.Second)
			v.Stop(t)
			w.sendFor(outage / 2)
			c.Kill()
			c.Restart(t)
			w.sendFor(outage / 2)
			v.Restart(t)
			w.sendFor(2 * time.Second)

			var stored, twice int
			settled := func() error {
				stored, twice = w.stored(v.Export(t, `{__name__="orders_total"}`))
				if stored < w.written() {
					return fmt.Errorf("%d of %d samples", stored, w.written())
				}
				return nil
			}
			if arm.override == "" {
				proc.Eventually(t, 90*time.Second, settled, c.Proc, v.Process)
				assert.Zero(t, c.Metric(t, "otelcol_exporter_remote_write_rejected_samples", nil))
				assert.Zero(t, c.Metric(t, "otelcol_exporter_send_failed_metric_points", nil))
			} else {
				// When the last round is there, what is not there before it never will be: the queue in memory is in order.
				proc.Eventually(t, 30*time.Second, func() error {
					if err := settled(); err == nil || w.hasLast(v.Export(t, `{__name__="orders_total"}`)) {
						return nil
					}
					return errors.New("the last round is missing")
				}, c.Proc, v.Process)
				_ = settled()
				assert.Less(t, stored, w.written(), "upstream's exporter has become durable: is ours still needed?")
			}
			t.Logf("%s: %d samples acknowledged by the gateway, %d missing, %d stored twice", arm.name, w.written(), w.written()-stored, twice)
		})
	}
}

// The same into Prometheus, which without an out-of-order window takes nothing that is older than what it has: what waits arrives in
// order. Native histograms, too.
func TestRemoteWritePrometheusInOrder(t *testing.T) {
	for _, message := range []string{"prometheus.WriteRequest", "io.prometheus.write.v2.Request"} {
		t.Run(message, func(t *testing.T) {
			p := backends.StartPrometheus(t, "storage: {tsdb: {out_of_order_time_window: 0s}}")
			c := tiers.Start(t, nil, tiers.Tier{
				Profile: "local", Backends: []string{"backends/victoria"}, Override: "exporters: {remote_write: {protobuf_message: " + message + "}}",
				Env: map[string]string{"VICTORIAMETRICS_URL": p.URL, "LOCAL_METRICS_INTERVAL": "1h"},
			})
			w := newCounterWriter(t, c)
			w.natives = true
			w.sendFor(2 * time.Second)
			p.Stop(t)
			w.sendFor(8 * time.Second)
			p.Restart(t)
			w.sendFor(2 * time.Second)
			proc.Eventually(t, 60*time.Second, func() error {
				for _, query := range []string{`sum(count_over_time(orders_total[10m]))`, `sum(count_over_time(latency_seconds[10m]))`} {
					got := p.Query(t, query)
					if len(got) != 1 || int(got[0].Value) != w.written() {
						return fmt.Errorf("%s: %v of %d", query, got, w.written())
					}
				}
				return nil
			}, c.Proc, p.Process)
			assert.Zero(t, c.Metric(t, "otelcol_exporter_remote_write_rejected_samples", nil))
			assert.InDelta(t, w.written(), c.Metric(t, "otelcol_exporter_remote_write_written_samples", map[string]string{"kind": "histogram"}), 0)
			exemplars := len(p.Exemplars(t, "orders_total"))
			t.Logf("%s: %d samples and as many native histograms in order, %d exemplars stored, %g unsent", message, w.written(), exemplars,
				c.Metric(t, "otelcol_exporter_remote_write_unsent_exemplars", nil))
			if message == "prometheus.WriteRequest" {
				assert.NotZero(t, exemplars)
			} else {
				assert.NotZero(t, c.Metric(t, "otelcol_exporter_remote_write_unsent_exemplars", nil), "the translator makes exemplars for 2.0 now: say so in the README")
			}
		})
	}
}

const counterSeries = 20

// counterWriter sends counters that go up by one with every acknowledged round, so that what is stored says what is missing.
type counterWriter struct {
	*testing.T
	client  *harness.Client
	round   int
	natives bool
}

func newCounterWriter(t *testing.T, c *harness.Collector) *counterWriter {
	return &counterWriter{T: t, client: harness.NewClient(t, c.OTLPGRPC, harness.ClientOptions{})}
}

// sendFor sends ten rounds a second; a round is sent until it is acknowledged.
func (w *counterWriter) sendFor(d time.Duration) {
	w.Helper()
	for range int(d / (100 * time.Millisecond)) {
		w.round++
		now := time.Now()
		samples := make([]harness.Sample, counterSeries)
		for i := range samples {
			samples[i] = harness.Sample{Service: "shop", Name: "orders", Counter: true, Value: float64(w.round), Time: now, Attrs: map[string]any{"i": strconv.Itoa(i)}}
		}
		data := harness.Metrics(samples...)
		if w.natives {
			addNatives(data, w.round, now)
		}
		require.Eventually(w.T, func() bool { return w.client.SendMetrics(data) == nil }, 30*time.Second, 100*time.Millisecond)
		time.Sleep(time.Until(now.Add(100 * time.Millisecond)))
	}
}

func (w *counterWriter) written() int { return w.round * counterSeries }

// stored counts the samples that are there once or more, and how many of them are there again.
func (w *counterWriter) stored(series []backends.StoredSeries) (stored, twice int) {
	for _, s := range series {
		seen := map[float64]bool{}
		for _, v := range s.Values {
			if seen[v] {
				twice++
			}
			seen[v] = true
		}
		stored += len(seen)
	}
	return stored, twice
}

func (w *counterWriter) hasLast(series []backends.StoredSeries) bool {
	for _, s := range series {
		for _, v := range s.Values {
			if int(v) == w.round {
				return true
			}
		}
	}
	return false
}

// A kill in an outage changes nothing in the order, so that a Prometheus that takes nothing out of order takes all of it. At v0.145 exporterhelper
// puts what was on its way at the end of the queue; the storage of the profiles keeps it at the front. With file_storage 240 of 1,800 were refused.
func TestRemoteWriteKillAndOrder(t *testing.T) {
	for _, window := range []string{"0s", "30m"} {
		t.Run(window, func(t *testing.T) {
			p := backends.StartPrometheus(t, "storage: {tsdb: {out_of_order_time_window: "+window+"}}")
			c := tiers.Start(t, nil, tiers.Tier{
				Profile: "local", Backends: []string{"backends/victoria"},
				// Small ones, so that only a part of the queue is on its way when the kill comes.
				Override: "exporters: {remote_write: {sending_queue: {batch: {min_size: 4096, max_size: 8192}}}}",
				Env:      map[string]string{"VICTORIAMETRICS_URL": p.URL, "LOCAL_METRICS_INTERVAL": "1h"},
			})
			w := newCounterWriter(t, c)
			w.sendFor(time.Second)
			p.Stop(t)
			w.sendFor(5 * time.Second)
			c.Kill()
			c.Restart(t)
			w.sendFor(2 * time.Second)
			p.Restart(t)
			w.sendFor(time.Second)
			stored := 0
			proc.Eventually(t, 60*time.Second, func() error {
				if got := p.Query(t, `sum(count_over_time(orders_total[10m]))`); len(got) == 1 {
					stored = int(got[0].Value)
				}
				refused := int(c.Metric(t, "otelcol_exporter_remote_write_rejected_samples", nil))
				if stored+refused < w.written() || c.Metric(t, "otelcol_exporter_queue_size", map[string]string{"exporter": "remote_write"}) > 0 {
					return fmt.Errorf("%d stored, %d refused of %d", stored, refused, w.written())
				}
				return nil
			}, c.Proc, p.Process)
			assert.Equal(t, w.written(), stored, "the others were refused")
			t.Logf("window %s: all of %d samples stored", window, stored)
		})
	}
}
