package cardinalitylimiterprocessor

import (
	"slices"
	"strconv"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/consumer/consumertest"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/pmetric"
)

// The two shortcuts of the usual case must not be seen from outside.

// Points are looked at in blocks; what passes and what does not may be anywhere in them.
func TestKnownSeriesPassInEveryPlace(t *testing.T) {
	const n = 5*block + 7
	f := func(name string, known func(i int) bool) {
		t.Helper()
		out := new(consumertest.MetricsSink)
		p, c := start(t, out, perMetric(n, "overflow"))
		send := func(batch pmetric.Metrics) (users []int64) {
			out.Reset()
			require.NoError(t, p.ConsumeMetrics(t.Context(), batch))
			for _, md := range out.AllMetrics() {
				eachPoint(md.ResourceMetrics().At(0).ScopeMetrics().At(0).Metrics().At(0), func(_ int, p stamped) {
					user, _ := p.Attributes().Get("user")
					users = append(users, user.Int())
				})
			}
			return users
		}
		users := func(want func(i int) bool, from, to int64) pmetric.Metrics {
			return batch("shop", func(ms pmetric.MetricSlice) {
				m := ms.AppendEmpty()
				m.SetName("requests")
				deltaSum.empty(m, 0)
				for i := from; i < to; i++ {
					if want(int(i)) {
						dp := m.Sum().DataPoints().AppendEmpty()
						dp.SetTimestamp(pcommon.NewTimestampFromTime(c.now()))
						dp.SetIntValue(1)
						dp.Attributes().PutInt("user", i)
					}
				}
			})
		}
		every := func(int) bool { return true }
		want := send(users(known, 0, n))
		send(users(every, n, 2*n)) // the rest of the budget
		assert.Equal(t, want, send(users(every, 0, n)), name)
	}
	f("all", func(int) bool { return true })
	f("none", func(int) bool { return false })
	f("every second", func(i int) bool { return i%2 == 1 })
	f("all but the first", func(i int) bool { return i > 0 })
	f("all but the first of a block", func(i int) bool { return i != 2*block })
	f("all but the last of a block", func(i int) bool { return i != 2*block-1 })
	f("all but the last", func(i int) bool { return i < n-1 })
	f("the first block", func(i int) bool { return i < block })
	f("every block but one", func(i int) bool { return i/block != 2 })
}

// What the walker remembers of the points before must not change a hash.
func TestRememberedKeysChangeNoHash(t *testing.T) {
	p, _ := start(t, consumertest.NewNop(), perMetric(1, "overflow"))
	w := p.walkers.Get().(*walker)
	hash := func(pairs ...any) uint64 {
		t.Helper()
		m := pcommon.NewMap()
		for i := 0; i < len(pairs); i += 2 {
			require.NoError(t, m.PutEmpty(pairs[i].(string)).FromRaw(pairs[i+1]))
		}
		got := w.hash(m)
		assert.Equal(t, attributesHash(p.hash, m), got, "%v", pairs)
		return got
	}
	f := func(same bool, a, b []any) {
		t.Helper()
		assert.Equal(t, same, hash(a...) == hash(b...), "%v and %v", a, b)
	}
	f(true, []any{"a", "x", "b", "y"}, []any{"b", "y", "a", "x"})
	f(false, []any{"a", "x", "b", "y"}, []any{"a", "y", "b", "x"})
	f(false, []any{"a", "x"}, []any{"b", "x"})
	f(false, []any{"a", "x"}, []any{"a", "x", "b", "y"})
	f(false, []any{"a", ""}, nil)
	f(false, []any{"a", ""}, []any{"a", nil})
	f(false, []any{"a", "1"}, []any{"a", 1})
	f(false, []any{"a", 1.0}, []any{"a", 1})
	f(false, []any{"a", true}, []any{"a", 1})
	var many, back []any
	for i := range 2 * maxKeys {
		many = append(many, "k"+strconv.Itoa(i), i)
		back = slices.Insert(back, 0, any("k"+strconv.Itoa(i)), any(i))
	}
	f(true, many, back)
	assert.LessOrEqual(t, len(w.keys), maxKeys, "points have as many keys as they like")
}
