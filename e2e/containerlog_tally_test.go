//go:build e2e

package e2e

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"

	"github.com/sluice-otel/sluice/e2e/harness"
	"github.com/sluice-otel/sluice/e2e/podlogs"
)

// samples is how many faults of a kind, and how many lost records, a failed test prints.
const samples = 5

// streamOf names a container's stream.
type streamOf struct{ container, stream int }

// pieces are what has come of a record.
type pieces struct {
	texts []string
	time  time.Time // the first one's
}

// tally holds what a sink was given against what a fleet has written.
type tally struct {
	fleet *podlogs.Fleet

	containers map[string]int // by pod UID or container ID
	requests   int            // of the sink's, already read
	seen       map[streamOf][]int
	low        map[streamOf]int    // all records below have come
	next       map[streamOf]int    // the record that should come now
	pieces     map[streamOf]pieces // of a record that containerlog gave in marked pieces

	records, duplicates, joined int
	faults                      map[string]int
	sampled                     map[string][]string
}

func newTally(f *podlogs.Fleet) *tally {
	y := &tally{
		fleet: f, containers: map[string]int{}, seen: map[streamOf][]int{}, low: map[streamOf]int{}, next: map[streamOf]int{},
		pieces: map[streamOf]pieces{}, faults: map[string]int{}, sampled: map[string][]string{},
	}
	for i := range f.Len() {
		for _, key := range []string{"k8s.pod.uid", "container.id"} {
			if id, ok := f.Container(i).Resource[key].(string); ok {
				y.containers[id] = i
			}
		}
	}
	return y
}

func (y *tally) fault(kind, format string, args ...any) {
	y.faults[kind]++
	if len(y.sampled[kind]) < samples {
		y.sampled[kind] = append(y.sampled[kind], fmt.Sprintf(format, args...))
	}
}

// read takes what the sink was given since the last call.
func (y *tally) read(sink *harness.Sink) {
	all := sink.Logs()
	for ; y.requests < len(all); y.requests++ {
		for _, rl := range all[y.requests].ResourceLogs().All() {
			if raw := fmt.Sprint(rl.Resource().Attributes().AsRaw()); strings.Contains(raw, podlogs.Canary) {
				y.fault("secret", "a container's environment has left the node: %s", raw)
			}
			for _, sl := range rl.ScopeLogs().All() {
				for _, r := range sl.LogRecords().All() {
					y.record(rl.Resource().Attributes(), r)
				}
			}
		}
	}
}

func text(m pcommon.Map, key string) string {
	v, ok := m.Get(key)
	if !ok {
		return ""
	}
	return v.AsString()
}

// record counts one record, or keeps it as a piece of one.
func (y *tally) record(resource pcommon.Map, r plog.LogRecord) {
	body := r.Body().AsString()
	where := fmt.Sprintf("request %d, %s offset %s: %.120q", y.requests, text(r.Attributes(), "log.file.path"),
		text(r.Attributes(), "log.file.record_offset"), body)
	container, known := y.containers[text(resource, "k8s.pod.uid")]
	if !known {
		container, known = y.containers[text(resource, "container.id")]
	}
	stream := 0
	if text(r.Attributes(), "log.iostream") == podlogs.Streams[1] {
		stream = 1
	}
	key := streamOf{container, stream}
	partial := text(r.Attributes(), "containerlog.partial")
	id, begins := podlogs.FindID(body)
	at := r.Timestamp().AsTime()
	if partial != "" && known {
		whole := y.pieces[key]
		if len(whole.texts) == 0 {
			whole.time = at
		}
		if n := len(whole.texts); n == 0 || whole.texts[n-1] != body { // else it came twice
			whole.texts = append(whole.texts, body)
		}
		y.pieces[key] = whole
		if partial != "last" {
			return
		}
		delete(y.pieces, key)
		y.joined++
		body, at = strings.Join(whole.texts, ""), whole.time
		id, begins = podlogs.FindID(body)
	}
	if !begins {
		y.fault("torn", "no record begins in %s", where)
		return
	}
	entry, err := y.fleet.Entry(id.Container, id.Stream, id.Number)
	if partial != "" && len(body) > len(entry.Text) { // the first pieces came twice
		body = body[len(body)-len(entry.Text):]
	}
	if err != nil || body != entry.Text {
		y.fault("torn", "container %d %s record %d (%v), written from %s to %s at %s: %s: %s", id.Container, podlogs.Streams[id.Stream],
			id.Number, err, entry.Begin, entry.End, clock(entry.Written), difference(body, entry.Text), where)
		return
	}
	y.count(streamOf{id.Container, id.Stream}, id.Number, entry, where)
	if known && key != (streamOf{id.Container, id.Stream}) {
		y.fault("stream", "it is %s of container %d: %s", podlogs.Streams[stream], container, where)
	}
	if !at.Equal(entry.Time) {
		y.fault("time", "%s, not %s: %s", at, entry.Time, where)
	}
	if reason := text(r.Attributes(), "containerlog.parse_error"); reason != "" {
		y.fault("parse_error", "%s: %s", reason, where)
	}
	y.checkResource(y.fleet.Container(id.Container), resource, where)
}

// difference says where a body leaves the text, and what stands there instead.
func difference(body, text string) string {
	n := 0
	for n < min(len(body), len(text)) && body[n] == text[n] {
		n++
	}
	return fmt.Sprintf("%d bytes for %d, differing from byte %d, where it has %.60q", len(body), len(text), n, body[n:])
}

// count notes that a whole record has come.
func (y *tally) count(key streamOf, number int, e podlogs.Entry, where string) {
	for len(y.seen[key]) <= number {
		y.seen[key] = append(y.seen[key], 0)
	}
	y.records++
	y.seen[key][number]++
	if y.seen[key][number] > 1 {
		y.duplicates++
	}
	if number != y.next[key] {
		y.fault("order", "container %d (%s) %s: record %d came where %d was due (written from %s to %s): %s", key.container,
			y.fleet.Container(key.container).Runtime, podlogs.Streams[key.stream], number, y.next[key], e.Begin, e.End, where)
	}
	y.next[key] = number + 1
}

func (y *tally) checkResource(c *podlogs.Container, resource pcommon.Map, where string) {
	for name, want := range c.Resource {
		got, ok := resource.Get(name)
		if !ok {
			y.fault("resource", "%s has no %s: %s", c.Runtime, name, where)
		} else if raw := got.AsRaw(); fmt.Sprintf("%T %v", raw, raw) != fmt.Sprintf("%T %v", want, want) {
			y.fault("resource", "%s is %T %v, not %T %v: %s", name, raw, raw, want, want, where)
		}
	}
}

// missing are the records up to these counts that have not come, with where they were written.
func (y *tally) missing(upTo [][len(podlogs.Streams)]int) (n int, list []string) {
	for container, counts := range upTo {
		for stream, count := range counts {
			key := streamOf{container, stream}
			for y.low[key] < min(count, len(y.seen[key])) && y.seen[key][y.low[key]] > 0 {
				y.low[key]++
			}
			for number := y.low[key]; number < count; number++ {
				if number < len(y.seen[key]) && y.seen[key][number] > 0 {
					continue
				}
				if n++; len(list) < samples {
					list = append(list, y.describe(key, number))
				}
			}
		}
	}
	return n, list
}

func (y *tally) describe(key streamOf, number int) string {
	e, err := y.fleet.Entry(key.container, key.stream, number)
	if err != nil {
		return err.Error()
	}
	c := y.fleet.Container(key.container)
	return fmt.Sprintf("container %d (%s) %s record %d, %d bytes, written from %s to %s at %s in %s", key.container, c.Runtime,
		podlogs.Streams[key.stream], number, len(e.Text), e.Begin, e.End, clock(e.Written), c.Dir)
}

func clock(t time.Time) string { return t.Format("15:04:05.000") }

// assertWhole fails the test for every kind of fault that is not among the tolerated ones, and for every lost record.
func (y *tally) assertWhole(t *testing.T, tolerated ...string) {
	t.Helper()
	for kind, n := range y.faults {
		list := strings.Join(y.sampled[kind], "\n  ")
		if strings.Contains(strings.Join(tolerated, " "), kind) {
			t.Logf("%d records with a fault in %s, as may be", n, kind)
			continue
		}
		t.Errorf("%d records with a fault in %s, among them\n  %s", n, kind, list)
	}
	for key, whole := range y.pieces {
		t.Errorf("container %d %s: a record came without its last piece, from %s on", key.container, podlogs.Streams[key.stream], whole.time)
	}
	if n, list := y.missing(y.fleet.Counts()); n > 0 {
		t.Errorf("%d records are lost, among them\n  %s", n, strings.Join(list, "\n  "))
	}
}

// report is what a run came to.
func (y *tally) report(t *testing.T) {
	t.Helper()
	unique := y.records - y.duplicates
	if unique == 0 {
		t.Fatal("nothing came")
	}
	t.Logf("%d records, %d of them a second time (%.2f %%), %d joined from marked pieces", unique, y.duplicates,
		100*float64(y.duplicates)/float64(unique), y.joined)
}
