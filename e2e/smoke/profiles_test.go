//go:build e2e

package smoke

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/plog"

	"github.com/sluice-otel/sluice/e2e/harness"
	"github.com/sluice-otel/sluice/e2e/tiers"
)

// paths is where each backend takes each signal; gRPC's are method names.
var paths = map[string]map[string]string{
	"lgtm": {
		"logs":    "/otlp/v1/logs",
		"metrics": "/api/v1/otlp/v1/metrics",
		"traces":  "/opentelemetry.proto.collector.trace.v1.TraceService/Export",
	},
	"victoria": {
		"logs":    "/insert/opentelemetry/v1/logs",
		"metrics": "/api/v1/write", // remote write: the sink knows the address, not the format
		"traces":  "/insert/opentelemetry/v1/traces",
	},
	"otlp": {"logs": "/v1/logs", "metrics": "/v1/metrics", "traces": "/v1/traces"},
	"to-gateway": {
		"logs":    "/opentelemetry.proto.collector.logs.v1.LogsService/Export",
		"metrics": "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export",
		"traces":  "/opentelemetry.proto.collector.trace.v1.TraceService/Export",
	},
}

// Every tier starts with every backend, as the ServiceAccount and with the roles it ships with, and passes all three
// signals on to the address that the backend wants them at.
func TestProfileDeliversToBackend(t *testing.T) {
	k := tiers.StartKubernetes(t)
	t.Cleanup(func() {
		// Off-cluster, kubeletstats reaches kubelets through the API server; in a cluster it asks them directly.
		offCluster := "system:serviceaccount:sluice-agent:sluice-agent get nodes/proxy"
		forbidden := slices.DeleteFunc(k.AuditLog.Forbidden(t), func(call string) bool { return call == offCluster })
		assert.Empty(t, forbidden, "calls that the shipped roles do not allow")
	})
	for _, tier := range []string{"agent", "gateway", "sampling", "scraper", "local"} {
		for backend, want := range paths {
			t.Run(tier+"/"+backend, func(t *testing.T) {
				t.Parallel()
				sink := harness.StartSink(t, harness.SinkOptions{})
				c := tiers.Start(t, k, tiers.Tier{Profile: tier, Backends: []string{"backends/" + backend}, Env: tiers.With(tiers.ToSink(t, sink), map[string]string{
					"SAMPLING_DECISION_WAIT": "1s",
					"SCRAPE_RECEIVERS":       "[prometheus, prometheus/self, otlp]", // no Target Allocator here
					"LOKI_TENANT":            "team-a",
				})})
				assertPreflight(t, c, tier)
				send(t, c)
				requests := sink.WaitRequests(t, 30*time.Second, func(requests []harness.Request) error {
					for signal, path := range want {
						if !slices.ContainsFunc(requests, func(r harness.Request) bool { return r.Path == path }) {
							return fmt.Errorf("no %s at %s", signal, path)
						}
					}
					return nil
				}, c.Proc)
				for _, r := range requests {
					assert.Contains(t, want, signalOf(want, r.Path), "a request to %s", r.Path)
					switch r.Path {
					case "/otlp/v1/logs":
						assert.Equal(t, "team-a", r.Header.Get("X-Scope-OrgID"))
					case "/insert/opentelemetry/v1/logs":
						assert.Equal(t, "k8s.cluster.name,k8s.namespace.name,k8s.pod.name,k8s.container.name,service.name", r.Header.Get("VL-Stream-Fields"))
					}
					if backend == "otlp" {
						assert.Equal(t, "Bearer test-token", r.Header.Get("Authorization"))
					}
				}
				assert.True(t, slices.ContainsFunc(sink.LogRecords(), func(r harness.LogRecord) bool { return r.Body == "hello" }))
				assert.True(t, slices.ContainsFunc(sink.Spans(), func(s harness.SpanRecord) bool { return s.Name == "GET /cart" }))
				if backend != "victoria" {
					assert.True(t, slices.ContainsFunc(sink.Points(), func(p harness.Point) bool { return p.Name == "queue.length" }))
				}
				c.Stop(t)
			})
		}
	}
}

// assertPreflight holds a tier to having nothing that loses data. What the machine's disk is like is not the profile's doing.
func assertPreflight(t *testing.T, c *harness.Collector, tier string) {
	t.Helper()
	page := c.Metrics(t)
	const findings = "otelcol_extension_preflight_findings"
	assert.Equal(t, tier != "local", page.Has(findings))
	assert.Zero(t, page.Sum(findings, map[string]string{"severity": "error"}), c.Proc.Output())
}

// The terminal is a backend too.
func TestProfilePrintsToTheTerminal(t *testing.T) {
	c := tiers.Start(t, nil, tiers.Tier{Profile: "local", Backends: []string{"backends/debug"}})
	send(t, c)
	c.Stop(t) // nothing is buffered: what was accepted has been printed
	out := c.Proc.Output()
	assert.Contains(t, out, "hello")
	assert.Contains(t, out, "GET /cart")
	assert.Contains(t, out, "queue.length")
}

func send(t *testing.T, c *harness.Collector) {
	t.Helper()
	require.NoError(t, harness.SendLogs(t, c.OTLPGRPC, harness.Logs(harness.Log{Service: "shop", Body: "hello", Severity: plog.SeverityNumberInfo})))
	require.NoError(t, harness.SendMetrics(t, c.OTLPGRPC, harness.Metrics(harness.Sample{Service: "shop", Name: "queue.length", Value: 3})))
	require.NoError(t, harness.SendTraces(t, c.OTLPGRPC, harness.Traces(harness.Span{TraceID: harness.TraceID(1), Service: "shop", Name: "GET /cart", Duration: time.Millisecond, Error: true})))
}

func signalOf(paths map[string]string, path string) string {
	for signal, p := range paths {
		if p == path {
			return signal
		}
	}
	return path
}
