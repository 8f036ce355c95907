package cluster

import (
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/sluice-otel/sluice/e2e/backends"
	"github.com/sluice-otel/sluice/e2e/proc"
)

// LogMaxSize is how large a container's log file gets before the kubelet turns it: small, so that a test sees it turned. A package may set
// another before the first Start.
var LogMaxSize = "256Ki"

const (
	// NodeName is the only node's.
	NodeName = "node-1"

	containerdSocket = "/run/containerd/containerd.sock"
	pauseImage       = "sluice.test/pause:1"
	dnsAddress       = "10.96.0.10"
)

// node is a container runtime, a kubelet and a kube-proxy.
type node struct {
	dir        string
	containerd *proc.Process
	kubelet    *proc.Process
	proxy      *proc.Process
}

func startContainerd(tb testing.TB, dir string) *node {
	tb.Helper()
	n := &node{dir: dir}
	n.write(tb, "cni/10-ptp.conflist", cniConfig)
	config := n.write(tb, "containerd.toml", fmt.Sprintf(containerdConfig, containerdSocket, pauseImage, cniPlugins(tb), filepath.Join(dir, "cni")))
	n.containerd = n.start(tb, "containerd", debianProgram(tb, "containerd"), "--config="+config)
	proc.Eventually(tb, 30*time.Second, func() error {
		_, err := ctr("version")
		return err
	}, n.containerd)
	return n
}

// join makes the node one of the cluster's.
func (n *node) join(tb testing.TB, c *backends.ControlPlane, cgroupRoot string) {
	tb.Helper()
	// Kubelets serve their API with a certificate of the cluster's CA, as where rotated ones are signed.
	crt, key := c.ServingCertificate(tb, "kubelet-server", NodeName, nodeAddress, "127.0.0.1")
	resolv := n.write(tb, "resolv.conf", "# no name server beyond the cluster's\n")
	config := n.write(tb, "kubelet.yaml", fmt.Sprintf(kubeletConfig,
		cgroupRoot, containerdSocket, crt, key, c.CAFile, dnsAddress, resolv, LogMaxSize))
	n.kubelet = n.start(tb, "kubelet", binary(tb, "kubelet"),
		"--config="+config,
		"--kubeconfig="+c.UserKubeconfig(tb, "kubelet", "system:node:"+NodeName, "system:nodes"),
		"--hostname-override="+NodeName,
		"--node-ip="+nodeAddress,
	)
	proxy := n.write(tb, "kube-proxy.yaml", fmt.Sprintf(proxyConfig,
		c.UserKubeconfig(tb, "kube-proxy", "system:kube-proxy"), backends.ClusterCIDR, NodeName))
	n.proxy = n.start(tb, "kube-proxy", binary(tb, "kube-proxy"), "--config="+proxy)
	for url, p := range map[string]*proc.Process{
		"http://127.0.0.1:10248/healthz": n.kubelet, "http://127.0.0.1:10256/healthz": n.proxy,
	} {
		proc.Eventually(tb, time.Minute, func() error {
			resp, err := http.Get(url)
			if err != nil {
				return err
			}
			defer resp.Body.Close()
			if resp.StatusCode != http.StatusOK {
				return fmt.Errorf("%s: %s", url, resp.Status)
			}
			return nil
		}, p)
	}
}

func (n *node) start(tb testing.TB, name, path string, args ...string) *proc.Process {
	tb.Helper()
	// iptables and its like are in sbin, and a later PATH wins.
	return proc.Start(tb, proc.Cmd{
		Name: name, Path: path, Args: args, Dir: n.dir, Env: []string{"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"},
	})
}

func (n *node) write(tb testing.TB, name, text string) string {
	tb.Helper()
	path := filepath.Join(n.dir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		tb.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		tb.Fatal(err)
	}
	return path
}

// The kernel here may lack CAP_SYS_RESOURCE, without which no process may lower its score: restrict_oom_score_adj.
const containerdConfig = `version = 2
root = "/var/lib/containerd"
state = "/run/containerd"
[grpc]
  address = %q
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = %q
  restrict_oom_score_adj = true
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = %q
    conf_dir = %q
`

const cniConfig = `{"cniVersion": "0.4.0", "name": "pods", "plugins": [
  {"type": "ptp", "ipMasq": false, "ipam": {"type": "host-local", "ranges": [[{"subnet": "` + backends.NodeCIDR + `"}]], "routes": [{"dst": "0.0.0.0/0"}]}},
  {"type": "portmap", "capabilities": {"portMappings": true}}]}
`

// A disk that is nearly full must not make the kubelet throw pods out or images away: nobody could pull them again.
const kubeletConfig = `apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
failCgroupV1: false
cgroupDriver: cgroupfs
cgroupRoot: /%[1]s
failSwapOn: false
oomScoreAdj: 0
containerRuntimeEndpoint: unix://%[2]s
tlsCertFile: %[3]s
tlsPrivateKeyFile: %[4]s
authentication:
  anonymous: {enabled: false}
  webhook: {enabled: true}
  x509: {clientCAFile: %[5]s}
authorization: {mode: Webhook}
clusterDNS: [%[6]s]
clusterDomain: cluster.local
resolvConf: %[7]s
containerLogMaxSize: %[8]s
containerLogMaxFiles: 5
containerLogMonitorInterval: 3s
evictionHard: {memory.available: 100Mi, nodefs.available: "0%%", nodefs.inodesFree: "0%%", imagefs.available: "0%%", imagefs.inodesFree: "0%%"}
imageGCHighThresholdPercent: 100
imageGCLowThresholdPercent: 99
`

const proxyConfig = `apiVersion: kubeproxy.config.k8s.io/v1alpha1
kind: KubeProxyConfiguration
clientConnection: {kubeconfig: %q}
mode: iptables
clusterCIDR: %s
hostnameOverride: %s
oomScoreAdj: 0
# The size of the table is the host's.
conntrack: {maxPerCore: 0, min: 0, tcpEstablishedTimeout: 0s, tcpCloseWaitTimeout: 0s}
`

func cniPlugins(tb testing.TB) string {
	tb.Helper()
	for _, dir := range []string{"/usr/lib/cni", "/opt/cni/bin"} { // Debian's, and everybody else's
		if _, err := os.Stat(filepath.Join(dir, "portmap")); err == nil {
			return dir
		}
	}
	tb.Fatal("no CNI plugins: apt-get install --no-install-recommends containernetworking-plugins")
	return ""
}

func debianProgram(tb testing.TB, name string) string {
	tb.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		tb.Fatalf("%v: apt-get install --no-install-recommends %s", err, name)
	}
	return path
}

// ctr is containerd's own client, in the namespace that the kubelet uses.
func ctr(args ...string) (string, error) {
	out, err := exec.Command("ctr", append([]string{"--address", containerdSocket, "--namespace", "k8s.io"}, args...)...).CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("ctr %s: %w: %s", strings.Join(args, " "), err, out)
	}
	return string(out), nil
}

func binary(tb testing.TB, name string) string {
	tb.Helper()
	path, err := backends.Binary(name)
	if err != nil {
		tb.Fatal(err)
	}
	return path
}
