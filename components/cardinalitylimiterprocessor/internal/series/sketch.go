package series

import (
	"math"
	"math/bits"
)

const (
	sketchBits = 10
	registers  = 1 << sketchBits
	maxRank    = 64 - sketchBits
)

// Sketch estimates the number of different hashes (HyperLogLog) in 1 KiB, within 3 % of it (one standard deviation).
// The zero value is empty and holds nothing. It is not safe for concurrent use.
type Sketch struct{ ranks *[registers]uint8 }

// Add notes a hash, all of whose bits have to be random.
func (s *Sketch) Add(h uint64) {
	if s.ranks == nil {
		s.ranks = new([registers]uint8)
	}
	rank := uint8(min(bits.LeadingZeros64(h<<sketchBits)+1, maxRank))
	if r := &s.ranks[h>>maxRank]; rank > *r {
		*r = rank
	}
}

// Estimate is Ertl's estimator ("New cardinality estimation algorithms for HyperLogLog sketches", 2017): unlike the first one
// it is not biased between few and many values, and needs no table of corrections.
func (s *Sketch) Estimate() int {
	if s.ranks == nil {
		return 0
	}
	var count [maxRank + 1]float64
	for _, r := range s.ranks {
		count[r]++
	}
	z := 0.0
	for rank := maxRank; rank > 0; rank-- {
		z = (z + count[rank]) / 2
	}
	z += registers * emptyShare(count[0]/registers)
	return int(math.Round(registers * registers / (2 * math.Ln2 * z)))
}

// emptyShare is what registers that saw nothing add, if x is their share: x + the sum of 2^(k-1) * x^(2^k).
func emptyShare(x float64) float64 {
	sum, weight := x, 1.0
	for last := -1.0; sum != last && !math.IsInf(sum, 1); weight *= 2 {
		x *= x
		last = sum
		sum += x * weight
	}
	return sum
}
