//go:build e2e

package cluster

import (
	"fmt"
	"os"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func groupOf(t *testing.T, dir string) int {
	t.Helper()
	info, err := os.Stat(dir)
	require.NoError(t, err)
	return int(info.Sys().(*syscall.Stat_t).Gid)
}

// The cluster that we booted stands for somebody's own: nothing but its kubeconfig is used, and a command that loads images.
func TestAnotherClusterByItsKubeconfig(t *testing.T) {
	own := Start(t)
	if !own.Own() {
		t.Skip("all tests run so already")
	}
	t.Setenv(LoadEnv, "ctr --address="+containerdSocket+" --namespace=k8s.io images import")
	c, err := existing(own.Kubeconfig)
	require.NoError(t, err)
	c.Namespace(t, "elsewhere")
	demo := c.DeployDemo(t, "elsewhere", "shop", DemoOptions{})
	pod := demo.Pods(t)[0]
	assert.Equal(t, 7, demo.Write(t, pod, 7).LastLine)
	page, err := body(t, c.Service(t, "elsewhere", "shop", 8080)+"/metrics")
	require.NoError(t, err)
	assert.Contains(t, page, `demo_lines_total{kind="plain"} 4`)

	_, err = existing("/does/not/exist")
	assert.ErrorContains(t, err, KubeconfigEnv)
}

// listener records what a dump logs.
type listener struct {
	testing.TB
	said strings.Builder
}

func (l *listener) Helper()         {}
func (l *listener) Log(args ...any) { fmt.Fprintln(&l.said, args...) }

func TestDumpTellsWhatIsWrong(t *testing.T) {
	c := Start(t)
	c.Namespace(t, "broken")
	c.Apply(t, `
apiVersion: v1
kind: Pod
metadata: {name: lost, namespace: broken}
spec: {containers: [{name: lost, image: "sluice.test/nowhere:1", imagePullPolicy: Never}]}
`)
	c.WaitFor(t, "broken", "pod/lost", `jsonpath={.status.containerStatuses[0].state.waiting.reason}=ErrImageNeverPull`, kubectlTimeout)
	l := &listener{TB: t}
	c.Dump(l)
	for _, want := range []string{"kubectl get events", "kubectl describe pod -n broken lost", "ErrImageNeverPull", "/coredns"} {
		assert.Contains(t, l.said.String(), want)
	}
	if c.Own() {
		for _, process := range []string{"etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler", "containerd", "kubelet", "kube-proxy"} {
			assert.Contains(t, l.said.String(), "---- "+process+"\n")
		}
	}
}
