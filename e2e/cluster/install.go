package cluster

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"sync"
	"testing"
	"time"

	"github.com/sluice-otel/sluice/e2e/backends"
	"github.com/sluice-otel/sluice/e2e/proc"
)

// Sluice is the distribution as the README's Kubernetes quickstart installs it, and the backends that it writes to.
type Sluice struct {
	*Cluster
	*Backends
}

// tiers are the workloads that the quickstart makes.
var tiers = [][2]string{
	{"sluice", "deployment/sluice-targetallocator"},
	{"sluice", "statefulset/sluice-sampling"},
	{"sluice", "statefulset/sluice-gateway"},
	{"sluice", "statefulset/sluice-scraper"},
	{"sluice-agent", "daemonset/sluice-agent"},
}

var (
	install   sync.Mutex
	tried     bool // so that each further test does not wait in vain as long as the first
	installed *Sluice
)

// StartSluice installs everything when the first test asks for it, and returns the same to every test.
func StartSluice(tb testing.TB) *Sluice {
	tb.Helper()
	c := Start(tb)
	install.Lock()
	defer install.Unlock()
	if installed == nil && tried {
		tb.Fatal("Sluice is not installed: see the first test that asked for it")
	}
	if installed != nil {
		return installed
	}
	tried = true
	c.LoadSluice(tb)
	c.LoadTargetAllocator(tb)
	c.ApplyMonitorCRDs(tb)
	s := &Sluice{c, c.DeployBackends(tb)}
	start := time.Now()
	tb.Log(c.shell(tb, quickstart(tb)))
	tb.Logf("Sluice is rolled out after %s", time.Since(start).Round(time.Second))
	installed = s
	return s
}

var quickstartBlock = regexp.MustCompile("(?ms)^## Kubernetes quickstart$.*?^```sh\n(.*?)^```$")

// quickstart is the very commands of the README.
func quickstart(tb testing.TB) string {
	tb.Helper()
	readme, err := os.ReadFile(filepath.Join(repository(tb), "README.md"))
	if err != nil {
		tb.Fatal(err)
	}
	m := quickstartBlock.FindSubmatch(readme)
	if m == nil {
		tb.Fatal("README.md has no block of commands below `## Kubernetes quickstart`")
	}
	return string(m[1])
}

// shell runs commands as a user would, in the repository, with the cluster's kubectl.
func (c *Cluster) shell(tb testing.TB, commands string) string {
	tb.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, "bash", "-euxc", commands)
	cmd.Dir = repository(tb)
	cmd.Env = []string{"PATH=" + filepath.Dir(c.kubectl) + ":" + os.Getenv("PATH"), "HOME=" + c.dir, "KUBECONFIG=" + c.Kubeconfig}
	out, err := cmd.CombinedOutput()
	if err != nil {
		tb.Fatalf("the README's commands: %v\n%s\n%s\n%s", err, out, c.describe("sluice"), c.describe("sluice-agent"))
	}
	return string(out)
}

func repository(tb testing.TB) string {
	tb.Helper()
	root, err := backends.RepoRoot()
	if err != nil {
		tb.Fatal(err)
	}
	return root
}

// ApplyMonitorCRDs makes the API server know ServiceMonitor, PodMonitor and their like, which come with the Prometheus Operator; here in the version
// that the Target Allocator was built with.
func (c *Cluster) ApplyMonitorCRDs(tb testing.TB) {
	tb.Helper()
	for _, kind := range []string{"servicemonitors", "podmonitors", "probes", "scrapeconfigs"} {
		if _, err := c.TryKubectl("", "get", "crd/"+kind+".monitoring.coreos.com"); err == nil && !c.Own() {
			continue // somebody's, in a version of theirs
		}
		c.Kubectl(tb, "apply", "--server-side", "-f", filepath.Join(os.Getenv(crdsEnv), "monitoring.coreos.com_"+kind+".yaml"))
		proc.Eventually(tb, time.Minute, func() error { // `kubectl wait` fails on one that has no conditions yet
			_, err := c.TryKubectl("", "get", kind+".monitoring.coreos.com", "-A")
			return err
		})
	}
}

// crdsEnv is where those are.
const crdsEnv = "SLUICE_CLUSTER_CRDS"

// fetchMonitorCRDs finds them while there is a network to get them from.
func fetchMonitorCRDs() error {
	dir, err := backends.MonitorCRDs()
	return errors.Join(err, os.Setenv(crdsEnv, dir))
}
