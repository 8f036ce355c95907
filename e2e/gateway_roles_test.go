//go:build e2e

package e2e

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sluice-otel/sluice/e2e/backends"
	"github.com/sluice-otel/sluice/e2e/harness"
	"github.com/sluice-otel/sluice/e2e/proc"
	"github.com/sluice-otel/sluice/e2e/tiers"
)

// The gateway's role is exactly what it does: nothing it asks for is refused, and nothing is granted that it does not ask for.
func TestGatewayNothingForbiddenNothingUnused(t *testing.T) {
	k := tiers.StartKubernetes(t)
	sink := harness.StartSink(t, harness.SinkOptions{})
	k.Kubectl(t, event("marker", "default", "something to read"), "create", "-f", "-")
	gateway := tiers.Start(t, k, tiers.Tier{
		Profile: "gateway", Backends: []string{"backends/lgtm", "backends/to-sampling"},
		Env: tiers.With(tiers.ToSink(t, sink), map[string]string{"CLUSTER_METRICS_INTERVAL": clusterInterval.String()}),
	})
	sink.WaitLogs(t, 20*time.Second, told("marker", 1), gateway.Proc)

	require.Contains(t, grants(t, k, "sluice", "sluice-gateway"), "watch pods")
	proc.Eventually(t, 15*time.Second, func() error { // the lease is renewed after 2 s
		if unused := unusedGrants(t, k, "sluice", "sluice-gateway"); len(unused) > 0 {
			return fmt.Errorf("granted, but never asked for: %q", unused)
		}
		return nil
	}, gateway.Proc)
	assert.Empty(t, k.AuditLog.Forbidden(t))
	assert.Empty(t, linesOf(gateway, "forbidden"))
}

// grants are what an account's roles allow.
func grants(t *testing.T, k *backends.Kubernetes, namespace, account string) []string {
	t.Helper()
	return backends.Grants(t, k.Kubectl(t, "", "get", backends.RolesAndBindings, "--all-namespaces", "-o", "json"), namespace, account)
}

// unusedGrants are those of them that the account did not ask for so far.
func unusedGrants(t *testing.T, k *backends.Kubernetes, namespace, account string) []string {
	t.Helper()
	return k.AuditLog.Unused(t, "system:serviceaccount:"+namespace+":"+account, grants(t, k, namespace, account))
}
