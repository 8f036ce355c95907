//go:build e2e

package cluster

import (
	"errors"
	"fmt"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sluice-otel/sluice/e2e/harness"
	"github.com/sluice-otel/sluice/e2e/proc"
)

// Each target of monitors and annotations is asked by one scraper, whatever number of scrapers there is, and by none or two only for a moment
// while that number changes; and what happens to the allocators takes no target away.
func TestTargetsAreShared(t *testing.T) {
	t.Parallel()
	s := StartSluice(t)
	s.Quick(t)
	s.Restore(t)
	f := deployFleet(t, s, "targets")
	f.shared(t, 2, "scraper")
	f.known(t)
	for _, step := range []struct{ from, to int }{{2, 1}, {1, 3}, {3, 1}} {
		start := time.Now()
		s.Scrapers(t, step.to)
		f.shared(t, step.to, "scraper")
		for kind, w := range f.since(t, start) {
			t.Logf("%d to %d scrapers, %s: %s", step.from, step.to, kind, w)
			assert.Less(t, w.gap, whileScaling+late, kind)
			assert.Less(t, w.overlap, whileScaling+late, kind)
		}
	}
	f.withoutRole(t)

	// And in place of scrapers the agents may do it: one on each node.
	s.Customize(t, "components: [$DEPLOY/components/per-node]\n")
	f.shared(t, len(strings.Fields(s.Kubectl(t, "get", "nodes", "-o", "name"))), "agent")
	f.known(t)
}

// whileScaling is how long a target may be nobody's, or two's: the README of the manifests says so, too.
const whileScaling = 30 * time.Second

// known waits until Prometheus has every application as a target that is up, under its own name.
func (f *fleet) known(t *testing.T) {
	t.Helper()
	proc.Eventually(t, time.Minute, func() error {
		up := map[string]int{}
		// Of late: a series that ends without a last mark, as when a scraper goes, is found for five minutes.
		for _, sample := range f.s.Prometheus.Query(t, `last_over_time(up{namespace="`+f.namespace+`"}[25s]) == 1`) {
			up[sample.Labels["pod"]]++
		}
		for _, a := range f.apps {
			if up[a.pod] != 1 {
				return fmt.Errorf("%d targets that are up for %s, of %v", up[a.pod], a.pod, up)
			}
		}
		return nil
	})
}

// withoutRole takes the allocators' role away while they run, cuts their connections, and restarts them. They lose no target, say what is
// wrong, and need nobody when the role is back.
func (f *fleet) withoutRole(t *testing.T) {
	t.Helper()
	s := f.s
	start := time.Now()
	allocators := s.allocators(t)
	s.Kubectl(t, "delete", "clusterrole", "sluice-targetallocator")
	if s.Own() { // else they go on with connections of which nobody asks whether they are still allowed
		mend := s.cut(t, allocators)
		s.Kubectl(t, "-n", f.namespace, "scale", "deployment/service-monitor", "--replicas=6")
		time.Sleep(40 * time.Second) // an idle connection is tried after 30 s
		mend()
		for pod, n := range waitFailures(t, allocators) {
			assert.Contains(t, s.Kubectl(t, "-n", "sluice", "logs", pod), "is forbidden", pod)
			t.Logf("without its role %s counts %v in prometheus_sd_kubernetes_failures_total", pod, n)
		}
	}
	// A new one is refused what it has to know first, and the old ones stay.
	s.Kubectl(t, "-n", "sluice", "rollout", "restart", "deployment/sluice-targetallocator")
	proc.Eventually(t, time.Minute, func() error {
		restarts := s.Kubectl(t, "-n", "sluice", "get", "pods", "-l", "app.kubernetes.io/component=targetallocator", "-o", "jsonpath={.items[*].status.containerStatuses[*].restartCount}")
		if strings.Trim(restarts, " 0") == "" {
			return errors.New("no allocator has been restarted")
		}
		return nil
	})
	for pod := range allocators {
		assert.Equal(t, "true", s.Kubectl(t, "-n", "sluice", "get", "pod", pod, "-o", "jsonpath={.status.containerStatuses[0].ready}"), pod)
	}
	restored := time.Now()
	s.Scrapers(t, 1) // `kubectl apply` brings the role back, and the allocators are rolled out
	before := f.apps
	f.find(t)
	f.shared(t, 1, "scraper")
	for kind, w := range f.since(t, start) {
		t.Logf("the allocators' role revoked and restored, the allocators restarted, %s: %s", kind, w)
		assert.Less(t, w.gap, 2*ScrapeInterval+late/3, kind)
		assert.Zero(t, w.targets, kind)
	}
	for _, a := range f.apps {
		if !slices.Contains(before, a) {
			first := a.scrapes(t)[0].At
			t.Logf("a target that came meanwhile was asked %.1f s after the role was restored", first.Sub(restored).Seconds())
			assert.True(t, first.After(restored), "it was found without the role")
		}
	}
}

// waitFailures waits until every allocator has counted failures of its discovery.
func waitFailures(t *testing.T, allocators map[string]string) map[string]float64 {
	t.Helper()
	counts := map[string]float64{}
	proc.Eventually(t, 2*time.Minute, func() error {
		for pod, address := range allocators {
			text, err := body(t, "http://"+address+":8080/metrics")
			if err != nil {
				return err
			}
			page, err := harness.ParseMetrics(text)
			require.NoError(t, err)
			if counts[pod] = page.Sum("prometheus_sd_kubernetes_failures_total", nil); counts[pod] == 0 {
				return fmt.Errorf("%s counts %v failures", pod, counts[pod])
			}
		}
		return nil
	})
	return counts
}

// allocators are the pods, with their addresses.
func (s *Sluice) allocators(t *testing.T) map[string]string {
	t.Helper()
	pods := map[string]string{}
	out := s.Kubectl(t, "-n", "sluice", "get", "pods", "-l", "app.kubernetes.io/component=targetallocator", "-o", `jsonpath={range .items[*]}{.metadata.name} {.status.podIP}{"\n"}{end}`)
	for line := range strings.Lines(out) {
		name, address, _ := strings.Cut(strings.TrimSpace(line), " ")
		pods[name] = address
	}
	require.Len(t, pods, 2)
	return pods
}

// cut resets the connections from pods to the API server, at the next packet, until it is mended.
func (s *Sluice) cut(t *testing.T, pods map[string]string) (mend func()) {
	t.Helper()
	port := s.Kubectl(t, "get", "endpointslice", "kubernetes", "-o", "jsonpath={.ports[0].port}")
	rule := func(how, address string) {
		out, err := exec.Command("iptables", how, "INPUT", "-s", address, "-p", "tcp", "--dport", port, "-j", "REJECT", "--reject-with", "tcp-reset").CombinedOutput()
		require.NoError(t, err, string(out))
	}
	for _, address := range pods {
		rule("-I", address)
	}
	mend = sync.OnceFunc(func() {
		for _, address := range pods {
			rule("-D", address)
		}
	})
	t.Cleanup(mend)
	return mend
}
