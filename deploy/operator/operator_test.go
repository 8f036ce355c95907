//go:build e2e

package operator

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/sluice-otel/sluice/e2e/backends"
	"github.com/sluice-otel/sluice/e2e/harness"
	"github.com/sluice-otel/sluice/e2e/netns"
)

func TestMain(m *testing.M) {
	os.Exit(netns.Main(m, func() error { return backends.Build("etcd", "kube-apiserver", "kubectl", "operator") }))
}

func TestSpike(t *testing.T) {
	k := backends.StartKubernetes(t)
	k.Namespace(t, "sluice")
	k.Namespace(t, "sluice-agent")
	for _, tier := range []string{"agent", "gateway", "sampling", "scraper"} {
		k.ApplyFile(t, filepath.Join(harness.Root(t), "deploy", "kubernetes", "tiers", tier, "rbac.yaml"))
	}
	k.ApplyOperatorCRDs(t)
	o := backends.StartOperator(t, k)
	out, errs, err := k.TryKubectl("", "apply", "--server-side", "--validate=strict", "-k", filepath.Join(harness.Root(t), "deploy/operator/overlays/lgtm"))
	fmt.Println(out, errs, err)
	for i := range 20 {
		_ = i
		s := k.Kubectl(t, "", "get", "statefulsets,daemonsets,deployments,services,configmaps,pdb,hpa,networkpolicies,clusterroles", "-A")
		if i == 19 {
			fmt.Println(s)
		}
	}
	os.WriteFile("/tmp/operator-tmp/made.yaml", []byte(k.Kubectl(t, "", "get", "statefulsets,daemonsets,deployments,services,configmaps,pdb,hpa", "-A", "-o", "yaml")), 0o644)
	os.WriteFile("/tmp/operator-tmp/crs.yaml", []byte(k.Kubectl(t, "", "get", "otelcol,targetallocators,instrumentations", "-A", "-o", "yaml")), 0o644)
	os.WriteFile("/tmp/operator-tmp/operator.log", []byte(o.Process.Output()), 0o644)
}
