package backends

import (
	"testing"
	"time"

	"github.com/sluice-otel/sluice/e2e/proc"
)

// ControlPlane is a Kubernetes whose controllers and scheduler run, too, for nodes to join.
type ControlPlane struct {
	*Kubernetes

	ControllerManager *proc.Process
	Scheduler         *proc.Process
}

// ClusterCIDR is where the pods of a ControlPlane have their addresses, NodeCIDR those on its first node.
const (
	ClusterCIDR = "10.244.0.0/16"
	NodeCIDR    = "10.244.0.0/24"
)

// StartControlPlane starts the control plane with the API server on an address that pods can reach, and with every
// admission plugin that a cluster has by default, Pod Security among them.
func StartControlPlane(tb testing.TB, address string) *ControlPlane {
	tb.Helper()
	dir := tb.TempDir()
	ca := newPKI(tb, dir)
	ca.issue(tb, "kubelet-client", "kube-apiserver-kubelet-client", []string{"system:masters"})
	k := startKubernetesIn(tb, dir, ca, address,
		"--enable-admission-plugins=NodeRestriction",
		"--kubelet-certificate-authority="+ca.file("ca.crt"),
		"--kubelet-client-certificate="+ca.file("kubelet-client.crt"),
		"--kubelet-client-key="+ca.file("kubelet-client.key"),
		// Names of nodes are nobody's names in DNS here.
		"--kubelet-preferred-address-types=InternalIP",
	)
	c := &ControlPlane{Kubernetes: k}
	c.ControllerManager = proc.Start(tb, proc.Cmd{
		Name: "kube-controller-manager", Path: binary(tb, "kube-controller-manager"), Dir: dir, Grace: 2 * time.Second,
		Args: []string{
			"--kubeconfig=" + k.UserKubeconfig(tb, "kube-controller-manager", "system:kube-controller-manager"),
			"--use-service-account-credentials",
			"--service-account-private-key-file=" + ca.file("sa.key"),
			"--root-ca-file=" + ca.file("ca.crt"),
			"--leader-elect=false",
			"--allocate-node-cidrs", "--cluster-cidr=" + ClusterCIDR,
			"--bind-address=127.0.0.1",
		},
	})
	c.Scheduler = proc.Start(tb, proc.Cmd{
		Name: "kube-scheduler", Path: binary(tb, "kube-scheduler"), Dir: dir, Grace: 2 * time.Second,
		Args: []string{
			"--kubeconfig=" + k.UserKubeconfig(tb, "kube-scheduler", "system:kube-scheduler"),
			"--leader-elect=false",
			"--bind-address=127.0.0.1",
		},
	})
	return c
}

// UserKubeconfig writes a kubeconfig with a client certificate of its own, and returns its path.
func (k *Kubernetes) UserKubeconfig(tb testing.TB, name, user string, groups ...string) string {
	tb.Helper()
	k.ca.issue(tb, name, user, groups)
	file := k.ca.file(name + ".kubeconfig")
	k.writeKubeconfig(tb, file, "default", map[string]string{
		"client-certificate": k.ca.file(name + ".crt"), "client-key": k.ca.file(name + ".key"),
	})
	return file
}

// ServingCertificate issues a server's certificate from the cluster's CA and returns the two files.
func (k *Kubernetes) ServingCertificate(tb testing.TB, name string, sans ...string) (crt, key string) {
	tb.Helper()
	k.ca.issue(tb, name, name, nil, sans...)
	return k.ca.file(name + ".crt"), k.ca.file(name + ".key")
}

// Do sends a request to the API server as admin and returns the body of a good answer. A test with many objects is
// faster so than with a kubectl for each.
func (k *Kubernetes) Do(method, path, contentType string, body []byte) ([]byte, error) {
	return k.api.do(method, path, contentType, body)
}
