//go:build e2e

package cluster

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sluice-otel/sluice/e2e/proc"
	"github.com/sluice-otel/sluice/e2e/scraped"
	"github.com/sluice-otel/sluice/e2e/soak"
)

// load is an application that logs, sends spans and is scraped, and what of it has to arrive.
type load struct {
	s     *Sluice
	demo  *Demo
	pods  []string
	begun time.Time
}

// scrapesPerSecond of each pod, by a PodMonitor: that way through the Target Allocator.
const rollingMonitor = `
apiVersion: monitoring.coreos.com/v1
kind: PodMonitor
metadata: {name: shop, namespace: rolling}
spec:
  selector: {matchLabels: {app: shop}}
  podMetricsEndpoints: [{port: http, path: /scraped, interval: 1s, scrapeTimeout: 1s}]
`

func startLoad(t *testing.T, s *Sluice) *load {
	t.Helper()
	s.Namespace(t, "rolling")
	l := &load{s: s, begun: time.Now()}
	l.demo = s.DeployDemo(t, "rolling", "shop", DemoOptions{Replicas: 2, LinesPerSecond: 20, TracesPerSecond: 10})
	l.pods = l.demo.Pods(t)
	require.Len(t, l.pods, 2)
	s.Apply(t, rollingMonitor)
	proc.Eventually(t, 3*time.Minute, func() error {
		for _, pod := range l.pods {
			if len(l.demo.Scrapes(t, pod).Acknowledged) == 0 {
				return fmt.Errorf("nobody scrapes %s", pod)
			}
		}
		return nil
	})
	return l
}

// volume is how much there is so far: lines, traces that were taken, scrapes.
func (l *load) volume(t *testing.T) (v [3]int) {
	t.Helper()
	for _, pod := range l.pods {
		counts := l.demo.Counts(t, pod)
		v[0] += counts.LastLine
		for _, n := range counts.Traces {
			v[1] += n.Acknowledged
		}
		v[2] += l.demo.Scrapes(t, pod).Served
	}
	return v
}

// podsOf are the uids of a tier's pods, without those that are about to be gone.
func (s *Sluice) podsOf(t *testing.T, namespace, tier string) (uids []string) {
	t.Helper()
	var list struct{ Items []pod }
	s.Get(t, &list, "pods", "-n", namespace, "-l", "app.kubernetes.io/name=sluice,app.kubernetes.io/component="+tier)
	for _, p := range list.Items {
		if p.Metadata.DeletionTimestamp == "" {
			uids = append(uids, p.Metadata.UID)
		}
	}
	return uids
}

// Each tier in turn is rolled out anew, as for another version or setting, while there is load. Nothing is lost that had been taken over: no
// line, no span of a trace to keep, no sample. (Nothing goes through the Target Allocator; what its rollout does to scrapes is in targets_test.go.)
func TestRollingUpdates(t *testing.T) {
	s := StartSluice(t)
	l := startLoad(t, s)
	for _, w := range tiers[1:] {
		namespace, workload := w[0], w[1]
		_, name, _ := strings.Cut(workload, "/sluice-")
		before, volume, start := s.podsOf(t, namespace, name), l.volume(t), time.Now()
		s.Kubectl(t, "-n", namespace, "rollout", "restart", workload)
		s.WaitRollout(t, namespace, workload, 3*time.Minute)
		after := s.podsOf(t, namespace, name)
		assert.Empty(t, slices.DeleteFunc(slices.Clone(before), func(uid string) bool { return !slices.Contains(after, uid) }), "%s: pods of before", name)
		now := l.volume(t)
		t.Logf("%s was rolled out in %s, during %d lines, %d traces taken, %d scrapes", name, time.Since(start).Round(time.Second), now[0]-volume[0], now[1]-volume[1], now[2]-volume[2])
		proc.Eventually(t, 30*time.Second, func() error { // no span is taken while the only agent is away
			now = l.volume(t)
			for i := range now {
				if now[i] <= volume[i] {
					return fmt.Errorf("%s: no load: %d before, %d now", name, volume, now)
				}
			}
			return nil
		})
	}
	report := soak.Report{Name: t.Name(), Shape: "as shipped", Tallies: l.await(t), Notes: l.refused(t)}
	var text strings.Builder
	_, err := report.WriteTo(&text)
	require.NoError(t, err)
	t.Log("\n" + text.String())
	for _, y := range report.Tallies {
		assert.Positive(t, y.Acknowledged, y.Signal)
		assert.Zero(t, y.Lost, "%s: lost, among them\n  %s", y.Signal, strings.Join(y.Sample, "\n  "))
	}
	assert.Zero(t, s.Jaeger.Counted(t, "jaeger_collector_spans_dropped_total"), "spans that Jaeger took and threw away")
}

// await takes what has been acknowledged now for what has to arrive, and waits until it has, or for long enough.
func (l *load) await(t *testing.T) []soak.Tally {
	t.Helper()
	end := time.Now()
	tallies := []soak.Tally{}
	for _, tally := range []func(*testing.T) func() soak.Tally{l.lines, l.spans, l.samples} {
		tally := tally(t) // at the same time for all, but for some milliseconds
		tallies = append(tallies, soak.Tally{})
		y := &tallies[len(tallies)-1]
		deadline := time.Now().Add(90 * time.Second)
		for *y = tally(); y.Lost > 0 && time.Now().Before(deadline); *y = tally() {
			time.Sleep(2 * time.Second)
		}
		if y.Drain = time.Since(end); y.Lost > 0 {
			y.Drain = -1
		}
	}
	return tallies
}

func (l *load) lines(t *testing.T) func() soak.Tally {
	lines := map[lineID]struct{}{}
	for _, pod := range l.pods {
		counts := l.demo.Counts(t, pod)
		written(lines, counts.Run, counts.LastLine)
	}
	return func() soak.Tally {
		stored, _ := l.s.storedLines(t, "rolling", l.begun)
		maps.DeleteFunc(stored, func(id lineID, _ int) bool { _, ours := lines[id]; return !ours })
		y := soak.Count(lines, stored, lineID.String)
		y.Signal, y.Written, y.CountsCopies = "log lines", len(lines), true
		return y
	}
}

// spanID is a span of a trace that has to be kept. Which span it is nobody has to know: they are counted.
type spanID struct {
	trace string
	n     int
}

func (l *load) spans(t *testing.T) func() soak.Tally {
	made, keep := 0, map[string]int{}
	acknowledged := map[spanID]struct{}{}
	for _, pod := range l.pods {
		for _, trace := range l.demo.Traces(t, pod) {
			made += trace.Spans
			// Of one that was taken in part nobody knows which part.
			if trace.Acknowledged < trace.Spans || !trace.keeps(t, 10) {
				continue
			}
			keep[trace.ID] = trace.Spans
			for n := range trace.Spans {
				acknowledged[spanID{trace.ID, n}] = struct{}{}
			}
		}
	}
	return func() soak.Tally {
		stored, seen := map[spanID]int{}, map[string]int{}
		for id, times := range l.s.Jaeger.Spans(t, "shop") {
			if trace := id[0]; keep[trace] > 0 {
				stored[spanID{trace, seen[trace]}] = times
				seen[trace]++
			}
		}
		y := soak.Count(acknowledged, stored, func(id spanID) string {
			return fmt.Sprintf("trace %s: %d of its spans are there", id.trace, seen[id.trace])
		})
		y.Signal, y.Written, y.CountsCopies = "spans to keep", made, true
		return y
	}
}

// refused tells of the spans that the SDK could not give away: while the agent is down nobody listens on its ports.
func (l *load) refused(t *testing.T) []string {
	t.Helper()
	made, taken, failed := 0, 0, 0
	for _, pod := range l.pods {
		failed += l.demo.Counts(t, pod).FailedExports
		for _, trace := range l.demo.Traces(t, pod) {
			made += trace.Spans
			taken += trace.Acknowledged
		}
	}
	return []string{fmt.Sprintf("Of %d spans the agent took %d. %d exports failed, which the SDK does not try again where the connection is refused; the last second's are on their way.", made, taken, failed)}
}

// sampleID is a sample of a scrape.
type sampleID struct {
	pod            string
	writer, number int
}

func (id sampleID) String() string { return fmt.Sprintf("scrape %d of %s", id.number, id.pod) }

func (l *load) samples(t *testing.T) func() soak.Tally {
	served, acknowledged := 0, map[sampleID]struct{}{}
	for _, pod := range l.pods {
		scrapes := l.demo.Scrapes(t, pod)
		served += scrapes.Served * scraped.Series
		for _, number := range scrapes.Acknowledged {
			for writer := range scraped.Series {
				acknowledged[sampleID{pod, writer, number}] = struct{}{}
			}
		}
	}
	return func() soak.Tally {
		stored := map[sampleID]int{}
		for _, series := range l.s.Prometheus.Raw(t, `demo_scraped_total{namespace="rolling"}`, time.Since(l.begun)+time.Minute) {
			writer, err := strconv.Atoi(series.Labels["writer"])
			if err != nil {
				continue // folded by the limiter
			}
			for _, sample := range series.Samples {
				id := sampleID{series.Labels["pod"], writer, int(sample.Value)}
				if _, ours := acknowledged[id]; ours {
					stored[id]++
				}
			}
		}
		y := soak.Count(acknowledged, stored, sampleID.String)
		y.Signal, y.Written = "scraped samples", served
		return y
	}
}
