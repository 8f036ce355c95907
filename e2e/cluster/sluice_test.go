//go:build e2e

package cluster

import (
	"testing"
	"time"
)

// Only that the image is taken and runs where nothing but a numeric user and a read-only root is allowed; what the tiers do is proven elsewhere.
func TestSluiceImageRuns(t *testing.T) {
	c := Start(t)
	image := c.LoadSluice(t)
	c.Apply(t, `
apiVersion: v1
kind: Namespace
metadata: {name: image, labels: {pod-security.kubernetes.io/enforce: restricted}}
---
apiVersion: v1
kind: Pod
metadata: {name: sluice, namespace: image}
spec:
  automountServiceAccountToken: false
  securityContext: {runAsNonRoot: true, seccompProfile: {type: RuntimeDefault}}
  containers:
    - name: sluice
      image: `+image+`
      args: [--config=/etc/otelcol/gateway.yaml, --config=/etc/otelcol/backends/debug.yaml, --help]
      securityContext: {allowPrivilegeEscalation: false, capabilities: {drop: [ALL]}, readOnlyRootFilesystem: true}
  restartPolicy: Never
`)
	t.Cleanup(func() {
		if !t.Failed() {
			_, _ = c.TryKubectl("", "delete", "namespace", "image", "--wait=false")
		}
	})
	c.WaitFor(t, "image", "pod/sluice", "jsonpath={.status.phase}=Succeeded", time.Minute)
}
