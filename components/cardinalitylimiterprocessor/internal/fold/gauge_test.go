package fold

import (
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/assert"
)

type gaugePoint struct {
	id   int
	time uint64
	num
}

func gi(id int, time uint64, v int64) gaugePoint {
	return gaugePoint{id, t0 + time, num{i: v, isInt: true}}
}
func gf(id int, time uint64, v float64) gaugePoint { return gaugePoint{id, t0 + time, num{f: v}} }

func (r rig) gauges(points []gaugePoint) {
	r.t.Helper()
	for _, p := range points {
		r.fold(p.id, &Point{Time: p.time, IsInt: p.isInt, Int: p.i, Float: p.f}, Folded)
	}
}

// Each case runs in many orders, in one interval and in two of which the first is refused.
func TestGaugeFolds(t *testing.T) {
	f := func(fold GaugeFold, want Point, points ...gaugePoint) {
		t.Helper()
		rnd := rand.New(rand.NewPCG(1, 2))
		want.Time = t0 + 1000
		for range 50 {
			rnd.Shuffle(len(points), func(i, j int) { points[i], points[j] = points[j], points[i] })
			r := newRig(t, Gauge, Config{Gauge: fold})
			r.gauges(points)
			got, _ := r.collect(t0 + 1000)
			assert.Equal(t, want, got, "%v", points)

			r = newRig(t, Gauge, Config{Gauge: fold})
			half := rnd.IntN(len(points) + 1)
			if !fold.perMember() { // a sum refuses a point that is older than what it has sent
				r.gauges(points[:half])
				r.collect(t0 + 1)
				r.gauges(points[half:])
				r.Restore()
				got, _ = r.collect(t0 + 1000)
				assert.Equal(t, want, got, "%v refused %d", points, half)
			}
		}
	}
	f(GaugeLast, Point{Float: 2.5}, gi(1, 5, 9), gf(2, 6, 2.5), gi(3, 4, 100))
	f(GaugeLast, Point{IsInt: true, Int: 3}, gi(1, 5, 3), gf(2, 5, 2.5), gi(1, 5, 1)) // a tie: the greatest
	f(GaugeLast, Point{Float: 3}, gi(1, 5, 3), gf(2, 5, 3))
	f(GaugeMin, Point{Float: -2}, gi(1, 1, -1), gf(2, 6, -2), gi(1, 9, 7))
	f(GaugeMin, Point{IsInt: true, Int: 3}, gi(1, 1, 3), gf(2, 1, 3), gi(4, 2, 4))
	f(GaugeMax, Point{IsInt: true, Int: 9}, gi(1, 5, 9), gf(2, 6, 2.5), gi(1, 7, 3))
	f(GaugeMax, Point{IsInt: true, Int: 1<<53 + 1}, gi(1, 5, 1<<53+1), gf(2, 6, 1<<53))
	f(GaugeMax, Point{Float: 1 << 63}, gi(1, 5, 1<<63-1), gf(2, 6, 1<<63))
	f(GaugeSum, Point{IsInt: true, Int: 10}, gi(1, 1, 100), gi(1, 2, 3), gi(2, 1, 7), gi(2, 0, 8))
	f(GaugeSum, Point{IsInt: true, Int: 10}, gi(1, 2, 2), gi(1, 2, 3), gi(2, 1, 7))
	f(GaugeSum, Point{Float: 0.25}, gf(1, 1, 1e300), gf(2, 1, 0.25), gf(3, 1, -1e300))
	f(GaugeMean, Point{Float: 0.25}, gf(1, 1, 0.75), gf(2, 1, 0.25), gi(3, 1, 1), gf(3, 2, -0.25))
	f(GaugeMean, Point{Float: 2}, gi(1, 1, 1), gi(2, 2, 3))
}

// Of a sum, each series' newest value counts once, whatever is refused in between.
func TestGaugeSumRefused(t *testing.T) {
	r := newRig(t, Gauge, Config{Gauge: GaugeSum})
	r.gauges([]gaugePoint{gi(1, 10, 1), gi(2, 10, 20), gi(3, 10, 300)})
	_, ok := r.collect(t0 + 10)
	assert.True(t, ok)
	r.fold(1, ints(0, t0+9, 5), DroppedOrder)
	r.fold(1, ints(0, t0+11, 2), Folded)
	r.fold(3, &Point{NoValue: true}, Stale)
	r.Restore()
	r.fold(2, ints(0, t0+9, 5), Folded) // not the newest of the interval
	r.fold(2, ints(0, t0+12, 30), Folded)
	r.fold(3, ints(0, t0+12, 100), Folded)
	r.sends(t0+20, ints(0, 0, 132))
	r.sends(t0+21, nil)
	r.fold(2, ints(0, t0+12, 30), Folded) // the same again is still what it says
	r.sends(t0+22, ints(0, 0, 30))
}
