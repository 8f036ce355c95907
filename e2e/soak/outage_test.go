//go:build e2e

package soak

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/sluice-otel/sluice/e2e/proc"
)

// watched is what an alert watches of an exporter that cannot deliver: its queue grows and it sends nothing. Its failures stay
// at zero all the time: what is retried has not failed.
type watched struct {
	tiers              []string
	exporter           string
	sent, failed, lost string
}

var atBackends = []watched{
	{[]string{gateway0, gateway1}, "otlp_http/loki", "otelcol_exporter_sent_log_records", "otelcol_exporter_send_failed_log_records", "otelcol_exporter_enqueue_failed_log_records"},
	{[]string{gateway0, gateway1}, "otlp_http/prometheus", "otelcol_exporter_sent_metric_points", "otelcol_exporter_send_failed_metric_points", "otelcol_exporter_enqueue_failed_metric_points"},
	{[]string{scraperTier}, "remote_write", "otelcol_exporter_sent_metric_points", "otelcol_exporter_send_failed_metric_points", "otelcol_exporter_enqueue_failed_metric_points"},
	{[]string{sampling0, sampling1}, "otlp_grpc/traces", "otelcol_exporter_sent_spans", "otelcol_exporter_send_failed_spans", "otelcol_exporter_enqueue_failed_spans"},
}

func (w watched) String() string { return fmt.Sprintf("%s of %v", w.exporter, w.tiers) }

const queueSize = "otelcol_exporter_queue_size"

// read adds a metric of an exporter over its tiers.
func (r *rig) read(w watched, metric string) float64 {
	r.t.Helper()
	sum := 0.0
	for _, name := range w.tiers {
		sum += r.collectors[name].Metric(r.t, metric, map[string]string{"exporter": w.exporter})
	}
	return sum
}

func outage() time.Duration {
	if full() {
		return 10 * time.Minute
	}
	return 20 * time.Second
}

// All backends are away: a third of the time nobody answers, then they are overloaded, then they want to be left alone.
func TestOutage(t *testing.T) {
	r := startRig(t, shipped(), nil)
	r.write()
	time.Sleep(3 * time.Second)
	all := allBackends
	var sent, size []float64
	for i, trouble := range []string{"refuses", "answers 503", "answers 429"} {
		for _, backend := range all {
			if i > 0 {
				r.heal(backend)
			}
			r.make(backend, trouble)
		}
		time.Sleep(outage() / 6)
		if i == 0 {
			for _, w := range atBackends {
				sent, size = append(sent, r.read(w, w.sent)), append(size, r.read(w, queueSize))
			}
		}
		time.Sleep(outage() / 6)
	}
	for i, w := range atBackends {
		assert.Equal(t, sent[i], r.read(w, w.sent), "%s: %s rose while nothing could be sent", w, w.sent) //nolint:testifylint // a counter
		assert.Greater(t, r.read(w, queueSize), size[i], "%s: %s has not risen", w, queueSize)
	}
	report := r.settle()
	r.assertWhole(report, mostTwice(), mostTwice())
	for _, w := range atBackends {
		assert.Zero(t, r.read(w, w.failed), "%s: %s", w, w.failed)
		assert.Zero(t, r.read(w, w.lost), "%s: %s", w, w.lost)
		assert.Greater(t, r.read(w, w.sent), 0.0, "%s: %s", w, w.sent)
	}
	proc.Eventually(t, 30*time.Second, func() error {
		for _, w := range atBackends {
			if n := r.read(w, queueSize); n > 100_000 {
				return errors.New(w.String() + ": the queue is not empty")
			}
		}
		return nil
	})
}
