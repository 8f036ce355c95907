//go:build e2e

package e2e

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sluice-otel/sluice/e2e/backends"
	"github.com/sluice-otel/sluice/e2e/harness"
	"github.com/sluice-otel/sluice/e2e/proc"
	"github.com/sluice-otel/sluice/e2e/tiers"
)

// clusterInterval is how often the gateways of these tests report the state of workloads.
const clusterInterval = time.Second

// cluster is a namespace with a Deployment of which one pod of three does not run, and a node that is short of memory. No
// controller acts on it: what is written here is what there is.
const (
	cluster = `
apiVersion: v1
kind: Namespace
metadata: {name: shop}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: cart, namespace: shop}
spec: {replicas: 3, selector: {matchLabels: {app: cart}}, template: {metadata: {labels: {app: cart}}, spec: {containers: [{name: cart, image: cart}]}}}
---
apiVersion: apps/v1
kind: ReplicaSet
metadata: {name: cart-7d4b9c6f5, namespace: shop}
spec: {replicas: 3, selector: {matchLabels: {app: cart}}, template: {metadata: {labels: {app: cart}}, spec: {containers: [{name: cart, image: cart}]}}}
---
apiVersion: v1
kind: Pod
metadata: {name: cart-7d4b9c6f5-waits, namespace: shop}
spec: {containers: [{name: cart, image: cart, resources: {requests: {cpu: 250m}}}]}
---
apiVersion: v1
kind: Node
metadata: {name: node-1}
`
	clusterStatus = `
apiVersion: apps/v1
kind: Deployment
metadata: {name: cart, namespace: shop}
status: {replicas: 3, updatedReplicas: 3, readyReplicas: 2, availableReplicas: 2, unavailableReplicas: 1, observedGeneration: 1}
---
apiVersion: apps/v1
kind: ReplicaSet
metadata: {name: cart-7d4b9c6f5, namespace: shop}
status: {replicas: 3, fullyLabeledReplicas: 3, readyReplicas: 2, availableReplicas: 2, observedGeneration: 1}
---
apiVersion: v1
kind: Node
metadata: {name: node-1}
status:
  allocatable: {cpu: 3800m, memory: 8Gi, pods: "110"}
  capacity: {cpu: "4", memory: 9Gi, pods: "110"}
  conditions: [{type: Ready, status: "True"}, {type: MemoryPressure, status: "True"}, {type: DiskPressure, status: "False"}]
`
)

// startGateway starts a replica that reports the state of workloads every clusterInterval.
func startGateway(t *testing.T, k *backends.Kubernetes, sink *harness.Sink, replica int) *harness.Collector {
	t.Helper()
	return tiers.Start(t, k, tiers.Tier{
		Name: fmt.Sprintf("sluice-gateway-%d", replica), Profile: "gateway", Backends: []string{"backends/lgtm"},
		Env: tiers.With(tiers.ToSink(t, sink), map[string]string{
			"CLUSTER_METRICS_INTERVAL": clusterInterval.String(),
			"LEASE_DURATION":           "15s", "LEASE_RENEW_DEADLINE": "10s", // a quarter of what ships
		}),
	})
}

// Two replicas see the cluster; one reports it.
func TestGatewayClusterMetricsOnce(t *testing.T) {
	k := tiers.StartKubernetes(t)
	k.Apply(t, cluster)
	k.Kubectl(t, clusterStatus, "apply", "--server-side", "--force-conflicts", "--subresource=status", "-f", "-")
	pod := k.Pod(t, backends.PodSpec{Namespace: "shop", Name: "cart-7d4b9c6f5-runs", Containers: []backends.Container{{Name: "cart", RestartCount: 4}}})
	sink := harness.StartSink(t, harness.SinkOptions{})
	gateways := []*harness.Collector{startGateway(t, k, sink, 0), startGateway(t, k, sink, 1)}

	const intervals = 5
	points := sink.WaitPoints(t, 30*time.Second, func(points []harness.Point) error {
		if n := len(ofSeries(points, "k8s.deployment.desired", "cart")); n <= intervals {
			return fmt.Errorf("%d of %d points of the Deployment", n, intervals+1)
		}
		return nil
	}, gateways[0].Proc, gateways[1].Proc)

	for _, want := range []struct {
		metric, object string
		value          float64
	}{
		{"k8s.deployment.desired", "cart", 3},
		{"k8s.deployment.available", "cart", 2},
		{"k8s.replicaset.desired", "cart-7d4b9c6f5", 3},
		{"k8s.replicaset.available", "cart-7d4b9c6f5", 2},
		{"k8s.pod.phase", "cart-7d4b9c6f5-runs", 2},  // running
		{"k8s.pod.phase", "cart-7d4b9c6f5-waits", 1}, // pending
		{"k8s.container.restarts", "cart-7d4b9c6f5-runs", 4},
		{"k8s.container.ready", "cart-7d4b9c6f5-runs", 1},
		{"k8s.container.cpu_request", "cart-7d4b9c6f5-waits", 0.25},
		{"k8s.namespace.phase", "shop", 1}, // active
		{"k8s.node.condition_ready", "node-1", 1},
		{"k8s.node.condition_memory_pressure", "node-1", 1},
		{"k8s.node.condition_disk_pressure", "node-1", 0},
		{"k8s.node.condition_pid_pressure", "node-1", -1}, // unknown: the node does not say
		{"k8s.node.allocatable_cpu", "node-1", 3.8},
		{"k8s.node.allocatable_memory", "node-1", 8 << 30},
		{"k8s.node.allocatable_pods", "node-1", 110},
	} {
		series := ofSeries(points, want.metric, want.object)
		if !assert.NotEmpty(t, series, "%s of %s", want.metric, want.object) {
			continue
		}
		for _, p := range series {
			assert.InDelta(t, want.value, p.Value, 1e-9, "%s of %s", want.metric, want.object)
			assert.Equal(t, "default", p.Resource["k8s.cluster.name"])
		}
	}
	runs := ofSeries(points, "k8s.pod.phase", "cart-7d4b9c6f5-runs")
	require.NotEmpty(t, runs)
	assert.Equal(t, map[string]any{
		"k8s.cluster.name": "default", "k8s.namespace.name": "shop", "k8s.node.name": "node-1", "k8s.pod.name": "cart-7d4b9c6f5-runs", "k8s.pod.uid": pod,
	}, runs[0].Resource)

	assertOncePerInterval(t, points)
	reporting := slices.IndexFunc(gateways, reportsCluster(t))
	require.GreaterOrEqual(t, reporting, 0, "no replica reports the cluster")
	assert.False(t, reportsCluster(t)(gateways[1-reporting]), "both replicas report the cluster")
	for _, c := range gateways {
		c.Stop(t)
	}
}

// When the leader dies the other replica takes over within the lease's time, and tells what happened meanwhile.
func TestGatewayLeaderFailover(t *testing.T) {
	const (
		lease = 15*time.Second + 5*time.Second // until it expires, and until the other one looks again
		slack = 6 * time.Second                // of two busy cores
	)
	k := tiers.StartKubernetes(t)
	k.Apply(t, cluster)
	k.Kubectl(t, manyEvents("before", 20), "create", "-f", "-")
	sink := harness.StartSink(t, harness.SinkOptions{})
	gateways := []*harness.Collector{startGateway(t, k, sink, 0), startGateway(t, k, sink, 1)}
	proc.Eventually(t, 20*time.Second, func() error {
		if !slices.ContainsFunc(gateways, reportsCluster(t)) {
			return errors.New("no replica reports the cluster")
		}
		return nil
	}, gateways[0].Proc, gateways[1].Proc)
	sink.WaitLogs(t, 20*time.Second, told("before", 20), gateways[0].Proc, gateways[1].Proc)
	leader := slices.IndexFunc(gateways, reportsCluster(t))
	heir := gateways[1-leader]
	holder := leaseHolder(t, k)

	gateways[leader].Kill()
	killed := time.Now()
	// Events go on all the time, into the gap and into the moment when the other one takes over.
	gap := 0
	proc.Eventually(t, lease+clusterInterval+slack, func() error {
		k.Kubectl(t, event(fmt.Sprintf("gap-%d", gap), "shop", "while nobody led"), "create", "-f", "-")
		gap++
		if !slices.ContainsFunc(sink.Points(), func(p harness.Point) bool {
			return p.Name == "k8s.deployment.desired" && p.Time.After(killed.Add(clusterInterval))
		}) {
			return errors.New("nobody reports the cluster")
		}
		return nil
	}, heir.Proc)
	t.Logf("cluster metrics again %s after the leader's end", time.Since(killed).Round(100*time.Millisecond))
	assert.NotEqual(t, holder, leaseHolder(t, k), "the lease's holder")
	assert.True(t, reportsCluster(t)(heir))
	assertOncePerInterval(t, sink.Points())

	records := sink.WaitLogs(t, slack, told("gap", gap), heir.Proc)
	uids := map[any]int{}
	for _, r := range records {
		uids[r.Attrs["k8s.event.uid"]]++
	}
	assert.Len(t, uids, 20+gap, "events: a record that comes again has the same uid")
	t.Logf("%d of %d events came twice", len(records)-len(uids), len(uids))
	for name, list := range byEvent(t, records) {
		assert.LessOrEqual(t, len(list), 2, "%s", name)
		for _, r := range list {
			assert.Equal(t, list[0].Attrs["k8s.event.uid"], r.Attrs["k8s.event.uid"], "%s", name)
			assert.Equal(t, list[0].Body, r.Body, "%s", name)
			assert.Equal(t, list[0].Time, r.Time, "%s", name)
		}
	}
	heir.Stop(t)
}

// ofSeries are the points of a metric about the object of this name.
func ofSeries(points []harness.Point, metric, object string) []harness.Point {
	var list []harness.Point
	for _, p := range points {
		if p.Name == metric && slices.Contains(slices.Collect(maps.Values(p.Resource)), any(object)) {
			list = append(list, p)
		}
	}
	return list
}

// assertOncePerInterval fails when a series of the cluster has more points than one replica makes.
func assertOncePerInterval(t *testing.T, points []harness.Point) {
	t.Helper()
	series := map[string][]time.Time{}
	for _, p := range points {
		if strings.HasSuffix(p.Scope, "/k8sclusterreceiver") {
			key := fmt.Sprint(p.Name, p.Resource, p.Attrs)
			series[key] = append(series[key], p.Time)
		}
	}
	require.NotEmpty(t, series)
	for key, times := range series {
		slices.SortFunc(times, time.Time.Compare)
		took := times[len(times)-1].Sub(times[0])
		// A ticker that was late is on time again with its next tick: half an interval each way.
		assert.LessOrEqual(t, len(times), int((took+clusterInterval/2)/clusterInterval)+1, "points within %s of %s", took, key)
		for i := 1; i < len(times); i++ {
			assert.NotEqual(t, times[i-1], times[i], "%s", key)
		}
	}
}

// reportsCluster says whether a replica has read the state of workloads.
func reportsCluster(t *testing.T) func(*harness.Collector) bool {
	return func(c *harness.Collector) bool {
		return c.Metric(t, "otelcol_receiver_accepted_metric_points", map[string]string{"receiver": "k8s_cluster"}) > 0
	}
}

func leaseHolder(t *testing.T, k *backends.Kubernetes) string {
	t.Helper()
	return k.Kubectl(t, "", "get", "lease", "-n", "sluice", "sluice-gateway", "-o", "jsonpath={.spec.holderIdentity}")
}

// linesOf are the lines of a collector's log, above level info, that have a word in them.
func linesOf(c *harness.Collector, word string) []string {
	var lines []string
	for line := range strings.Lines(c.Proc.Output()) {
		if strings.Contains(line, word) && !strings.Contains(line, "\tinfo\t") {
			lines = append(lines, line)
		}
	}
	return lines
}
