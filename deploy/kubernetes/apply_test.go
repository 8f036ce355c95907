//go:build e2e

package kubernetes

import (
	"path/filepath"
	"testing"

	"github.com/sluice-otel/sluice/e2e/backends"
	"github.com/sluice-otel/sluice/e2e/harness"
)

func TestTheAPIServerTakesEveryOverlay(t *testing.T) {
	k := backends.StartKubernetes(t)
	root := harness.Root(t)
	k.ApplyFile(t, filepath.Join(root, "deploy/kubernetes/base/namespaces.yaml"))
	for _, o := range []string{"lgtm", "victoria", "otlp"} {
		t.Log(k.Kubectl(t, "", "apply", "--server-side", "--dry-run=server", "-k", filepath.Join(root, "deploy/kubernetes/overlays", o)))
	}
}
