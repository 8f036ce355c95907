//go:build e2e

package e2e

import (
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sluice-otel/sluice/e2e/harness"
	"github.com/sluice-otel/sluice/e2e/netns"
	"github.com/sluice-otel/sluice/e2e/proc"
	"github.com/sluice-otel/sluice/e2e/tiers"
)

const tracesSent = 20_000

// chain is agent → gateway → two sampling replicas, each replica with a sink of its own to see who decided.
type chain struct {
	agent, gateway *harness.Collector
	sampling       [2]*harness.Collector
	sinks          [2]*harness.Sink
}

func startChain(t *testing.T) *chain {
	t.Helper()
	k := tiers.StartKubernetes(t)
	c := &chain{}
	for i := range c.sampling {
		address := netns.Addr(t, 10+i)
		c.sinks[i] = harness.StartSink(t, harness.SinkOptions{})
		c.sampling[i] = tiers.Start(t, k, tiers.Tier{
			Name: fmt.Sprintf("sluice-sampling-%d", i), Profile: "sampling", Backends: []string{"backends/lgtm"},
			Env: tiers.With(tiers.ToSink(t, c.sinks[i]), map[string]string{"OTLP_GRPC_ENDPOINT": net.JoinHostPort(address, "4317"), "SPANMETRICS_INTERVAL": "2s"}),
		})
	}
	other := harness.StartSink(t, harness.SinkOptions{}) // the gateway's logs and metrics
	c.gateway = tiers.Start(t, k, tiers.Tier{Profile: "gateway", Backends: []string{"backends/lgtm", "backends/to-sampling"}, Env: tiers.With(tiers.ToSink(t, other), samplingEndpoint(t))})
	c.agent = tiers.Start(t, k, tiers.Tier{Profile: "agent", Backends: []string{"backends/to-gateway"}, Env: map[string]string{"GATEWAY_ENDPOINT": c.gateway.OTLPGRPC}})
	return c
}

func (c *chain) processes() []*proc.Process {
	return []*proc.Process{c.agent.Proc, c.gateway.Proc, c.sampling[0].Proc, c.sampling[1].Proc}
}

// send sends the traces in batches, a trace's root and its other spans in different ones: what makes a trace whole is the
// sampling tier.
func (c *chain) send(t *testing.T, traces []trace) {
	t.Helper()
	client := harness.NewClient(t, c.agent.OTLPGRPC, harness.ClientOptions{})
	var roots, others []harness.Span
	for i, tr := range traces {
		roots, others = append(roots, tr.spans[0]), append(others, tr.spans[1:]...)
		if len(roots) == 500 || i == len(traces)-1 {
			require.NoError(t, client.SendTraces(harness.Traces(roots...)))
			require.NoError(t, client.SendTraces(harness.Traces(others...)))
			roots, others = roots[:0], others[:0]
		}
	}
}

// sum adds a self-metric over both sampling replicas.
func (c *chain) sum(t *testing.T, name string, labels map[string]string) int {
	t.Helper()
	return int(c.sampling[0].Metric(t, name, labels) + c.sampling[1].Metric(t, name, labels))
}

func TestChainKeepsExactlyTheRightTraces(t *testing.T) {
	c := startChain(t)
	traces := traffic(tracesSent, 1, time.Now())
	c.send(t, traces)

	policies, keptSpans := map[string]int{}, 0
	for _, tr := range traces {
		policies[tr.policy]++
		if tr.kept() {
			keptSpans += len(tr.spans)
		}
	}
	t.Logf("%d traces; by policy: %v; spans to keep: %d", len(traces), policies, keptSpans)

	// Everything has been decided, and what was kept has left.
	const decided = "otelcol_processor_tail_sampling_global_count_traces_sampled"
	proc.Eventually(t, 90*time.Second, func() error {
		if n := c.sum(t, decided, nil); n < len(traces) {
			return fmt.Errorf("%d of %d traces are decided", n, len(traces))
		}
		if n := len(c.sinks[0].Spans()) + len(c.sinks[1].Spans()); n < keptSpans {
			return fmt.Errorf("%d of %d spans have arrived", n, keptSpans)
		}
		return nil
	}, c.processes()...)
	c.agent.Stop(t)
	c.gateway.Stop(t)

	t.Run("kept set", func(t *testing.T) { c.assertKept(t, traces) })
	t.Run("policies", func(t *testing.T) {
		const byPolicy = "otelcol_processor_tail_sampling_count_traces_sampled"
		for _, policy := range []string{policyErrors, policySlow, policyNonProduction, policyRest} {
			assert.Equal(t, policies[policy], c.sum(t, byPolicy, map[string]string{"policy": policy, "decision": "sampled"}), policy)
		}
		assert.Equal(t, policies[policyProbes], c.sum(t, byPolicy, map[string]string{"policy": policyProbes, "decision": "dropped"}), policyProbes)
		assert.Equal(t, len(traces), c.sum(t, decided, nil), "each trace is decided once")
		assert.Zero(t, c.sum(t, "otelcol_processor_tail_sampling_sampling_trace_dropped_too_early", nil))
		for i, s := range c.sampling {
			assert.Greater(t, s.Metric(t, decided, nil), float64(len(traces)/4), "replica %d decided too little to prove anything", i)
		}
	})
	t.Run("RED metrics", func(t *testing.T) { c.assertRED(t, traces) })
}

// assertKept compares what arrived with the computed set, span by span.
func (c *chain) assertKept(t *testing.T, traces []trace) {
	where := map[string]int{} // trace: replica
	got := map[string]int{}   // trace + span: times
	split := 0
	for i, sink := range c.sinks {
		for _, s := range sink.Spans() {
			if before, ok := where[s.TraceID]; ok && before != i {
				split++
			}
			where[s.TraceID] = i
			got[s.TraceID+s.SpanID]++
		}
	}
	assert.Zero(t, split, "spans of one trace came from two replicas")
	missing, extra, twice := map[string]int{}, map[string]int{}, 0
	for _, tr := range traces {
		for _, s := range tr.spans {
			n := got[s.TraceID.String()+s.SpanID.String()]
			switch {
			case tr.kept() && n == 0:
				missing[tr.policy]++
			case !tr.kept() && n > 0:
				extra[tr.policy]++
			case n > 1:
				twice++
			}
			delete(got, s.TraceID.String()+s.SpanID.String())
		}
	}
	assert.Empty(t, missing, "spans that should have been kept, by policy")
	assert.Empty(t, extra, "spans that should have been dropped, by policy")
	assert.Zero(t, twice, "spans that arrived twice")
	assert.Empty(t, got, "spans that nobody sent")
}

// red is one line of rate, errors and duration.
type red struct {
	calls   int
	seconds float64
}

// assertRED compares the RED metrics with the spans that were sent, the dropped ones too.
func (c *chain) assertRED(t *testing.T, traces []trace) {
	want := map[string]red{}
	ids := map[string]bool{}
	total := 0
	for _, tr := range traces {
		ids[tr.id.String()] = true
		for _, s := range tr.spans {
			status := "STATUS_CODE_UNSET"
			if s.Error {
				status = "STATUS_CODE_ERROR"
			}
			key := strings.Join([]string{s.Service, s.Name, "SPAN_KIND_" + strings.ToUpper(s.Kind.String()), status}, "|")
			want[key] = red{want[key].calls + 1, want[key].seconds + s.Duration.Seconds()}
			total++
		}
	}
	var calls map[string]int
	var durations map[string]red
	exemplars := 0
	proc.Eventually(t, 20*time.Second, func() error {
		calls, durations, exemplars = map[string]int{}, map[string]red{}, 0
		for i, sink := range c.sinks {
			last := map[string]harness.Point{} // cumulative: a series' last point counts
			for _, p := range sink.Points() {
				if strings.HasPrefix(p.Name, "traces.span.metrics.") {
					last[fmt.Sprint(p.Name, p.Resource, p.Attrs)] = p
					assert.Equal(t, fmt.Sprintf("sluice-sampling-%d", i), p.Attrs["collector.instance.id"], "one writer per series")
					assert.NotContains(t, p.Resource, "k8s.pod.name", "a service's metrics name one pod")
					for _, e := range p.Exemplars {
						exemplars++
						assert.True(t, ids[e.TraceID], "an exemplar of a trace that nobody sent: %s", e.TraceID)
					}
				}
			}
			for _, p := range last {
				key := fmt.Sprintf("%s|%s|%s|%s", p.Resource["service.name"], p.Attrs["span.name"], p.Attrs["span.kind"], p.Attrs["status.code"])
				switch p.Name {
				case "traces.span.metrics.calls":
					calls[key] += int(p.Value)
				case "traces.span.metrics.duration":
					assert.Equal(t, "s", p.Unit)
					durations[key] = red{durations[key].calls + int(p.Count), durations[key].seconds + p.Sum}
				}
			}
		}
		n := 0
		for _, v := range calls {
			n += v
		}
		if n < total {
			return fmt.Errorf("%d of %d spans are counted", n, total)
		}
		return nil
	}, c.sampling[0].Proc, c.sampling[1].Proc)
	assert.Len(t, calls, len(want))
	for key, w := range want {
		assert.Equal(t, w.calls, calls[key], "calls of %s", key)
		assert.Equal(t, w.calls, durations[key].calls, "durations of %s", key)
		assert.InDelta(t, w.seconds, durations[key].seconds, 1e-6*float64(w.calls), "seconds of %s", key)
	}
	assert.Positive(t, exemplars, "no exemplar leads from a metric to a trace")
}
