//go:build e2e

package soak

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sluice-otel/sluice/e2e/proc"
	"github.com/sluice-otel/sluice/e2e/tiers"
)

// smallQueue is full soon, and then hold back who reads files or scrapes, and refuse spans.
const smallQueue = "{sending_queue: {sizer: requests, queue_size: 5, batch: {min_size: 0, flush_timeout: 20ms}}, retry_on_failure: {initial_interval: 200ms, max_interval: 1s}}"

func withSmallQueues(s shape) shape {
	long := s.tier
	s.tier = func(profile string) tiers.Tier {
		tier := long(profile)
		tier.Override = strings.ReplaceAll(impatient[profile], soon, smallQueue)
		return tier
	}
	return s
}

// Every tier is asked to stop while all queues are full: by a rollout in the middle of an outage.
func TestTermination(t *testing.T) {
	r := startRig(t, withSmallQueues(shipped()), nil)
	r.write()
	time.Sleep(3 * time.Second)
	for _, backend := range allBackends {
		r.make(backend, "answers 503")
	}
	full := append(slices.Clone(atBackends),
		watched{tiers: []string{agentTier}, exporter: "otlp_grpc/gateway_logs"}, watched{tiers: []string{agentTier}, exporter: "otlp_grpc/gateway_metrics"})
	proc.Eventually(t, time.Minute, func() error {
		for _, w := range full {
			if n := r.read(w, queueSize); n < 5 {
				return fmt.Errorf("%s: %v requests are queued", w, n)
			}
		}
		return nil
	})
	r.terminate()
	// Samplers that were killed after the grace decide some traces again.
	r.assertWhole(r.settle(), sampledTwice, lostAnswers)
}

// terminate asks all at once, and starts them again. Who has not stopped after the grace is killed, as in a cluster.
func (r *rig) terminate() {
	r.t.Helper()
	r.note("SIGTERM to everybody")
	start := time.Now()
	var mu sync.Mutex
	var all sync.WaitGroup
	for name, c := range r.collectors {
		all.Go(func() {
			err := c.Proc.Stop()
			mu.Lock()
			defer mu.Unlock()
			r.note("%s is gone after %s", name, time.Since(start).Round(time.Millisecond))
			if err != nil {
				r.notes = append(r.notes, name+" did not stop by itself with full queues within 15 s, and was killed.")
			}
		})
	}
	all.Wait()
	slices.Sort(r.notes)
	for _, name := range slices.Sorted(maps.Keys(r.collectors)) {
		r.restart(name)
	}
	r.note("everybody is back")
}
