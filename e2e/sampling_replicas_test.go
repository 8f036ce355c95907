//go:build e2e

package e2e

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sluice-otel/sluice/e2e/proc"
)

// A replica that is dead delays its own traces. Those of the other one go on, nothing of them comes twice, and the gateways show what waits.
func TestSamplerAway(t *testing.T) {
	r := startSamplingRig(t, rigOptions{router: routerShards, samplers: 2, env: exactly})
	l := r.startLoad(t, 200, 6)
	proc.Eventually(t, 30*time.Second, func() error {
		if len(r.sinks[0].Spans()) == 0 || len(r.sinks[1].Spans()) == 0 {
			return errors.New("nothing has been decided yet")
		}
		return nil
	}, r.processes()...)
	r.samplers[1].Kill()
	time.Sleep(fromEnvDuration(t, "SLUICE_SAMPLER_AWAY", long(6*time.Second, 2*time.Minute)))
	before := len(r.sinks[0].Spans())
	proc.Eventually(t, 20*time.Second, func() error {
		if n := len(r.sinks[0].Spans()); n < before+50 {
			return fmt.Errorf("%d spans came from the living replica", n-before)
		}
		return nil
	}, r.gateways[0].Proc, r.samplers[0].Proc)
	const size = "otelcol_exporter_queue_size"
	for _, g := range r.gateways {
		living, dead := g.Metric(t, size, map[string]string{"exporter": "otlp_grpc/trace_shards-0"}), g.Metric(t, size, map[string]string{"exporter": "otlp_grpc/trace_shards-1"})
		assert.Greater(t, dead, 4*living, "the queue of the dead replica on the gateway's metrics")
	}
	r.samplers[1].Restart(t)
	time.Sleep(2 * time.Second)
	l.finish()
	o := r.settle(t, l, 20*time.Second, 2*time.Minute)
	t.Log(o)
	assert.Zero(t, o.lost, "spans lost")
	assert.Zero(t, o.extra, "spans of traces that should have been dropped")
	assert.Zero(t, o.split, "traces decided by two samplers")
	assert.Zero(t, o.refused, "requests refused")
	assert.Zero(t, r.twice(0), "spans that the living replica decided on twice")
	assert.Less(t, o.twice, o.kept/20, "spans that came twice")
	r.stop(t)
}

// twice is how many spans a sampler's sink got again.
func (r *samplingRig) twice(sink int) (n int) {
	seen := map[string]bool{}
	for _, s := range r.sinks[sink].Spans() {
		id := s.TraceID + s.SpanID
		if seen[id] {
			n++
		}
		seen[id] = true
	}
	return n
}

// From two replicas to three and back, under load: nothing is lost and nothing comes twice. Traces that are open at such a moment may be
// split, if they move.
func TestSamplersScaled(t *testing.T) {
	r := startSamplingRig(t, rigOptions{router: routerShards, samplers: 2})
	l := r.startLoad(t, 200, 7)
	time.Sleep(3 * time.Second)
	r.addSampler(t)
	r.scale(t, 3)
	proc.Eventually(t, 30*time.Second, func() error {
		if len(r.sinks[2].Spans()) == 0 {
			return errors.New("nothing has come from the third replica")
		}
		return nil
	}, r.processes()...)
	// The third one dies, and is then taken away: what waits for it goes to the others.
	r.samplers[2].Kill()
	time.Sleep(3 * time.Second)
	r.scale(t, 2)
	time.Sleep(3 * time.Second)
	rerouted := 0.0
	for _, g := range r.gateways {
		rerouted += g.Metric(t, "otelcol_exporter_trace_shards_rerouted_spans", nil)
	}
	assert.Positive(t, rerouted, "nothing was in the queues of the replica that left: the test proves nothing")
	// It comes back for what is in its journal, as it would when the volume is mounted again.
	r.samplers[2].Restart(t)
	l.finish()
	o := r.settle(t, l, 20*time.Second, 2*time.Minute)
	t.Log(o)
	assert.Zero(t, o.lost, "spans lost")
	assert.Less(t, o.twice, o.kept/20, "spans that came twice")
	assert.Zero(t, r.twice(0)+r.twice(1), "spans that the replicas that stayed decided on twice")
	assert.Less(t, o.split, o.traces/20, "traces decided by two samplers")
	r.stop(t)
}

// Far more traces than a sampler may hold: it takes them slowly, the gateways keep the rest, and nothing is stuck or lost.
func TestSamplersOverloaded(t *testing.T) {
	r := startSamplingRig(t, rigOptions{router: routerShards, samplers: 2, env: map[string]string{
		"SAMPLING_NUM_TRACES": "150", "SAMPLING_CACHE_SIZE": "100000", "SAMPLING_DECISION_WAIT": "1s",
	}})
	l := r.startLoad(t, 500, 8)
	time.Sleep(long(4*time.Second, 10*time.Second))
	l.finish()
	o := r.settle(t, l, 20*time.Second, 3*time.Minute)
	t.Log(o)
	assert.Zero(t, o.lost, "spans lost")
	for _, s := range r.samplers {
		assert.Zero(t, s.Metric(t, "otelcol_processor_tail_sampling_sampling_trace_dropped_too_early", nil))
	}
	r.stop(t)
}

func fromEnvDuration(t *testing.T, name string, fallback time.Duration) time.Duration {
	t.Helper()
	d, err := time.ParseDuration(fromEnv(name, fallback.String()))
	require.NoError(t, err, name)
	return d
}
