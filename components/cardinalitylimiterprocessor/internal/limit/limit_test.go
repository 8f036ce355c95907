package limit

import (
	"fmt"
	"math/rand/v2"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sluice-otel/sluice/components/cardinalitylimiterprocessor/internal/series"
)

// where is a place in words.
type where struct{ service, metric, host string }

func (w where) place(l *Limiter) *Place {
	p := &Place{Metric: w.metric}
	keys, _ := l.ResourceKeys()
	for _, key := range keys {
		p.Resource = append(p.Resource, map[string]string{"service.name": w.service, "host": w.host}[key])
	}
	return p
}

func (w where) key(resource []string) uint64 {
	text := []string{w.metric}
	for _, key := range resource {
		text = append(text, map[string]string{"service.name": w.service, "host": w.host}[key])
	}
	return hashOf(strings.Join(text, "\x00"))
}

func (w where) oldKeys(l *Limiter) (keys []uint64) {
	for _, old := range l.Old() {
		keys = append(keys, w.key(old.Resource))
	}
	return keys
}

func attributes(user int) []Attr {
	attr := func(key, value string) Attr {
		return Attr{Key: key, KeyHash: hashOf(key), Hash: hashOf(key + "=" + value)}
	}
	return []Attr{attr("user", strconv.Itoa(user)), attr("method", strconv.Itoa(user%2))}
}

func (w where) admit(l *Limiter, user int, now series.Step) Verdict {
	keys, _ := l.ResourceKeys()
	leaf := l.Leaf(w.key(keys), now, func() *Place { return w.place(l) })
	if leaf == nil {
		return Verdict{Decision: NoMemory}
	}
	s := Series{Hash: hashOf(fmt.Sprint(w, user)), Resource: hashOf(w.service + w.host), Attrs: attributes(user), OldKeys: w.oldKeys(l)}
	return l.Admit(leaf, s, now, nil)
}

func newLimiter(rules ...Rule) *Limiter {
	l := New(Options{Idle: 64, MaxBytes: 4 << 20, Hash: hashOf})
	l.SetRules(rules)
	return l
}

// recount adds up everything anew that the limiter keeps count of.
func recount(t *testing.T, l *Limiter) {
	t.Helper()
	active, leafs := map[*budget]int{}, map[*budget]int{}
	bytes, extra := 0, 0
	for leaf := range l.everyLeaf {
		if leaf.dead {
			continue
		}
		bytes += leafBytes + leaf.Place.size() + leaf.Series.Bytes()
		if leaf.hot != nil {
			extra += leaf.hot.bytes()
		}
		if leaf.demand != nil {
			extra += demandBytes
		}
		marked := 0
		for word := range leaf.Series.Words() {
			if series.Marked(word) {
				marked++
			}
		}
		require.Equal(t, marked, leaf.marked)
		for _, b := range leaf.budgets {
			active[b] += leaf.Series.Len()
			leafs[b]++
		}
		for _, b := range leaf.values {
			leafs[b]++
		}
	}
	held := map[*budget]int{}
	for key, b := range l.budgets {
		require.Equal(t, key, b.key)
		require.Equal(t, leafs[b], b.leafs, "%s %v", l.rules[b.rule].Name, b.per)
		require.Equal(t, active[b], b.active, "%s %v", l.rules[b.rule].Name, b.per)
		bytes += b.bytes()
		if b.demand != nil {
			extra += demandBytes
		}
		for _, parent := range b.parents {
			held[parent] += max(0, b.granted-b.active)
		}
	}
	for _, b := range l.budgets {
		require.Equal(t, held[b], b.held, "%s %v", l.rules[b.rule].Name, b.per)
	}
	require.Len(t, l.budgets, len(leafs), "no budget without a leaf, no leaf of a budget that is gone")
	require.Equal(t, extra, l.extra)
	require.Equal(t, bytes+extra, l.bytes)
}

// Whatever happens, in whatever order: the counts are those of a recount, and no rule lets anybody in beyond its limit.
func TestCountsAreThoseOfARecount(t *testing.T) {
	random := rand.New(rand.NewPCG(5, 6)) //nolint:gosec // the same each time
	sets := [][]Rule{
		{
			{Name: "total", Max: 40, Action: Overflow},
			{Name: "service", Per: []string{"resource.service.name"}, Max: 20, Reserve: 5, Action: Degrade},
			{Name: "metric", Per: []string{PerMetric}, Max: 25, Action: Drop, Observe: true},
		},
		{
			{Name: "total", Max: 30, Action: Overflow},
			{Name: "metric", Per: []string{PerMetric, PerAttribute}, Max: 4, Action: Replace},
			{Name: "host", Per: []string{"resource.host", PerMetric}, Max: 9, Action: Degrade},
		},
		{
			{Name: "metric", Per: []string{PerMetric, PerAttribute}, Max: 10, Action: Replace, Observe: true},
			{Name: "service", Per: []string{"resource.service.name"}, Max: 12, Action: Degrade, Metrics: regexp.MustCompile("m[01]")},
		},
	}
	l := newLimiter(sets[0]...)
	now := series.Step(0)
	decisions := map[Decision]int{}
	for range 20_000 {
		w := where{fmt.Sprint("s", random.IntN(3)), fmt.Sprint("m", random.IntN(3)), fmt.Sprint("h", random.IntN(2))}
		user := random.IntN(20)
		keys, _ := l.ResourceKeys()
		leaf := l.Find(w.key(keys))
		switch dice := random.IntN(1000); {
		case dice < 900:
			v := w.admit(l, user, now)
			decisions[v.Decision]++
			if v.Decision == Rejected {
				require.Contains(t, []int{0, 1, 2}, v.Rule)
			}
		case dice < 940:
			if leaf != nil {
				l.Forget(leaf, hashOf(fmt.Sprint(w, user)))
			}
			l.ForgetOld(hashOf(fmt.Sprint(w, user)), w.oldKeys(l))
		case dice < 975:
			now += series.Step(random.IntN(12))
			for !l.Sweep(now, 200) {
				if random.IntN(10) == 0 {
					break // batches pass in between
				}
			}
		case dice < 980:
			l.SetRules(sets[random.IntN(len(sets))])
		case dice < 985:
			next := New(l.opts)
			next.SetRules(l.rules)
			require.NoError(t, next.UnmarshalBinary(l.AppendBinary(nil), now))
			require.Equal(t, l.Report(1).Series, next.Report(1).Series)
			l = next
		default:
			l.TakeEvents()
			l.Report(random.IntN(4))
		}
		recount(t, l)
	}
	for _, d := range []Decision{Admitted, Observed, Rejected} {
		assert.Greater(t, decisions[d], 100, "decision %d", d)
	}
	for range 40 {
		now += 4
		for !l.Sweep(now, 1000) {
		}
	}
	assert.Empty(t, l.budgets)
	assert.Zero(t, l.bytes)
	assert.Zero(t, l.extra)
}

// A budget of a rule that enforces is never over its limit while the rules stay.
func TestNoBudgetIsOverItsLimit(t *testing.T) {
	random := rand.New(rand.NewPCG(7, 8)) //nolint:gosec // the same each time
	l := newLimiter(
		Rule{Name: "total", Max: 40, Action: Overflow},
		Rule{Name: "service", Per: []string{"resource.service.name"}, Max: 20, Reserve: 10, Action: Degrade},
		Rule{Name: "metric", Per: []string{"resource.service.name", PerMetric}, Max: 9, Reserve: 2, Action: Degrade},
		Rule{Name: "values", Per: []string{PerMetric, PerAttribute}, Max: 15, Action: Degrade},
	)
	now := series.Step(0)
	full := 0
	for range 20_000 {
		w := where{fmt.Sprint("s", random.IntN(4)), fmt.Sprint("m", random.IntN(4)), ""}
		w.admit(l, random.IntN(200), now)
		if random.IntN(100) == 0 {
			now += 3
			for !l.Sweep(now, 1000) {
			}
		}
		for _, b := range l.budgets {
			r := &l.rules[b.rule]
			require.LessOrEqual(t, b.inUse(), r.Max, "%s %v", r.Name, b.per)
			if b.inUse() == r.Max {
				full++
			}
		}
	}
	assert.Positive(t, full)
}

// While it learns, twice the limits hold; after that the limits do.
func TestLearning(t *testing.T) {
	l := newLimiter(Rule{Name: "metric", Per: []string{PerMetric}, Max: 10, Action: Drop})
	l.Learn(true)
	admitted := func() (n int) {
		for user := range 50 {
			if (where{metric: "m"}).admit(l, user, 0).Decision == Admitted {
				n++
			}
		}
		return n
	}
	assert.Equal(t, 20, admitted())
	l.Learn(false)
	assert.Equal(t, 20, admitted(), "those that are there stay")
	assert.Equal(t, Rejected, where{metric: "m"}.admit(l, 99, 0).Decision)
}

func TestVerdicts(t *testing.T) {
	f := func(action Action, replace bool) {
		t.Helper()
		l := newLimiter(Rule{Name: "metric", Per: []string{PerMetric}, Max: 40, Action: action})
		var v Verdict
		for user := range 60 {
			v = where{metric: "m"}.admit(l, user, 0)
		}
		assert.Equal(t, Rejected, v.Decision)
		assert.Equal(t, action, v.Action)
		assert.Equal(t, []string{PerMetric}, v.Per)
		assert.Equal(t, []bool{replace, false}, v.Replace, action)
	}
	f(Drop, false)
	f(Overflow, false)
	f(Replace, true)
	f(Degrade, true)
}

func TestStatesAreTold(t *testing.T) {
	l := newLimiter(Rule{Name: "metric", Per: []string{PerMetric}, Max: 10, Action: Degrade})
	w := where{service: "shop", metric: "m"}
	f := func(user int, now series.Step, want ...State) {
		t.Helper()
		w.admit(l, user, now)
		var got []State
		for _, e := range l.TakeEvents() {
			got = append(got, e.To)
			if e.Place != nil {
				assert.Equal(t, "m", e.Place.Metric)
				assert.Equal(t, "shop", e.Service)
			}
		}
		assert.Equal(t, want, got, "user %d", user)
	}
	for user := range 7 {
		f(user, 0)
	}
	f(7, 0, Warned)
	f(8, 0)
	f(9, 0)
	f(10, 0, Limited)
	f(11, 0)
	f(1, 60)
	for !l.Sweep(70, 1000) {
	}
	f(1, 70, Calm)
}

// What a simulation says is what the rule does.
func TestSimulate(t *testing.T) {
	l := newLimiter(Rule{Name: "total", Max: 1000, Action: Drop})
	for i := range 3 {
		for user := range 10 * (i + 1) {
			where{service: "shop", metric: fmt.Sprint("m", i)}.admit(l, user, 0)
		}
	}
	got := l.Simulate([]Rule{
		{Name: "metric", Per: []string{PerMetric}, Max: 15},
		{Name: "one", Metrics: regexp.MustCompile("m0"), Max: 5},
		{Name: "host", Per: []string{"resource.host"}, Max: 5},
		{Name: "values", Per: []string{PerAttribute}, Max: 5},
	}, 2)
	require.Len(t, got, 4)
	assert.Equal(t, []int{3, 2, 20, 2}, []int{got[0].Budgets, got[0].Over, got[0].Series, len(got[0].Fullest)})
	assert.Equal(t, []int{1, 1, 5}, []int{got[1].Budgets, got[1].Over, got[1].Series})
	assert.Contains(t, got[2].Unknown, "resource.host")
	assert.NotEmpty(t, got[3].Unknown)
	assert.Equal(t, 60, l.Report(1).Series, "nothing has changed")
}
