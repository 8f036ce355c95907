package fold

import (
	"fmt"
	"math"
	"math/big"
	"math/rand/v2"
	"slices"
	"strconv"
)

// source makes up points of one series, and says what is in them.
type source struct {
	rnd         *rand.Rand
	kind        Kind
	start, time uint64
	value       Point
	obs         map[int64]uint64 // exponential: 2^((x+1/2)/256) was seen so often; negated beyond 1<<20
	zeros       uint64
	bounds      []float64
}

func (s *source) restart(now uint64) {
	s.value, s.obs, s.zeros = Point{}, map[int64]uint64{}, 0
	s.start = now
	// Exponential histograms are told apart from what was there before by their start alone: at a low scale nothing need be less.
	if s.kind != CumulativeExponential && s.rnd.IntN(4) == 0 {
		s.start = 0
	}
	s.bounds = allBounds[s.rnd.IntN(len(allBounds))]
	s.value.IsInt = s.rnd.IntN(2) == 0
}

var allBounds = [][]float64{{1, 2, 5, 10}, {1, 2, 5, 10}, {1, 2, 5, 10}, {1, 5, 10}, {0, 1, 2, 3, 5, 10, 20}}

func (s *source) next(now uint64) (*Point, content) {
	if !s.kind.cumulative() {
		s.restart(now)
	}
	s.time = now
	p := &s.value
	p.Start, p.Time = s.start, s.time
	switch s.kind {
	case DeltaSum, CumulativeUpDown:
		p.Int, p.Float = s.rnd.Int64N(1e12)-5e11, s.rnd.NormFloat64()*math.Pow(10, float64(s.rnd.IntN(40)-20))
	case CumulativeSum:
		p.Int += s.rnd.Int64N(1000)
		p.Float += s.rnd.Float64() * math.Pow(10, float64(s.rnd.IntN(20)-10))
	case Summary:
		n := s.rnd.Uint64N(10)
		p.Count, p.Sum = p.Count+n, p.Sum+float64(n)*s.rnd.NormFloat64()
	case DeltaHistogram, CumulativeHistogram:
		s.histogram(p)
	default:
		s.exponential(p)
	}
	return p, s.said(p)
}

func (s *source) histogram(p *Point) {
	p.Bounds = s.bounds
	p.Buckets = append(make([]uint64, 0, len(s.bounds)+1), p.Buckets...)[:len(s.bounds)+1]
	for range s.rnd.IntN(5) {
		p.Buckets[s.rnd.IntN(len(p.Buckets))]++
		p.Count++
		p.Sum += s.rnd.NormFloat64()
	}
	p.HasSum, p.HasMin, p.HasMax = true, true, true
	p.Min, p.Max = -1, 30
}

// exponential adds observations and counts them at some scale, with some threshold.
func (s *source) exponential(p *Point) {
	for range s.rnd.IntN(5) {
		x := s.rnd.Int64N(1<<s.rnd.IntN(14)) - s.rnd.Int64N(1<<s.rnd.IntN(14))
		s.obs[x+s.rnd.Int64N(2)<<20]++
		p.Sum += s.rnd.NormFloat64()
	}
	s.zeros += s.rnd.Uint64N(2)
	*p = Point{Start: p.Start, Time: p.Time, Sum: p.Sum, HasSum: true, Scale: int32(s.rnd.IntN(12) - 3), ZeroCount: s.zeros, Count: s.zeros}
	if s.rnd.IntN(3) == 0 {
		p.ZeroThreshold = math.Exp2(float64(s.rnd.IntN(9) - 8))
	}
	for x, n := range s.obs {
		p.Count += n
		to := &p.Positive
		if x > 1<<19 {
			x, to = x-1<<20, &p.Negative
		}
		if observation(x) <= p.ZeroThreshold {
			p.ZeroCount += n
			continue
		}
		to.count(x>>(8-p.Scale), n)
	}
}

func (e *Exponents) count(index int64, n uint64) {
	if e.Counts == nil {
		e.Offset = int32(index)
	}
	for int64(e.Offset) > index {
		e.Offset--
		e.Counts = slices.Insert(e.Counts, 0, 0)
	}
	for int64(e.Offset)+int64(len(e.Counts)) <= index {
		e.Counts = append(e.Counts, 0)
	}
	e.Counts[index-int64(e.Offset)] += n
}

func observation(x int64) float64 { return math.Exp2((float64(x) + 0.5) / 256) }

func rat(n uint64) *big.Rat { return new(big.Rat).SetInt(new(big.Int).SetUint64(n)) }

func (s *source) said(p *Point) content {
	c := content{}
	switch s.kind {
	case DeltaSum, CumulativeSum, CumulativeUpDown:
		if c["value"] = new(big.Rat).SetFloat64(p.Float); p.IsInt {
			c["value"] = big.NewRat(p.Int, 1)
		}
		return c
	case DeltaHistogram, CumulativeHistogram:
		for i, n := range p.Buckets {
			c[fmt.Sprint(append(slices.Clone(p.Bounds), math.Inf(1))[i])] = rat(n)
		}
	case DeltaExponential, CumulativeExponential:
		c["zero"] = rat(s.zeros)
		for x, n := range s.obs {
			c[strconv.FormatInt(x, 10)] = rat(n)
		}
	}
	c["count"], c["sum"] = rat(p.Count), new(big.Rat).SetFloat64(p.Sum)
	return c
}
