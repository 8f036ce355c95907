//go:build e2e

package backends

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/plog/plogotlp"

	"github.com/sluice-otel/sluice/e2e/proc"
)

const podReader = `
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: pod-reader}
rules: [{apiGroups: [""], resources: [pods], verbs: [get, list, watch]}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: pod-reader}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: pod-reader}
subjects: [{kind: ServiceAccount, namespace: obs, name: reader}]
`

func TestKubernetes(t *testing.T) {
	require.NoError(t, Build("etcd", "kube-apiserver", "kubectl")) // not part of the start time
	start := time.Now()
	k := StartKubernetes(t)
	t.Logf("ready after %s", time.Since(start).Round(100*time.Millisecond))

	t.Run("calls itself what is pinned", func(t *testing.T) {
		root, err := RepoRoot()
		require.NoError(t, err)
		mod, err := os.ReadFile(filepath.Join(root, "e2e", "backends", "kubernetes", "go.mod"))
		require.NoError(t, err)
		version, err := pinned(mod, "k8s.io/kubernetes")
		require.NoError(t, err)
		got := k.Kubectl(t, "", "version")
		require.Contains(t, got, "Client Version: "+version+"\n")
		require.Contains(t, got, "Server Version: "+version+"\n")
	})

	t.Run("a service account may do what its role says", func(t *testing.T) {
		a := k.ServiceAccount(t, "obs", "reader")
		require.Equal(t, http.StatusForbidden, k.get(t, a, "/api/v1/pods"))
		refused := "system:serviceaccount:obs:reader list pods"
		proc.Eventually(t, 10*time.Second, func() error {
			if calls := k.AuditLog.Forbidden(t); !slices.Equal(calls, []string{refused}) {
				return fmt.Errorf("forbidden: %q", calls)
			}
			return nil
		})
		k.Apply(t, podReader)
		proc.Eventually(t, 10*time.Second, func() error { // the authorizer watches roles, so it lags a moment
			if status := k.get(t, a, "/api/v1/pods"); status != http.StatusOK {
				return fmt.Errorf("status %d", status)
			}
			return nil
		})
		k.Pod(t, PodSpec{Namespace: "obs", Name: "idle"})
		require.Equal(t, "pod/idle\n", k.Kubectl(t, "", "get", "pods", "-o", "name", "--kubeconfig="+a.Kubeconfig),
			"the kubeconfig has the token and the namespace")
		token, err := os.ReadFile(a.TokenFile)
		require.NoError(t, err)
		require.Equal(t, a.Token, string(token))
	})

	t.Run("a pod looks like one that a kubelet runs", func(t *testing.T) {
		k.Namespace(t, "shop")
		k.Apply(t, workload("Deployment", "cart", ""))
		k.Apply(t, workload("ReplicaSet", "cart-6d4", k.Owner(t, "shop", "deployment", "cart").UID))
		uid := k.Pod(t, PodSpec{
			Namespace: "shop", Name: "cart-6d4-x2x", Node: "node-7", IP: "10.244.0.9",
			Labels: map[string]string{"app": "cart"}, Annotations: map[string]string{"team": "checkout"},
			OwnerRefs:  []OwnerRef{k.Owner(t, "shop", "replicaset", "cart-6d4")},
			Containers: []Container{{Name: "cart", ID: "containerd://abc", RestartCount: 3, Ports: map[string]int{"metrics": 9090}}},
		})
		var pod podView
		require.NoError(t, json.Unmarshal([]byte(k.Kubectl(t, "", "get", "pod", "-n", "shop", "cart-6d4-x2x", "-o", "json")), &pod))
		require.Equal(t, uid, pod.Metadata.UID)
		require.Equal(t, "node-7", pod.Spec.NodeName)
		require.Equal(t, "Running", pod.Status.Phase)
		require.Equal(t, "10.244.0.9", pod.Status.PodIP)
		require.Equal(t, "127.0.0.1", pod.Status.HostIP)
		require.Len(t, pod.Status.ContainerStatuses, 1)
		require.Equal(t, "containerd://abc", pod.Status.ContainerStatuses[0].ContainerID)
		require.Equal(t, 3, pod.Status.ContainerStatuses[0].RestartCount)
		require.Len(t, pod.Metadata.OwnerReferences, 1)
		owner := pod.Metadata.OwnerReferences[0]
		require.Equal(t, "ReplicaSet", owner.Kind)
		require.True(t, owner.Controller)
		require.NotEmpty(t, owner.UID)
		require.Regexp(t, `^cart-6d4-x2x +1/1 +Running +3`, k.Kubectl(t, "", "get", "pods", "-n", "shop", "--no-headers"))
	})

	t.Run("the target allocator gives a static target to a collector", func(t *testing.T) {
		k.Pod(t, PodSpec{Namespace: "obs", Name: "scraper-0", Labels: map[string]string{"app": "scraper"}})
		require.NoError(t, Build("targetallocator"))
		start := time.Now()
		a := StartTargetAllocator(t, allocatorConfig, k.ServiceAccount(t, "obs", "reader").Kubeconfig)
		t.Logf("ready after %s", time.Since(start).Round(100*time.Millisecond))
		require.Contains(t, fetch(t, a.URL+"/scrape_configs"), `"job_name":"shop"`)
		proc.Eventually(t, 30*time.Second, func() error {
			if got := fetch(t, a.URL+"/jobs/shop/targets?collector_id=scraper-0"); !strings.Contains(got, "10.244.0.9:9090") {
				return fmt.Errorf("targets of scraper-0: %s", got)
			}
			return nil
		}, a.Process)
	})
}

const allocatorConfig = `
collector_namespace: obs
collector_selector: {matchlabels: {app: scraper}}
config:
  scrape_configs:
    - job_name: shop
      static_configs: [{targets: ["10.244.0.9:9090"]}]
`

func TestPrometheus(t *testing.T) {
	require.NoError(t, Build("prometheus"))
	start := time.Now()
	p := StartPrometheus(t, "")
	t.Logf("ready after %s", time.Since(start).Round(100*time.Millisecond))
	require.Equal(t, []Sample{{Value: 42}}, p.Query(t, "42"))
	require.Empty(t, p.Query(t, "up"))
	require.Empty(t, p.Exemplars(t, "up"))

	// OTLP/JSON needs no client library: one counter with an exemplar.
	const traceID = "5b8efff798038103d269b633813fc60c"
	now := time.Now().UnixNano()
	body := fmt.Sprintf(`{"resourceMetrics":[{"resource":{"attributes":[{"key":"service.name","value":{"stringValue":"cart"}}]},
		"scopeMetrics":[{"metrics":[{"name":"orders","sum":{"isMonotonic":true,"aggregationTemporality":2,"dataPoints":[
		{"asInt":"7","timeUnixNano":"%d","exemplars":[{"asInt":"1","timeUnixNano":"%d","traceId":"%s","spanId":"eee19b7ec3c1b174"}]}
		]}}]}]}]}`, now, now, traceID)
	resp, err := http.Post(p.URL+"/api/v1/otlp/v1/metrics", "application/json", strings.NewReader(body))
	require.NoError(t, err)
	resp.Body.Close()
	require.Equal(t, http.StatusOK, resp.StatusCode)
	orders := p.Query(t, "orders_total")
	require.Len(t, orders, 1)
	require.Equal(t, "cart", orders[0].Labels["job"])
	require.InDelta(t, 7, orders[0].Value, 0)
	exemplars := p.Exemplars(t, "orders_total")
	require.Len(t, exemplars, 1)
	require.Equal(t, traceID, exemplars[0].Labels["trace_id"])
	require.WithinDuration(t, time.Unix(0, now), exemplars[0].Time, time.Second)
}

func TestLoki(t *testing.T) {
	require.NoError(t, Build("loki"))
	start := time.Now()
	l := StartLoki(t, LokiOptions{MultiTenant: true, Limits: "max_label_value_length: 10", Overrides: "few:\n  max_global_streams_per_user: 1"})
	t.Logf("ready after %s", time.Since(start).Round(100*time.Millisecond))
	require.Regexp(t, `"version":"\d+\.\d+\.\d+"`, fetch(t, l.URL+"/loki/api/v1/status/buildinfo"))

	status, answer := l.Push(t, lokiLine("cart", "p1", "nobody's"))
	require.Equal(t, http.StatusUnauthorized, status)
	require.Contains(t, answer, "no org id")

	// What one tenant stores, no other one sees.
	shop, few := l.As("shop"), l.As("few")
	f := func(l *Loki, pod, line string, want int) {
		t.Helper()
		status, answer := l.Push(t, lokiLine("cart", pod, line))
		require.Equal(t, want, status, answer)
	}
	f(shop, "p1", `{"a":1}`, http.StatusNoContent)
	f(shop, "p2", "two", http.StatusNoContent)
	f(shop, "a long name", "never seen", http.StatusBadRequest)
	f(few, "p1", "one", http.StatusNoContent)
	f(few, "p2", "never seen", http.StatusTooManyRequests)
	require.Equal(t, map[string]float64{"label_value_too_long": 1, "invalid_labels": 1}, shop.Discarded(t))
	require.Equal(t, map[string]float64{"stream_limit": 1}, few.Discarded(t))
	require.Equal(t, map[string]float64{"label_value_too_long": 1, "invalid_labels": 1, "stream_limit": 1}, l.Discarded(t))

	check := func() {
		t.Helper()
		require.ElementsMatch(t, []map[string]string{
			{"service_name": "cart", "k8s_pod_name": "p1"}, {"service_name": "cart", "k8s_pod_name": "p2"},
		}, shop.Series(t, `{service_name="cart"}`))
		lines := shop.Lines(t, `{service_name="cart"} | json`)
		require.Len(t, lines, 2)
		require.Equal(t, map[string]string{"service_name": "cart", "k8s_pod_name": "p1"}, lines[0].Labels)
		require.Equal(t, map[string]string{"order": "7", "detected_level": "unknown"}, lines[0].Metadata)
		require.Equal(t, map[string]string{"a": "1"}, lines[0].Parsed)
		require.Equal(t, `{"a":1}`, lines[0].Line)
		require.WithinDuration(t, start, lines[0].Time, time.Minute)
		require.Equal(t, []Sample{{Labels: map[string]string{}, Value: 2}}, shop.Query(t, `sum(count_over_time({service_name="cart"}[5m]))`))
		require.Len(t, few.Lines(t, `{service_name="cart"}`), 1)
	}
	check()
	l.Stop(t)
	l.Restart(t)
	check()
}

// lokiLine is a request with one line of a service's pod, as an exporter sends it.
func lokiLine(service, pod, line string) []byte {
	logs := plog.NewLogs()
	resource := logs.ResourceLogs().AppendEmpty()
	resource.Resource().Attributes().PutStr("service.name", service)
	resource.Resource().Attributes().PutStr("k8s.pod.name", pod)
	record := resource.ScopeLogs().AppendEmpty().LogRecords().AppendEmpty()
	record.SetTimestamp(pcommon.NewTimestampFromTime(time.Now()))
	record.Body().SetStr(line)
	record.Attributes().PutInt("order", 7)
	body, _ := plogotlp.NewExportRequestFromLogs(logs).MarshalProto() // it cannot fail
	return body
}

func TestBuildSaysWhatItKnows(t *testing.T) {
	require.ErrorContains(t, Build("grafana"), `no server "grafana"; there are: coredns, etcd, jaeger, kube-apiserver`)
}

type podView struct {
	Metadata struct {
		UID             string
		OwnerReferences []OwnerRef
	}
	Spec   struct{ NodeName string }
	Status struct {
		Phase, PodIP, HostIP string
		ContainerStatuses    []struct {
			ContainerID  string
			RestartCount int
		}
	}
}

// workload is a Deployment, or a ReplicaSet that the Deployment cart owns.
func workload(kind, name, ownerUID string) string {
	owner := ""
	if ownerUID != "" {
		owner = ", ownerReferences: [{apiVersion: apps/v1, kind: Deployment, name: cart, controller: true, uid: " + ownerUID + "}]"
	}
	return fmt.Sprintf(`
apiVersion: apps/v1
kind: %s
metadata: {name: %s, namespace: shop%s}
spec:
  selector: {matchLabels: {app: cart}}
  template:
    metadata: {labels: {app: cart}}
    spec: {containers: [{name: cart, image: "sluice.test/cart:1"}]}
`, kind, name, owner)
}

// get is the status that the API server answers an account with.
func (k *Kubernetes) get(t *testing.T, a *Account, path string) int {
	t.Helper()
	pem, err := os.ReadFile(k.CAFile)
	require.NoError(t, err)
	roots := x509.NewCertPool()
	require.True(t, roots.AppendCertsFromPEM(pem))
	client := http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}, DisableKeepAlives: true}}
	req, err := http.NewRequest("GET", k.URL+path, nil)
	require.NoError(t, err)
	req.Header.Set("Authorization", "Bearer "+a.Token)
	resp, err := client.Do(req)
	require.NoError(t, err)
	resp.Body.Close()
	return resp.StatusCode
}

func fetch(t *testing.T, url string) string {
	t.Helper()
	req, err := http.NewRequest("GET", url, nil)
	require.NoError(t, err)
	body, err := send(http.DefaultClient, req)
	require.NoError(t, err)
	return string(body)
}
