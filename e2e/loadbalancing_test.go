//go:build e2e

package e2e

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sluice-otel/sluice/e2e/backends"
	"github.com/sluice-otel/sluice/e2e/harness"
	"github.com/sluice-otel/sluice/e2e/netns"
	"github.com/sluice-otel/sluice/e2e/proc"
	"github.com/sluice-otel/sluice/e2e/tiers"
)

// All spans of a trace go to the same sampling replica, to one that the Service's EndpointSlices name at the time.
func TestLoadBalancingFollowsEndpointSlices(t *testing.T) {
	const traces = 200
	k := tiers.StartKubernetes(t)
	var replicas [2]*harness.Sink
	var addresses [2]string
	for i := range replicas {
		addresses[i] = netns.Addr(t, 11+i)
		replicas[i] = harness.StartSink(t, harness.SinkOptions{GRPCAddr: net.JoinHostPort(addresses[i], "4317")})
	}
	k.Apply(t, endpointSlice(addresses[:]...))
	gateway := startRouter(t, k, false)

	sent := map[string]bool{}
	send := func(from, to uint64) {
		t.Helper()
		client := harness.NewClient(t, gateway.OTLPGRPC, harness.ClientOptions{})
		// A trace's spans come in different requests, as from different services.
		for span := range uint64(5) {
			var spans []harness.Span
			for trace := from; trace < to; trace++ {
				id := harness.SpanID(trace<<8 | span)
				sent[id.String()] = true
				spans = append(spans, harness.Span{TraceID: harness.TraceID(trace), SpanID: id, Service: "shop", Name: "GET /cart", Duration: time.Millisecond})
			}
			require.NoError(t, client.SendTraces(harness.Traces(spans...)))
		}
	}
	arrived := func() error {
		got := map[string]bool{}
		for _, sink := range replicas {
			for _, s := range sink.Spans() {
				got[s.SpanID] = true
			}
		}
		if len(got) < len(sent) {
			return fmt.Errorf("%d of %d spans arrived", len(got), len(sent))
		}
		return nil
	}

	send(0, traces)
	proc.Eventually(t, 20*time.Second, arrived, gateway.Proc)
	first, second := traceIDs(replicas[0].Spans()), traceIDs(replicas[1].Spans())
	assert.Len(t, first, traces-len(second), "a trace in both replicas")
	for id := range first {
		assert.NotContains(t, second, id, "a trace in both replicas")
	}
	assert.Greater(t, len(first), traces/5, "traces for the first replica")
	assert.Greater(t, len(second), traces/5, "traces for the second replica")

	// The second replica dies. Spans keep coming, and are on their way to it when the slice says that it is gone.
	replicas[1].Refuse()
	send(traces, 2*traces)
	proc.Eventually(t, 10*time.Second, func() error {
		if gateway.Metric(t, "otelcol_loadbalancer_backend_outcome", map[string]string{"success": "false"}) == 0 {
			return errors.New("nothing was sent to the replica that is gone")
		}
		return nil
	}, gateway.Proc)
	k.Apply(t, endpointSlice(addresses[0]))
	proc.Eventually(t, 10*time.Second, func() error {
		if n := gateway.Metric(t, "otelcol_loadbalancer_num_backends", nil); n != 1 {
			return fmt.Errorf("%v backends", n)
		}
		return nil
	}, gateway.Proc)
	send(2*traces, 3*traces)
	proc.Eventually(t, 30*time.Second, arrived, gateway.Proc)
	assert.Len(t, traceIDs(replicas[1].Spans()), len(second), "the replica that left got more")
	assert.Subset(t, slices.Collect(maps.Keys(traceIDs(replicas[0].Spans()))), idsOf(2*traces, 3*traces), "everything goes to the one that stayed")
	gateway.Stop(t)
}

// Without the right to see EndpointSlices the gateway waits for it, for ever: it is not ready, so a rollout stops there, and its
// log names what is missing. Granted, it goes on by itself.
func TestLoadBalancingWaitsForItsRole(t *testing.T) {
	k := tiers.StartKubernetes(t)
	var role map[string]any
	require.NoError(t, json.Unmarshal([]byte(k.Kubectl(t, "", "get", "role", "-n", "sluice", "sluice-gateway", "-o", "json")), &role))
	role["rules"] = slices.DeleteFunc(role["rules"].([]any), func(rule any) bool {
		return strings.Contains(fmt.Sprint(rule), "endpointslices")
	})
	manifest, err := json.Marshal(role)
	require.NoError(t, err)
	k.Kubectl(t, string(manifest), "replace", "-f", "-")
	replica := harness.StartSink(t, harness.SinkOptions{GRPCAddr: net.JoinHostPort(netns.Addr(t, 11), "4317")})
	k.Apply(t, endpointSlice(netns.Addr(t, 11)))

	gateway := startRouter(t, k, true)
	proc.Eventually(t, 30*time.Second, func() error {
		// Twice: it asks again.
		if strings.Count(gateway.Proc.Output(), "endpointslices.discovery.k8s.io is forbidden") < 2 {
			return errors.New("the log does not name the missing right")
		}
		return nil
	}, gateway.Proc)
	assert.Equal(t, http.StatusServiceUnavailable, health(t, gateway), "health")

	k.ApplyFile(t, filepath.Join(harness.Root(t), "deploy", "kubernetes", "tiers", "gateway", "rbac.yaml"))
	gateway.WaitHealthy(t)
	require.NoError(t, harness.SendTraces(t, gateway.OTLPGRPC, harness.Traces(harness.Span{TraceID: harness.TraceID(2), Service: "shop", Name: "GET /cart"})))
	replica.WaitSpans(t, 20*time.Second, harness.AtLeast[harness.SpanRecord](1), gateway.Proc)
	gateway.Stop(t)
}

// startRouter starts a gateway that gives its spans to the sampling tier.
func startRouter(t *testing.T, k *backends.Kubernetes, noWait bool) *harness.Collector {
	t.Helper()
	other := harness.StartSink(t, harness.SinkOptions{}) // logs and metrics
	return tiers.Start(t, k, tiers.Tier{
		Profile: "gateway", Backends: []string{"backends/lgtm", "backends/to-sampling"}, Env: tiers.ToSink(t, other), NoWait: noWait,
	})
}

// endpointSlice is what Kubernetes writes for the sampling tier's Service.
func endpointSlice(addresses ...string) string {
	var endpoints strings.Builder
	for _, address := range addresses {
		fmt.Fprintf(&endpoints, "- {addresses: [%s], conditions: {ready: true}}\n", address)
	}
	return samplingEndpoints + endpoints.String()
}

func traceIDs(spans []harness.SpanRecord) map[string]bool {
	ids := map[string]bool{}
	for _, s := range spans {
		ids[s.TraceID] = true
	}
	return ids
}

func idsOf(from, to uint64) []string {
	var ids []string
	for ; from < to; from++ {
		ids = append(ids, harness.TraceID(from).String())
	}
	return ids
}
