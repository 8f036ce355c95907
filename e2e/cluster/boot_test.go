//go:build e2e

package cluster

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sluice-otel/sluice/e2e/proc"
)

func body(t *testing.T, url string) (string, error) {
	t.Helper()
	client := http.Client{Timeout: 5 * time.Second}
	resp, err := client.Get(url)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %s", url, resp.Status)
	}
	return string(b), err
}

// An application finds a backend by the name of its Service, and its spans arrive there.
func TestSpansFindTheirWayByName(t *testing.T) {
	c := Start(t)
	servers := c.DeployBackends(t)
	c.Namespace(t, "by-name")
	demo := c.DeployDemo(t, "by-name", "shop", DemoOptions{Replicas: 2, Endpoint: "http://jaeger.observability:4318"})
	pods := demo.Pods(t)
	require.Len(t, pods, 2)
	demo.Trace(t, pods[0], "slow", 3)
	demo.Trace(t, pods[0], "error", 5)
	demo.Trace(t, pods[1], "normal", 7)
	proc.Eventually(t, 30*time.Second, func() error {
		if spans := servers.Jaeger.Spans(t, "shop"); len(spans) != 15*3 {
			return fmt.Errorf("%d spans of 15 traces have arrived", len(spans))
		}
		return nil
	})
	counts := demo.Counts(t, pods[0])
	assert.Equal(t, 5, counts.Traces["error"].Acknowledged)
	assert.Zero(t, counts.FailedExports)
	for _, trace := range demo.Traces(t, pods[1]) {
		assert.Equal(t, "normal", trace.Class)
		assert.Equal(t, 3, trace.Acknowledged)
	}
	page, err := body(t, c.Service(t, "by-name", "shop", 8080)+"/metrics")
	require.NoError(t, err)
	assert.Contains(t, page, "demo_traces_total{class=")
	servers.Loki.Series(t, `{service_name="shop"}`) // answers; the cluster's logs are there when Sluice is
	assert.Len(t, servers.Prometheus.Query(t, "vector(1)"), 1)
}

// The names that a StatefulSet's pods have behind a headless Service.
func TestPodsOfStatefulSetsHaveNames(t *testing.T) {
	c := Start(t)
	if !c.Own() {
		t.Skip("NOT TESTED: the name server of another cluster is not within reach")
	}
	c.Namespace(t, "names")
	c.Apply(t, `
apiVersion: v1
kind: Service
metadata: {name: pauses, namespace: names}
spec: {clusterIP: None, selector: {app: pauses}}
---
apiVersion: apps/v1
kind: StatefulSet
metadata: {name: pauses, namespace: names}
spec:
  serviceName: pauses
  replicas: 2
  podManagementPolicy: Parallel
  selector: {matchLabels: {app: pauses}}
  template:
    metadata: {labels: {app: pauses}}
    spec: {containers: [{name: pause, image: "sluice.test/pause:1"}]}
`)
	c.WaitRollout(t, "names", "statefulset/pauses", time.Minute)
	resolver := net.Resolver{PreferGo: true, Dial: func(ctx context.Context, network, _ string) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, network, dnsAddress+":53")
	}}
	for i := range 2 {
		ip := c.Kubectl(t, "-n", "names", "get", "pod", fmt.Sprintf("pauses-%d", i), "-o", "jsonpath={.status.podIP}")
		proc.Eventually(t, 15*time.Second, func() error {
			found, err := resolver.LookupHost(t.Context(), fmt.Sprintf("pauses-%d.pauses.names.svc.cluster.local.", i))
			if err == nil && (len(found) != 1 || found[0] != ip) {
				err = fmt.Errorf("%s, want %s", found, ip)
			}
			return err
		})
	}
	_, err := resolver.LookupHost(t.Context(), "example.com.")
	assert.ErrorContains(t, err, "no such host", "there is nothing beyond the cluster, and whoever asks is told at once")
}

func TestHostPorts(t *testing.T) {
	c := Start(t)
	if !c.Own() {
		t.Skip("NOT TESTED: the nodes of another cluster are not within reach")
	}
	c.LoadProgram(t, DemoImage, filepath.Join(c.dir, "bin", "demo"))
	c.Namespace(t, "host-ports")
	c.Apply(t, `
apiVersion: v1
kind: Pod
metadata: {name: open, namespace: host-ports}
spec:
  containers: [{name: demo, image: "`+DemoImage+`", ports: [{containerPort: 8080, hostPort: 4444}]}]
`)
	c.WaitFor(t, "host-ports", "pod/open", "condition=Ready", time.Minute)
	proc.Eventually(t, 10*time.Second, func() error {
		_, err := body(t, "http://"+net.JoinHostPort(nodeAddress, "4444")+"/healthz")
		return err
	})
}

// What a container prints is on the node as on any other: in pieces of 16 KiB, in files that the kubelet turns.
func TestLogFilesAreTurned(t *testing.T) {
	c := Start(t)
	if !c.Own() {
		t.Skip("NOT TESTED: the files of another cluster's nodes are not within reach")
	}
	c.Namespace(t, "logs")
	demo := c.DeployDemo(t, "logs", "writer", DemoOptions{})
	pod := demo.Pods(t)[0]
	counts := demo.Write(t, pod, 1000)
	assert.Equal(t, 1000, counts.LastLine)
	assert.Equal(t, 10, counts.Lines["long"])
	current, err := filepath.Glob("/var/log/pods/logs_" + pod + "_*/demo/0.log")
	require.NoError(t, err)
	require.Len(t, current, 1)
	proc.Eventually(t, 30*time.Second, func() error {
		turned, err := filepath.Glob(current[0] + ".*")
		if err == nil && len(turned) == 0 {
			err = errors.New("there is only one file")
		}
		return err
	})
	var partial int
	files, err := filepath.Glob(current[0] + "*")
	require.NoError(t, err)
	for _, file := range files {
		text, err := os.ReadFile(file)
		require.NoError(t, err)
		partial += strings.Count(string(text), " stdout P ")
	}
	assert.Equal(t, 10*2, partial, "each long line is three pieces: two that go on, and the end")
	links, err := filepath.Glob("/var/log/containers/" + pod + "_logs_demo-*.log")
	require.NoError(t, err)
	assert.Len(t, links, 1)
}

// The kubelet's certificate is of the authority whose certificate every pod has.
func TestKubeletCanBeVerified(t *testing.T) {
	c := Start(t)
	if !c.Own() {
		t.Skip("NOT TESTED: the nodes of another cluster are not within reach")
	}
	pem := c.Kubectl(t, "-n", "default", "get", "configmap", "kube-root-ca.crt", "-o", `jsonpath={.data.ca\.crt}`)
	roots := x509.NewCertPool()
	require.True(t, roots.AppendCertsFromPEM([]byte(pem)))
	client := http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}}, Timeout: 5 * time.Second}
	resp, err := client.Get("https://" + net.JoinHostPort(nodeAddress, "10250") + "/metrics")
	require.NoError(t, err)
	defer resp.Body.Close()
	assert.Equal(t, http.StatusUnauthorized, resp.StatusCode, "but it wants to know who asks")
}

// What kubeletstats and the cAdvisor job read: the kubelet knows what each pod uses, its network too.
func TestKubeletCountsWhatPodsUse(t *testing.T) {
	c := Start(t)
	if !c.Own() {
		t.Skip("NOT TESTED: what runs on another cluster's nodes is not known")
	}
	proc.Eventually(t, time.Minute, func() error {
		var summary struct {
			Pods []struct {
				PodRef  struct{ Name, Namespace string }
				Network *struct{ RxBytes int }
				Memory  *struct{ WorkingSetBytes int }
				CPU     *struct{ UsageCoreNanoSeconds int }
			}
		}
		text := c.Kubectl(t, "get", "--raw", "/api/v1/nodes/"+NodeName+"/proxy/stats/summary")
		require.NoError(t, json.Unmarshal([]byte(text), &summary))
		for _, p := range summary.Pods {
			if strings.HasPrefix(p.PodRef.Name, "coredns-") && p.Network != nil && p.Network.RxBytes > 0 &&
				p.Memory != nil && p.Memory.WorkingSetBytes > 0 && p.CPU != nil && p.CPU.UsageCoreNanoSeconds > 0 {
				return nil
			}
		}
		return fmt.Errorf("coredns is not among them, or uses nothing: %+v", summary)
	})
	page := c.Kubectl(t, "get", "--raw", "/api/v1/nodes/"+NodeName+"/proxy/metrics/cadvisor")
	for _, series := range []string{
		`container_memory_working_set_bytes\{container="coredns",`, `container_cpu_usage_seconds_total\{container="coredns",`,
		`container_network_receive_bytes_total\{container="",[^}]*pod="coredns-`,
	} {
		assert.Regexp(t, series, page)
	}
}

func TestPodSecurityIsEnforced(t *testing.T) {
	c := Start(t)
	c.Apply(t, `{apiVersion: v1, kind: Namespace, metadata: {name: strict, labels: {pod-security.kubernetes.io/enforce: restricted}}}`)
	t.Cleanup(func() { _, _ = c.TryKubectl("", "delete", "namespace", "strict", "--wait=false") })
	_, err := c.TryKubectl(`
apiVersion: v1
kind: Pod
metadata: {name: loose, namespace: strict}
spec: {containers: [{name: pause, image: "sluice.test/pause:1"}]}
`, "create", "-f", "-")
	assert.ErrorContains(t, err, `violates PodSecurity "restricted:latest"`)
}

func TestRefusedCallsAreInTheAuditLog(t *testing.T) {
	c := Start(t)
	c.AuditLog(t)
	_, err := c.TryKubectl("", "get", "secrets", "-n", "kube-system", "--as=somebody")
	require.Error(t, err)
	proc.Eventually(t, 10*time.Second, func() error {
		for _, call := range c.AuditLog(t).Forbidden(t) {
			if call == "admin list secrets" { // who asked for somebody else
				return nil
			}
		}
		return errors.New("it is not there")
	})
}

// A volume belongs to the group that its pod asks for, and goes away with its claim.
func TestVolumes(t *testing.T) {
	c := Start(t)
	if !c.Own() {
		t.Skip("NOT TESTED: another cluster's volumes are its own")
	}
	c.Namespace(t, "volumes")
	c.Apply(t, `
apiVersion: v1
kind: PersistentVolumeClaim
metadata: {name: data, namespace: volumes}
spec: {accessModes: [ReadWriteOnce], resources: {requests: {storage: 1Mi}}}
---
apiVersion: v1
kind: Pod
metadata: {name: user, namespace: volumes}
spec:
  securityContext: {fsGroup: 4242}
  terminationGracePeriodSeconds: 1
  containers: [{name: pause, image: "sluice.test/pause:1", volumeMounts: [{name: data, mountPath: /data}]}]
  volumes: [{name: data, persistentVolumeClaim: {claimName: data}}]
`)
	c.WaitFor(t, "volumes", "pod/user", "condition=Ready", time.Minute)
	volume := c.Kubectl(t, "-n", "volumes", "get", "persistentvolumeclaim", "data", "-o", "jsonpath={.spec.volumeName}")
	dir := filepath.Join(volumeDir, volume)
	require.Equal(t, 4242, groupOf(t, dir))
	c.Kubectl(t, "-n", "volumes", "delete", "pod/user", "persistentvolumeclaim/data", "--timeout=60s")
	proc.Eventually(t, 30*time.Second, func() error {
		if _, err := os.Stat(dir); !errors.Is(err, os.ErrNotExist) {
			return fmt.Errorf("%s: %v", dir, err) //nolint:errorlint // nil, too
		}
		return nil
	})
}
