//go:build e2e

package soak

import (
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sluice-otel/sluice/e2e/netns"
	"github.com/sluice-otel/sluice/e2e/proc"
)

const failedWrites = "otelcol_extension_durable_storage_failed_writes"

var everybody = []string{agentTier, gateway0, gateway1, sampling0, sampling1, scraperTier}

// Every volume is full for a while. What cannot be stored is refused to who can try again, a sampler that has decided among them: its
// journal has the trace. A scrape cannot, and loses no more than it counts.
func TestFullDisk(t *testing.T) {
	volumes, state := map[string]*netns.Volume{}, map[string]string{}
	for _, name := range everybody {
		volumes[name] = netns.NewVolume(t, 48<<20)
		state[name] = volumes[name].Dir
	}
	r := startRig(t, shipped(), state)
	if !full() { // what was refused for good does not come; what waits is tried again every second, as shipped only every 30 s
		r.patience = 10 * time.Second
	}
	r.write()
	time.Sleep(3 * time.Second)
	// From the end to the beginning: who is told that the next tier is full has not yet a full volume, too.
	for _, names := range [][]string{{sampling0, sampling1}, {scraperTier}, {gateway0, gateway1}, {agentTier}} {
		for _, name := range names {
			volumes[name].Fill(t)
		}
		r.note("full: the volumes of %v", names)
		r.waitFailedWrites(names)
	}
	// In the middle of it some die: a full disk must not keep them from starting.
	for _, name := range []string{agentTier, gateway0, gateway1} {
		r.collectors[name].Kill()
		r.restart(name)
		r.note("%s was killed, and has started on a full volume", name)
	}
	time.Sleep(fullFor())
	for name, c := range r.collectors {
		require.False(t, c.Proc.Exited(), name)
		resp, err := http.Get("http://" + c.Health + "/")
		require.NoError(t, err, name)
		resp.Body.Close()
		assert.Equal(t, http.StatusOK, resp.StatusCode, "%s: health", name)
	}
	for _, name := range everybody {
		volumes[name].Free(t)
	}
	r.note("there is room again")
	time.Sleep(3 * time.Second)
	report := r.settle()
	for _, y := range report.Tallies {
		assert.Positive(t, y.Stored, y.Signal)
		refused := 0.0
		if y.Signal == scrapedSamples {
			refused = r.collectors[scraperTier].Metric(t, "otelcol_exporter_enqueue_failed_metric_points", nil)
		}
		t.Logf("%s: %d lost, %v counted as refused", y.Signal, y.Lost, refused)
		assert.LessOrEqual(t, y.Lost, int(refused), "%s: lost and not counted, among them %v", y.Signal, y.Sample)
	}
}

func fullFor() time.Duration {
	if full() {
		return 2 * time.Minute
	}
	return 6 * time.Second
}

// waitFailedWrites waits until one of these counts that its volume is full. Not each of them gets data.
func (r *rig) waitFailedWrites(names []string) {
	r.t.Helper()
	proc.Eventually(r.t, 30*time.Second, func() error {
		for _, name := range names {
			if r.collectors[name].Metric(r.t, failedWrites, map[string]string{"reason": "no_space"}) > 0 {
				return nil
			}
		}
		return fmt.Errorf("%v: %s counts no write that found the volume full", names, failedWrites)
	})
}
