//go:build e2e

package soak

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
)

// Every backend says for a while that it is the data that is wrong. Nothing else can be done with that than to drop it: what is lost
// is what is counted as failed, and not one more.
func TestRefusedForGood(t *testing.T) {
	r := startRig(t, shipped(), nil)
	r.patience = 8 * time.Second // what is gone does not come
	r.write()
	time.Sleep(3 * time.Second)
	for _, backend := range allBackends {
		r.make(backend, "answers 400")
	}
	time.Sleep(11 * time.Second) // an SDK exports every five seconds, and a sampler waits for two
	for i, y := range r.settle().Tallies {
		w := map[string]watched{logLines: atBackends[0], pushedSamples: atBackends[1], scrapedSamples: atBackends[2], spans: atBackends[3]}[y.Signal]
		failed := int(r.read(w, w.failed))
		t.Logf("%s: %d lost, %s of %s: %d", y.Signal, y.Lost, w.failed, w, failed)
		assert.Positive(t, y.Lost, "%s: nothing was refused, so nothing is proven", y.Signal)
		if i < 2 {
			assert.Equal(t, failed, y.Lost, "%s: lost and not counted, or the other way round", y.Signal)
		} else {
			// These exporters have the collectors' own metrics, too.
			assert.LessOrEqual(t, y.Lost, failed, "%s: lost and not counted", y.Signal)
		}
	}
}
