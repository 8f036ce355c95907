//go:build e2e

package e2e

import (
	"fmt"
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

// annotatedPod is a pod with a page of metrics to scrape, or not to. In an annotation %port stands for the page's port.
type annotatedPod struct {
	name        string
	annotations map[string]string
	labels      map[string]string
	ports       []int  // of one container each; the page's when nil
	phase       string // Running when empty
	want        string // "URL every interval", %addr stands for the page's address; nothing when empty
}

var annotatedPods = []annotatedPod{
	{name: "plain", annotations: annotations(), want: "http://%addr/metrics every 1s"},
	{name: "other-port", annotations: annotations("port", "%port"), ports: []int{1}, want: "http://%addr/metrics every 1s"},
	{name: "two-containers", annotations: annotations("port", "%port"), ports: []int{1, 2}, want: "http://%addr/metrics every 1s"},
	{name: "path", annotations: annotations("path", "/custom/stats"), want: "http://%addr/custom/stats every 1s"},
	{name: "https", annotations: annotations("scheme", "https"), want: "https://%addr/metrics every 1s"},
	{name: "ftp", annotations: annotations("scheme", "ftp"), want: "http://%addr/metrics every 1s"},
	{name: "15s", annotations: annotations("interval", "15s"), want: "http://%addr/metrics every 15s"},
	{name: "60s", annotations: annotations("interval", "60s"), want: "http://%addr/metrics every 60s"},
	{name: "1m", annotations: annotations("interval", "1m"), want: "http://%addr/metrics every 1m"},
	{name: "300s", annotations: annotations("interval", "300s"), want: "http://%addr/metrics every 300s"},
	{name: "5m", annotations: annotations("interval", "5m"), want: "http://%addr/metrics every 5m"},
	{name: "7s", annotations: annotations("interval", "7s"), want: "http://%addr/metrics every 1s"},

	{name: "unannotated"},
	{name: "only-a-port", annotations: map[string]string{"prometheus.io/port": "%port"}},
	{name: "false", annotations: map[string]string{"prometheus.io/scrape": "false"}},
	{name: "prometheus-only", annotations: annotations(), labels: map[string]string{"scrape-by": "prometheus-only"}},
	{name: "pending", annotations: annotations(), phase: "Pending"}, // its init containers run
	{name: "succeeded", annotations: annotations(), phase: "Succeeded"},
	{name: "failed", annotations: annotations(), phase: "Failed"},
}

// A pod is scraped when and how its annotations say, and no other pod is: this job without its keep rule would try every
// port of every pod.
func TestScraperAnnotatedPods(t *testing.T) {
	k := tiers.StartKubernetes(t)
	ip := netns.Addr(t, 2)
	cert := k.Certificate(t, "app", ip)
	pages, want := map[string]*metricsPage{}, map[string]string{}
	for _, pod := range annotatedPods {
		if pages[pod.name] = servePage(t, ip, nil); pod.annotations["prometheus.io/scheme"] == "https" {
			pages[pod.name] = servePage(t, ip, &cert)
		}
		pod.create(t, k, pages[pod.name])
		if pod.want != "" {
			want[pod.name] = strings.ReplaceAll(pod.want, "%addr", pages[pod.name].addr)
		}
	}
	pages["init"] = servePage(t, ip, nil)
	createInitPod(t, k, pages["init"])
	want["init"] = "http://" + pages["init"].addr + "/metrics every 1s"
	// Nobody answers there: all there is to see is that the address has its brackets.
	k.Pod(t, backends.PodSpec{Namespace: "shop", Name: "v6", IP: "fd00::7", Annotations: annotations("port", "9090")})
	want["v6"] = "http://[fd00::7]:9090/metrics every 1s"
	// A real collector's own metrics, on an address of its own.
	app := tiers.Start(t, nil, tiers.Tier{
		Name: "app", Profile: "local", Backends: []string{"backends/debug"}, Env: map[string]string{"METRICS_HOST": netns.Addr(t, 3)},
	})
	_, port, _ := strings.Cut(app.MetricsAddr, ":")
	k.Pod(t, backends.PodSpec{Namespace: "shop", Name: "app", Node: "node-7", IP: netns.Addr(t, 3), Annotations: annotations("port", port)})
	want["app"] = "http://" + app.MetricsAddr + "/metrics every 1s"

	started := time.Now()
	// The job has no CA of its own: a pod's certificate is checked against the system's, which this variable names.
	s := startScraper(t, k, map[string]string{"SSL_CERT_FILE": k.CAFile})
	dropped := map[string]bool{}
	proc.Eventually(t, 30*time.Second, func() error {
		got := s.targets(t)
		for _, target := range got.Dropped {
			dropped[target.Found["__meta_kubernetes_pod_name"]] = true
		}
		for _, pod := range annotatedPods { // else it may just not have been found yet
			if pod.want == "" && !dropped[pod.name] {
				return fmt.Errorf("%s is not among the dropped targets", pod.name)
			}
		}
		return same(got.by("kubernetes-pods", "pod"), want)
	}, s.Proc)

	// And it does what it says.
	proc.Eventually(t, 30*time.Second, func() error {
		for name, path := range map[string]string{
			"plain": "/metrics", "other-port": "/metrics", "two-containers": "/metrics", "path": "/custom/stats",
			"https": "/metrics", "ftp": "/metrics", "7s": "/metrics", "init": "/metrics",
		} {
			if n := pages[name].count(path); n < 4 {
				return fmt.Errorf("%s was scraped %d times", name, n)
			}
		}
		return nil
	}, s.Proc)
	for _, pod := range annotatedPods {
		if pod.want == "" {
			assert.Zero(t, pages[pod.name].total(), pod.name)
		}
	}
	for _, name := range []string{"15s", "60s", "300s", "1m", "5m"} {
		assert.LessOrEqual(t, pages[name].total(), mostScrapes(started, 15*time.Second), name)
	}
	require.NoError(t, same(s.targets(t).by("kubernetes-pods", "pod"), want))

	assertPodSeries(t, s, pages["plain"].addr, app)
	assert.Empty(t, k.AuditLog.Forbidden(t), "calls that the shipped role does not allow")
}

// assertPodSeries looks at what the series of the pod plain, and of the pod app that is a collector, say about themselves.
func assertPodSeries(t *testing.T, s *scraper, plainAddr string, app *harness.Collector) {
	t.Helper()
	plain := waitPoint(t, s, "page_size", "plain")
	assert.Equal(t, map[string]any{"namespace": "shop", "pod": "plain", "node": "node-1", "path": "/metrics"}, plain.Attrs)
	assert.Equal(t, "kubernetes-pods", plain.Resource["service.name"])
	assert.Equal(t, plainAddr, plain.Resource["service.instance.id"])
	assert.Equal(t, "default", plain.Resource["k8s.cluster.name"])
	assert.Equal(t, "node-1/shop/plain/c0", fmt.Sprint(plain.Resource["k8s.node.name"], "/", plain.Resource["k8s.namespace.name"], "/",
		plain.Resource["k8s.pod.name"], "/", plain.Resource["k8s.container.name"]), "discovery's names in OpenTelemetry's words")

	// What says who it is itself, as OpenTelemetry SDKs do by target_info, keeps its name: up too, but only while it is up.
	uptime := waitPoint(t, s, "otelcol_process_uptime", "app")
	assert.Equal(t, map[string]any{"namespace": "shop", "pod": "app", "node": "node-7"}, uptime.Attrs)
	assert.Equal(t, "sluice-local", uptime.Resource["service.name"])
	up := waitPoint(t, s, "up", "app", 1)
	assert.Equal(t, "sluice-local", up.Resource["service.name"])
	app.Kill()
	up = waitPoint(t, s, "up", "app", 0)
	assert.Equal(t, "kubernetes-pods", up.Resource["service.name"])
	assert.Equal(t, map[string]any{"namespace": "shop", "pod": "app", "node": "node-7"}, up.Attrs, "what an alert should go by")
}

// waitPoint is the first point of a metric and a pod that a scraper's sink has, with any of the values if there are some.
func waitPoint(t *testing.T, s *scraper, metric, pod string, values ...float64) (point harness.Point) {
	t.Helper()
	s.sink.WaitPoints(t, 30*time.Second, func(points []harness.Point) error {
		i := slices.IndexFunc(points, func(p harness.Point) bool {
			return p.Name == metric && p.Attrs["pod"] == pod && (len(values) == 0 || slices.Contains(values, p.Value))
		})
		if i < 0 {
			return fmt.Errorf("no %s of %s %v among %d points", metric, pod, values, len(points))
		}
		point = points[i]
		return nil
	}, s.Proc)
	return point
}

func (a annotatedPod) create(t *testing.T, k *backends.Kubernetes, p *metricsPage) {
	t.Helper()
	if a.ports == nil {
		a.ports = []int{p.portNumber(t)}
	}
	var containers []backends.Container
	for i, port := range a.ports {
		containers = append(containers, backends.Container{Name: fmt.Sprintf("c%d", i), Ports: map[string]int{"http": port}})
	}
	k.Pod(t, backends.PodSpec{
		Namespace: "shop", Name: a.name, IP: p.ip(), Labels: a.labels, Annotations: withPort(a.annotations, p), Containers: containers,
	})
	if a.phase != "" {
		k.Kubectl(t, "", "patch", "pod", "-n", "shop", a.name, "--subresource=status", "-p", `{"status":{"phase":"`+a.phase+`"}}`)
	}
}

// createInitPod makes a pod that also had an init container, which discovery lists like any other: without a port, it would
// be a target on port 80.
func createInitPod(t *testing.T, k *backends.Kubernetes, p *metricsPage) {
	t.Helper()
	k.Apply(t, `
apiVersion: v1
kind: Pod
metadata: {name: init, namespace: shop, annotations: {prometheus.io/scrape: "true"}}
spec:
  nodeName: node-1
  initContainers: [{name: wait, image: "sluice.test/wait:1"}]
  containers: [{name: app, image: "sluice.test/app:1", ports: [{containerPort: `+p.port()+`}]}]
`)
	k.Kubectl(t, "", "patch", "pod", "-n", "shop", "init", "--subresource=status", "-p",
		`{"status":{"phase":"Running","podIP":"`+p.ip()+`","podIPs":[{"ip":"`+p.ip()+`"}]}}`)
}
