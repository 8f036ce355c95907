package cluster

import (
	"fmt"
	"net"
	"regexp"
	"strconv"
	"testing"
	"time"

	"github.com/sluice-otel/sluice/e2e/backends"
	"github.com/sluice-otel/sluice/e2e/proc"
)

// Service is the address of a Service's port for tests, http://host:port, as soon as somebody listens there: a pod that is ready is not known to
// kube-proxy yet.
func (c *Cluster) Service(tb testing.TB, namespace, name string, port int) string {
	tb.Helper()
	if c.node == nil {
		return c.forward(tb, namespace, "service/"+name, port)
	}
	ip := c.Kubectl(tb, "-n", namespace, "get", "service", name, "-o", "jsonpath={.spec.clusterIP}")
	if net.ParseIP(ip) == nil {
		tb.Fatalf("service %s/%s has no address of its own: %q", namespace, name, ip)
	}
	address := net.JoinHostPort(ip, strconv.Itoa(port))
	proc.Eventually(tb, time.Minute, func() error {
		conn, err := net.DialTimeout("tcp", address, 5*time.Second)
		if err != nil {
			return fmt.Errorf("service %s/%s: %w", namespace, name, err)
		}
		return conn.Close()
	})
	return "http://" + address
}

// Pod is the address of a pod's port for tests: http://host:port.
func (c *Cluster) Pod(tb testing.TB, namespace, name string, port int) string {
	tb.Helper()
	if c.node == nil {
		return c.forward(tb, namespace, "pod/"+name, port)
	}
	ip := c.Kubectl(tb, "-n", namespace, "get", "pod", name, "-o", "jsonpath={.status.podIP}")
	if net.ParseIP(ip) == nil {
		tb.Fatalf("pod %s/%s has no address: %q", namespace, name, ip)
	}
	return "http://" + net.JoinHostPort(ip, strconv.Itoa(port))
}

var forwarding = regexp.MustCompile(`(?m)^Forwarding from (127\.0\.0\.1:\d+) `)

// forward is for a cluster whose addresses are not ours. A forward ends when its pod does.
func (c *Cluster) forward(tb testing.TB, namespace, object string, port int) string {
	tb.Helper()
	p := proc.Start(tb, proc.Cmd{
		Name: "kubectl port-forward " + namespace + "/" + object, Path: c.kubectl,
		Env:  []string{"KUBECONFIG=" + c.Kubeconfig, "HOME=" + c.dir},
		Args: []string{"-n", namespace, "port-forward", "--address=127.0.0.1", object, fmt.Sprintf(":%d", port)},
	})
	var addr string
	proc.Eventually(tb, 30*time.Second, func() error {
		m := forwarding.FindStringSubmatch(p.Output())
		if m == nil {
			return fmt.Errorf("%s does not say where it listens: %s", p.Name, p.Tail())
		}
		addr = m[1]
		return nil
	}, p)
	return "http://" + addr
}

// AuditLog is what the API server was asked. Another cluster's is not to be had: then the test is skipped.
func (c *Cluster) AuditLog(tb testing.TB) backends.Audit {
	tb.Helper()
	if c.plane == nil {
		tb.Skipf("NOT TESTED: the audit log of the cluster of %s is not ours to read", KubeconfigEnv)
	}
	return c.plane.AuditLog
}

// Own says whether the cluster was booted by the tests, so that they may do with its node what they like.
func (c *Cluster) Own() bool { return c.node != nil }
