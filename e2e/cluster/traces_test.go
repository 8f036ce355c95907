//go:build e2e

package cluster

import (
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sluice-otel/sluice/e2e/harness"
	"github.com/sluice-otel/sluice/e2e/proc"
)

// keeps is the rule of configs/sampling.yaml for traces of the demo application: all with an error, all of a second and more, and of the rest the
// share of the environment.
func (d DemoTrace) keeps(t *testing.T, percent float64) bool {
	t.Helper()
	var id [16]byte
	n, err := hex.Decode(id[:], []byte(d.ID))
	require.NoError(t, err)
	require.Len(t, id, n)
	return d.Class != "normal" || harness.SamplingShare(id) <= percent/100
}

// own sums one of a tier's own metrics over its pods.
func (s *Sluice) own(t *testing.T, namespace, tier, metric string) float64 {
	t.Helper()
	var list struct{ Items []pod }
	s.Get(t, &list, "pods", "-n", namespace, "-l", "app.kubernetes.io/name=sluice,app.kubernetes.io/component="+tier)
	require.NotEmpty(t, list.Items)
	sum := 0.0
	for _, p := range list.Items {
		page, err := harness.ReadMetrics(s.Pod(t, namespace, p.Metadata.Name, 8888) + "/metrics")
		require.NoError(t, err)
		sum += page.Sum(metric, nil)
	}
	return sum
}

// hops are the tiers on a span's way, in order.
var hops = [][2]string{{"sluice-agent", "agent"}, {"sluice", "gateway"}, {"sluice", "sampling"}}

const (
	acceptedSpans = "otelcol_receiver_accepted_spans"
	decidedTraces = "otelcol_processor_tail_sampling_global_count_traces_sampled"
)

// Spans go through the agent's host port, or its Service, a gateway and a sampler to Jaeger: of each class exactly the traces that the policies keep, whole and
// once, with the pod that they came from. Before that all of them are counted.
func TestTracesAreSampledByTheirPolicies(t *testing.T) {
	s := StartSluice(t)
	s.Namespace(t, "spans")
	before := map[string]float64{}
	for _, hop := range hops {
		before[hop[1]] = s.own(t, hop[0], hop[1], acceptedSpans)
	}
	decided := s.own(t, "sluice", "sampling", decidedTraces)
	demos := map[string]float64{"checkout": 10, "rehearsal": 50} // percent of normal ones
	s.DeployDemo(t, "spans", "checkout", DemoOptions{Replicas: 2})
	s.DeployDemo(t, "spans", "rehearsal", DemoOptions{Environment: "staging", Nameless: true, Endpoint: "http://sluice-agent.sluice-agent:4318"})
	made, counted := map[string][]DemoTrace{}, map[string]map[string]map[string]float64{}
	spans := 0
	for name := range demos {
		counted[name] = s.counted(t, name)
		d := &Demo{Namespace: "spans", Name: name, c: s.Cluster}
		for _, pod := range d.Pods(t) {
			for class, n := range map[string]int{"error": 20, "slow": 20, "normal": 200} {
				d.Trace(t, pod, class, n)
			}
			proc.Eventually(t, 30*time.Second, func() error {
				for class, n := range d.Counts(t, pod).Traces {
					if n.Acknowledged != n.Made {
						return fmt.Errorf("%s: the agent has taken %d of %d traces of class %s", pod, n.Acknowledged, n.Made, class)
					}
				}
				return nil
			})
			traces := d.Traces(t, pod)
			made[name] = append(made[name], traces...)
			spans += len(traces) * 3
		}
	}
	require.Equal(t, 3*240*3, spans)
	proc.Eventually(t, time.Minute, func() error {
		for _, hop := range hops {
			if n := s.own(t, hop[0], hop[1], acceptedSpans) - before[hop[1]]; n < float64(spans) {
				return fmt.Errorf("%v of %d spans have come to %s", n, spans, hop[1])
			}
		}
		if n := s.own(t, "sluice", "sampling", decidedTraces) - decided; n < float64(spans/3) {
			return fmt.Errorf("%v of %d traces have been decided on", n, spans/3)
		}
		return nil
	})
	for name, percent := range demos {
		s.assertKept(t, name, made[name], percent)
		s.assertOrigin(t, name, made[name])
		s.assertCounted(t, name, made[name], counted[name])
	}
}

// assertKept looks into Jaeger once every decision has been made.
func (s *Sluice) assertKept(t *testing.T, service string, made []DemoTrace, percent float64) {
	t.Helper()
	want, kept, ours := map[string]int{}, map[string]int{}, map[string]bool{}
	for _, trace := range made {
		ours[trace.ID] = true
		if trace.keeps(t, percent) {
			want[trace.ID] = trace.Spans
			kept[trace.Class]++
		}
	}
	var got map[string]int
	proc.Eventually(t, 30*time.Second, func() error { // the sampler's queue
		got = map[string]int{}
		for id, times := range s.Jaeger.Spans(t, service) {
			if ours[id[0]] {
				got[id[0]] += times
			}
		}
		if len(got) < len(want) {
			return fmt.Errorf("%s: %d of %d traces are in Jaeger", service, len(got), len(want))
		}
		return nil
	})
	assert.Equal(t, want, got, "%s: spans of each trace", service)
	t.Logf("%s: kept are %v of %d traces", service, kept, len(made))
	assert.Positive(t, kept["normal"])
}

// origin is a pod: its name and its uid.
type origin [2]string

// assertOrigin sees that the agent knew which pods they are of: they say so, or the connection does.
func (s *Sluice) assertOrigin(t *testing.T, service string, made []DemoTrace) {
	t.Helper()
	page, err := body(t, s.Jaeger.URL+"/api/traces?"+url.Values{"service": {service}, "limit": {"1000"}}.Encode())
	require.NoError(t, err)
	var answer struct {
		Data []struct {
			TraceID   string
			Processes map[string]struct {
				Tags []struct {
					Key   string
					Value any
				}
			}
		}
	}
	require.NoError(t, json.Unmarshal([]byte(page), &answer))
	ours := map[string]bool{}
	for _, trace := range made {
		ours[strings.TrimLeft(trace.ID, "0")] = true
	}
	want := map[origin]bool{}
	for _, p := range s.pods(t, "spans", service) {
		want[origin{p.Metadata.Name, p.Metadata.UID}] = true
	}
	got := map[origin]bool{}
	for _, trace := range answer.Data {
		if !ours[strings.TrimLeft(trace.TraceID, "0")] {
			continue
		}
		for _, process := range trace.Processes {
			tags := map[string]string{}
			for _, tag := range process.Tags {
				tags[tag.Key] = fmt.Sprint(tag.Value)
			}
			got[origin{tags["k8s.pod.name"], tags["k8s.pod.uid"]}] = true
			assert.Equal(t, "spans", tags["k8s.namespace.name"])
			assert.Equal(t, service, tags["k8s.deployment.name"])
			assert.Equal(t, "default", tags["k8s.cluster.name"])
			assert.NotEmpty(t, tags["k8s.node.name"])
		}
	}
	assert.Equal(t, want, got, "pods of %s", service)
}

// counted are the metrics that the samplers made of a service's spans: by metric and by what tells spans apart.
func (s *Sluice) counted(t *testing.T, service string) map[string]map[string]float64 {
	t.Helper()
	all := map[string]map[string]float64{}
	for _, metric := range []string{"calls_total", "duration_seconds_count", `duration_seconds_bucket{le="2.5"}`} {
		name, le, _ := strings.Cut(metric, "{")
		query := "sum by (span_name, status_code, http_response_status_code) (traces_span_metrics_" + name + `{service_name="` + service + `", ` + strings.TrimSuffix(le, "}") + "})"
		all[metric] = map[string]float64{}
		for _, sample := range s.Prometheus.Query(t, query) {
			l := sample.Labels
			all[metric][l["span_name"]+" "+l["status_code"]+" "+l["http_response_status_code"]] = sample.Value
		}
	}
	return all
}

// assertCounted sees that all spans are counted, those that were not kept as well.
func (s *Sluice) assertCounted(t *testing.T, service string, made []DemoTrace, before map[string]map[string]float64) {
	t.Helper()
	classes := map[string]float64{}
	for _, trace := range made {
		classes[trace.Class]++
	}
	spans := func(failed, well float64) map[string]float64 {
		return map[string]float64{
			"POST /orders STATUS_CODE_ERROR 500": failed,
			"POST /orders STATUS_CODE_UNSET 201": well,
			"take order STATUS_CODE_UNSET ":      failed + well,
			"INSERT orders STATUS_CODE_ERROR ":   failed,
			"INSERT orders STATUS_CODE_UNSET ":   well,
		}
	}
	all := spans(classes["error"], classes["slow"]+classes["normal"])
	want := map[string]map[string]float64{
		"calls_total": all, "duration_seconds_count": all,
		`duration_seconds_bucket{le="2.5"}`: spans(classes["error"], classes["normal"]),
	}
	proc.Eventually(t, time.Minute, func() error {
		got := s.counted(t, service)
		for metric, series := range before { // of an earlier run in this cluster
			for name, value := range series {
				got[metric][name] -= value
			}
		}
		if !assert.ObjectsAreEqual(want, got) {
			return fmt.Errorf("metrics of %s: %v, want %v", service, got, want)
		}
		return nil
	})
}
