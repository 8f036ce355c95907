// Package loki measures the loki_hint processor beside upstream's processors. It is a module of its own, for what transform needs is of no
// use to anything else here.
package loki

import (
	"runtime"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/consumer"
	"go.opentelemetry.io/collector/consumer/consumertest"
	"golang.org/x/sys/unix"

	"github.com/sluice-otel/sluice/e2e/bench/lokiload"
)

// loads are what comes, each with the ways to take it. The first three are the usual: the shipped labels, all of the resource.
var loads = []struct {
	load
	arms []arm
}{
	{load{name: "shipped/1", resources: 500, records: 1}, []arm{noop, hint(shipped), names, mend, near}},
	{load{name: "shipped/10", resources: 50, records: 10}, []arm{noop, hint(shipped), names, mend, near}},
	{load{name: "shipped/100", resources: 5, records: 100}, []arm{noop, hint(shipped), names, mend, near}},
	{load{name: "level/10", resources: 50, records: 10}, []arm{noop, hint("../configs/loki/level.yaml"), upstream("upstream", "transform/level", "groupbyattrs/level")}},
	{load{name: "promtail/10", resources: 50, records: 10}, []arm{noop, hint(shipped, promtail), upstream("upstream", "transform/promtail", "groupbyattrs/stream")}},
	{load{name: "exploding/10", resources: 50, records: 10, fresh: true}, []arm{noop, hint(shipped, "../configs/loki/exploding.yaml")}}, // upstream has no budget
	{load{name: "broken/10", resources: 50, records: 10, broken: true}, []arm{noop, hint(shipped), near}},
	{load{name: "tenants/10", resources: 50, records: 10}, []arm{noop, hint(shipped, tenants)}}, // upstream has no way to make one of an attribute
}

// BenchmarkLokiHint takes batches of 500 records, to a consumer that does nothing. The arms take turns, so that a busy moment of the machine
// hits all of them; the units say whose a figure is. `go run ./e2e/bench -table` makes a table of the output.
func BenchmarkLokiHint(b *testing.B) {
	for _, l := range loads {
		b.Run(l.name+"/turns", func(b *testing.B) { measure(b, l.load, l.arms) })
	}
}

// measure counts the taking, not the making of batches; the median batch counts. Its clock is the CPU time of the thread: all arms work on
// the goroutine that calls them, and do not pay for waiting until it is their turn.
func measure(b *testing.B, l load, arms []arm) {
	b.Helper()
	// A collector's heap is no smaller: garbage is collected as seldom as there.
	ballast := make([]byte, 64<<20)
	defer runtime.KeepAlive(ballast)
	feeds, takes, memories := make([]*feed, len(arms)), make([]consumer.ConsumeLogsFunc, len(arms)), make([]func(), len(arms))
	for i, a := range arms {
		feeds[i], takes[i] = newFeed(b, l), a.start(b, consumertest.NewNop())
		for range 10 + lokiload.Pods/l.resources {
			require.NoError(b, takes[i](b.Context(), feeds[i].batch(b)))
		}
		memories[i] = measureMemory(b, l, a, takes[i])
	}
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	took := make([][]int64, len(arms))
	for b.Loop() {
		for i, take := range takes {
			ld := feeds[i].batch(b)
			begin := cpu(b)
			err := take(b.Context(), ld)
			took[i] = append(took[i], cpu(b)-begin)
			if err != nil {
				b.Fatal(err)
			}
		}
	}
	for i, a := range arms {
		memories[i]()
		b.ReportMetric(median(took[i])/float64(l.resources*l.records), a.name+"-ns/record")
	}
	b.ReportMetric(0, "ns/op") // an op is a batch of each arm with its making: of no use to a reader
}

func median[T int64 | uint64](values []T) float64 {
	slices.Sort(values)
	return float64(values[len(values)/2])
}

// cpu is the time that the thread has worked, in nanoseconds.
func cpu(b *testing.B) int64 {
	b.Helper()
	var at unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_THREAD_CPUTIME_ID, &at); err != nil {
		b.Fatal(err)
	}
	return at.Nano()
}

// measureMemory tells apart what a batch takes, each of its resources and each record: it comes again with twice the records, and with half the resources.
// There are never more records than the loop has: a batch that is too large for Loki is taken apart. What it returns reports it; before the loop that would be forgotten.
func measureMemory(b *testing.B, l load, a arm, take consumer.ConsumeLogsFunc) (report func()) {
	b.Helper()
	half, quarter, records := l.resources/2, l.resources/4, l.records
	few := memory(b, take, l, quarter, records)
	some := memory(b, take, l, half, records)
	twice := memory(b, take, l, half, 2*records)
	return func() {
		for i, unit := range []string{"-B/", "-allocs/"} {
			perRecord := (twice[i] - some[i]) / float64(half*records)
			b.ReportMetric(perRecord, a.name+unit+"record")
			b.ReportMetric((some[i]-few[i])/float64(half-quarter)-perRecord*float64(records), a.name+unit+"resource")
		}
	}
}

// memory is what the median batch takes: bytes and allocations.
func memory(b *testing.B, take consumer.ConsumeLogsFunc, l load, resources, records int) [2]float64 {
	b.Helper()
	l.resources, l.records = resources, records
	f := newFeed(b, l)
	var from, to runtime.MemStats
	var bytes, allocs []uint64
	for range 41 {
		ld := f.batch(b)
		runtime.ReadMemStats(&from)
		err := take(b.Context(), ld)
		runtime.ReadMemStats(&to)
		require.NoError(b, err)
		bytes, allocs = append(bytes, to.TotalAlloc-from.TotalAlloc), append(allocs, to.Mallocs-from.Mallocs)
	}
	return [2]float64{median(bytes), median(allocs)}
}
