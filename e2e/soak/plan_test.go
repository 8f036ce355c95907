package soak

import (
	"bytes"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestPlanIsTheSeeds(t *testing.T) {
	cast := Cast{
		Tiers: []string{"a", "b", "c"}, Behind: map[string][]string{"a": {"n"}, "b": {"p", "q"}}, Networks: map[string]bool{"n": true}, Stalls: true,
	}
	plan := func(seed uint64) []Round { return Plan(seed, 60, time.Second, cast) }
	first := plan(1)
	assert.Equal(t, first, plan(1))
	assert.NotEqual(t, plan(1), plan(2))
	victims, again, beside := map[string]int{}, 0, map[string]int{}
	for _, r := range plan(1) {
		victims[r.Victim]++
		if r.Again > 0 {
			again++
		}
		beside[r.With]++
		assert.LessOrEqual(t, r.Before, time.Second)
		if r.With == "n" {
			assert.Equal(t, "a", r.Victim)
			assert.Contains(t, networkTroubles, r.Beside)
		} else if r.With != "" {
			assert.Equal(t, "b", r.Victim)
			assert.Contains(t, backendTroubles, r.Beside)
		}
	}
	assert.Equal(t, map[string]int{"a": 20, "b": 20, "c": 20}, victims, "each in turn")
	assert.Greater(t, again, 10)
	assert.Greater(t, beside["p"], 3)
	assert.Greater(t, beside["n"], 5)
}

// A seed that has found something must go on to mean the same kills.
func TestPlanOfASeedStays(t *testing.T) {
	cast := Cast{Tiers: []string{"a", "b", "c"}, Behind: map[string][]string{"a": {"n"}, "b": {"p", "q"}}, Networks: map[string]bool{"n": true}, Stalls: true}
	var said []string
	for _, r := range Plan(336061, 4, time.Second, cast) {
		said = append(said, r.String())
	}
	assert.Equal(t, []string{
		"kill -9 of a after 884ms, down for 603ms, killed again 41ms into its start",
		"kill -9 of b after 389ms, down for 461ms, killed again 518ms into its start",
		"kill -9 of c after 408ms, down for 1.445s",
		"kill -9 of a after 609ms, down for 184ms, killed again 3ms into its start, while n: stalls",
	}, said)
}

func TestPlanWithStops(t *testing.T) {
	cast := Cast{Tiers: []string{"a", "b", "c"}, Behind: map[string][]string{"a": {"p"}}}
	plan := PlanWithStops(1, 50, time.Second, cast)
	assert.Equal(t, plan, PlanWithStops(1, 50, time.Second, cast))
	assert.NotEqual(t, plan, PlanWithStops(2, 50, time.Second, cast))
	var kills []Round
	stopped, places, last, apart := map[string]int{}, map[int]bool{}, -1, 0
	for i, r := range plan {
		if !r.Stop {
			kills = append(kills, r)
			continue
		}
		stopped[r.Victim]++
		places[i%5] = true
		apart, last = max(apart, i-last), i
		assert.Equal(t, Round{Victim: r.Victim, Stop: true, Before: r.Before, Down: r.Down}, r, "nothing else is wrong")
		assert.Contains(t, r.String(), "SIGTERM of "+r.Victim)
	}
	assert.Equal(t, Plan(1, 50, time.Second, cast), kills)
	assert.Equal(t, 13, stopped["a"]+stopped["b"]+stopped["c"])
	assert.Len(t, stopped, 3)
	assert.Greater(t, len(places), 2, "when is chance")
	assert.LessOrEqual(t, apart, 9)
	assert.Len(t, PlanWithStops(1, 2, time.Second, cast), 3, "the short form has one, too")
}

func TestCountFindsWhatIsMissing(t *testing.T) {
	acknowledged := map[int]struct{}{1: {}, 2: {}, 3: {}}
	y := Count(acknowledged, map[int]int{1: 1, 3: 4, 9: 1}, strconv.Itoa)
	assert.Equal(t, Tally{Acknowledged: 3, Stored: 3, Lost: 1, Duplicated: 3, Sample: []string{"2"}}, y)
	assert.InDelta(t, 33.3, y.LostPercent(), 0.1)
	assert.InDelta(t, 100, y.DuplicatedPercent(), 0.1)
	assert.Zero(t, Tally{}.LostPercent())
}

func TestReport(t *testing.T) {
	var b bytes.Buffer
	_, err := (&Report{Name: "TestKill", Shape: "as shipped", Seed: 7, Notes: []string{"A note."}, Tallies: []Tally{
		{Signal: "spans", Written: 12, Acknowledged: 10, Stored: 9, Lost: 1, Duplicated: 2, CountsCopies: true, Drain: -1},
		{Signal: "samples", Written: 4, Acknowledged: 4, Stored: 4, Drain: 1234 * time.Millisecond},
	}}).WriteTo(&b)
	require.NoError(t, err)
	assert.Equal(t, `### TestKill, as shipped, seed 7

| signal | written | acknowledged | stored | lost | duplicated | drained after |
|---|---:|---:|---:|---:|---:|---:|
| spans | 12 | 10 | 9 | 1 (10.00 %) | 2 (22.22 %) | never |
| samples | 4 | 4 | 4 | 0 (0.00 %) | not visible | 1.2s |

A note.
`, b.String())
}

func TestDamage(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "1.log")
	whole := bytes.Repeat([]byte("abcdefgh"), 100)
	require.NoError(t, os.WriteFile(file, whole, 0o600))
	pick := rand.New(rand.NewPCG(3, 3))
	did, err := Damage(pick, filepath.Join(dir, "*.log"), 1)
	require.NoError(t, err)
	assert.Len(t, did, 1)
	got, err := os.ReadFile(file)
	require.NoError(t, err)
	different := 0
	for i := range whole {
		if whole[i] != got[i] {
			different++
		}
	}
	assert.Equal(t, 1, different)
	_, err = Truncate(pick, filepath.Join(dir, "*.log"))
	require.NoError(t, err)
	info, err := os.Stat(file)
	require.NoError(t, err)
	assert.Less(t, info.Size(), int64(720))
	assert.Greater(t, info.Size(), int64(390))
	_, err = Damage(pick, filepath.Join(dir, "*.none"), 1)
	assert.Error(t, err)
}
