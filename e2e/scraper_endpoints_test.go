//go:build e2e

package e2e

import (
	"encoding/json"
	"fmt"
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

// annotatedService is a Service with one endpoint, which has a page of metrics to scrape, or not to. In an annotation
// %port stands for the page's port.
type annotatedService struct {
	name        string
	annotations map[string]string
	labels      map[string]string
	port        string // of the Service; the page's when empty
	ready       string // the endpoint's condition; unknown when empty
	pod         *backends.PodSpec
	want        string // "URL every interval", %addr stands for the page's address; nothing when empty
}

var annotatedServices = []annotatedService{
	{name: "plain", annotations: annotations(), ready: "true", pod: somePod, want: "http://%addr/metrics every 1s"},
	{name: "all", annotations: annotations("port", "%port", "path", "/stats", "interval", "15s"), port: "1", ready: "true", pod: somePod, want: "http://%addr/stats every 15s"},
	{name: "no-tier", annotations: annotations("interval", "7s"), ready: "true", pod: somePod, want: "http://%addr/metrics every 1s"},
	{name: "https", annotations: annotations("scheme", "https"), ready: "true", pod: somePod, want: "https://%addr/metrics every 1s"},
	{name: "ready-unknown", annotations: annotations(), pod: somePod, want: "http://%addr/metrics every 1s"}, // counts as ready
	{name: "no-pod", annotations: annotations(), ready: "true", want: "http://%addr/metrics every 1s"},

	{name: "unannotated", ready: "true", pod: somePod},
	{name: "false", annotations: map[string]string{"prometheus.io/scrape": "false"}, ready: "true", pod: somePod},
	{name: "prometheus-only", annotations: annotations(), labels: map[string]string{"scrape-by": "prometheus-only"}, ready: "true", pod: somePod},
	{name: "prometheus-only-pod", annotations: annotations(), ready: "true", pod: &backends.PodSpec{Labels: map[string]string{"scrape-by": "prometheus-only"}}},
	{name: "not-ready", annotations: annotations(), ready: "false", pod: somePod},
	{name: "not-ready-port", annotations: annotations("port", "%port"), port: "1", ready: "false", pod: somePod},
	// That it is scraped once, by the job for pods, is seen below.
	{name: "itself", annotations: annotations(), ready: "true", pod: &backends.PodSpec{Annotations: annotations("port", "%port")}},
}

var somePod = &backends.PodSpec{}

// An annotated Service gives its ready endpoints, each once, how the annotations say.
func TestScraperAnnotatedEndpoints(t *testing.T) {
	k := tiers.StartKubernetes(t)
	ip := netns.Addr(t, 2)
	cert := k.Certificate(t, "app", ip)
	k.Namespace(t, "shop")
	var manifests strings.Builder
	pages, want := map[string]*metricsPage{}, map[string]string{}
	for _, svc := range annotatedServices {
		p := servePage(t, ip, nil)
		if svc.annotations["prometheus.io/scheme"] == "https" {
			p = servePage(t, ip, &cert)
		}
		pages[svc.name] = p
		svc.create(t, k, p, &manifests)
		if svc.want != "" {
			want[svc.name] = strings.ReplaceAll(svc.want, "%addr", p.addr)
		}
	}
	k.Apply(t, manifests.String())

	started := time.Now()
	s := startScraper(t, k, map[string]string{"SSL_CERT_FILE": k.CAFile})
	dropped := map[string]bool{}
	proc.Eventually(t, 30*time.Second, func() error {
		got := s.targets(t)
		for _, target := range got.Dropped {
			if target.Job == "kubernetes-service-endpoints" {
				dropped[target.Found["__meta_kubernetes_service_name"]] = true
			}
		}
		for _, svc := range annotatedServices {
			if svc.want == "" && !dropped[svc.name] {
				return fmt.Errorf("%s is not among the dropped targets", svc.name)
			}
		}
		return same(got.by("kubernetes-service-endpoints", "service"), want)
	}, s.Proc)
	itself := map[string]string{"itself": "http://" + pages["itself"].addr + "/metrics every 1s"}
	require.NoError(t, same(s.targets(t).by("kubernetes-pods", "pod"), itself))

	proc.Eventually(t, 30*time.Second, func() error {
		for _, name := range []string{"plain", "no-tier", "https", "ready-unknown", "no-pod", "itself"} {
			if n := pages[name].count("/metrics"); n < 4 {
				return fmt.Errorf("%s was scraped %d times", name, n)
			}
		}
		return nil
	}, s.Proc)
	for _, svc := range annotatedServices {
		if svc.want == "" && svc.name != "itself" {
			assert.Zero(t, pages[svc.name].total(), svc.name)
		}
	}
	assert.LessOrEqual(t, pages["all"].total(), mostScrapes(started, 15*time.Second), "it asks for 15s")
	require.NoError(t, same(s.targets(t).by("kubernetes-service-endpoints", "service"), want))

	attrs := map[string]map[string]any{
		"plain":  {"namespace": "shop", "service": "plain", "pod": "plain", "path": "/metrics"},
		"no-pod": {"namespace": "shop", "service": "no-pod", "path": "/metrics"},
		"itself": {"namespace": "shop", "pod": "itself", "node": "node-1", "path": "/metrics"},
	}
	s.sink.WaitPoints(t, 30*time.Second, func(points []harness.Point) error {
		seen := 0
		for name, want := range attrs {
			for _, p := range points {
				if p.Name == "page_size" && p.Resource["service.instance.id"] == pages[name].addr {
					assert.Equal(t, want, p.Attrs)
					seen++
					break
				}
			}
		}
		if seen < len(attrs) {
			return fmt.Errorf("series of %d of %d targets", seen, len(attrs))
		}
		return nil
	}, s.Proc)
	assert.Empty(t, k.AuditLog.Forbidden(t), "calls that the shipped role does not allow")
}

// create makes the endpoint's pod, and writes the Service and the EndpointSlice down.
func (a annotatedService) create(t *testing.T, k *backends.Kubernetes, p *metricsPage, manifests *strings.Builder) {
	t.Helper()
	type object = map[string]any
	endpoint, servicePort := object{"addresses": []string{p.ip()}, "conditions": object{}}, p.portNumber(t)
	if a.port == "1" {
		servicePort = 1
	}
	if a.ready != "" {
		endpoint["conditions"] = object{"ready": a.ready == "true"}
	}
	if a.pod != nil {
		endpoint["targetRef"] = object{"kind": "Pod", "namespace": "shop", "name": a.name}
		pod := *a.pod
		pod.Namespace, pod.Name, pod.IP = "shop", a.name, p.ip()
		pod.Annotations = withPort(pod.Annotations, p)
		// Port 2 is none of the Service's, but discovery makes a target of it all the same, and without a word about
		// whether the endpoint is ready.
		pod.Containers = []backends.Container{{Name: "app", Ports: map[string]int{"http": p.portNumber(t), "admin": 2}}}
		k.Pod(t, pod)
	}
	meta := object{"name": a.name, "namespace": "shop", "labels": a.labels, "annotations": withPort(a.annotations, p)}
	for _, o := range []object{
		{"apiVersion": "v1", "kind": "Service", "metadata": meta, "spec": object{"ports": []object{{"name": "http", "port": 80}}}},
		{
			"apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": "IPv4",
			"metadata": object{"name": a.name + "-x7k", "namespace": "shop", "labels": object{"kubernetes.io/service-name": a.name}},
			"ports":    []object{{"name": "http", "port": servicePort}}, "endpoints": []object{endpoint},
		},
	} {
		b, err := json.Marshal(o)
		require.NoError(t, err)
		fmt.Fprintf(manifests, "---\n%s\n", b)
	}
}
