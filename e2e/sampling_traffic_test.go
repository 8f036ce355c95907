//go:build e2e

package e2e

import (
	"fmt"
	"math/rand/v2"
	"time"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/sluice-otel/sluice/e2e/harness"
)

// Policies of configs/sampling.yaml.
const (
	policyProbes        = "probes"
	policyErrors        = "errors"
	policySlow          = "slow"
	policyNonProduction = "non-production"
	policyRest          = "rest"
	policyNone          = "" // no policy keeps it
)

const grpcHealth = "grpc.health.v1.Health"

// A trace of the traffic, and what should become of it.
type trace struct {
	id     pcommon.TraceID
	spans  []harness.Span
	policy string
}

func (t trace) kept() bool { return t.policy != policyNone && t.policy != policyProbes }

// traffic makes n traces of a shop, the same ones for the same seed: some fail, some are slow (in one span, or only from
// end to end), some are probes, some contain a probe on their way, some are not of production.
func traffic(n int, seed uint64, end time.Time) []trace {
	r := rand.New(rand.NewPCG(seed, seed))
	traces := make([]trace, n)
	for i := range traces {
		traces[i] = newTrace(harness.TraceID(seed<<32|uint64(i)), r, end)
	}
	return traces
}

func newTrace(id pcommon.TraceID, r *rand.Rand, end time.Time) trace {
	environment := [...]string{"production", "production", "staging", "dev"}[r.IntN(4)]
	route := [...]string{"/cart", "/orders/{id}", "/healthz", "/search", "/readyz", grpcHealth}[r.IntN(6)]
	environmentKey := [...]string{"deployment.environment.name", "deployment.environment"}[r.IntN(2)]
	start := end.Add(-time.Minute - time.Duration(r.IntN(1000))*time.Millisecond)
	span := func(service, name string, kind ptrace.SpanKind, offset, duration time.Duration, attrs map[string]any) harness.Span {
		return harness.Span{
			TraceID: id, SpanID: harness.SpanID(r.Uint64()), Service: service, Name: name, Kind: kind,
			Start: start.Add(offset), Duration: duration, Attrs: attrs,
			// Each request meets some pod of the service.
			ResourceAttrs: map[string]any{environmentKey: environment, "k8s.pod.name": fmt.Sprintf("%s-%d", service, r.IntN(3))},
		}
	}
	// Whole milliseconds: below, at and above the threshold of 1,000.
	duration := time.Duration(1+r.IntN(900)) * time.Millisecond
	root := span("frontend", "GET "+route, ptrace.SpanKindServer, 0, duration, map[string]any{"http.request.method": "GET", "http.route": route, "url.path": route})
	if route == grpcHealth {
		root.Attrs = map[string]any{"rpc.service": grpcHealth}
	}
	child := span("cart", "load", ptrace.SpanKindInternal, time.Millisecond, duration/2, nil)
	child.Parent = root.SpanID
	t := trace{id: id, spans: []harness.Span{root, child}}
	if r.IntN(10) == 0 { // asks a probe of another service: not a probe itself
		inner := span("warehouse", "GET /healthz", ptrace.SpanKindServer, 2*time.Millisecond, time.Millisecond, map[string]any{"http.route": "/healthz"})
		inner.Parent = child.SpanID
		t.spans = append(t.spans, inner)
	}
	switch r.IntN(20) {
	case 0: // fails somewhere
		t.spans[r.IntN(len(t.spans))].Error = true
	case 1: // one slow span, from exactly the threshold on
		t.spans[0].Duration = time.Second + time.Duration(r.IntN(2))*time.Millisecond
	case 2: // slow only as a whole: work goes on after the answer
		late := span("mailer", "send", ptrace.SpanKindConsumer, 950*time.Millisecond, 100*time.Millisecond, nil)
		late.Parent = root.SpanID
		t.spans = append(t.spans, late)
	case 3: // just below
		t.spans[0].Duration = 999 * time.Millisecond
	}
	t.policy = t.decide(environment)
	return t
}

// decide is the specification, written without looking at the policies' code: the first rule that matches.
func (t trace) decide(environment string) string {
	first, last := t.spans[0].Start, t.spans[0].Start
	failed := false
	for _, s := range t.spans {
		if s.Start.Before(first) {
			first = s.Start
		}
		if end := s.Start.Add(s.Duration); end.After(last) {
			last = end
		}
		failed = failed || s.Error
	}
	route := t.spans[0].Attrs["http.route"]
	switch {
	case route == "/healthz" || route == "/readyz" || t.spans[0].Attrs["rpc.service"] == grpcHealth:
		return policyProbes
	case failed:
		return policyErrors
	case last.Sub(first) >= time.Second:
		return policySlow
	case environment != "production" && harness.SamplingShare(t.id) <= 0.50:
		return policyNonProduction
	case harness.SamplingShare(t.id) <= 0.10:
		return policyRest
	}
	return policyNone
}
