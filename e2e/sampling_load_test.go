//go:build e2e

package e2e

import (
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluice-otel/sluice/e2e/harness"
)

// samplingLoad sends traces to both gateways, and each batch again until it is acknowledged, as an agent does.
type samplingLoad struct {
	stop     chan struct{}
	stopping sync.Once
	done     sync.WaitGroup
	lanes    [2]chan []harness.Span // one for each gateway

	mu      sync.Mutex
	traces  []trace
	acked   map[string]time.Time // span: when
	refused int
}

const loadTick = 100 * time.Millisecond

// startLoad sends rate traces a second. A trace's root goes through one gateway, and its other spans a tick later through the other one.
func (r *samplingRig) startLoad(t *testing.T, rate int, seed uint64) *samplingLoad {
	t.Helper()
	l := &samplingLoad{stop: make(chan struct{}), acked: map[string]time.Time{}}
	for i := range l.lanes {
		l.lanes[i] = make(chan []harness.Span, 10_000)
		client := harness.NewClient(t, r.gateways[i].OTLPGRPC, harness.ClientOptions{})
		l.done.Go(func() {
			for spans := range l.lanes[i] {
				l.send(client, spans)
			}
		})
	}
	l.done.Go(func() { l.generate(rate, seed) })
	return l
}

func (l *samplingLoad) generate(rate int, seed uint64) {
	defer close(l.lanes[0])
	defer close(l.lanes[1])
	var later [2][]harness.Span
	tick := time.NewTicker(loadTick)
	defer tick.Stop()
	for n := uint64(0); ; n++ {
		select {
		case <-l.stop:
			l.put(later)
			return
		case <-tick.C:
		}
		now := later
		later = [2][]harness.Span{}
		traces := traffic(rate/int(time.Second/loadTick), seed<<16|n, time.Now())
		for i, tr := range traces {
			now[i%2] = append(now[i%2], tr.spans[0])
			later[1-i%2] = append(later[1-i%2], tr.spans[1:]...)
		}
		l.mu.Lock()
		l.traces = append(l.traces, traces...)
		l.mu.Unlock()
		l.put(now)
	}
}

func (l *samplingLoad) put(batches [2][]harness.Span) {
	for i, spans := range batches {
		if len(spans) > 0 {
			l.lanes[i] <- spans
		}
	}
}

func (l *samplingLoad) send(client *harness.Client, spans []harness.Span) {
	for {
		err := client.SendTraces(harness.Traces(spans...))
		l.mu.Lock()
		if err == nil {
			for _, s := range spans {
				l.acked[s.TraceID.String()+s.SpanID.String()] = time.Now()
			}
			l.mu.Unlock()
			return
		}
		l.refused++
		l.mu.Unlock()
		time.Sleep(200 * time.Millisecond)
	}
}

// finish stops the load and waits until everything is acknowledged.
func (l *samplingLoad) finish() {
	l.stopping.Do(func() { close(l.stop) })
	l.done.Wait()
}

// outcome is what became of a load.
type outcome struct {
	traces, spans       int // sent
	kept                int // spans of traces to keep
	lost, twice, extra  int // spans
	split               int // traces whose spans came out of two samplers
	refused             int // requests
	middle, late, worst time.Duration
}

func (o outcome) String() string {
	return fmt.Sprintf("%d traces, %d spans, to keep %d: lost %d, again %d, extra %d, split traces %d, refused requests %d, delay p50 %.1f s p99 %.1f s max %.1f s",
		o.traces, o.spans, o.kept, o.lost, o.twice, o.extra, o.split, o.refused, o.middle.Seconds(), o.late.Seconds(), o.worst.Seconds())
}

// arrival is what the sinks know of a span.
type arrival struct {
	times int
	first time.Time
}

// arrivals are by trace and span; where has the sinks of a trace as bits.
func (r *samplingRig) arrivals() (got map[string]*arrival, where map[string]uint) {
	got, where = map[string]*arrival{}, map[string]uint{}
	for i, sink := range r.sinks {
		var times []time.Time
		for _, q := range sink.Requests() {
			if q.Signal == "traces" && q.Accepted {
				times = append(times, q.Time)
			}
		}
		for n, td := range sink.Traces() {
			for _, rs := range td.ResourceSpans().All() {
				for _, ss := range rs.ScopeSpans().All() {
					for _, s := range ss.Spans().All() {
						id := s.TraceID().String()
						where[id] |= 1 << i
						a := got[id+s.SpanID().String()]
						if a == nil {
							a = &arrival{first: times[min(n, len(times)-1)]}
							got[id+s.SpanID().String()] = a
						}
						a.times++
					}
				}
			}
		}
	}
	return got, where
}

func (r *samplingRig) outcome(l *samplingLoad) outcome {
	got, where := r.arrivals()
	l.mu.Lock()
	defer l.mu.Unlock()
	kept := trace.kept
	if r.env["SAMPLING_PERCENT"] == "100" {
		kept = func(tr trace) bool { return tr.policy != policyProbes }
	}
	o := outcome{traces: len(l.traces), refused: l.refused}
	var delays []time.Duration
	for _, tr := range l.traces {
		if w := where[tr.id.String()]; w&(w-1) != 0 {
			o.split++
		}
		for _, s := range tr.spans {
			id := s.TraceID.String() + s.SpanID.String()
			a := got[id]
			o.spans++
			if kept(tr) {
				o.kept++
			}
			switch {
			case !kept(tr) && a != nil:
				o.extra++
			case kept(tr) && a == nil:
				o.lost++
			case a != nil:
				o.twice += a.times - 1
				delays = append(delays, a.first.Sub(l.acked[id]))
			}
		}
	}
	if len(delays) > 0 {
		slices.Sort(delays)
		o.middle, o.late, o.worst = delays[len(delays)/2], delays[len(delays)*99/100], delays[len(delays)-1]
	}
	return o
}

// settle waits until nothing has come for quiet, or for less when nothing is missing.
func (r *samplingRig) settle(t *testing.T, l *samplingLoad, quiet, most time.Duration) outcome {
	t.Helper()
	const enough = 8 * time.Second // more than a decision's wait
	last, changed := -1, time.Now()
	o := r.outcome(l)
	for deadline := time.Now().Add(most); time.Now().Before(deadline) && time.Since(changed) < quiet; time.Sleep(500 * time.Millisecond) {
		n := 0
		for _, sink := range r.sinks {
			n += len(sink.Traces())
		}
		if n != last {
			last, changed = n, time.Now()
		}
		if time.Since(changed) > enough {
			if o = r.outcome(l); o.lost == 0 {
				break
			}
		}
	}
	o = r.outcome(l)
	require.Positive(t, o.kept)
	return o
}
