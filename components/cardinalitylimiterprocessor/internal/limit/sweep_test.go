package limit

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

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

// One piece of a sweep is as large as was asked for, in one large leaf as in many small ones and their budgets: neither one long hold of
// the lock, nor a crawl.
func TestSweepInPieces(t *testing.T) {
	f := func(leaves, each, least, most int) {
		t.Helper()
		l := New(Options{Idle: 64, MaxBytes: 64 << 20, Hash: hashOf})
		l.SetRules([]Rule{{Name: "metric", Per: []string{PerMetric}, Max: each}, {Name: "total", Max: leaves * each}})
		for i := range leaves {
			metric := fmt.Sprint("m", i)
			assert.Equal(t, each, admitAll(l, metric, hashOf(metric), each, 1))
		}
		sweep := func(now series.Step) (pieces int) {
			for done := false; !done; pieces++ {
				require.Less(t, pieces, 2*most)
				done = l.Sweep(now, 8192)
			}
			return pieces
		}
		pieces := sweep(2)
		assert.GreaterOrEqual(t, pieces, least)
		assert.LessOrEqual(t, pieces, most)
		assert.Equal(t, leaves*each, l.Report(10).Series)
		assert.GreaterOrEqual(t, sweep(100), least/2, "budgets go with their leaves")
		assert.EqualValues(t, leaves*each, l.Counts().Expired)
		r := l.Report(10)
		assert.Equal(t, []int{0, 0}, []int{r.Series, r.Leaves})
		assert.Empty(t, l.budgets)
		assert.Equal(t, 8*len(l.leaves.slots.Load().slots), l.Bytes(), "all memory is given back")
	}
	f(1, 100_000, 12, 30) // a word for each series, and what is free of the table
	f(100, 1000, 12, 30)
	f(4000, 1, 62, 80) // 64 words for each leaf and each budget, and the series
}
