// Package cluster gives the end-to-end tests a Kubernetes with a node, where pods run: see README.md for what is real in it.
//
// A test package says os.Exit(cluster.Main(m)) in its TestMain; its tests share the one cluster that Start returns.
package cluster

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/sluice-otel/sluice/e2e/backends"
	"github.com/sluice-otel/sluice/e2e/netns"
)

const (
	// KubeconfigEnv names a kubeconfig file: then the tests use that cluster and boot none.
	KubeconfigEnv = "SLUICE_CLUSTER_KUBECONFIG"

	workEnv = "SLUICE_CLUSTER_WORK" // tells the machine its folder
	work    = "sluice-cluster-"     // and how those begin
)

// servers are the programs of e2e/backends that a cluster is made of, and those that run in it.
var servers = []string{
	"coredns", "etcd", "kube-apiserver", "kube-controller-manager", "kube-proxy", "kube-scheduler", "kubectl", "kubelet",
	"jaeger", "loki", "prometheus", "targetallocator",
}

// Main is the body of a TestMain: os.Exit(cluster.Main(m)). The tests run on a machine of their own (netns.Machine), unless they are to use
// another cluster. Nothing is booted until a test calls Start.
func Main(m *testing.M) int {
	if os.Getenv(KubeconfigEnv) != "" {
		return mainOfExisting(m)
	}
	var w workplace
	return netns.Machine{
		Before: w.open,
		SetUp:  func() error { return ground{os.Getenv(workEnv)}.lay() },
		After:  w.close,
	}.Main(m)
}

// workplace is a folder and a control group. The parent of the machine holds the folder's lock: the two are removed when the machine has
// ended, or by the next run when the parent was killed.
type workplace struct {
	dir  string
	lock *os.File
}

func (w *workplace) open() error {
	if err := w.claim(); err != nil {
		return err
	}
	if err := backends.Build(servers...); err != nil {
		return err
	}
	return errors.Join(fetchMonitorCRDs(), buildPrograms(w.dir))
}

// claim makes the two, after it has removed those of killed runs.
func (w *workplace) claim() error {
	// One at a time: a folder that was just made and is not locked yet looks like one that was left.
	all, err := os.Open(os.TempDir())
	if err != nil {
		return err
	}
	defer all.Close()
	if err := syscall.Flock(int(all.Fd()), syscall.LOCK_EX); err != nil {
		return err
	}
	old, err := filepath.Glob(filepath.Join(os.TempDir(), work+"*"))
	if err != nil {
		return err
	}
	for _, dir := range old {
		if o := (workplace{dir: dir}); o.take() == nil {
			fmt.Fprintln(os.Stderr, "removing what a killed run left:", dir)
			o.close()
		}
	}
	if w.dir, err = os.MkdirTemp("", work); err != nil {
		return err
	}
	return errors.Join(w.take(), os.Setenv(workEnv, w.dir), makeCgroup(filepath.Base(w.dir)))
}

func (w *workplace) take() error {
	lock, err := os.OpenFile(filepath.Join(w.dir, "lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return err
	}
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		lock.Close()
		return err
	}
	w.lock = lock
	return nil
}

func (w *workplace) close() {
	if w.dir == "" {
		return
	}
	err := removeCgroup(filepath.Base(w.dir))
	if err == nil { // else the folder stays, for the next run to try again
		err = os.RemoveAll(w.dir)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "cluster: left behind:", err)
	}
	w.lock.Close()
}
