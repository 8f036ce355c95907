package cluster

import (
	_ "embed"
	"errors"
	"path/filepath"
	"testing"
	"time"

	"github.com/sluice-otel/sluice/e2e/backends"
	"github.com/sluice-otel/sluice/e2e/proc"
)

//go:embed manifests/system.yaml
var systemManifests string

func (c *Cluster) boot(tb testing.TB) {
	c.kubectl = binary(tb, "kubectl")
	c.node = startContainerd(tb, tb.TempDir())
	c.LoadProgram(tb, pauseImage, filepath.Join(c.dir, "bin", "pause"))
	c.LoadProgram(tb, "registry.k8s.io/coredns/coredns:v1.12.4", binary(tb, "coredns"))

	c.plane = backends.StartControlPlane(tb, nodeAddress)
	c.Kubeconfig = c.plane.AdminKubeconfig
	c.node.join(tb, c.plane, filepath.Base(c.dir))
	c.Apply(tb, systemManifests)
	proc.Eventually(tb, time.Minute, func() error {
		out, err := c.TryKubectl("", "get", "node", NodeName, "-o", `jsonpath={.status.conditions[?(@.type=="Ready")].status} {.status.conditions[?(@.type=="Ready")].message}`)
		if err != nil {
			return err
		}
		if len(out) < 4 || out[:4] != "True" {
			return errors.New(NodeName + " is not ready: " + out)
		}
		return nil
	}, c.processes()...)
	go provision(c.plane.Kubernetes)
	c.WaitRollout(tb, "kube-system", "deployment/coredns", time.Minute)
}
