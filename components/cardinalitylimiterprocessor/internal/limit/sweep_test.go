package limit

import (
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/sluice-otel/sluice/components/cardinalitylimiterprocessor/internal/series"
)

func hashOf(s string) (h uint64) {
	for i := range len(s) {
		h = (h ^ uint64(s[i])) * 0x100000001b3
	}
	return h * 0x9e3779b97f4a7c15
}

// admitAll makes n series of one metric, with hashes from a seed.
func admitAll(l *Limiter, metric string, seed uint64, n int, now series.Step) (admitted int) {
	leaf := l.Leaf(hashOf(metric), now, func() *Place { return &Place{Metric: metric, Resource: make([]string, len(l.dims.Load().resource))} })
	for i := range n {
		if v := l.Admit(leaf, Series{Hash: (seed + uint64(i)) * 0x9e3779b97f4a7c15}, now, nil); v.Decision == Admitted {
			admitted++
		}
	}
	return admitted
}

// One piece of a sweep is as large as was asked for, also in a large leaf: neither one long hold of the lock, nor a crawl.
func TestSweepInPieces(t *testing.T) {
	l := New(Options{Idle: 64, MaxBytes: 64 << 20, Hash: hashOf})
	l.SetRules([]Rule{{Name: "total", Max: 200_000, Action: Drop}})
	assert.Equal(t, 100_000, admitAll(l, "large", 0, 100_000, 1))
	for _, metric := range []string{"a", "b", "c"} {
		admitAll(l, metric, hashOf(metric), 10, 1)
	}
	pieces := 1
	for !l.Sweep(100, 8192) {
		pieces++
		assert.Less(t, pieces, 100)
	}
	assert.Greater(t, pieces, 10)
	assert.Zero(t, l.Report(10).Series)
	assert.EqualValues(t, 100_030, l.Counts().Expired)
	for !l.Sweep(200, 8192) {
	}
	assert.Zero(t, l.Report(10).Leaves)
	assert.Empty(t, l.budgets)
	assert.Equal(t, 8*len(l.leaves.slots.Load().slots), l.Bytes(), "all memory is given back")
}
