package cardinalitylimiterprocessor

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/assert"
)

func TestDegradeReplacesOnlyWhatExplodes(t *testing.T) {
	r := newRig(t, perMetric(20, "degrade"))
	r.send(batch("shop", counter("requests", 0, 200)))
	got := append(r.out.take(), r.folded()...)
	methods := map[any]float64{}
	for _, s := range got {
		methods[s.attrs["method"]] += s.value
	}
	assert.Equal(t, map[any]float64{"GET": 100, "POST": 100}, methods, "a query over the kept attribute is exact")
	assert.Len(t, streams(got), 22, "20, and one for each method")
	assert.Equal(t, map[string]int64{"passed": 20, "replaced": 180}, r.points())
}

// At four fifths of the limit a warning names the attribute. What explodes is decided only when a series does not fit: until then an
// attribute with 20 values looks much like one with 30.
func TestDegradeDecidesWhenASeriesDoesNotFit(t *testing.T) {
	r := newRig(t, perMetric(100, "degrade"))
	for i := range 400 {
		r.send(batch("shop", one("m", map[string]any{"user": fmt.Sprint("u", i), "path": fmt.Sprint("p", i%20)})))
	}
	paths := map[any]float64{}
	for _, s := range append(r.out.take(), r.folded()...) {
		paths[s.attrs["path"]] += s.value
	}
	assert.Len(t, paths, 20)
	for path, n := range paths {
		assert.InDelta(t, 20, n, 0, path)
	}
}

func TestDegradeNeverReplacesWhatIsProtected(t *testing.T) {
	r := newRig(t, func(c *Config) {
		perMetric(20, "degrade")(c)
		c.Protect = []string{"method"}
		c.Overflow.MaxStreams = 2 // no room for one per method: the second step of the ladder
	})
	r.send(batch("shop", counter("requests", 0, 200)))
	got := append(r.out.take(), r.folded()...)
	methods := map[any]float64{}
	for _, s := range got {
		methods[s.attrs["method"]] += s.value
	}
	assert.InDelta(t, 200-r.points()["dropped"], total(got), 0)
	assert.NotContains(t, methods, nil)
	assert.NotContains(t, methods, "__overflow__")
}

// Not even when it is the one that explodes.
func TestDegradeNeverReplacesAProtectedAttributeThatExplodes(t *testing.T) {
	r := newRig(t, func(c *Config) {
		perMetric(20, "degrade")(c)
		c.Protect = []string{"user"}
	})
	r.send(batch("shop", counter("requests", 0, 60)))
	got := append(r.out.take(), r.folded()...)
	assert.Len(t, streams(got), 60)
	for _, s := range got {
		assert.NotEqual(t, "__overflow__", s.attrs["user"])
	}
	assert.Equal(t, map[string]int64{"passed": 20, "overflow": 40}, r.points())
}

// And it does not stand before another one that explodes, too.
func TestDegradeReplacesWhatExplodesBesideAProtectedAttribute(t *testing.T) {
	r := newRig(t, func(c *Config) {
		perMetric(100, "degrade")(c)
		c.Protect = []string{"user"}
	})
	for i := range 300 {
		r.send(batch("shop", one("m", map[string]any{"user": fmt.Sprint("u", i), "path": fmt.Sprint("p", i%20)})))
	}
	assert.Equal(t, map[string]int64{"passed": 100, "replaced": 200}, r.points())
}

func TestProtectedAttributesStayInOverflowStreams(t *testing.T) {
	r := newRig(t, func(c *Config) {
		perMetric(20, "overflow")(c)
		c.Protect = []string{"method", "region"}
	})
	r.send(from(map[string]any{"service.name": "a", "region": "eu"}, counter("requests", 0, 100)))
	r.send(from(map[string]any{"service.name": "b", "region": "eu"}, counter("requests", 0, 100)))
	r.send(from(map[string]any{"service.name": "b", "region": "us"}, counter("requests", 0, 100)))
	want := map[string]float64{}
	got := append(r.out.take(), r.folded()...)
	for _, s := range got {
		if s.folded {
			want[fmt.Sprint(s.attrs["method"], len(having([]sample{s}, "region:eu")) == 1)] += s.value
			assert.Empty(t, having([]sample{s}, "service.name"), "of the resource it keeps only what is protected: %s", s.id)
		}
	}
	assert.Equal(t, map[string]float64{"GETtrue": 90, "POSTtrue": 90, "GETfalse": 50, "POSTfalse": 50}, want)
	assert.InDelta(t, 300, total(got), 0)
}

// The overflow stream of a budget keeps what the budget is kept per.
func TestOverflowStreamsKeepWhatTheBudgetIsPer(t *testing.T) {
	r := newRig(t, rules(RuleConfig{Name: "service", Per: []string{"resource.service.name"}, MaxSeries: 5, Action: "overflow"}))
	r.send(from(map[string]any{"service.name": "a", "host": "1"}, counter("m", 0, 10)))
	r.send(from(map[string]any{"service.name": "a", "host": "2"}, counter("m", 0, 10)))
	r.send(from(map[string]any{"service.name": "b", "host": "1"}, counter("m", 0, 10)))
	sums := map[string]float64{}
	for _, s := range r.folded() {
		if s.folded {
			sums[s.id] += s.value
			assert.Empty(t, having([]sample{s}, "host"))
		}
	}
	assert.Len(t, sums, 2)
	for id, n := range sums {
		want := 15.0
		if len(having([]sample{{id: id}}, "service.name:b")) == 1 {
			want = 5
		}
		assert.InDelta(t, want, n, 0, id)
	}
}

func TestReplaceWithoutAnExplodingAttributeDrops(t *testing.T) {
	r := newRig(t, perMetric(3, "replace"))
	r.send(batch("shop", counter("m", 0, 5)))
	assert.Len(t, r.out.take(), 3)
	assert.Empty(t, r.folded())
	assert.Equal(t, map[string]int64{"overflow_streams": 2}, r.drops())
}

func TestTooManyStreamsDrop(t *testing.T) {
	r := newRig(t, func(c *Config) {
		perMetric(1, "overflow")(c)
		c.Overflow.MaxStreams = 3
	})
	for i := range 10 {
		r.send(batch("shop", counter(fmt.Sprint("m", i), 0, 5)))
	}
	got := append(r.out.take(), r.folded()...)
	assert.Len(t, streams(got), 13)
	assert.Equal(t, map[string]int64{"overflow_streams": 28}, r.drops())
	assert.EqualValues(t, 50, int64(total(got))+sum(r.drops()))
}

func TestAValuesRuleReplacesValuesThatDoNotFit(t *testing.T) {
	r := newRig(t, rules(RuleConfig{Name: "values", Per: []string{"metric", "attribute"}, MaxValues: 3}))
	for i := range 10 {
		r.send(batch("shop", one("m", map[string]any{"user": fmt.Sprint("u", i), "method": "GET"})))
	}
	r.send(batch("shop", one("m", map[string]any{"user": "u1", "method": "POST"})))
	r.send(batch("shop", one("other", map[string]any{"user": "u9"})))
	users := map[string]float64{}
	for _, s := range append(r.out.take(), r.folded()...) {
		users[fmt.Sprint(s.metric, s.attrs["user"], s.attrs["method"])] += s.value
	}
	assert.Equal(t, map[string]float64{
		"mu0GET": 1, "mu1GET": 1, "mu2GET": 1, "m__overflow__GET": 7, "mu1POST": 1, "otheru9<nil>": 1,
	}, users)
	assert.Equal(t, map[string]int64{"passed": 5, "replaced": 7}, r.points())
}

// Values are kept as long as a series has them.
func TestValuesGiveTheirPlaceBackWhenTheyAreIdle(t *testing.T) {
	r := newRig(t, rules(RuleConfig{Name: "values", Per: []string{"metric", "attribute"}, MaxValues: 2}))
	send := func(user string) int {
		r.send(batch("shop", one("m", map[string]any{"user": user})))
		return len(unfolded(r.out.take()))
	}
	assert.Equal(t, 1, send("busy"))
	assert.Equal(t, 1, send("idle"))
	assert.Equal(t, 0, send("late"))
	for range 60 {
		r.pass(r.cfg.IdleTimeout / 20)
		assert.Equal(t, 1, send("busy"))
	}
	assert.Equal(t, 1, send("late2"), "the place of the idle one")
	assert.Equal(t, 0, send("late3"), "busy has kept its own")
}

func TestAValuesRuleDoesNotLimitProtectedAttributes(t *testing.T) {
	r := newRig(t, func(c *Config) {
		rules(RuleConfig{Name: "values", Per: []string{"metric", "attribute"}, MaxValues: 3})(c)
		c.Protect = []string{"user"}
	})
	for i := range 10 {
		r.send(batch("shop", one("m", map[string]any{"user": fmt.Sprint("u", i), "path": fmt.Sprint("p", i)})))
	}
	users := map[any]bool{}
	for _, s := range append(r.out.take(), r.folded()...) {
		users[s.attrs["user"]] = true
	}
	assert.Len(t, users, 10)
	assert.NotContains(t, users, "__overflow__")
}
