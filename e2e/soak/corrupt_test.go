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

	"github.com/sluice-otel/sluice/e2e/scraped"
)

// What a queue's folder is called.
const (
	agentLogs, agentTraces, agentMetrics = "exporter_otlp_grpc_gateway_logs_logs", "exporter_otlp_grpc_gateway_traces_traces", "exporter_otlp_grpc_gateway_metrics_metrics"
	scraperMetrics                       = "exporter_remote_write__metrics"
)

// Queues are damaged between a kill and a start: in the agent's bits flip, of the scraper's the end is missing. Both start, all that
// was not hit arrives, and what is lost is counted, and named in the log.
func TestCorruptQueue(t *testing.T) {
	r := startRig(t, shipped(), nil)
	r.patience = 10 * time.Second // what is gone does not come; what waits is tried again every second
	pick := rand.New(rand.NewPCG(r.seed, 11))
	r.write()
	time.Sleep(3 * time.Second)
	r.make(gatewayNet, "refuses")
	r.make(victoriaName, "refuses")
	time.Sleep(8 * time.Second)
	r.damage(agentTier, "exporter_*", func(glob string) ([]string, error) { return Damage(pick, glob, 3) })
	r.damage(scraperTier, "exporter_*_metrics", func(glob string) ([]string, error) {
		did, err := Truncate(pick, glob)
		return []string{did}, err
	})
	lost := 0
	for _, y := range r.settle().Tallies {
		lost += y.Lost
		where := map[string]struct{ tier, client string }{
			logLines: {agentTier, agentLogs}, spans: {agentTier, agentTraces}, pushedSamples: {agentTier, agentMetrics}, scrapedSamples: {scraperTier, scraperMetrics},
		}[y.Signal]
		items, records := r.damaged(where.tier, where.client, "item"), r.damaged(where.tier, where.client, "record")
		t.Logf("%s: %d lost; %s says that it has lost %d items and %d records", y.Signal, y.Lost, where.tier, items, records)
		if items+records == 0 {
			assert.Zero(t, y.Lost, "%s: lost in silence", y.Signal)
			continue
		}
		assert.Contains(t, r.collectors[where.tier].Proc.Output(), where.client, "the log of %s", where.tier)
		if y.Signal == pushedSamples || y.Signal == scrapedSamples {
			// An item is a request of the one application that pushes, or a scrape. Damage may hit what says how many items there were:
			// then no more is known than how many records are gone, and some of them said only what was delivered.
			assert.GreaterOrEqual(t, y.Lost, items*scraped.Series, "%s: of the items that are gone", y.Signal)
			assert.LessOrEqual(t, y.Lost, records*scraped.Series, "%s: if every record that is gone was an item", y.Signal)
		}
	}
	assert.Positive(t, lost, "nothing was hit, so nothing is proven")
}

// damage kills a tier, damages its queues and starts it.
func (r *rig) damage(name, queues string, damage func(glob string) ([]string, error)) {
	r.t.Helper()
	c := r.collectors[name]
	c.Kill()
	dirs, err := filepath.Glob(filepath.Join(c.StateDir, queues))
	require.NoError(r.t, err)
	require.NotEmpty(r.t, dirs)
	for _, dir := range dirs {
		did, err := damage(filepath.Join(dir, "*.log"))
		require.NoError(r.t, err)
		r.note("%s: %s", name, strings.Join(did, ", "))
	}
	r.restart(name)
}

// damaged is what a tier has counted of damage.
func (r *rig) damaged(tier, client, what string) int {
	r.t.Helper()
	return int(r.collectors[tier].Metric(r.t, "otelcol_extension_durable_storage_damaged", map[string]string{"client": client, "what": what}))
}
