//go:build e2e

package cluster

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sluice-otel/sluice/e2e/backends"
	"github.com/sluice-otel/sluice/e2e/proc"
)

// late is how long what is read may take to a backend, on a machine that has a lot to do.
const late = 15 * time.Second

// Of two gateways one reads the cluster. When it is killed the other one does, and no event is missing or there twice.
func TestOneGatewayReadsTheCluster(t *testing.T) {
	t.Parallel()
	s := StartSluice(t)
	s.Quick(t)
	s.Namespace(t, "leader")
	w := eventWriter{s: s, uids: map[string]string{}, since: time.Now().Truncate(time.Second)}
	for range 5 {
		w.write(t, "before")
	}
	leader := s.leader(t)
	s.onlyReader(t, leader, &w)
	w.arrive(t)

	// While nobody leads, and until some time after somebody does again.
	holder := s.leaseHolder(t)
	s.Kubectl(t, "-n", "sluice", "delete", "pod", leader, "--grace-period=0", "--force")
	killed := time.Now()
	var taken time.Time
	proc.Eventually(t, LeaseDuration+ClusterInterval+2*late, func() error {
		w.write(t, "during")
		if now := s.leaseHolder(t); now == "" || now == holder {
			return fmt.Errorf("the lease is held by %q", now)
		}
		taken = time.Now()
		return nil
	})
	for range 5 {
		w.write(t, "after")
	}
	w.arrive(t)
	next := s.leader(t)
	s.WaitRollout(t, "sluice", "statefulset/sluice-gateway", 3*time.Minute)
	s.onlyReader(t, next, &w)
	w.arrive(t)
	t.Logf("%s was killed; %s held the lease %.1f s later; %d events", leader, next, taken.Sub(killed).Seconds(), len(w.uids))

	// The state of workloads comes once in an interval, and soon after the lease has ended.
	var again time.Time
	least := time.Hour
	proc.Eventually(t, time.Minute, func() error {
		series := s.Prometheus.Raw(t, `k8s_namespace_phase{k8s_namespace_name="default"}`, time.Since(killed)+3*ClusterInterval)
		require.Len(t, series, 1)
		samples := series[0].Samples
		last := slices.IndexFunc(samples, func(s backends.RawSample) bool { return s.Time.After(taken) })
		if last < 0 || len(samples) < last+4 {
			return fmt.Errorf("since %s: %v", taken, samples)
		}
		again = samples[last].Time
		for i := range len(samples) - 1 {
			least = min(least, samples[i+1].Time.Sub(samples[i].Time))
		}
		return nil
	})
	t.Logf("k8s_cluster: at least %.1f s between two samples; the first one %.1f s after the kill", least.Seconds(), again.Sub(killed).Seconds())
	assert.Greater(t, least, ClusterInterval/2, "two at a time have read the cluster")
	assert.Less(t, again.Sub(killed), LeaseDuration+ClusterInterval+late)
}

func (s *Sluice) leaseHolder(t *testing.T) string {
	t.Helper()
	return s.Kubectl(t, "-n", "sluice", "get", "lease", "sluice-gateway", "-o", "jsonpath={.spec.holderIdentity}")
}

// leader is the gateway that holds the lease: each says at its start under which name it asks for it. Of a gateway that is gone, as after a rollout,
// the lease is until it ends.
func (s *Sluice) leader(t *testing.T) (pod string) {
	t.Helper()
	const shipped = 60 * time.Second // lease_duration of configs/gateway.yaml
	proc.Eventually(t, shipped+2*late, func() error {
		holder := s.leaseHolder(t)
		if holder == "" {
			return errors.New("nobody holds the lease")
		}
		for _, name := range strings.Fields(s.Kubectl(t, "-n", "sluice", "get", "pods", "-l", "app.kubernetes.io/component=gateway", "-o", "jsonpath={.items[*].metadata.name}")) {
			if log, err := s.TryKubectl("", "-n", "sluice", "logs", name); err == nil && strings.Contains(log, holder) {
				pod = name
				return nil
			}
		}
		return fmt.Errorf("no gateway asks for the lease as %q", holder)
	})
	return pod
}

// onlyReader waits until this gateway counts what it reads of the cluster, workloads and events, and the others do not. Of events Loki does not tell:
// what two have read is the same in all, and it keeps one.
func (s *Sluice) onlyReader(t *testing.T, leader string, w *eventWriter) {
	t.Helper()
	const accepted = `sum by (receiver, service_instance_id) (increase({__name__=~"otelcol_receiver_accepted_(metric_points|log_records)_total", receiver=~"k8s_cluster|k8sobjects", job="sluice-gateway"}[40s])) > 0`
	var written time.Time
	proc.Eventually(t, 90*time.Second, func() error {
		if time.Since(written) > ScrapeInterval {
			w.write(t, "meanwhile")
			written = time.Now()
		}
		readers := map[string]float64{}
		for _, sample := range s.Prometheus.Query(t, accepted) {
			readers[sample.Labels["receiver"]+" of "+sample.Labels["service_instance_id"]] = sample.Value
		}
		if len(readers) != 2 || readers["k8s_cluster of "+leader] == 0 || readers["k8sobjects of "+leader] == 0 {
			return fmt.Errorf("what was read within 40 s: %v; the leader is %s", readers, leader)
		}
		return nil
	})
}

// eventWriter writes events, each of its own name, and knows their uids.
type eventWriter struct {
	s     *Sluice
	uids  map[string]string // uid → name
	since time.Time
}

func (w *eventWriter) write(t *testing.T, when string) {
	t.Helper()
	name := fmt.Sprintf("%s-%d", when, len(w.uids))
	out := w.s.KubectlIn(t, fmt.Sprintf(`
apiVersion: v1
kind: Event
metadata: {name: %s, namespace: leader}
type: Normal
reason: Written
message: event %s was written
count: 1
involvedObject: {apiVersion: v1, kind: Namespace, namespace: leader, name: leader}
source: {component: test}
`, name, name), "create", "-f", "-", "-o", "json")
	var event struct{ Metadata struct{ UID string } }
	require.NoError(t, json.Unmarshal([]byte(out), &event))
	w.uids[event.Metadata.UID] = name
}

// arrive waits until all that was written is in Loki, each event once.
func (w *eventWriter) arrive(t *testing.T) {
	t.Helper()
	var lines map[string]int
	proc.Eventually(t, LeaseDuration+2*late, func() error {
		lines = map[string]int{}
		for _, line := range w.s.Loki.AllLines(t, `{service_name="kubernetes-events", k8s_namespace_name="leader"} | k8s_event_reason="Written"`, w.since) {
			uid := line.Metadata["k8s_event_uid"]
			lines[uid]++
			assert.Equal(t, "event "+w.uids[uid]+" was written", line.Line)
		}
		var missing []string
		for uid, name := range w.uids {
			if lines[uid] == 0 {
				missing = append(missing, name)
			}
		}
		if slices.Sort(missing); len(missing) > 0 {
			return fmt.Errorf("%d events of %d are missing: %v", len(missing), len(w.uids), missing)
		}
		return nil
	})
	for _, uid := range slices.Sorted(maps.Keys(lines)) {
		assert.Equal(t, 1, lines[uid], "event %s", w.uids[uid])
	}
}
