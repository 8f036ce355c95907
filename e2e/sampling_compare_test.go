//go:build e2e

package e2e

import (
	"os"
	"testing"
	"time"
)

// TestSamplingCompare prints what upstream's load balancer and trace_shards make of the same accidents. It takes minutes:
// SLUICE_COMPARE=2m is how long the dead replica is away.
func TestSamplingCompare(t *testing.T) {
	away, err := time.ParseDuration(os.Getenv("SLUICE_COMPARE"))
	if err != nil {
		startSamplingRig(t, rigOptions{router: routerLoadBalancing, samplers: 1}) // or nobody notices that it does not start any more
		t.Skip("SLUICE_COMPARE is not set")
	}
	for name, router := range map[string]string{"loadbalancing": routerLoadBalancing, "trace_shards": routerShards} {
		t.Run("dead/"+name, func(t *testing.T) {
			r := startSamplingRig(t, rigOptions{router: router, samplers: 2})
			l := r.startLoad(t, 200, 1)
			time.Sleep(10 * time.Second)
			r.samplers[1].Kill()
			time.Sleep(away)
			r.samplers[1].Restart(t)
			time.Sleep(10 * time.Second)
			l.finish()
			t.Log("RESULT dead", name, r.settle(t, l, 40*time.Second, 4*time.Minute))
		})
		t.Run("scale/"+name, func(t *testing.T) {
			r := startSamplingRig(t, rigOptions{router: router, samplers: 2})
			l := r.startLoad(t, 200, 2)
			time.Sleep(10 * time.Second)
			r.addSampler(t)
			r.scale(t, 3)
			time.Sleep(20 * time.Second)
			r.scale(t, 2)
			time.Sleep(2 * time.Second)
			r.samplers[2].Stop(t)
			time.Sleep(10 * time.Second)
			l.finish()
			t.Log("RESULT scale", name, r.settle(t, l, 15*time.Second, 2*time.Minute))
			r.samplers[2].Restart(t) // its volume is mounted again
			t.Log("RESULT scale, with what the third one left in its queue", name, r.settle(t, l, 15*time.Second, time.Minute))
		})
	}
}
