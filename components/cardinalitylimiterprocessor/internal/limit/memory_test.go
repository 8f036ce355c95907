package limit

import (
	"fmt"
	"runtime"
	"testing"

	"github.com/stretchr/testify/assert"
)

// What the limiter says it holds is what it holds, and README.md's figures for sizing are right.
func TestMemory(t *testing.T) {
	f := func(leaves, series, most int) {
		t.Helper()
		before := heapBytes()
		l := New(Options{Idle: 64, MaxBytes: 1 << 30, Hash: hashOf})
		l.SetRules([]Rule{
			{Name: "metric", Per: []string{"resource.k8s.namespace.name", "resource.service.name", PerMetric}, Max: 1_000_000},
			{Name: "service", Per: []string{"resource.k8s.namespace.name", "resource.service.name"}, Max: 10_000_000},
			{Name: "total", Max: 100_000_000},
		})
		for i := range leaves {
			metric, service := fmt.Sprintf("http_server_request_duration_%d", i), fmt.Sprint("checkout-", i/100)
			leaf := l.Leaf(hashOf(metric), 1, func() *Place { return &Place{Metric: metric, Resource: []string{"production", service}} })
			for j := range series {
				l.Admit(leaf, Series{Hash: hashOf(fmt.Sprint(i, " ", j))}, 1, nil)
			}
		}
		held := heapBytes() - before
		assert.InEpsilon(t, held, l.Bytes(), 0.25)
		assert.Less(t, held/(leaves*series), most, "bytes per series with %d in a leaf", series)
		t.Logf("%d leaves of %d series: %d bytes each, by its own account %d", leaves, series, held/(leaves*series), l.Bytes()/(leaves*series))
		runtime.KeepAlive(l)
	}
	f(20_000, 1, 1100)
	f(8_000, 25, 48)
	f(4_000, 50, 30)
	f(1_000, 200, 18)
	f(10, 50_000, 13)
}

func heapBytes() int {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int(m.HeapAlloc) //nolint:gosec // far from that
}
