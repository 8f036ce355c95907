package cluster

import (
	_ "embed"
	"testing"
	"time"

	"github.com/sluice-otel/sluice/e2e/backends"
)

//go:embed manifests/observability.yaml
var observabilityManifests string

// Observability is the namespace of the backends: prometheus:9090, loki:3100, and jaeger:4317 with its pages at 16686.
const Observability = "observability"

// LokiTenant is whom the shipped configuration names to Loki by default.
const LokiTenant = "default"

// Backends are the servers that run in the cluster, asked from outside.
type Backends struct {
	Prometheus *backends.Prometheus
	Loki       *backends.Loki // in the name of LokiTenant
	Jaeger     *backends.Jaeger
}

// DeployBackends runs Prometheus, Loki and Jaeger in the namespace Observability, and waits until they are ready. They stay for other tests.
func (c *Cluster) DeployBackends(tb testing.TB) *Backends {
	tb.Helper()
	for _, name := range []string{"prometheus", "loki", "jaeger"} {
		c.LoadProgram(tb, "sluice.test/"+name+":1", binary(tb, name))
	}
	c.Apply(tb, observabilityManifests)
	for _, workload := range []string{"statefulset/prometheus", "statefulset/loki", "deployment/jaeger"} {
		c.WaitRollout(tb, Observability, workload, 3*time.Minute)
	}
	return &Backends{
		Prometheus: backends.PrometheusAt(c.Service(tb, Observability, "prometheus", 9090)),
		Loki:       backends.LokiAt(c.Service(tb, Observability, "loki", 3100)).As(LokiTenant),
		Jaeger:     backends.JaegerAt(c.Service(tb, Observability, "jaeger", 16686), c.Service(tb, Observability, "jaeger", 14269)),
	}
}

// TargetAllocatorImage is what the manifests run; the program is built from the same version of its module.
const TargetAllocatorImage = "ghcr.io/open-telemetry/opentelemetry-operator/target-allocator:0.140.0"

// LoadTargetAllocator loads it under the name of the published image.
func (c *Cluster) LoadTargetAllocator(tb testing.TB) {
	tb.Helper()
	c.LoadProgram(tb, TargetAllocatorImage, binary(tb, "targetallocator"))
}
