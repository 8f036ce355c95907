//go:build e2e

package e2e

import (
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/sluice-otel/sluice/e2e/harness"
)

// exactly is the policies as shipped: what is kept can be computed.
var exactly = map[string]string{"SAMPLING_PERCENT": "10"}

// kill -9 of a sampler under load loses nothing that was acknowledged, and each trace is decided as a whole.
func TestSamplerKilled(t *testing.T) {
	r := startSamplingRig(t, rigOptions{router: routerShards, samplers: 2, env: exactly})
	l := r.startLoad(t, 300, 3)
	for i := range long(2, 10) {
		time.Sleep(time.Duration(3+i%3) * time.Second)
		r.samplers[i%2].Kill()
		r.samplers[i%2].Restart(t)
	}
	time.Sleep(2 * time.Second)
	l.finish()
	o := r.settle(t, l, 20*time.Second, 2*time.Minute)
	t.Log(o)
	assert.Zero(t, o.lost, "spans lost")
	assert.Zero(t, o.extra, "spans of traces that should have been dropped")
	assert.Zero(t, o.split, "traces decided by two samplers")
	assert.Less(t, o.twice, o.kept/5, "spans that came twice")
	replayed := 0.0
	for _, s := range r.samplers {
		replayed += s.Metric(t, "otelcol_processor_durable_tail_sampling_replayed_spans", nil)
	}
	assert.Positive(t, replayed, "nothing was in the journal: the test proves nothing")
	r.stop(t)
}

// SIGTERM of a sampler under load: it decides on what it holds, and its journal is empty afterwards.
func TestSamplerStopped(t *testing.T) {
	r := startSamplingRig(t, rigOptions{router: routerShards, samplers: 2, env: exactly})
	l := r.startLoad(t, 300, 4)
	time.Sleep(5 * time.Second)
	r.samplers[0].Stop(t)
	l.finish()
	r.samplers[0].Restart(t)
	o := r.settle(t, l, 8*time.Second, 2*time.Minute) // what comes late for a trace that was decided on early is not kept
	t.Log(o)
	assert.Zero(t, r.samplers[0].Metric(t, "otelcol_processor_durable_tail_sampling_replayed_spans", nil), "spans were left in the journal")
	r.stop(t)
}

// With keep_on_shutdown a stop is as harmless as a kill, and traces stay whole.
func TestSamplerKeepsOnStop(t *testing.T) {
	if !long(false, true) {
		t.Skip("SLUICE_SOAK_FULL is not set; TestStopped of the component says the same with a fake disk")
	}
	r := startSamplingRig(t, rigOptions{router: routerShards, samplers: 2, env: map[string]string{"SAMPLING_PERCENT": "10", "SAMPLING_KEEP_ON_STOP": "true"}})
	l := r.startLoad(t, 300, 5)
	for i := range long(2, 10) {
		time.Sleep(4 * time.Second)
		r.samplers[i%2].Restart(t)
	}
	time.Sleep(time.Second)
	l.finish()
	o := r.settle(t, l, 20*time.Second, 2*time.Minute)
	t.Log(o)
	assert.Zero(t, o.lost, "spans lost")
	assert.Zero(t, o.extra, "spans of traces that should have been dropped")
	r.stop(t)
}

// long is what a test takes with SLUICE_SOAK_FULL instead of what it takes in the gate.
func long[T any](gate, full T) T {
	if os.Getenv("SLUICE_SOAK_FULL") != "" {
		return full
	}
	return gate
}

// A sampler that gets a batch of 150 spans every other second is killed between two of them: only what was just decided comes twice.
func TestSamplerKilledWhenQuiet(t *testing.T) {
	if !long(false, true) {
		t.Skip("SLUICE_SOAK_FULL is not set; TestKilledWhenQuiet of the component says the same with a fake disk")
	}
	r := startSamplingRig(t, rigOptions{router: routerShards, samplers: 1})
	client := harness.NewClient(t, r.samplers[0].OTLPGRPC, harness.ClientOptions{})
	l := &samplingLoad{stop: make(chan struct{}), acked: map[string]time.Time{}}
	for n := range uint64(30) {
		batch := traffic(70, 9<<16|n, time.Now())
		l.traces = append(l.traces, batch...)
		var spans []harness.Span
		for _, tr := range batch {
			spans = append(spans, tr.spans...)
		}
		l.send(client, spans)
		time.Sleep(2 * time.Second)
		if n%10 == 9 {
			r.samplers[0].Kill()
			r.samplers[0].Restart(t)
		}
	}
	o := r.settle(t, l, 20*time.Second, 2*time.Minute)
	t.Log(o)
	assert.Zero(t, o.lost, "spans lost")
	assert.Zero(t, o.extra, "spans of traces that should have been dropped")
	assert.Less(t, o.twice, o.kept/10, "spans that came twice: at most what one batch decided at each kill")
	r.stop(t)
}

// stop stops the rig in the order of the data.
func (r *samplingRig) stop(t *testing.T) {
	t.Helper()
	for _, c := range append(append([]*harness.Collector{}, r.gateways[:]...), r.samplers...) {
		c.Stop(t)
	}
}
