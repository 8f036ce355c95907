//go:build e2e

package kubernetes

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sluice-otel/sluice/e2e/backends"
	"github.com/sluice-otel/sluice/e2e/proc"
)

// shop has what somebody wants scraped, as controllers and a kubelet would have written it down. Nothing is reached: who scrapes what is
// decided before.
func shop(t *testing.T, k *backends.Kubernetes) {
	t.Helper()
	pod := func(name, node, ip string, labels, annotations map[string]string) {
		k.Pod(t, backends.PodSpec{
			Namespace: "shop", Name: name, Node: node, IP: ip, Labels: labels, Annotations: annotations,
			Containers: []backends.Container{{Name: "app", Ports: map[string]int{"http": 8080}}},
		})
	}
	scrape := map[string]string{"prometheus.io/scrape": "true"}
	only := map[string]string{"scrape-by": "prometheus-only"}
	pod("web-1", "node-1", "10.1.1.1", map[string]string{"app": "web"}, nil)
	pod("web-2", "node-2", "10.1.2.1", map[string]string{"app": "web"}, nil)
	pod("batch", "node-2", "10.1.2.2", map[string]string{"app": "batch"}, nil)
	pod("annotated", "node-1", "10.1.1.3", nil, scrape)
	pod("annotated-only", "node-1", "10.1.1.4", only, map[string]string{"prometheus.io/scrape": "true", "prometheus.io/port": "9999", "prometheus.io/path": "/stats"})
	pod("labeled-only", "node-1", "10.1.1.5", only, nil)

	var manifests strings.Builder
	service := func(name string, labels, annotations map[string]string, endpoints ...map[string]any) {
		for _, o := range []map[string]any{
			{
				"apiVersion": "v1", "kind": "Service", "metadata": map[string]any{"name": name, "namespace": "shop", "labels": labels, "annotations": annotations},
				"spec": map[string]any{"ports": []any{map[string]any{"name": "http", "port": 80}}},
			},
			{
				"apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": "IPv4", "endpoints": endpoints,
				"metadata": map[string]any{"name": name + "-x7k", "namespace": "shop", "labels": map[string]any{"kubernetes.io/service-name": name, "app": name}},
				"ports":    []any{map[string]any{"name": "http", "port": 8080}},
			},
		} {
			text, err := json.Marshal(o)
			require.NoError(t, err)
			fmt.Fprintf(&manifests, "---\n%s\n", text)
		}
	}
	endpoint := func(ip, node, pod string) map[string]any {
		e := map[string]any{"addresses": []string{ip}, "conditions": map[string]any{"ready": true}}
		if pod != "" {
			e["nodeName"], e["targetRef"] = node, map[string]any{"kind": "Pod", "namespace": "shop", "name": pod}
		}
		return e
	}
	service("web", map[string]string{"app": "web"}, nil, endpoint("10.1.1.1", "node-1", "web-1"), endpoint("10.1.2.1", "node-2", "web-2"))
	service("database", map[string]string{"app": "database"}, nil, endpoint("10.9.9.9", "", "")) // outside of the cluster
	service("meter", map[string]string{"app": "meter", "scrape-by": "prometheus-only"}, scrape, endpoint("10.1.1.5", "node-1", "labeled-only"))
	k.Apply(t, manifests.String())
}

const monitors = `
apiVersion: monitoring.coreos.com/v1
kind: ServiceMonitor
metadata: {name: web, namespace: shop}
spec: {selector: {matchLabels: {app: web}}, endpoints: [{port: http}], attachMetadata: {node: true}}
---
apiVersion: monitoring.coreos.com/v1
kind: ServiceMonitor
metadata: {name: database, namespace: shop}
spec: {selector: {matchLabels: {app: database}}, endpoints: [{port: http, interval: 15s}]}
---
apiVersion: monitoring.coreos.com/v1
kind: PodMonitor
metadata: {name: batch, namespace: shop}
spec: {selector: {matchLabels: {app: batch}}, podMetricsEndpoints: [{port: http}]}
---
apiVersion: monitoring.coreos.com/v1
kind: ServiceMonitor
metadata: {name: meter, namespace: shop, labels: {scrape-by: prometheus-only}}
spec: {selector: {matchLabels: {app: meter}}, endpoints: [{port: http}]}
---
apiVersion: monitoring.coreos.com/v1
kind: PodMonitor
metadata: {name: meter, namespace: shop, labels: {scrape-by: prometheus-only}}
spec: {selector: {matchLabels: {scrape-by: prometheus-only}}, podMetricsEndpoints: [{port: http}]}
---
apiVersion: monitoring.coreos.com/v1
kind: ServiceMonitor
metadata: {name: secret, namespace: shop}
spec: {selector: {matchLabels: {app: web}}, endpoints: [{port: http, authorization: {credentials: {name: web, key: token}}}]}
`

// The allocator as it is shipped, with its role and its configuration, gives each target of a monitor to one scraper, but for those
// that are Prometheus'; as the component per-node has it, to the agent of the target's node.
func TestTheTargetAllocatorGivesTargetsAway(t *testing.T) {
	if testing.Short() {
		t.Skip("needs the Target Allocator, which `make test` does not build")
	}
	k := backends.StartKubernetes(t)
	k.Namespace(t, "sluice") // without Pod Security: the pods below are not like those that are shipped
	k.ApplyFile(t, filepath.Join("tiers", "targetallocator", "rbac.yaml"))
	account := k.ServiceAccount(t, "sluice", "sluice-targetallocator")
	// Without the CRDs it is ready, and has nothing.
	a := backends.StartTargetAllocator(t, render(t, "lgtm").get(t, "ConfigMap", "sluice", "sluice-targetallocator").Data["targetallocator.yaml"], account.Kubeconfig)
	var none map[string]any
	getJSON(t, a.URL+"/scrape_configs", &none)
	assert.Empty(t, none)

	crds, err := backends.MonitorCRDs()
	require.NoError(t, err)
	for _, kind := range []string{"servicemonitors", "podmonitors", "probes", "scrapeconfigs"} {
		k.ApplyFile(t, filepath.Join(crds, "monitoring.coreos.com_"+kind+".yaml"))
		proc.Eventually(t, 30*time.Second, func() error {
			out, err := kubectl(t, k, "", "get", kind+".monitoring.coreos.com")
			if err != nil {
				return fmt.Errorf("%w: %s", err, out)
			}
			return nil
		})
	}
	shop(t, k)
	k.Apply(t, monitors)
	for i, node := range []string{"node-1", "node-2"} {
		for _, tier := range []struct{ namespace, component, name string }{
			{"sluice", "scraper", fmt.Sprintf("sluice-scraper-%d", i)},
			{"sluice", "gateway", fmt.Sprintf("sluice-gateway-%d", i)},
			{"sluice-agent", "agent", "agent-" + node},
		} {
			collector(t, k, tier.namespace, tier.component, tier.name, node)
		}
	}

	ask := func(variant string, collectors ...string) map[string]string {
		config := render(t, variant).get(t, "ConfigMap", "sluice", "sluice-targetallocator").Data["targetallocator.yaml"]
		a := backends.StartTargetAllocator(t, config, account.Kubeconfig)
		jobs := []string{"podMonitor/shop/batch/0", "serviceMonitor/shop/database/0", "serviceMonitor/shop/web/0"}
		var given map[string]string // target: collectors
		proc.Eventually(t, time.Minute, func() error {
			var got map[string]any
			getJSON(t, a.URL+"/jobs", &got)
			given = map[string]string{}
			for _, job := range jobs {
				for _, c := range collectors {
					var groups []struct{ Targets []string }
					getJSON(t, a.URL+"/jobs/"+url.QueryEscape(job)+"/targets?collector_id="+c, &groups)
					for _, g := range groups {
						for _, target := range g.Targets {
							given[target] += c
						}
					}
				}
			}
			if len(given) != 4 {
				return fmt.Errorf("targets given away: %v of jobs %v", given, got)
			}
			return nil
		}, a.Process)
		var configs map[string]struct {
			Interval string `json:"scrape_interval"`
		}
		getJSON(t, a.URL+"/scrape_configs", &configs)
		got := map[string]string{}
		for job, c := range configs {
			got[job] = c.Interval
		}
		assert.Equal(t, map[string]string{jobs[0]: "1m", jobs[1]: "15s", jobs[2]: "1m"}, got, "not Prometheus' monitors, not the one with a secret; 60s is the default")
		return given
	}

	for target, collectors := range ask("lgtm", "sluice-scraper-0", "sluice-scraper-1", "sluice-gateway-0", "agent-node-1", "agent-node-2") {
		assert.Contains(t, []string{"sluice-scraper-0", "sluice-scraper-1"}, collectors, "one scraper has %s", target)
	}
	given := ask("components", "agent-node-1", "agent-node-2", "sluice-scraper-0")
	assert.Equal(t, "agent-node-1", given["10.1.1.1:8080"])
	assert.Equal(t, "agent-node-2", given["10.1.2.1:8080"])
	assert.Equal(t, "agent-node-2", given["10.1.2.2:8080"])
	assert.Contains(t, []string{"agent-node-1", "agent-node-2"}, given["10.9.9.9:8080"], "without a node")

	// Nothing that it asks for is missing but the secret, and nothing that it may do is more than it does.
	const user = "system:serviceaccount:sluice:sluice-targetallocator"
	assert.Equal(t, []string{user + " get secrets"}, k.AuditLog.Forbidden(t))
	grants := backends.Grants(t, k.Kubectl(t, "", "get", backends.RolesAndBindings, "--all-namespaces", "-o", "json"), "sluice", "sluice-targetallocator")
	assert.Contains(t, grants, "watch servicemonitors.monitoring.coreos.com")
	assert.Empty(t, k.AuditLog.Unused(t, user, grants))
}

// A Prometheus beside Sluice scrapes Sluice and what the scraper leaves to it.
func TestThePrometheusExample(t *testing.T) {
	if testing.Short() {
		t.Skip("needs Prometheus, which `make test` does not build")
	}
	config := read(t, "deploy/kubernetes/examples/prometheus.yaml")
	k := backends.StartKubernetes(t)
	shop(t, k)
	collector(t, k, "sluice-agent", "agent", "agent-node-1", "node-1")
	collector(t, k, "sluice", "gateway", "sluice-gateway-0", "node-1")
	collector(t, k, "sluice", "targetallocator", "sluice-targetallocator-0", "node-1")
	k.ApplyFile(t, filepath.Join("tiers", "scraper", "rbac.yaml"))
	k.Apply(t, `{apiVersion: rbac.authorization.k8s.io/v1, kind: ClusterRoleBinding, metadata: {name: prometheus},
		roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: sluice-scraper},
		subjects: [{kind: ServiceAccount, name: prometheus, namespace: observability}]}`)
	account := k.ServiceAccount(t, "observability", "prometheus")
	for _, role := range []string{"pod", "endpointslice"} {
		config = strings.ReplaceAll(config, "- role: "+role+"\n", "- role: "+role+"\n        kubeconfig_file: "+account.Kubeconfig+"\n")
	}
	p := backends.StartPrometheus(t, config)
	want := []string{
		"prometheus-only-endpoints http://10.1.1.5:8080/metrics",
		"prometheus-only-pods http://10.1.1.4:9999/stats",
		"sluice http://10.2.0.1:8888/metrics agent",
		"sluice http://10.2.0.2:8888/metrics gateway",
		"sluice http://10.2.0.3:8080/metrics targetallocator",
	}
	proc.Eventually(t, 30*time.Second, func() error {
		var answer struct {
			Data struct {
				ActiveTargets []struct {
					ScrapePool, ScrapeURL string
					Labels                map[string]string
				}
			}
		}
		getJSON(t, p.URL+"/api/v1/targets?state=active", &answer)
		var got []string
		for _, target := range answer.Data.ActiveTargets {
			got = append(got, strings.TrimSpace(target.ScrapePool+" "+target.ScrapeURL+" "+target.Labels["component"]))
		}
		slices.Sort(got)
		if !slices.Equal(want, got) {
			return fmt.Errorf("targets %q", got)
		}
		return nil
	}, p.Process)
	assert.Empty(t, k.AuditLog.Forbidden(t))

	// What lgtm.yaml asks of Prometheus is in the example.
	asks := strings.Join(strings.Fields(strings.ReplaceAll(read(t, "configs/backends/lgtm.yaml"), "\n#", "\n")), " ")
	has := strings.Join(strings.Fields(config), " ")
	i := strings.Index(asks, "promote_resource_attributes:")
	list := asks[i : i+strings.Index(asks[i:], "]")+1]
	assert.Greater(t, strings.Count(list, ","), 15)
	assert.Contains(t, has, list)
	assert.Contains(t, asks, "out_of_order_time_window: 1h")
	assert.Contains(t, has, "out_of_order_time_window: 1h")
}

// collector makes a pod of a workload that is running.
func collector(t *testing.T, k *backends.Kubernetes, namespace, component, name, node string) {
	t.Helper()
	all := render(t, "lgtm")
	i := slices.IndexFunc(all.workloads(), func(w object) bool { return w.component() == component })
	require.GreaterOrEqual(t, i, 0)
	w := all.workloads()[i]
	c := w.Spec.Template.Spec.Containers[0]
	ports := map[string]int{}
	for _, p := range c.Ports {
		ports[p.Name] = p.ContainerPort
	}
	ip := map[string]string{"agent": "10.2.0.1", "gateway": "10.2.0.2", "targetallocator": "10.2.0.3", "scraper": "10.2.0.4"}[component]
	k.Pod(t, backends.PodSpec{
		Namespace: namespace, Name: name, Node: node, IP: ip, Labels: w.Spec.Template.Metadata.Labels,
		Containers: []backends.Container{{Name: c.Name, Ports: ports}},
	})
}

func getJSON(t *testing.T, url string, v any) {
	t.Helper()
	resp, err := http.Get(url)
	require.NoError(t, err)
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	require.NoError(t, json.Unmarshal(body, v), "%s: %s", url, body)
}
