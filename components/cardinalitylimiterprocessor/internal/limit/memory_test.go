package limit

import (
	"fmt"
	"runtime"
	"testing"

	"github.com/stretchr/testify/assert"
)

// What the limiter says it holds is what it holds, and README.md's figures for sizing are right (bytes for each series).
func TestMemory(t *testing.T) {
	f := func(leaves, series, readme int) {
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
		assert.InEpsilon(t, held, l.Bytes(), 0.1)
		assert.InEpsilon(t, readme, float64(held)/float64(leaves*series), 0.12, "with %d in a leaf", series)
		t.Logf("%d leaves of %d series: %d bytes each, by its own account %d", leaves, series, held/(leaves*series), l.Bytes()/(leaves*series))
		runtime.KeepAlive(l)
	}
	f(20_000, 1, 800)
	f(8_000, 25, 40)
	f(4_000, 50, 24)
	f(1_000, 200, 15)
	f(10, 50_000, 9)
}

func heapBytes() int {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int(m.HeapAlloc) //nolint:gosec // far from that
}
