package cardinalitylimiterprocessor

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// fromFile has its rules in a limits file.
func fromFile(t *testing.T, text string) func(*Config) {
	name := filepath.Join(t.TempDir(), "limits.yaml")
	require.NoError(t, os.WriteFile(name, []byte(text), 0o600))
	return func(c *Config) { c.LimitsFile = name }
}

func (r *rig) reload(text string) {
	r.t.Helper()
	require.NoError(r.t, os.WriteFile(r.file.path, []byte(text), 0o600))
	require.NoError(r.t, r.readLimits(false))
}

// limitOf is a limits file with one rule for each metric.
func limitOf(n int) string {
	return fmt.Sprintf("rules: [{name: metric, per: [metric], max_series: %d, action: overflow}]\n", n)
}

// moreDims has a rule that tells places apart in another way.
func moreDims(n int) string {
	return strings.Replace(limitOf(n), "]\n", ", {name: host, per: [resource.host], max_series: 1000, action: drop}]\n", 1)
}

func TestALoweredLimitDrains(t *testing.T) {
	r := newRig(t, fromFile(t, limitOf(20)))
	r.send(batch("shop", counter("m", 0, 20)))
	r.reload(limitOf(10))
	r.send(batch("shop", counter("m", 0, 20)))
	assert.Len(t, unfolded(r.out.take()), 20, "those that are there stay")
	r.send(batch("shop", counter("m", 20, 30)))
	assert.Empty(t, r.out.take())
	for range 20 { // five go on
		r.pass(r.cfg.IdleTimeout / 16)
		r.send(batch("shop", counter("m", 0, 5)))
	}
	r.out.take()
	assert.Equal(t, 5, r.active())
	r.send(batch("shop", counter("m", 40, 60)))
	assert.Len(t, unfolded(r.out.take()), 5, "now there is room for five")
}

func TestARaisedLimitLetsMoreInAtOnce(t *testing.T) {
	r := newRig(t, fromFile(t, limitOf(10)))
	r.send(batch("shop", counter("m", 0, 20)))
	r.reload(limitOf(15))
	r.send(batch("shop", counter("m", 0, 20)))
	r.send(batch("shop", counter("m", 20, 40)))
	got := append(r.out.take(), r.folded()...)
	assert.Len(t, unfolded(got), 15)
	assert.InDelta(t, 60, total(got), 0)
	assert.Equal(t, map[string]int64{"success": 2}, r.counted("limits_reloads", "result"))
}

// Rules that tell places apart in another way neither forget who was admitted nor let others in beside them.
func TestAReloadWithOtherDimensionsKeepsEverybodysPlace(t *testing.T) {
	r := newRig(t, fromFile(t, limitOf(20)))
	r.send(batch("shop", counter("m", 0, 20)))
	r.out.take()
	r.reload(moreDims(20))
	r.send(batch("shop", counter("m", 100, 120)))
	assert.Empty(t, r.out.take())
	r.send(batch("shop", counter("m", 0, 10)))
	assert.Len(t, unfolded(r.out.take()), 10)
	r.send(batch("shop", marker("m", map[string]any{"user": "u15", "method": "POST"})))
	assert.Len(t, r.out.take(), 1, "the end of one that was not seen since")
	r.reload(limitOf(20))
	r.send(batch("shop", counter("m", 0, 15)))
	assert.Len(t, unfolded(r.out.take()), 15)
	r.send(batch("shop", counter("m", 200, 220)))
	assert.Len(t, unfolded(r.out.take()), 1, "the place of the one that ended")
	r.pass(2 * r.cfg.IdleTimeout)
	assert.Zero(t, r.active())
	assert.Empty(t, r.limits.Old())
}

func TestAReserveHoldsAfterAReload(t *testing.T) {
	text := "rules: [{name: total, max_series: 20, action: drop}, {name: service, per: [resource.service.name], max_series: 20, reserve: 5, action: drop}]\n"
	r := newRig(t, fromFile(t, text))
	r.send(batch("quiet", counter("m", 0, 1)))
	r.reload(text + "# changed\n")
	r.send(batch("noisy", counter("m", 0, 100)))
	r.send(batch("quiet", counter("m", 0, 8)))
	got := r.out.take()
	assert.Len(t, unfolded(having(got, "quiet")), 5)
	assert.Len(t, unfolded(having(got, "noisy")), 15)
}

func TestARuleMayBecomeOneOnValuesAndBack(t *testing.T) {
	values := "rules: [{name: metric, per: [metric, attribute], max_values: 4}]\n"
	r := newRig(t, fromFile(t, limitOf(4)))
	r.send(batch("shop", counter("m", 0, 4)))
	r.reload(values)
	r.send(batch("shop", counter("m", 0, 4)))
	assert.Len(t, unfolded(r.out.take()), 4)
	r.reload(limitOf(4))
	r.send(batch("shop", counter("m", 0, 10)))
	assert.Len(t, unfolded(r.out.take()), 4)
}

func TestABadLimitsFileLeavesTheRulesAlone(t *testing.T) {
	r := newRig(t, fromFile(t, limitOf(3)))
	for i, bad := range []string{
		"", "rules: []", "rules: {", "rule: []", "rules: [{name: a}]", "rules: [{name: a, max_series: 1, oops: 2}]",
		"rules: [{name: a, max_series: 1}, {name: a, max_series: 2}]", strings.Repeat("#", maxLimitsFile+1),
	} {
		r.reload(bad)
		r.reload(bad) // told once
		assert.EqualValues(t, i+1, r.counted("limits_reloads", "result")["failure"], bad[:min(len(bad), 80)])
		assert.NotEmpty(t, r.foldCounts().LimitsError)
	}
	require.NoError(t, os.Remove(r.file.path))
	require.NoError(t, r.readLimits(false))
	r.send(batch("shop", counter("m", 0, 5)))
	assert.Len(t, unfolded(r.out.take()), 3)
	r.reload(limitOf(4))
	assert.Empty(t, r.foldCounts().LimitsError)
	r.send(batch("shop", counter("m", 5, 9)))
	assert.Len(t, unfolded(r.out.take()), 1)
}

func TestALimitsFileMustBeThereAtTheStartUnlessRulesAre(t *testing.T) {
	missing := func(c *Config) { c.LimitsFile = filepath.Join(t.TempDir(), "missing.yaml") }
	_, err := tryRig(t, missing)
	require.ErrorContains(t, err, "limits_file: ")
	r := newRig(t, func(c *Config) {
		perMetric(2, "drop")(c)
		missing(c)
	})
	r.send(batch("shop", counter("m", 0, 5)))
	assert.Len(t, r.out.take(), 2)
}

// What is folded stays true over a reload: totals of cumulative series neither lose an interval nor count anything twice.
func TestCumulativeTotalsOverAReload(t *testing.T) {
	f := func(before, after int) {
		t.Helper()
		r := newRig(t, fromFile(t, limitOf(before)))
		s := forms()[1]
		var all []sample
		for round := range 6 {
			if round == 3 {
				r.reload(limitOf(after) + "# changed\n")
			}
			all = append(all, r.round(s, round, 10)...)
		}
		value, _ := said(all, s.kind)
		assert.InDelta(t, 10*(3+2*5), value, 0)
	}
	f(4, 4)
	f(4, 8)
	f(4, 2)
}

func TestCurrentValuesOverAReload(t *testing.T) {
	r := newRig(t, fromFile(t, limitOf(1)))
	assert.InDelta(t, 30, total(r.round(forms()[3], 0, 10)), 0)
	r.reload(limitOf(1) + "# changed\n")
	got := r.folded()
	require.Len(t, got, 1)
	assert.InDelta(t, 27, got[0].value, 0)
}

func TestARefusedEndOfASeriesOfEarlierRulesComesAgain(t *testing.T) {
	r := newRig(t, fromFile(t, limitOf(20)))
	r.send(batch("shop", one("m", user(1))))
	r.reload(moreDims(20))
	r.out.take()
	r.out.err = errLater
	require.Error(t, r.ConsumeMetrics(t.Context(), batch("shop", marker("m", user(1)))))
	r.out.err = nil
	r.send(batch("shop", marker("m", user(1))))
	assert.Len(t, r.out.take(), 1)
	assert.Zero(t, r.active())
}
