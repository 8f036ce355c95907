//go:build e2e

package e2e

import (
	"errors"
	"fmt"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/sluice-otel/sluice/e2e/harness"
	"github.com/sluice-otel/sluice/e2e/proc"
	"github.com/sluice-otel/sluice/e2e/tiers"
)

// An API server that is away for less than LEASE_RENEW_DEADLINE, twice: the leader keeps its lease, reports the cluster once
// and goes on with events. With the receiver's default of 10 s it would read the cluster three times and events never again.
func TestGatewayOutlivesAnAPIServerRestart(t *testing.T) {
	k := tiers.StartKubernetes(t)
	k.Apply(t, cluster)
	sink := harness.StartSink(t, harness.SinkOptions{})
	gateway := tiers.Start(t, k, tiers.Tier{
		Profile: "gateway", Backends: []string{"backends/lgtm"},
		Env: tiers.With(tiers.ToSink(t, sink), map[string]string{"CLUSTER_METRICS_INTERVAL": clusterInterval.String()}),
	})
	proc.Eventually(t, 20*time.Second, func() error {
		if !reportsCluster(t)(gateway) {
			return errors.New("nobody reports the cluster")
		}
		return nil
	}, gateway.Proc)
	holder := leaseHolder(t, k)
	for i := range 2 {
		k.APIServer.Signal(syscall.SIGSTOP)
		time.Sleep(13 * time.Second) // the outage itself: longer than the receiver's default deadline
		k.APIServer.Signal(syscall.SIGCONT)
		proc.Eventually(t, 30*time.Second, func() error {
			if k.APIServer.Exited() {
				return errors.New("the API server is gone")
			}
			k.Kubectl(t, event(fmt.Sprintf("after-%d", i), "shop", "the API server is back"), "apply", "--server-side", "-f", "-")
			return nil
		}, gateway.Proc)
		sink.WaitLogs(t, 30*time.Second, told("after", i+1), gateway.Proc)
	}
	assert.Equal(t, holder, leaseHolder(t, k), "the lease's holder")
	assertOncePerInterval(t, sink.Points())
	gateway.Stop(t)
}
