//go:build e2e

package e2e

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sluice-otel/sluice/e2e/harness"
	"github.com/sluice-otel/sluice/e2e/tiers"
)

// eventsBefore exist when the first gateway starts, eventsAfter are written while two run. Both APIs write the same
// objects: core/v1 is what the kubelet and the controllers use, events.k8s.io/v1 what the scheduler and newer ones use.
const (
	eventsBefore = `
apiVersion: events.k8s.io/v1
kind: Event
metadata: {name: started, namespace: shop}
eventTime: 2026-01-02T03:04:05.120000Z
type: Normal
reason: Started
action: Starting
note: Started container cart
regarding: {kind: Pod, namespace: shop, name: cart-7d4b9c6f5-x2x, uid: 6c9a4f5e-0001, apiVersion: v1, fieldPath: 'spec.containers{cart}'}
reportingController: kubelet
reportingInstance: node-1
---
apiVersion: v1
kind: Event
metadata: {name: backoff, namespace: shop}
firstTimestamp: 2026-01-02T03:00:00Z
lastTimestamp: 2026-01-02T03:10:00Z
count: 7
type: Warning
reason: BackOff
message: Back-off restarting failed container cart
involvedObject: {kind: Pod, namespace: shop, name: cart-7d4b9c6f5-x2x, uid: 6c9a4f5e-0001, apiVersion: v1}
source: {component: kubelet, host: node-1}
---
apiVersion: v1
kind: Event
metadata: {name: scaled, namespace: bank}
firstTimestamp: 2026-01-02T04:00:00Z
lastTimestamp: 2026-01-02T04:00:00Z
count: 1
type: Normal
reason: ScalingReplicaSet
message: Scaled up replica set ledger-5f6 from 1 to 2
involvedObject: {kind: Deployment, namespace: bank, name: ledger, uid: 6c9a4f5e-0002, apiVersion: apps/v1, resourceVersion: "12"}
source: {component: deployment-controller}
`
	eventsAfter = `
apiVersion: events.k8s.io/v1
kind: Event
metadata: {name: unschedulable, namespace: bank}
eventTime: 2026-01-02T05:00:00.000001Z
series: {count: 3, lastObservedTime: 2026-01-02T05:30:00.500000Z}
type: Warning
reason: FailedScheduling
action: Scheduling
note: 0/3 nodes are available
regarding: {kind: Pod, namespace: bank, name: ledger-5f6-abc, uid: 6c9a4f5e-0003, apiVersion: v1}
reportingController: default-scheduler
reportingInstance: default-scheduler-master-0
---
apiVersion: v1
kind: Event
metadata: {name: pulled, namespace: shop}
lastTimestamp: 2026-01-02T06:00:00Z
count: 2
type: Normal
reason: Pulled
message: image of jane.doe@example.com is already present
involvedObject: {kind: Pod, namespace: shop, name: cart-7d4b9c6f5-x2x}
source: {component: kubelet}
---
apiVersion: v1
kind: Event
metadata: {name: bare, namespace: shop}
involvedObject: {namespace: shop}
message: says nothing but this
---
apiVersion: events.k8s.io/v1
kind: Event
metadata: {name: noteless, namespace: default}
eventTime: 2026-01-02T07:00:00.000000Z
type: Normal
reason: Noticed
action: Noticing
reportingController: sluice.test/controller
reportingInstance: controller-0
regarding: {kind: Namespace, name: shop}
`
)

// want is what an event has to become.
type wantEvent struct {
	namespace, body, text string
	severity              int
	time                  string // empty: the moment it was created
	attrs                 map[string]any
}

var wantEvents = map[string]wantEvent{
	"started": {"shop", "Started container cart", "Normal", 9, "2026-01-02T03:04:05.12Z", map[string]any{
		"k8s.event.type": "Normal", "k8s.event.reason": "Started", "k8s.event.action": "Starting",
		"k8s.object.kind": "Pod", "k8s.object.name": "cart-7d4b9c6f5-x2x", "k8s.object.uid": "6c9a4f5e-0001", "k8s.object.api_version": "v1",
		"k8s.object.fieldpath": "spec.containers{cart}",
	}},
	"backoff": {"shop", "Back-off restarting failed container cart", "Warning", 13, "2026-01-02T03:10:00Z", map[string]any{
		"k8s.event.type": "Warning", "k8s.event.reason": "BackOff", "k8s.event.count": int64(7),
		"k8s.object.kind": "Pod", "k8s.object.name": "cart-7d4b9c6f5-x2x", "k8s.object.uid": "6c9a4f5e-0001", "k8s.object.api_version": "v1",
	}},
	"scaled": {"bank", "Scaled up replica set ledger-5f6 from 1 to 2", "Normal", 9, "2026-01-02T04:00:00Z", map[string]any{
		"k8s.event.type": "Normal", "k8s.event.reason": "ScalingReplicaSet", "k8s.event.count": int64(1),
		"k8s.object.kind": "Deployment", "k8s.object.name": "ledger", "k8s.object.uid": "6c9a4f5e-0002", "k8s.object.api_version": "apps/v1",
	}},
	"unschedulable": {"bank", "0/3 nodes are available", "Warning", 13, "2026-01-02T05:30:00.5Z", map[string]any{
		"k8s.event.type": "Warning", "k8s.event.reason": "FailedScheduling", "k8s.event.action": "Scheduling", "k8s.event.count": int64(3),
		"k8s.object.kind": "Pod", "k8s.object.name": "ledger-5f6-abc", "k8s.object.uid": "6c9a4f5e-0003", "k8s.object.api_version": "v1",
	}},
	"pulled": {"shop", "image of **** is already present", "Normal", 9, "2026-01-02T06:00:00Z", map[string]any{
		"k8s.event.type": "Normal", "k8s.event.reason": "Pulled", "k8s.event.count": int64(2),
		"k8s.object.kind": "Pod", "k8s.object.name": "cart-7d4b9c6f5-x2x",
	}},
	"bare": {"shop", "says nothing but this", "", 0, "", map[string]any{}},
	"noteless": {"default", "", "Normal", 9, "2026-01-02T07:00:00Z", map[string]any{
		"k8s.event.type": "Normal", "k8s.event.reason": "Noticed", "k8s.event.action": "Noticing",
		"k8s.object.kind": "Namespace", "k8s.object.name": "shop",
	}},
}

// Two replicas see every event; one tells it, once, and as a line that a person can read.
func TestGatewayEventsOnceWithTwoReplicas(t *testing.T) {
	k := tiers.StartKubernetes(t)
	sink := harness.StartSink(t, harness.SinkOptions{})
	k.Namespace(t, "shop")
	k.Namespace(t, "bank")
	start := time.Now().Add(-time.Second).Truncate(time.Second) // the API server's birth dates are in whole seconds
	k.Kubectl(t, eventsBefore, "create", "-f", "-")

	leader := startGateway(t, k, sink, 0)
	sink.WaitLogs(t, 20*time.Second, harness.AtLeast[harness.LogRecord](3), leader.Proc)
	other := startGateway(t, k, sink, 1)
	k.Kubectl(t, eventsAfter, "create", "-f", "-")
	sink.WaitLogs(t, 20*time.Second, harness.AtLeast[harness.LogRecord](len(wantEvents)), leader.Proc, other.Proc)

	// What happens again is told again: a series in the new API, a count in the old one.
	k.Kubectl(t, "", "patch", "events.v1.events.k8s.io", "-n", "bank", "unschedulable", "--type=merge", "-p",
		`{"series": {"count": 4, "lastObservedTime": "2026-01-02T05:45:00.000000Z"}}`)
	k.Kubectl(t, "", "patch", "events.v1.", "-n", "shop", "backoff", "--type=merge", "-p", `{"count": 8, "lastTimestamp": "2026-01-02T03:20:00Z"}`)
	// One that expires is no news, whatever comes next.
	k.Kubectl(t, "", "delete", "events.v1.", "-n", "bank", "scaled")
	k.Kubectl(t, event("marker", "shop", "the last one"), "create", "-f", "-")
	got := byEvent(t, sink.WaitLogs(t, 20*time.Second, told("marker", 1), leader.Proc, other.Proc))

	for name, want := range wantEvents {
		if !assert.NotEmpty(t, got[name], "%s", name) {
			continue
		}
		r := got[name][0]
		want.assert(t, name, r)
		if want.time == "" {
			assert.WithinRange(t, r.Time, start, time.Now(), "%s: the time it was created", name)
		}
	}
	assert.Equal(t, map[string]int{
		"started": 1, "backoff": 2, "scaled": 1, "unschedulable": 2, "pulled": 1, "bare": 1, "noteless": 1, "marker": 1,
	}, counts(got), "records for each event")
	if assert.Len(t, got["unschedulable"], 2) {
		again := wantEvents["unschedulable"]
		again.time, again.attrs = "2026-01-02T05:45:00Z", maps.Clone(again.attrs)
		again.attrs["k8s.event.count"] = int64(4)
		again.assert(t, "unschedulable", got["unschedulable"][1])
	}
	if assert.Len(t, got["backoff"], 2) {
		again := wantEvents["backoff"]
		again.time, again.attrs = "2026-01-02T03:20:00Z", maps.Clone(again.attrs)
		again.attrs["k8s.event.count"] = int64(8)
		again.assert(t, "backoff", got["backoff"][1])
	}
	// Without a note everything the API server knows is the line.
	assert.Contains(t, got["noteless"][0].Body, `"reportingController":"sluice.test/controller"`)

	for _, c := range []*harness.Collector{leader, other} {
		assert.Empty(t, linesOf(c, "transform/events"), "%s: complaints about events", c.Proc.Name)
		c.Stop(t)
	}
}

// A cluster has thousands of events when a gateway starts, and goes on making them while it reads those.
func TestGatewayEventsWhileItReadsTheOldOnes(t *testing.T) {
	k := tiers.StartKubernetes(t)
	sink := harness.StartSink(t, harness.SinkOptions{})
	const before, during = 500, 300
	k.Kubectl(t, manyEvents("before", before), "create", "-f", "-")
	var creating sync.WaitGroup
	creating.Go(func() { k.Kubectl(t, manyEvents("during", during), "create", "-f", "-") })
	t.Cleanup(creating.Wait)
	gateway := startGateway(t, k, sink, 0)
	creating.Wait()
	sink.WaitLogs(t, 10*time.Second, told("before", before), gateway.Proc)
	records := sink.WaitLogs(t, 10*time.Second, told("during", during), gateway.Proc)
	t.Logf("%d of %d events came twice", len(records)-before-during, before+during)
}

func (want wantEvent) assert(t *testing.T, name string, r harness.LogRecord) {
	t.Helper()
	if want.body != "" {
		assert.Equal(t, want.body, r.Body, name)
	}
	assert.Equal(t, want.text, r.SeverityText, name)
	assert.Equal(t, want.severity, r.SeverityNumber, name)
	if want.time != "" {
		assert.Equal(t, want.time, r.Time.Format(time.RFC3339Nano), name)
	}
	assert.Equal(t, map[string]any{
		"k8s.namespace.name": want.namespace, "service.name": "kubernetes-events", "k8s.cluster.name": "default",
	}, r.Resource, name)
	assert.Equal(t, r.Time, r.Observed, "%s: whoever reads it, and whenever, it is the same record", name)
	attrs := maps.Clone(r.Attrs)
	assert.Equal(t, name, attrs["k8s.event.name"])
	assert.Regexp(t, `^[0-9a-f-]{36}$`, attrs["k8s.event.uid"], name)
	assert.Equal(t, "events", attrs["k8s.resource.name"], name)
	// What redaction says about itself is not about the event.
	maps.DeleteFunc(attrs, func(key string, _ any) bool {
		return slices.Contains([]string{"k8s.event.name", "k8s.event.uid", "k8s.resource.name"}, key) || strings.HasPrefix(key, "redaction.")
	})
	assert.Equal(t, want.attrs, attrs, name)
}

func event(name, namespace, note string) string {
	return fmt.Sprintf(`---
apiVersion: v1
kind: Event
metadata: {name: %s, namespace: %s}
lastTimestamp: 2026-01-02T10:00:00Z
type: Normal
reason: Noticed
message: %s
involvedObject: {kind: Pod, namespace: %[2]s, name: noted}
`, name, namespace, note)
}

func manyEvents(prefix string, n int) string {
	var b strings.Builder
	for i := range n {
		b.WriteString(event(fmt.Sprintf("%s-%d", prefix, i), "default", "one of many"))
	}
	return b.String()
}

// told is a check for n different events whose names begin like this.
func told(prefix string, n int) func([]harness.LogRecord) error {
	return func(records []harness.LogRecord) error {
		names := map[string]bool{}
		for _, r := range records {
			if name, _ := r.Attrs["k8s.event.name"].(string); strings.HasPrefix(name, prefix) {
				names[name] = true
			}
		}
		if len(names) < n {
			return fmt.Errorf("%d of %d events %s…", len(names), n, prefix)
		}
		return nil
	}
}

// byEvent groups records by the name of their event, in the order of arrival.
var uuidRE = regexp.MustCompile("^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$")

func byEvent(t *testing.T, records []harness.LogRecord) map[string][]harness.LogRecord {
	t.Helper()
	m := map[string][]harness.LogRecord{}
	for _, r := range records {
		name, ok := r.Attrs["k8s.event.name"].(string)
		require.True(t, ok, "a record without the name of its event: %v", r)
		if uuidRE.MatchString(name) {
			t.Logf("not the test's, seldom seen on a busy machine: %v", r)
			continue
		}
		m[name] = append(m[name], r)
	}
	return m
}

func counts(records map[string][]harness.LogRecord) map[string]int {
	n := map[string]int{}
	for name, list := range records {
		n[name] = len(list)
	}
	return n
}
