package cluster

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sluice-otel/sluice/e2e/backends"
)

// LoadEnv is a command that makes an image archive known to the cluster of KubeconfigEnv; the archive's path is added to it. Without one
// the images have to be there.
const LoadEnv = "SLUICE_CLUSTER_LOAD"

func mainOfExisting(m *testing.M) int {
	dir, err := os.MkdirTemp("", "sluice-existing-")
	if err == nil {
		defer func() { _ = os.RemoveAll(dir) }()
		err = errors.Join(os.Setenv(workEnv, dir), backends.Build("kubectl", "jaeger", "loki", "prometheus", "targetallocator"), fetchMonitorCRDs(), buildPrograms(dir))
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "cluster:", err)
		return 1
	}
	return m.Run()
}

func existing(kubeconfig string) (*Cluster, error) {
	kubectl, err := backends.Binary("kubectl")
	if err != nil {
		return nil, err
	}
	if kubeconfig, err = filepath.Abs(kubeconfig); err != nil {
		return nil, err
	}
	c := &Cluster{dir: os.Getenv(workEnv), kubectl: kubectl, Kubeconfig: kubeconfig}
	if _, err := c.TryKubectl("", "get", "--raw", "/readyz"); err != nil {
		return nil, fmt.Errorf("the cluster of %s: %w", KubeconfigEnv, err)
	}
	return c, nil
}

func loadExisting(tb testing.TB, name, archive string) {
	tb.Helper()
	load := strings.Fields(os.Getenv(LoadEnv))
	if len(load) == 0 {
		tb.Logf("%s is not set: %s has to be in the cluster's reach", LoadEnv, name)
		return
	}
	if out, err := exec.Command(load[0], append(load[1:], archive)...).CombinedOutput(); err != nil {
		tb.Fatalf("%s: %v\n%s", strings.Join(load, " "), err, out)
	}
}
