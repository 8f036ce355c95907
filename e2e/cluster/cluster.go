package cluster

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sluice-otel/sluice/e2e/backends"
	"github.com/sluice-otel/sluice/e2e/proc"
)

// Cluster is a Kubernetes in which pods run.
type Cluster struct {
	Kubeconfig string // of an administrator

	dir     string
	kubectl string

	programs sync.Map // names of images that LoadProgram has loaded

	// Of a cluster that we booted; nil in another.
	plane *backends.ControlPlane
	node  *node
}

// kubectlTimeout is for one call that does not say its own.
const kubectlTimeout = 2 * time.Minute

var (
	booted = sync.OnceValues(boot)
	told   sync.Once // why not
)

// Start boots the cluster when the first test asks for it, and returns the same one to every test. A failed test shows what the cluster
// looks like at its end.
func Start(tb testing.TB) *Cluster {
	tb.Helper()
	c, err := booted()
	if err != nil {
		told.Do(func() { tb.Fatalf("no cluster: %v", err) })
		tb.Fatal("no cluster: see the first test")
	}
	tb.Cleanup(func() {
		if tb.Failed() {
			c.Dump(tb)
		}
	})
	return c
}

func boot() (*Cluster, error) {
	if file := os.Getenv(KubeconfigEnv); file != "" {
		return existing(file)
	}
	work := os.Getenv(workEnv)
	if work == "" {
		return nil, errors.New("TestMain does not call cluster.Main")
	}
	s := &scope{dir: ground{work}.path("run")}
	if err := os.Mkdir(s.dir, 0o755); err != nil {
		return nil, err
	}
	c := &Cluster{dir: work}
	start := time.Now()
	err := s.within(func() { c.boot(s) })
	if err != nil {
		return nil, errors.Join(err, errors.New(c.lastWords()))
	}
	s.Logf("cluster: booted in %s", time.Since(start).Round(100*time.Millisecond))
	return c, nil
}

// processes are those of the control plane and the node.
func (c *Cluster) processes() []*proc.Process {
	var all []*proc.Process
	if p := c.plane; p != nil {
		all = append(all, p.Etcd, p.APIServer, p.ControllerManager, p.Scheduler)
	}
	if n := c.node; n != nil {
		all = append(all, n.containerd, n.kubelet, n.proxy)
	}
	return all
}

// Kubectl runs kubectl as administrator and returns what it printed. An error fails the test with kubectl's own words.
func (c *Cluster) Kubectl(tb testing.TB, args ...string) string {
	tb.Helper()
	return c.KubectlIn(tb, "", args...)
}

// KubectlIn is Kubectl with something to read.
func (c *Cluster) KubectlIn(tb testing.TB, stdin string, args ...string) string {
	tb.Helper()
	out, err := c.TryKubectl(stdin, args...)
	if err != nil {
		tb.Fatal(err)
	}
	return out
}

// TryKubectl is KubectlIn for what may fail.
func (c *Cluster) TryKubectl(stdin string, args ...string) (string, error) {
	return c.kubectlFor(kubectlTimeout, stdin, args...)
}

func (c *Cluster) kubectlFor(timeout time.Duration, stdin string, args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	cmd := exec.CommandContext(ctx, c.kubectl, args...)
	// HOME is where it caches discovery.
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + c.dir, "KUBECONFIG=" + c.Kubeconfig}
	cmd.Stdin = strings.NewReader(stdin)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		return stdout.String(), fmt.Errorf("kubectl %s: %w: %s", strings.Join(args, " "), err, stderr.Bytes())
	}
	return stdout.String(), nil
}

// Get reads an object, or a list of them.
func (c *Cluster) Get(tb testing.TB, into any, args ...string) {
	tb.Helper()
	out := c.Kubectl(tb, append([]string{"get", "-o", "json"}, args...)...)
	if err := json.Unmarshal([]byte(out), into); err != nil {
		tb.Fatal(err)
	}
}

// Apply applies YAML manifests on the server's side.
func (c *Cluster) Apply(tb testing.TB, manifests string) {
	tb.Helper()
	c.KubectlIn(tb, manifests, "apply", "--server-side", "--force-conflicts", "-f", "-")
}

// Namespace makes a namespace for the length of a test.
func (c *Cluster) Namespace(tb testing.TB, name string) {
	tb.Helper()
	c.Apply(tb, "{apiVersion: v1, kind: Namespace, metadata: {name: "+name+"}}")
	tb.Cleanup(func() {
		if !tb.Failed() { // else Dump, which runs later, would find nothing in it
			_, _ = c.TryKubectl("", "delete", "namespace", name, "--wait=false")
		}
	})
}

// WaitRollout waits until a workload, such as deployment/gateway, is rolled out.
func (c *Cluster) WaitRollout(tb testing.TB, namespace, workload string, timeout time.Duration) {
	tb.Helper()
	out, err := c.kubectlFor(timeout+10*time.Second, "", "-n", namespace, "rollout", "status", workload, "--timeout="+timeout.String())
	if err != nil {
		tb.Fatalf("%v\n%s\n%s", err, out, c.describe(namespace))
	}
}

// WaitFor waits for a condition as kubectl wait spells it: Ready, jsonpath=…, delete.
func (c *Cluster) WaitFor(tb testing.TB, namespace, object, condition string, timeout time.Duration) {
	tb.Helper()
	_, err := c.kubectlFor(timeout+10*time.Second, "", "-n", namespace, "wait", object, "--for="+condition, "--timeout="+timeout.String())
	if err != nil {
		tb.Fatalf("%v\n%s", err, c.describe(namespace))
	}
}
