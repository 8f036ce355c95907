//go:build e2e

package e2e

import (
	"errors"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sluice-otel/sluice/e2e/harness"
	"github.com/sluice-otel/sluice/e2e/netns"
	"github.com/sluice-otel/sluice/e2e/proc"
	"github.com/sluice-otel/sluice/e2e/tiers"
)

// Without its role the agent must not run: it would deliver everything, look well, and nobody could say whose the lines are.
// It is not ready, and its log names what is missing. Granted, it goes on by itself.
func TestK8sAttributesWithoutRoleDoesNotStart(t *testing.T) {
	k := startKubernetesWithShop(t)
	cart := podOfDeployment(t, k, "cart-7d4b9c6f5-x2x8q", netns.Addr(t, 5))
	n := newNodeLogs(t)
	n.write(t, filepath.Join("shop_cart-7d4b9c6f5-x2x8q_"+cart["k8s.pod.uid"].(string), "cart", "0.log"), containerd("the first line"))
	k.Kubectl(t, "", "delete", "clusterrolebinding", "sluice-agent")
	sink := harness.StartSink(t, harness.SinkOptions{})
	agent := tiers.Start(t, k, tiers.Tier{
		Profile: "agent", Backends: []string{"backends/to-gateway"}, Env: tiers.With(tiers.ToSink(t, sink), n.env()), NoWait: true,
	})
	proc.Eventually(t, 30*time.Second, func() error {
		out := agent.Proc.Output()
		for _, resource := range []string{"namespaces", "replicasets.apps"} { // it asks for pods 5 s later
			if !strings.Contains(out, resource+` is forbidden: User \"system:serviceaccount:sluice-agent:sluice-agent\" cannot list`) {
				return errors.New("the log does not name the missing right to list " + resource)
			}
		}
		return nil
	}, agent.Proc)
	// Nothing is sent to it, as in a cluster to a pod that is not ready: its OTLP receiver may listen already, for all signals,
	// when one pipeline is complete, and crash for want of another (opentelemetry-collector#15485).
	assert.Equal(t, http.StatusServiceUnavailable, health(t, agent), "health")
	assert.Zero(t, sink.Counts().Requests)

	k.ApplyFile(t, filepath.Join(harness.Root(t), "deploy", "kubernetes", "tiers", "agent", "rbac.yaml"))
	agent.WaitHealthy(t)
	r := byBody(t, sink, 1, agent.Proc)["the first line"]
	// Not k8s.deployment.name: when ReplicaSets take more than 5 s the processor reads the pods without them, and does not look
	// at a pod again before it changes or 5 minutes have passed.
	for _, key := range []string{"k8s.pod.name", "k8s.pod.annotation.sluice.io/owner", "k8s.namespace.label.team", "service.name"} {
		assert.Equal(t, cart[key], r.Resource[key], key)
	}
	agent.Stop(t)
}

// health is the status that a collector's health check answers, and 0 before it listens.
func health(t *testing.T, c *harness.Collector) int {
	t.Helper()
	resp, err := http.Get("http://" + c.Health)
	if err != nil {
		return 0
	}
	require.NoError(t, resp.Body.Close())
	return resp.StatusCode
}
