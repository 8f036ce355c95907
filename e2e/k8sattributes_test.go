//go:build e2e

package e2e

import (
	"errors"
	"fmt"
	"maps"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"syscall"
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

const (
	shopNamespace = `
apiVersion: v1
kind: Namespace
metadata:
  name: shop
  labels: {team: checkout, environment: production}
  annotations: {sluice.io/owner: shop-leads}
`
	workloads = `
apiVersion: apps/v1
kind: Deployment
metadata: {name: cart, namespace: shop}
spec: {selector: {matchLabels: {app: cart}}, template: {metadata: {labels: {app: cart}}, spec: {containers: [{name: cart, image: cart}]}}}
---
apiVersion: apps/v1
kind: StatefulSet
metadata: {name: orders, namespace: shop}
spec: {serviceName: orders, selector: {matchLabels: {app: orders}}, template: {metadata: {labels: {app: orders}}, spec: {containers: [{name: orders, image: orders}]}}}
---
apiVersion: apps/v1
kind: DaemonSet
metadata: {name: probe, namespace: shop}
spec: {selector: {matchLabels: {app: probe}}, template: {metadata: {labels: {app: probe}}, spec: {containers: [{name: probe, image: probe}]}}}
---
apiVersion: batch/v1
kind: Job
metadata: {name: report-29481230, namespace: shop}
spec: {template: {spec: {restartPolicy: Never, containers: [{name: report, image: report}]}}}
`
	// The ReplicaSet names its owner by UID, as the Deployment's controller writes it.
	replicaSet = `
apiVersion: apps/v1
kind: ReplicaSet
metadata:
  name: cart-7d4b9c6f5
  namespace: shop
  ownerReferences: [{apiVersion: apps/v1, kind: Deployment, name: cart, uid: %s, controller: true}]
spec: {selector: {matchLabels: {app: cart}}, template: {metadata: {labels: {app: cart}}, spec: {containers: [{name: cart, image: cart}]}}}
`
)

// podOfDeployment makes a pod of the Deployment cart, and returns what everything from it has to carry.
func podOfDeployment(t *testing.T, k *backends.Kubernetes, name, ip string) map[string]any {
	t.Helper()
	uid := k.Pod(t, backends.PodSpec{
		Namespace: "shop", Name: name, IP: ip,
		Labels: map[string]string{
			"app": "cart", "app.kubernetes.io/name": "shopping-cart", "app.kubernetes.io/component": "backend", "app.kubernetes.io/part-of": "web-shop",
		},
		Annotations: map[string]string{"sluice.io/owner": "cart-team"},
		OwnerRefs:   []backends.OwnerRef{k.Owner(t, "shop", "replicaset", "cart-7d4b9c6f5")},
		Containers:  []backends.Container{{Name: "cart", Image: "registry.test:5000/shop/cart:1.4.2", ID: "containerd://c0ffee"}},
	})
	return map[string]any{
		"k8s.cluster.name": "default", "k8s.namespace.name": "shop", "k8s.node.name": "node-1",
		"k8s.pod.name": name, "k8s.pod.uid": uid, "k8s.container.name": "cart",
		"k8s.deployment.name": "cart", "k8s.replicaset.name": "cart-7d4b9c6f5",
		"k8s.pod.label.app.kubernetes.io/name": "shopping-cart", "k8s.pod.label.app.kubernetes.io/component": "backend",
		"k8s.pod.label.app.kubernetes.io/part-of": "web-shop", "k8s.pod.annotation.sluice.io/owner": "cart-team",
		"deployment.environment.name": "production", "k8s.namespace.label.team": "checkout", "k8s.namespace.annotation.sluice.io/owner": "shop-leads",
		"container.id": "c0ffee", "container.image.name": "registry.test:5000/shop/cart", "container.image.tag": "1.4.2",
		"service.name": "shopping-cart", "service.namespace": "shop", "service.version": "1.4.2", "service.instance.id": "shop." + name + ".cart",
	}
}

func startKubernetesWithShop(t *testing.T) *backends.Kubernetes {
	t.Helper()
	k := tiers.StartKubernetes(t)
	k.Apply(t, shopNamespace)
	k.Apply(t, workloads)
	k.Apply(t, fmt.Sprintf(replicaSet, k.Owner(t, "shop", "deployment", "cart").UID))
	return k
}

// Every line of a container's log says which workload it comes from: the first one after a start, and the first one of a
// pod that is new.
func TestK8sAttributesByUID(t *testing.T) {
	const lines = 150
	k := startKubernetesWithShop(t)
	n := newNodeLogs(t)
	sink := harness.StartSink(t, harness.SinkOptions{})
	agent := tiers.Start(t, k, tiers.Tier{Profile: "agent", Backends: []string{"backends/to-gateway"}, Env: tiers.With(tiers.ToSink(t, sink), n.env()), NoWait: true})
	agent.WaitHealthy(t)
	agent.Stop(t)
	write := func(pod, uid, container, prefix string, count int) {
		t.Helper()
		var text []string
		for i := range count {
			text = append(text, containerd(fmt.Sprintf("%s %d", prefix, i)))
		}
		n.write(t, filepath.Join("shop_"+pod+"_"+uid, container, "0.log"), text...)
	}
	cart := podOfDeployment(t, k, "cart-7d4b9c6f5-x2x8q", "10.244.0.5")
	write("cart-7d4b9c6f5-x2x8q", cart["k8s.pod.uid"].(string), "cart", "cart", lines)
	others := map[string]map[string]any{ // by pod; the names of services as the conventions derive them
		"orders-0":              {"k8s.statefulset.name": "orders", "service.name": "orders"},
		"probe-fz7lm":           {"k8s.daemonset.name": "probe", "service.name": "probe"},
		"report-29481230-lk2p9": {"k8s.job.name": "report-29481230", "k8s.cronjob.name": "report", "service.name": "report"},
		"alone":                 {"service.name": "alone-2"},
	}
	owners := map[string]backends.OwnerRef{
		"orders-0": k.Owner(t, "shop", "statefulset", "orders"), "probe-fz7lm": k.Owner(t, "shop", "daemonset", "probe"),
		"report-29481230-lk2p9": k.Owner(t, "shop", "job", "report-29481230"),
	}
	for pod := range others {
		spec := backends.PodSpec{Namespace: "shop", Name: pod}
		if owner, ok := owners[pod]; ok {
			spec.OwnerRefs = []backends.OwnerRef{owner}
		} else {
			spec.Labels = map[string]string{"app.kubernetes.io/name": "alone", "app.kubernetes.io/instance": "alone-2"}
		}
		write(pod, k.Pod(t, spec), "app", pod, 1)
	}

	// The agent comes back while the API server does not answer, and waits for it.
	k.APIServer.Signal(syscall.SIGSTOP)
	agent.Restart(t)
	proc.Eventually(t, 10*time.Second, func() error {
		if !strings.Contains(agent.Proc.Output(), "k8s filtering") {
			return errors.New("the agent does not ask for pods")
		}
		return nil
	}, agent.Proc)
	require.Never(t, func() bool { return health(t, agent) == http.StatusOK }, time.Second, 100*time.Millisecond, "ready without metadata")
	k.APIServer.Signal(syscall.SIGCONT)
	agent.WaitHealthy(t)

	young := podOfDeployment(t, k, "cart-7d4b9c6f5-young", "10.244.0.6")
	write("cart-7d4b9c6f5-young", young["k8s.pod.uid"].(string), "cart", "young", lines)
	got := byBody(t, sink, 2*lines+len(others), agent.Proc)

	for prefix, want := range map[string]map[string]any{"cart": cart, "young": young} {
		want["k8s.container.restart_count"] = int64(0) // from the file's name
		for i := range lines {
			name := fmt.Sprintf("%s %d", prefix, i)
			assertResource(t, want, got[name].Resource, name)
		}
	}
	for pod, want := range others {
		maps.Copy(want, map[string]any{
			"k8s.pod.name": pod, "k8s.namespace.name": "shop", "k8s.node.name": "node-1", "k8s.container.name": "app",
			"container.image.name": "sluice.test/app", "container.image.tag": "1", "service.namespace": "shop",
			"deployment.environment.name": "production", "k8s.namespace.label.team": "checkout",
		})
		r := got[pod+" 0"]
		for key, value := range want {
			assert.Equal(t, value, r.Resource[key], "%s: %s", pod, key)
		}
	}

	account := "system:serviceaccount:sluice-agent:sluice-agent"
	assert.Equal(t, []string{"get nodes/stats"}, unusedGrants(t, k, "sluice-agent", "sluice-agent"), "granted to %s, but never asked for; no kubelet runs here", account)
	for _, call := range k.AuditLog.Forbidden(t) {
		assert.Equal(t, account+" get nodes/proxy", call, "off-cluster, kubeletstats asks through the API server")
	}
}

// What applications send is enriched by where it comes from, unless it says where it comes from.
func TestK8sAttributesByConnection(t *testing.T) {
	k := startKubernetesWithShop(t)
	podIP, stranger := netns.Addr(t, 5), netns.Addr(t, 6)
	cart := podOfDeployment(t, k, "cart-7d4b9c6f5-x2x8q", podIP)
	sink := harness.StartSink(t, harness.SinkOptions{})
	node := netns.Addr(t, 1)
	agent := tiers.Start(t, k, tiers.Tier{Profile: "agent", Backends: []string{"backends/to-gateway"}, Env: tiers.With(tiers.ToSink(t, sink), map[string]string{
		"OTLP_GRPC_ENDPOINT": net.JoinHostPort(node, "4317"), "OTLP_HTTP_ENDPOINT": net.JoinHostPort(node, "4318"),
	})})

	named := map[string]any{"service.name": "its-own-name", "service.version": "9", "k8s.pod.name": "its-own-pod"}
	want := map[string]map[string]any{}
	for protocol, endpoint := range map[harness.Protocol]string{harness.GRPC: agent.OTLPGRPC, harness.HTTPProtobuf: agent.OTLPHTTP} {
		for _, c := range []struct {
			sender, from string
			sent, want   map[string]any
		}{
			{"a pod", podIP, nil, cart},
			{"a pod that says who it is", podIP, named, overlaid(cart, named)},
			{"a stranger", stranger, map[string]any{"service.name": "its-own-name"}, map[string]any{
				"service.name": "its-own-name", "k8s.cluster.name": "default", "k8s.node.name": "node-1",
			}},
			{"a stranger that names a pod's UID", stranger, map[string]any{"k8s.pod.uid": cart["k8s.pod.uid"]}, cart},
			{"a stranger that names a pod's IP", stranger, map[string]any{"k8s.pod.ip": podIP}, overlaid(cart, map[string]any{"k8s.pod.ip": podIP})},
		} {
			name := fmt.Sprintf("%s over %s", c.sender, protocol)
			client := harness.NewClient(t, endpoint, harness.ClientOptions{Protocol: protocol, LocalAddr: c.from})
			require.NoError(t, client.SendLogs(harness.Logs(harness.Log{Body: name, ResourceAttrs: c.sent})))
			require.NoError(t, client.SendTraces(harness.Traces(harness.Span{TraceID: harness.TraceID(1), Name: name, ResourceAttrs: c.sent})))
			require.NoError(t, client.SendMetrics(harness.Metrics(harness.Sample{Name: name, Value: 1, ResourceAttrs: c.sent})))
			for _, signal := range []string{"logs", "spans", "metrics"} {
				want[signal+" of "+name] = c.want
			}
		}
	}
	got := map[string]map[string]any{}
	proc.Eventually(t, 20*time.Second, func() error {
		for _, r := range sink.LogRecords() {
			got["logs of "+r.Body] = r.Resource
		}
		for _, s := range sink.Spans() {
			got["spans of "+s.Name] = s.Resource
		}
		for _, p := range sink.Points() {
			got["metrics of "+p.Name] = p.Resource
		}
		for name := range want {
			if got[name] == nil {
				return errors.New("no " + name)
			}
		}
		return nil
	}, agent.Proc)
	for name := range want {
		assertResource(t, want[name], got[name], name)
	}
}

// assertResource compares a resource with what it has to be, but for the time when the pod was born.
func assertResource(t *testing.T, want, got map[string]any, name string) {
	t.Helper()
	got = maps.Clone(got)
	if _, ok := want["k8s.deployment.name"]; ok {
		assert.Regexp(t, `^20\d\d-\d\d-\d\dT\d\d:\d\d:\d\dZ$`, got["k8s.pod.start_time"], name)
		delete(got, "k8s.pod.start_time")
	}
	assert.Equal(t, want, got, name)
}

// overlaid is a, with b's entries over it.
func overlaid(a, b map[string]any) map[string]any {
	m := maps.Clone(a)
	maps.Copy(m, b)
	return m
}
