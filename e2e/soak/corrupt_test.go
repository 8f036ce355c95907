//go:build e2e

package soak

import (
	"math/rand/v2"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// Files are damaged between a kill and a start: bits flip, an end is missing. Nobody crashes, all that was not hit arrives, and what
// is lost is counted and named in the log.
func TestCorruptQueue(t *testing.T) {
	t.Run("flipped bits", func(t *testing.T) {
		flip := func(pick *rand.Rand, glob string) ([]string, error) { return Damage(pick, glob, 3) }
		corrupt(t, flip, func(t *testing.T, lost, items, _ int) {
			assert.Equal(t, items, lost, "samples of the items that are gone")
		})
	})
	t.Run("missing end", func(t *testing.T) {
		cut := func(pick *rand.Rand, glob string) ([]string, error) {
			did, err := Truncate(pick, glob)
			return []string{did}, err
		}
		// Nothing says any more what the records were that are missing. Most were items.
		corrupt(t, cut, func(t *testing.T, lost, _, records int) {
			assert.LessOrEqual(t, lost, records, "samples, if every record that is gone was an item")
			assert.Positive(t, lost, "nothing was lost, so nothing is proven")
		})
	})
}

type damager func(pick *rand.Rand, glob string) (did []string, err error)

// corrupt damages the agent's queues. exact compares the pushed samples that are lost with what the agent has counted.
func corrupt(t *testing.T, damage damager, exact func(t *testing.T, lost, items, records int)) {
	r := startRig(t, shipped(), nil)
	r.patience = 10 * time.Second // what is gone does not come; what waits is tried again every second
	pick := rand.New(rand.NewPCG(r.seed, 11))
	r.write()
	time.Sleep(3 * time.Second)
	// An item of the agent's queue of metrics is a request of the one application that pushes: what is lost can be counted exactly.
	r.make(gatewayNet, "refuses")
	time.Sleep(8 * time.Second)
	r.damage(pick, damage, agentTier, "exporter_otlp_grpc_gateway_*")
	r.heal(gatewayNet)
	report := r.settle()
	for _, y := range report.Tallies {
		client := map[string]string{
			logLines: "exporter_otlp_grpc_gateway_logs_logs", spans: "exporter_otlp_grpc_gateway_traces_traces", pushedSamples: "exporter_otlp_grpc_gateway_metrics_metrics",
		}[y.Signal]
		items, records := r.damaged(agentTier, client, "item"), r.damaged(agentTier, client, "record")
		t.Logf("%s: %d lost; the agent says that it has lost %v items and %v records", y.Signal, y.Lost, items, records)
		switch {
		case client == "":
			assert.Zero(t, y.Lost, "%s: lost behind a tier that was not hit", y.Signal)
		case items+records == 0:
			assert.Zero(t, y.Lost, "%s: lost in silence", y.Signal)
		default:
			assert.Contains(t, r.collectors[agentTier].Proc.Output(), client, "the agent's log")
		}
		if y.Signal == pushedSamples {
			exact(t, y.Lost, int(items)*pageSeries, int(records)*pageSeries)
		}
	}
}

// damage kills a tier, damages its queues and starts it.
func (r *rig) damage(pick *rand.Rand, damage damager, name, queues string) {
	r.t.Helper()
	c := r.collectors[name]
	c.Kill()
	dirs, err := filepath.Glob(filepath.Join(c.StateDir, queues))
	require.NoError(r.t, err)
	require.NotEmpty(r.t, dirs)
	for _, dir := range dirs {
		did, err := damage(pick, filepath.Join(dir, "*.log"))
		require.NoError(r.t, err)
		r.note("%s: %s", name, strings.Join(did, ", "))
	}
	c.Restart(r.t)
	r.note("%s is back", name)
}

// damaged is what a tier has counted of damage.
func (r *rig) damaged(tier, client, what string) float64 {
	r.t.Helper()
	return r.collectors[tier].Metric(r.t, "otelcol_extension_durable_storage_damaged", map[string]string{"client": client, "what": what})
}
