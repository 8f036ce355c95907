package limit

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sluice-otel/sluice/components/cardinalitylimiterprocessor/internal/series"
)

var nested = []Rule{
	{Name: "total", Max: 120, Action: Drop},
	{Name: "metric", Per: []string{PerMetric}, Max: 50, Action: Drop},
	{Name: "service", Per: []string{PerMetric, "resource.service.name"}, Max: 30, Action: Drop},
}

type ranked struct {
	where where
	hash  uint64
}

func population(random *rand.Rand) (all []ranked) {
	for i := range 600 {
		w := where{service: fmt.Sprint("s", i%4), metric: fmt.Sprint("m", i%3*i%5)}
		all = append(all, ranked{w, random.Uint64()})
	}
	return all
}

// lowestFit is the slow and obvious way: in the order of keys, whoever fits.
func lowestFit(all []ranked) map[uint64]bool {
	sorted := slices.SortedFunc(slices.Values(all), func(a, b ranked) int { return cmp.Compare(series.Key(a.hash), series.Key(b.hash)) })
	counts, fit := map[string]int{}, map[uint64]bool{}
	for _, s := range sorted {
		budgets := map[string]int{"total": 120, s.where.metric: 50, s.where.metric + " " + s.where.service: 30}
		room := true
		for b, limit := range budgets {
			room = room && counts[b] < limit
		}
		if !room {
			continue
		}
		fit[s.hash] = true
		for b := range budgets {
			counts[b]++
		}
	}
	return fit
}

func admittedOf(l *Limiter, all []ranked) map[uint64]bool {
	admitted := map[uint64]bool{}
	for _, s := range all {
		keys, _ := l.ResourceKeys()
		if leaf := l.Find(s.where.key(keys)); leaf != nil && leaf.Series.Has(s.hash) {
			admitted[s.hash] = true
		}
	}
	return admitted
}

func offer(t *testing.T, l *Limiter, all []ranked, now series.Step) {
	t.Helper()
	for _, s := range all {
		keys, _ := l.ResourceKeys()
		leaf := l.Leaf(s.where.key(keys), now, func() *Place { return s.where.place(l) })
		l.Admit(leaf, Series{Hash: s.hash}, now, nil)
		for _, b := range leaf.budgets {
			require.LessOrEqual(t, b.active, l.rules[b.rule].Max)
		}
	}
}

// Replicas that see the same series in any order admit the same ones: those that have the lowest keys, in every budget.
func TestReplicasAgree(t *testing.T) {
	for seed := range uint64(20) {
		random := rand.New(rand.NewPCG(seed, 0))
		all := population(random)
		want := lowestFit(all)
		for range 3 {
			l := New(Options{Idle: 64, MaxBytes: 1 << 20, Hash: hashOf, Lowest: true})
			l.SetRules(nested)
			random.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
			once := New(Options{Idle: 64, MaxBytes: 1 << 20, Hash: hashOf, Lowest: true})
			once.SetRules(nested)
			offer(t, once, all, 1)
			require.Equal(t, want, admittedOf(once, all), "seed %d: nobody leaves who could have stayed", seed)
			offer(t, l, all[:400], 1)
			// A restart and a reload know the order again.
			restored := New(Options{Idle: 64, MaxBytes: 1 << 20, Hash: hashOf, Lowest: true})
			restored.SetRules(nested)
			require.NoError(t, restored.UnmarshalBinary(l.AppendBinary(nil), 1))
			restored.SetRules(nested)
			offer(t, restored, all[400:], 2)
			offer(t, restored, all, 3)
			require.Equal(t, want, admittedOf(restored, all), "seed %d", seed)
		}
	}
}

func TestFirstComeStays(t *testing.T) {
	l := New(Options{Idle: 64, MaxBytes: 1 << 20, Hash: hashOf})
	l.SetRules(nested)
	all := population(rand.New(rand.NewPCG(1, 0)))
	offer(t, l, all, 1)
	before := admittedOf(l, all)
	offer(t, l, all, 2)
	assert.Equal(t, before, admittedOf(l, all))
	assert.NotEqual(t, lowestFit(all), before)
}

// The order of series that come and go is bounded, and all of its memory is given back.
func TestOrderIsBounded(t *testing.T) {
	random := rand.New(rand.NewPCG(2, 0))
	l := New(Options{Idle: 64, MaxBytes: 8 << 20, Hash: hashOf, Lowest: true})
	l.SetRules(nested)
	now := series.Step(1)
	for range 300 {
		offer(t, l, population(random), now)
		now += 8
		for !l.Sweep(now, 8192) {
		}
		for _, b := range l.budgets {
			require.LessOrEqual(t, len(b.lowest), 2*b.active+65)
		}
	}
	for range 9 {
		now += 30
		for !l.Sweep(now, 8192) {
		}
	}
	assert.Empty(t, l.budgets)
	assert.Equal(t, 8*len(l.leaves.slots.Load().slots), l.Bytes())
}
