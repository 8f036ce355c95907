//go:build e2e

package cluster

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluice-otel/sluice/e2e/proc"
)

// fleet is applications that are scraped: by a ServiceMonitor, by a PodMonitor, and by annotations. Each notes who asked and when.
type fleet struct {
	s         *Sluice
	namespace string
	apps      []app
}

const monitors = `
apiVersion: monitoring.coreos.com/v1
kind: ServiceMonitor
metadata: {name: service-monitor, namespace: %[1]s}
spec:
  selector: {matchLabels: {app: service-monitor}}
  endpoints: [{port: http, interval: %[2]s}]
---
apiVersion: monitoring.coreos.com/v1
kind: PodMonitor
metadata: {name: pod-monitor, namespace: %[1]s}
spec:
  selector: {matchLabels: {app: pod-monitor}}
  podMetricsEndpoints: [{port: http, interval: %[2]s}]
`

const annotated = "annotated" // the kind that no monitor selects

// app is one of the applications: a pod of a kind, which is how it is found.
type app struct{ kind, pod, url string }

// scrape is a request for an application's metrics.
type scrape struct {
	From string // the address of who asked
	At   time.Time
}

func deployFleet(t *testing.T, s *Sluice, namespace string) *fleet {
	t.Helper()
	s.Namespace(t, namespace)
	s.Apply(t, fmt.Sprintf(monitors, namespace, ScrapeInterval))
	for kind, annotations := range map[string]map[string]string{"service-monitor": nil, "pod-monitor": nil, annotated: {"prometheus.io/scrape": "true"}} {
		s.DeployDemo(t, namespace, kind, DemoOptions{Replicas: 5, Annotations: annotations})
	}
	f := &fleet{s: s, namespace: namespace}
	f.find(t)
	return f
}

// find lists the applications anew.
func (f *fleet) find(t *testing.T) {
	t.Helper()
	f.apps = nil
	out := f.s.Kubectl(t, "-n", f.namespace, "get", "pods", "-l", "app", "-o", `jsonpath={range .items[*]}{.metadata.labels.app} {.metadata.name} {.status.podIP}{"\n"}{end}`)
	for line := range strings.Lines(out) {
		fields := strings.Fields(line)
		require.Len(t, fields, 3, "a pod without an address")
		a := app{kind: fields[0], pod: fields[1], url: "http://" + fields[2] + ":8080"}
		if !f.s.Own() {
			a.url = f.s.Pod(t, f.namespace, a.pod, 8080)
		}
		f.apps = append(f.apps, a)
	}
}

// scrapes are all that an application has seen.
func (a app) scrapes(t *testing.T) []scrape {
	t.Helper()
	text, err := body(t, a.url+"/scrapes")
	require.NoError(t, err)
	var all []scrape
	require.NoError(t, json.Unmarshal([]byte(text), &all))
	return all
}

// addresses are those of a tier's pods, with their names.
func (f *fleet) addresses(t *testing.T, tier string) map[string]string {
	t.Helper()
	out := f.s.Kubectl(t, "get", "pods", "-A", "-l", "app.kubernetes.io/name=sluice,app.kubernetes.io/component="+tier,
		"-o", `jsonpath={range .items[*]}{.status.podIP} {.metadata.name}{"\n"}{end}`)
	byAddress := map[string]string{}
	for line := range strings.Lines(out) {
		if fields := strings.Fields(line); len(fields) == 2 {
			byAddress[fields[0]] = fields[1]
		}
	}
	return byAddress
}

// shared waits until, for three intervals, each target has been asked once in an interval by one and the same of n pods of a tier, and each
// of these has asked some. What has annotations is always the scrapers'.
func (f *fleet) shared(t *testing.T, n int, tier string) {
	t.Helper()
	const long = 3 * ScrapeInterval
	proc.Eventually(t, 3*time.Minute, func() error {
		pods, scrapers := f.addresses(t, tier), f.addresses(t, "scraper")
		if len(pods) != n {
			return fmt.Errorf("pods: %v", pods)
		}
		busy := map[string]bool{}
		for _, a := range f.apps {
			from := map[string]int{}
			for _, scrape := range a.scrapes(t) {
				if time.Since(scrape.At) < long {
					from[scrape.From]++
				}
			}
			askers := pods
			if a.kind == annotated {
				askers = scrapers
			}
			if len(from) != 1 {
				return fmt.Errorf("%s has been asked by %v", a.pod, from)
			}
			for address, times := range from {
				if askers[address] == "" || times < 2 || times > 4 {
					return fmt.Errorf("%s has been asked by %v; it should be by one of %v", a.pod, from, askers)
				}
				busy[pods[address]] = true
			}
		}
		if delete(busy, ""); len(busy) != n {
			return fmt.Errorf("only %v of %v have targets", slices.Collect(maps.Keys(busy)), pods)
		}
		return nil
	})
}

// worst is what happened to the targets of a kind at worst.
type worst struct {
	gap     time.Duration // from one scrape to the next
	overlap time.Duration // from the first scrape of a new scraper to the last of the one before
	twice   int           // scrapes in those times, beyond one in an interval: those of the one before
	targets int           // how many that happened to
}

func (w worst) String() string {
	return fmt.Sprintf("at most %.1f s between two scrapes; %d targets asked by two at a time, for at most %.1f s, %d scrapes too many", w.gap.Seconds(), w.targets, w.overlap.Seconds(), w.twice)
}

// since tells what has happened to the targets of each kind since then.
func (f *fleet) since(t *testing.T, start time.Time) map[string]worst {
	t.Helper()
	byKind := map[string]worst{}
	for _, a := range f.apps {
		all := a.scrapes(t)
		w := byKind[a.kind]
		w.add(slices.DeleteFunc(all, func(s scrape) bool { return s.At.Before(start) }))
		byKind[a.kind] = w
	}
	return byKind
}

func (w *worst) add(scrapes []scrape) {
	first, last := map[string]time.Time{}, map[string]time.Time{}
	for i, s := range scrapes {
		if i > 0 {
			w.gap = max(w.gap, s.At.Sub(scrapes[i-1].At))
		}
		if _, ok := first[s.From]; !ok {
			first[s.From] = s.At
		}
		last[s.From] = s.At
	}
	before := w.twice
	for a := range first {
		for b := range first {
			if a == b || !first[a].Before(first[b]) || !first[b].Before(last[a]) {
				continue
			}
			end := last[a]
			if last[b].Before(end) {
				end = last[b]
			}
			w.overlap = max(w.overlap, end.Sub(first[b]))
			for _, s := range scrapes {
				if s.From == a && s.At.After(first[b]) && !s.At.After(end) {
					w.twice++
				}
			}
		}
	}
	if w.twice > before {
		w.targets++
	}
}
