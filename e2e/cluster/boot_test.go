//go:build e2e

package cluster

import (
	"testing"
	"time"
)

func TestPodRuns(t *testing.T) {
	c := Start(t)
	c.Namespace(t, "boot")
	c.Apply(t, `
apiVersion: v1
kind: Pod
metadata: {name: pause, namespace: boot}
spec:
  containers: [{name: pause, image: "sluice.test/pause:1"}]
`)
	c.WaitFor(t, "boot", "pod/pause", "condition=Ready", time.Minute)
}
