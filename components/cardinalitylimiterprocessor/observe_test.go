package cardinalitylimiterprocessor

import (
	"fmt"
	"math/rand/v2"
	"strconv"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pmetric"
)

// An observing rule changes not one byte, and says of how many points the enforcing one would have made something else.
func TestObserveChangesNothingAndCountsWhatItWould(t *testing.T) {
	f := func(list ...RuleConfig) {
		t.Helper()
		enforcing := newRig(t, rules(list...))
		observing := make([]RuleConfig, len(list))
		for i, c := range list {
			c.Mode = modeObserve
			observing[i] = c
		}
		observer := newRig(t, rules(observing...))
		random := rand.New(rand.NewPCG(3, 4)) //nolint:gosec // the same each time
		for range 400 {
			var build []func(pmetric.MetricSlice)
			for range 1 + random.IntN(3) {
				metric := fmt.Sprint("m", random.IntN(3))
				build = append(build, one(metric, map[string]any{"user": fmt.Sprint("u", random.IntN(60)), "method": strconv.Itoa(random.IntN(3))}))
			}
			service := fmt.Sprint("s", random.IntN(3))
			md := batch(service, build...)
			want, err := new(pmetric.ProtoMarshaler).MarshalMetrics(md)
			require.NoError(t, err)
			again := pmetric.NewMetrics()
			md.CopyTo(again)
			enforcing.send(again)
			observer.send(md)
			require.Len(t, observer.out.batches, 1)
			got, err := new(pmetric.ProtoMarshaler).MarshalMetrics(observer.out.batches[0])
			require.NoError(t, err)
			require.Equal(t, want, got)
			observer.out.batches = nil
		}
		enforced := enforcing.points()
		seen := observer.points()
		assert.Positive(t, seen["observed"])
		assert.Equal(t, enforced["passed"], seen["passed"])
		assert.Equal(t, enforced["replaced"]+enforced["overflow"], seen["observed"])
		assert.Equal(t, seen["observed"], sum(observer.counted("rule_points", "rule")))
		assert.Empty(t, observer.folded())
	}
	metric := RuleConfig{Name: "metric", Per: []string{"metric"}, MaxSeries: 40, Action: "overflow"}
	service := RuleConfig{Name: "service", Per: []string{"resource.service.name"}, MaxSeries: 50, Action: "degrade"}
	values := RuleConfig{Name: "values", Per: []string{"metric", "attribute"}, MaxValues: 20, Action: "degrade"}
	f(metric)
	f(values)
	f(service, metric)
	f(metric, values)
}

// What an observing rule would turn away is no concern of the one that enforces.
func TestAnObservingRuleBesideAnEnforcingOne(t *testing.T) {
	r := newRig(t, rules(
		RuleConfig{Name: "look", Per: []string{"metric"}, MaxSeries: 5, Mode: modeObserve},
		RuleConfig{Name: "hold", Per: []string{"metric"}, MaxSeries: 10, Action: "drop"},
	))
	r.send(batch("shop", counter("m", 0, 30)))
	assert.Equal(t, map[string]int64{"passed": 5, "observed": 5, "dropped": 20}, r.points())
	r.send(batch("shop", counter("m", 0, 10)))
	assert.Equal(t, map[string]int64{"passed": 10, "observed": 10, "dropped": 20}, r.points())
	assert.Equal(t, map[string]int64{"look": 10, "hold": 20}, r.counted("rule_points", "rule"))
}

func TestMarksOfAnObservingRuleGoWithIt(t *testing.T) {
	r := newRig(t, fromFile(t, "rules: [{name: a, per: [metric], max_series: 5, mode: observe}]\n"))
	r.send(batch("shop", counter("m", 0, 10)))
	r.reload("rules: [{name: b, per: [metric], max_series: 100}]\n")
	r.send(batch("shop", counter("m", 0, 10)))
	assert.Equal(t, map[string]int64{"a": 5}, r.counted("rule_points", "rule"))
	assert.Equal(t, map[string]int64{"passed": 15, "observed": 5}, r.points())
}

func TestMarksAreTheirRulesAfterARestart(t *testing.T) {
	dir := t.TempDir()
	configure := rules(
		RuleConfig{Name: "first", Per: []string{"metric"}, MaxSeries: 1000},
		RuleConfig{Name: "look", Per: []string{"metric"}, MaxSeries: 5, Mode: modeObserve},
	)
	r := newRig(t, configure, in(dir))
	r.send(batch("shop", counter("m", 0, 10)))
	r = r.again(dir, configure)
	r.send(batch("shop", counter("m", 0, 10)))
	assert.Equal(t, map[string]int64{"look": 5}, r.counted("rule_points", "rule"))
}
