package cardinalitylimiterprocessor

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/pmetric"
)

func lowest(limit int, action string) func(*Config) {
	return func(c *Config) {
		perMetric(limit, action)(c)
		c.Admission, c.HashSeed, c.StartupGrace = lowestHash, "a seed", time.Minute
	}
}

// Two gateways that see the same series in another order let the same ones pass.
func TestReplicasLetTheSamePass(t *testing.T) {
	a, b := newRig(t, lowest(20, "overflow")), newRig(t, lowest(20, "overflow"))
	for i := range 100 {
		a.send(batch("shop", counter("m", i, i+1)))
		b.send(batch("shop", counter("m", 99-i, 100-i)))
	}
	a.folded()
	b.folded()
	a.send(batch("shop", counter("m", 0, 100)))
	b.send(batch("shop", counter("m", 0, 100)))
	passA, passB := unfolded(a.out.take()), unfolded(b.out.take())
	assert.Len(t, passA, 20)
	assert.Equal(t, passA, passB)
	assert.False(t, a.foldCounts().Learning, "whoever comes first does not matter")
}

// What a series had counted before it had to make way is not counted again by the stream that it is folded into.
func TestWhoMakesWayIsNotCountedTwice(t *testing.T) {
	r := newRig(t, lowest(10, "overflow"))
	last := map[string]float64{}
	truth := 0.0
	send := func(users int) {
		r.clock.advance(time.Minute)
		md := batch("shop", func(ms pmetric.MetricSlice) {
			m := ms.AppendEmpty()
			m.SetName("m")
			s := m.SetEmptySum()
			s.SetIsMonotonic(true)
			s.SetAggregationTemporality(pmetric.AggregationTemporalityCumulative)
			for i := range users {
				p := s.DataPoints().AppendEmpty()
				p.SetStartTimestamp(pcommon.NewTimestampFromTime(epoch))
				p.SetTimestamp(pcommon.NewTimestampFromTime(r.clock.now()))
				key := fmt.Sprint("u", i)
				last[key]++
				p.SetDoubleValue(last[key])
				p.Attributes().PutStr("user", key)
			}
		})
		r.send(md)
	}
	newest := map[string]float64{}
	look := func() {
		for _, s := range r.folded() {
			newest[s.id] = s.value
		}
	}
	const rounds = 10
	for round := range rounds {
		send(10 + 5*round)
		look()
	}
	for _, v := range last {
		truth += v
	}
	var out float64
	displaced := 0 // and everybody else
	for _, v := range newest {
		out += v
		displaced++
	}
	displaced -= 11 // ten that are admitted, and the stream
	require.Positive(t, displaced, "nobody made way")
	assert.LessOrEqual(t, out, truth)
	// Each of those that made way loses what it counted between its last own point and its first folded one: 1.
	assert.GreaterOrEqual(t, out, truth-float64(displaced))
}

// A restart with another seed begins anew instead of mixing two orders.
func TestAnotherSeedBeginsAnew(t *testing.T) {
	dir := t.TempDir()
	r := newRig(t, lowest(20, "overflow"), in(dir))
	r.send(batch("shop", counter("m", 0, 100)))
	r.shutdown()
	r = newRig(t, lowest(20, "overflow"), in(dir))
	assert.Equal(t, 20, r.active())
	r.shutdown()
	r = newRig(t, func(c *Config) {
		lowest(20, "overflow")(c)
		c.HashSeed = "another"
	}, in(dir))
	assert.Zero(t, r.active())
	assert.Positive(t, r.counted("storage_errors", "none")[""])
}
