//go:build e2e

package e2e

import (
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/sluice-otel/sluice/e2e/backends"
	"github.com/sluice-otel/sluice/e2e/harness"
	"github.com/sluice-otel/sluice/e2e/tiers"
)

// A static pod's log directory has the hash of its manifest where others have the UID: found by namespace and name.
func TestK8sAttributesOfAStaticPod(t *testing.T) {
	k := tiers.StartKubernetes(t)
	uid := k.Pod(t, backends.PodSpec{Namespace: "kube-system", Name: "etcd-node-1", Labels: map[string]string{"app.kubernetes.io/component": "etcd"}})
	n := newNodeLogs(t)
	n.write(t, "kube-system_etcd-node-1_f3b1d97a0c62e854b19d4a7e0f6c8325/etcd/0.log", containerd("raft: elected"))
	sink := harness.StartSink(t, harness.SinkOptions{})
	agent := tiers.Start(t, k, tiers.Tier{Profile: "agent", Backends: []string{"backends/to-gateway"}, Env: tiers.With(tiers.ToSink(t, sink), n.env())})
	record := byBody(t, sink, 1, agent.Proc)["raft: elected"]
	assert.Equal(t, uid, record.Resource["k8s.pod.uid"])
	assert.Equal(t, "etcd", record.Resource["k8s.pod.label.app.kubernetes.io/component"])
}
