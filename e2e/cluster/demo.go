package cluster

import (
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// DemoImage is the application in demo/.
const DemoImage = "sluice.test/demo:1"

// Demo is a Deployment of the application.
type Demo struct {
	Namespace, Name string

	c *Cluster
}

// DemoOptions say what a Demo does. The zero values are one replica that does what it is asked for.
type DemoOptions struct {
	Replicas        int
	LinesPerSecond  float64
	TracesPerSecond float64
	Environment     string // deployment.environment.name of its spans; production when empty
	Endpoint        string // where the spans go; port 4318 of the node when empty
	Nameless        bool   // its spans do not say which pod they are of
	Labels          map[string]string
	Annotations     map[string]string // of the pods
}

// DeployDemo runs the application in a namespace that is there, with a Service of its name at port 8080, and waits until it is ready.
func (c *Cluster) DeployDemo(tb testing.TB, namespace, name string, o DemoOptions) *Demo {
	tb.Helper()
	c.LoadProgram(tb, DemoImage, filepath.Join(c.dir, "bin", "demo"))
	manifests, err := json.Marshal(object{"apiVersion": "v1", "kind": "List", "items": []object{o.deployment(namespace, name), {
		"apiVersion": "v1", "kind": "Service", "metadata": object{"name": name, "namespace": namespace, "labels": object{"app": name}},
		"spec": object{"selector": object{"app": name}, "ports": []object{{"name": "http", "port": 8080}}},
	}}})
	if err != nil {
		tb.Fatal(err)
	}
	c.Apply(tb, string(manifests))
	c.WaitRollout(tb, namespace, "deployment/"+name, 2*time.Minute)
	return &Demo{Namespace: namespace, Name: name, c: c}
}

func (o DemoOptions) deployment(namespace, name string) object {
	labels := map[string]string{"app": name}
	for k, v := range o.Labels {
		labels[k] = v
	}
	endpoint := cmp.Or(o.Endpoint, "http://$(HOST_IP):4318")
	attributes := "deployment.environment.name=" + cmp.Or(o.Environment, "production")
	if !o.Nameless {
		attributes += ",k8s.pod.uid=$(POD_UID)"
	}
	field := func(name, path string) object {
		return object{"name": name, "valueFrom": object{"fieldRef": object{"fieldPath": path}}}
	}
	return object{
		"apiVersion": "apps/v1", "kind": "Deployment", "metadata": object{"name": name, "namespace": namespace},
		"spec": object{
			"replicas": max(o.Replicas, 1), "selector": object{"matchLabels": object{"app": name}},
			"template": object{
				"metadata": object{"labels": labels, "annotations": o.Annotations},
				"spec": object{
					"automountServiceAccountToken": false,
					"securityContext":              object{"runAsUser": 65532, "runAsNonRoot": true, "seccompProfile": object{"type": "RuntimeDefault"}},
					"containers": []object{{
						"name": "demo", "image": DemoImage, "ports": []object{{"name": "http", "containerPort": 8080}},
						"env": []object{
							field("POD_NAME", "metadata.name"),
							field("POD_UID", "metadata.uid"),
							field("HOST_IP", "status.hostIP"),
							{"name": "OTEL_EXPORTER_OTLP_ENDPOINT", "value": endpoint},
							{"name": "OTEL_SERVICE_NAME", "value": name},
							{"name": "OTEL_RESOURCE_ATTRIBUTES", "value": attributes},
							{"name": "DEMO_LINES_PER_SECOND", "value": fmt.Sprint(o.LinesPerSecond)},
							{"name": "DEMO_TRACES_PER_SECOND", "value": fmt.Sprint(o.TracesPerSecond)},
						},
						"readinessProbe":  object{"httpGet": object{"path": "/healthz", "port": "http"}, "periodSeconds": 1},
						"resources":       object{"requests": object{"cpu": "10m", "memory": "16Mi"}},
						"securityContext": object{"allowPrivilegeEscalation": false, "capabilities": object{"drop": []string{"ALL"}}, "readOnlyRootFilesystem": true},
					}},
				},
			},
		},
	}
}

// DemoCounts is what one container has made since it started.
type DemoCounts struct {
	Pod           string
	Run           string         // tells the starts of a container apart, and is in every line
	LastLine      int            `json:"last_line"` // the lines of this run are 1 to this
	Lines         map[string]int // by kind: json, plain, long
	Traces        map[string]struct{ Made, Acknowledged int }
	FailedExports int `json:"failed_exports"`
}

// DemoTrace is a trace that the application made.
type DemoTrace struct {
	ID           string
	Class        string // error, slow or normal
	Spans        int
	Acknowledged int // spans that the agent has taken
}

// Pods are the names of its pods that run.
func (d *Demo) Pods(tb testing.TB) []string {
	tb.Helper()
	return strings.Fields(d.c.Kubectl(tb, "-n", d.Namespace, "get", "pods", "-l", "app="+d.Name, "--field-selector=status.phase=Running",
		"-o", `jsonpath={.items[*].metadata.name}`))
}

// Counts asks a pod.
func (d *Demo) Counts(tb testing.TB, pod string) DemoCounts {
	tb.Helper()
	var counts DemoCounts
	d.ask(tb, pod, http.MethodGet, "/counts", &counts)
	return counts
}

// Traces asks a pod.
func (d *Demo) Traces(tb testing.TB, pod string) []DemoTrace {
	tb.Helper()
	var traces []DemoTrace
	d.ask(tb, pod, http.MethodGet, "/traces", &traces)
	return traces
}

// DemoScrapes are the scrapes of a pod's path /scraped. Each had the same value in all of its samples, the scrape's number from 1.
type DemoScrapes struct {
	Served       int
	Acknowledged []int // those that the scraper has given away
}

// Scrapes asks a pod.
func (d *Demo) Scrapes(tb testing.TB, pod string) DemoScrapes {
	tb.Helper()
	var scrapes DemoScrapes
	d.ask(tb, pod, http.MethodGet, "/scraped/acknowledged", &scrapes)
	return scrapes
}

// Write makes a pod write n lines, and returns what it has written then.
func (d *Demo) Write(tb testing.TB, pod string, n int) DemoCounts {
	tb.Helper()
	var counts DemoCounts
	d.ask(tb, pod, http.MethodPost, fmt.Sprintf("/lines?n=%d", n), &counts)
	return counts
}

// Trace makes a pod send n traces of a class.
func (d *Demo) Trace(tb testing.TB, pod, class string, n int) DemoCounts {
	tb.Helper()
	var counts DemoCounts
	d.ask(tb, pod, http.MethodPost, fmt.Sprintf("/traces?class=%s&n=%d", class, n), &counts)
	return counts
}

func (d *Demo) ask(tb testing.TB, pod, method, path string, into any) {
	tb.Helper()
	base := d.c.Pod(tb, d.Namespace, pod, 8080)
	req, err := http.NewRequest(method, base+path, nil)
	if err != nil {
		tb.Fatal(err)
	}
	client := http.Client{Timeout: time.Minute}
	resp, err := client.Do(req)
	if err != nil {
		tb.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		tb.Fatal(err)
	}
	if resp.StatusCode != http.StatusOK {
		tb.Fatalf("%s %s: %s: %s", method, path, resp.Status, body)
	}
	if err := json.Unmarshal(body, into); err != nil {
		tb.Fatal(err)
	}
}
