package series

import (
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/assert"
)

func TestSketch(t *testing.T) {
	f := func(n int, tolerance float64) {
		worst, sum := 0.0, 0.0
		const runs = 50
		for run := range uint64(runs) {
			var s Sketch
			r := rand.NewPCG(run, uint64(n))
			for range n {
				h := r.Uint64()
				s.Add(h)
				s.Add(h)
			}
			off := float64(s.Estimate())/float64(n) - 1
			worst = max(worst, off, -off)
			sum += off
		}
		assert.Less(t, worst, 4*tolerance, "%d values", n)
		// 50 runs of one standard deviation of 3.3 %: their mean is within 2 % of none.
		assert.InDelta(t, 0, sum/runs, 0.02, "%d values", n)
	}
	f(1, 0.001)
	f(10, 0.03)
	f(100, 0.033)
	f(500, 0.033)
	f(1000, 0.033)
	f(2500, 0.033)
	f(5000, 0.033)
	f(100_000, 0.033)
}

func TestSketchEmpty(t *testing.T) {
	var s Sketch
	assert.Zero(t, s.Estimate())
	assert.Nil(t, s.ranks, "it takes memory when it is used")
	s.Add(0)
	assert.Equal(t, 1, s.Estimate())
	assert.Len(t, s.ranks, 1024)
}
