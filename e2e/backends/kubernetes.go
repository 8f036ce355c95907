package backends

import (
	"bytes"
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sluice-otel/sluice/e2e/proc"
)

// kubernetesReady is how long etcd and kube-apiserver may take together: about 3 s when little else runs.
const kubernetesReady = 60 * time.Second

const loopback = "127.0.0.1"

// Kubernetes is a real control plane without a node: etcd and kube-apiserver, with RBAC and real tokens. No controller
// runs, so nothing acts on what is stored: a Deployment makes no pods, a Namespace has no default ServiceAccount and
// stays Terminating when deleted, and aggregated ClusterRoles (view, edit, admin) are empty.
type Kubernetes struct {
	URL             string // https://127.0.0.1:…, or on the address of StartKubernetesOn
	CAFile          string // PEM
	AuditLog        Audit
	AdminKubeconfig string // file; group system:masters, which RBAC never refuses

	APIServer *proc.Process
	Etcd      *proc.Process

	dir     string
	kubectl string // the program
	ca      *pki
	api     *apiClient

	mu         sync.Mutex
	namespaces map[string]bool // that Namespace made
}

// StartKubernetes starts etcd and kube-apiserver and returns when /readyz says ok. Both end with the test.
func StartKubernetes(tb testing.TB) *Kubernetes {
	tb.Helper()
	return StartKubernetesOn(tb, loopback)
}

// StartKubernetesOn is StartKubernetes with the API server on another address of this machine. Unless that is a loopback
// address, which no endpoint may have, the Service kubernetes gets its EndpointSlice, as in a cluster.
func StartKubernetesOn(tb testing.TB, address string) *Kubernetes {
	tb.Helper()
	// It refuses pods until their namespace has a default ServiceAccount, which the controller manager would make.
	dir := tb.TempDir()
	return startKubernetesIn(tb, dir, newPKI(tb, dir), address, "--disable-admission-plugins=ServiceAccount")
}

// startKubernetesIn is StartKubernetesOn with more flags for the API server.
func startKubernetesIn(tb testing.TB, dir string, ca *pki, address string, flags ...string) *Kubernetes {
	tb.Helper()
	etcd, apiserver := binary(tb, "etcd"), binary(tb, "kube-apiserver")
	ports := proc.FreePorts(tb, 3)
	k := &Kubernetes{
		dir:             dir,
		URL:             fmt.Sprintf("https://%s:%d", address, ports[0]),
		CAFile:          filepath.Join(dir, "ca.crt"),
		AuditLog:        Audit(filepath.Join(dir, "audit.log")),
		AdminKubeconfig: filepath.Join(dir, "admin.kubeconfig"),
		kubectl:         binary(tb, "kubectl"),
		ca:              ca,
		namespaces:      map[string]bool{},
	}
	ca.issue(tb, "apiserver", "kube-apiserver", nil,
		address, "10.96.0.1", "localhost", "kubernetes", "kubernetes.default", "kubernetes.default.svc")
	ca.issue(tb, "admin", "admin", []string{"system:masters"})
	k.api = newAPIClient(tb, k.URL, ca, "admin")
	k.writeKubeconfig(tb, k.AdminKubeconfig, "default", map[string]string{
		"client-certificate": ca.file("admin.crt"), "client-key": ca.file("admin.key"),
	})
	policy := filepath.Join(dir, "audit-policy.yaml")
	must(tb, os.WriteFile(policy, []byte(auditPolicy), 0o600))

	etcdURL := fmt.Sprintf("http://127.0.0.1:%d", ports[1])
	k.Etcd = proc.Start(tb, proc.Cmd{Name: "etcd", Path: etcd, Dir: dir, Args: etcdArgs(dir, etcdURL, ports[2])})
	k.APIServer = proc.Start(tb, proc.Cmd{
		Name: "kube-apiserver", Path: apiserver, Dir: dir,
		Args: slices.Concat(apiserverArgs(ca, address, ports[0], etcdURL),
			[]string{"--audit-policy-file=" + policy, "--audit-log-path=" + string(k.AuditLog), "--audit-log-maxsize=10000"}, flags),
		// Nothing of it is needed any more: no waiting for clients that still watch.
		Grace: 2 * time.Second,
	})
	proc.Eventually(tb, kubernetesReady, func() error {
		_, err := k.api.do("GET", "/readyz", "", nil)
		return err
	}, k.Etcd, k.APIServer)
	return k
}

func etcdArgs(dir, clientURL string, peerPort int) []string {
	peerURL := fmt.Sprintf("http://127.0.0.1:%d", peerPort)
	return []string{
		"--data-dir=" + filepath.Join(dir, "etcd"),
		"--listen-client-urls=" + clientURL,
		"--advertise-client-urls=" + clientURL,
		"--listen-peer-urls=" + peerURL,
		"--initial-advertise-peer-urls=" + peerURL,
		"--initial-cluster=default=" + peerURL,
		"--unsafe-no-fsync", // the data does not outlive the test
		"--log-level=warn",
	}
}

func apiserverArgs(ca *pki, address string, port int, etcdURL string) []string {
	reconciler := "lease"
	if net.ParseIP(address).IsLoopback() {
		reconciler = "none" // no endpoint may have such an address
	}
	return []string{
		"--etcd-servers=" + etcdURL,
		fmt.Sprintf("--secure-port=%d", port),
		"--bind-address=" + address,
		// Without an address of its own it looks for a default route, which a test's network namespace does not have.
		"--advertise-address=" + address,
		"--endpoint-reconciler-type=" + reconciler,
		"--tls-cert-file=" + ca.file("apiserver.crt"),
		"--tls-private-key-file=" + ca.file("apiserver.key"),
		"--client-ca-file=" + ca.file("ca.crt"),
		"--authorization-mode=Node,RBAC",
		"--service-account-issuer=https://kubernetes.default.svc",
		"--service-account-key-file=" + ca.file("sa.pub"),
		"--service-account-signing-key-file=" + ca.file("sa.key"),
		"--service-cluster-ip-range=10.96.0.0/16",
		"--allow-privileged",
	}
}

// Kubectl runs kubectl as admin and returns what it printed. An error fails the test with kubectl's own words.
func (k *Kubernetes) Kubectl(tb testing.TB, stdin string, args ...string) string {
	tb.Helper()
	stdout, _, err := k.TryKubectl(stdin, args...)
	must(tb, err)
	return stdout
}

// TryKubectl is Kubectl for a call that may fail.
func (k *Kubernetes) TryKubectl(stdin string, args ...string) (stdout, stderr string, err error) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, k.kubectl, args...)
	// HOME is where it caches discovery.
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + k.dir, "KUBECONFIG=" + k.AdminKubeconfig}
	cmd.Stdin = strings.NewReader(stdin)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err = cmd.Run(); err != nil {
		err = fmt.Errorf("kubectl %q: %w\n%s", args, err, errs.Bytes())
	}
	return out.String(), errs.String(), err
}

// Apply applies YAML manifests on the server's side.
func (k *Kubernetes) Apply(tb testing.TB, manifests string) {
	tb.Helper()
	k.Kubectl(tb, manifests, "apply", "--server-side", "--force-conflicts", "-f", "-")
}

// ApplyFile is Apply for a file or a folder.
func (k *Kubernetes) ApplyFile(tb testing.TB, path string) {
	tb.Helper()
	k.Kubectl(tb, "", "apply", "--server-side", "--force-conflicts", "-f", path)
}

// Namespace makes a namespace unless this Kubernetes already made it.
func (k *Kubernetes) Namespace(tb testing.TB, name string) {
	tb.Helper()
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.namespaces[name] {
		return
	}
	k.api.apply(tb, "/api/v1/namespaces/"+name, map[string]any{
		"apiVersion": "v1", "kind": "Namespace", "metadata": map[string]any{"name": name},
	})
	k.namespaces[name] = true
}

// Certificate issues a server's certificate from the cluster's CA, as one that a kubelet asked for.
func (k *Kubernetes) Certificate(tb testing.TB, name string, sans ...string) tls.Certificate {
	tb.Helper()
	k.ca.issue(tb, name, name, nil, sans...)
	cert, err := tls.LoadX509KeyPair(k.ca.file(name+".crt"), k.ca.file(name+".key"))
	must(tb, err)
	return cert
}

func binary(tb testing.TB, name string) string {
	tb.Helper()
	path, err := Binary(name)
	must(tb, err)
	return path
}
