//go:build e2e

package e2e

import (
	"fmt"
	"net"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/sluice-otel/sluice/e2e/backends"
	"github.com/sluice-otel/sluice/e2e/harness"
	"github.com/sluice-otel/sluice/e2e/netns"
	"github.com/sluice-otel/sluice/e2e/proc"
	"github.com/sluice-otel/sluice/e2e/tiers"
)

// samplingRig is two gateways and some samplers, each sampler with a sink of its own to see who decided.
type samplingRig struct {
	k        *backends.Kubernetes
	router   string // a backend file
	env      map[string]string
	gateways [2]*harness.Collector
	samplers []*harness.Collector
	sinks    []*harness.Sink
	other    *harness.Sink // what the gateways send elsewhere
}

const (
	routerShards        = "backends/to-sampling"
	routerLoadBalancing = "../e2e/testdata/sampling/loadbalancing"
)

// rigOptions say what a rig is made of. Samplers decide after 5 s, and keep everything but probes unless env says otherwise.
type rigOptions struct {
	router   string
	samplers int
	env      map[string]string // of the samplers and gateways
}

func startSamplingRig(t *testing.T, o rigOptions) *samplingRig {
	t.Helper()
	r := &samplingRig{
		k: tiers.StartKubernetes(t), router: o.router, other: harness.StartSink(t, harness.SinkOptions{}),
		env: tiers.With(map[string]string{"SAMPLING_DECISION_WAIT": "5s", "SAMPLING_PERCENT": "100", "SPANMETRICS_INTERVAL": "2s"}, o.env),
	}
	for range o.samplers {
		r.addSampler(t)
	}
	if r.router == routerLoadBalancing {
		r.k.ApplyFile(t, filepath.Join(harness.Root(t), "e2e", "testdata", "sampling", "loadbalancing-rbac.yaml"))
		r.writeEndpoints(t, o.samplers)
	}
	for i := range r.gateways {
		r.startGateway(t, i, o.samplers)
	}
	return r
}

func (r *samplingRig) addSampler(t *testing.T) {
	t.Helper()
	i := len(r.samplers)
	sink := harness.StartSink(t, harness.SinkOptions{})
	r.sinks = append(r.sinks, sink)
	r.samplers = append(r.samplers, tiers.Start(t, r.k, tiers.Tier{
		Name: fmt.Sprintf("sluice-sampling-%d", i), Profile: "sampling", Backends: []string{"backends/lgtm"},
		Env: tiers.With(tiers.With(tiers.ToSink(t, sink), r.env), map[string]string{"OTLP_GRPC_ENDPOINT": net.JoinHostPort(netns.Addr(t, 10+i), "4317")}),
	}))
}

// startGateway starts a gateway, or starts it again with another number of replicas, on its ports and its state.
func (r *samplingRig) startGateway(t *testing.T, i, replicas int) {
	t.Helper()
	env := samplingEndpoint(t)
	env["SAMPLING_REPLICAS"] = strconv.Itoa(replicas)
	state := ""
	if before := r.gateways[i]; before != nil {
		before.Stop(t)
		env["OTLP_GRPC_ENDPOINT"], state = before.OTLPGRPC, before.StateDir
	} else {
		state = t.TempDir()
	}
	r.gateways[i] = tiers.Start(t, r.k, tiers.Tier{
		Name: fmt.Sprintf("sluice-gateway-%d", i), Profile: "gateway", Backends: []string{"backends/lgtm", r.router}, StateDir: state,
		Env: tiers.With(tiers.With(tiers.ToSink(t, r.other), r.env), env),
	})
}

// samplingEndpoint tells a gateway where the samplers are: 10.99.0.10 and up.
func samplingEndpoint(t *testing.T) map[string]string {
	t.Helper()
	return map[string]string{"SAMPLING_ENDPOINT": strings.TrimSuffix(netns.Addr(t, 10), "0") + "%d:4317"}
}

func (r *samplingRig) writeEndpoints(t *testing.T, replicas int) {
	t.Helper()
	var addresses []string
	for i := range replicas {
		addresses = append(addresses, netns.Addr(t, 10+i))
	}
	r.k.Apply(t, tiers.SamplingEndpoints(addresses))
}

// scale tells the gateways of another number of replicas, the way each router learns of it.
func (r *samplingRig) scale(t *testing.T, replicas int) {
	t.Helper()
	if r.router == routerLoadBalancing {
		r.writeEndpoints(t, replicas)
		return
	}
	for i := range r.gateways { // a rolling update
		r.startGateway(t, i, replicas)
	}
}

func (r *samplingRig) processes() []*proc.Process {
	var list []*proc.Process
	for _, c := range append(r.gateways[:], r.samplers...) {
		list = append(list, c.Proc)
	}
	return list
}
