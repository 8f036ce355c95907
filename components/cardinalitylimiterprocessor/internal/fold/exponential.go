package fold

import (
	"math"
)

const (
	// maxSide is how many buckets a side may have, the data model's default; a wider one loses resolution instead.
	maxSide = 160
	// Scales outside of these say nothing a float64 could: at -11 one bucket holds them all, at 40 a bucket is narrower than a part in
	// 10^12.
	minScale, maxScale = -11, 40
)

// side is one side of an exponential histogram. Its first and last bucket are not empty; if there are none, n is 0.
type side struct {
	first  int64
	n      int
	counts [maxSide]uint64
}

// expo is an exponential histogram.
type expo struct {
	set       bool // it has a scale
	scale     int32
	zero      uint64
	threshold float64
	pos, neg  side
}

func (e *expo) reset() {
	e.set, e.zero, e.threshold = false, 0, 0
	e.pos.reset()
	e.neg.reset()
}

func (d *side) reset() {
	clear(d.counts[:d.n])
	d.first, d.n = 0, 0
}

func (d *side) copyFrom(o *side) {
	d.reset()
	d.first, d.n = o.first, o.n
	copy(d.counts[:], o.counts[:o.n])
}

func (e *expo) copyFrom(o *expo) {
	e.set, e.scale, e.zero, e.threshold = o.set, o.scale, o.zero, o.threshold
	e.pos.copyFrom(&o.pos)
	e.neg.copyFrom(&o.neg)
}

// load takes a point, at a lower scale if it has too many buckets. False: the point contradicts itself.
func (e *expo) load(p *Point) bool {
	if p.Scale < minScale || p.Scale > maxScale || !(p.ZeroThreshold >= 0 && p.ZeroThreshold <= math.MaxFloat64) ||
		!addsUp(p.Count, p.ZeroCount, p.Positive.Counts, p.Negative.Counts) {
		return false
	}
	pos, neg := trim(p.Positive), trim(p.Negative)
	if !pos.floats(p.Scale) || !neg.floats(p.Scale) {
		return false
	}
	shift := max(pos.shift(), neg.shift())
	e.reset()
	e.set, e.scale, e.zero, e.threshold = true, p.Scale-int32(shift), p.ZeroCount, p.ZeroThreshold
	e.pos.load(pos, shift)
	e.neg.load(neg, shift)
	e.widenTo(e.threshold)
	return true
}

// span is the buckets of a point's side without empty ones at its ends; last is less than first if there are none.
type span struct {
	first, last int64
	counts      []uint64
}

func trim(x Exponents) span {
	s := span{first: int64(x.Offset), counts: x.Counts}
	for len(s.counts) > 0 && s.counts[0] == 0 {
		s.first, s.counts = s.first+1, s.counts[1:]
	}
	for n := len(s.counts); n > 0 && s.counts[n-1] == 0; n-- {
		s.counts = s.counts[:n-1]
	}
	s.last = s.first + int64(len(s.counts)) - 1
	return s
}

// floats tells whether all buckets hold values that a float64 can have. One that does not would take all resolution from its stream.
func (s span) floats(scale int32) bool {
	return s.last < s.first || exponent(scale, s.first+1) >= -one && exponent(scale, s.last) < 1024
}

// exponent is that of a bucket's lower bound, rounded down to a whole one.
func exponent(scale int32, i int64) int64 {
	if scale > 0 {
		return i >> scale
	}
	return i << -scale // 11 bits more than the 33 of an index
}

// shift is by how many scales the side must go down to have no more buckets than it may, at indexes that a point can say.
func (s span) shift() uint {
	var n uint
	for s.last >= s.first && (s.last>>n-s.first>>n >= maxSide || s.first>>n < math.MinInt32 || s.last>>n > math.MaxInt32) {
		n++
	}
	return n
}

func (d *side) load(s span, shift uint) {
	if s.last < s.first {
		return
	}
	d.first, d.n = s.first>>shift, int(s.last>>shift-s.first>>shift)+1
	if shift == 0 {
		copy(d.counts[:], s.counts)
		return
	}
	for i, c := range s.counts {
		d.counts[(s.first+int64(i))>>shift-d.first] += c
	}
}

// downscale joins 2^by neighbors to one bucket.
func (e *expo) downscale(by uint) {
	if by == 0 {
		return
	}
	e.scale -= int32(by)
	e.pos.downscale(by)
	e.neg.downscale(by)
}

func (d *side) downscale(by uint) {
	if d.n == 0 {
		return
	}
	first, last := d.first>>by, (d.first+int64(d.n)-1)>>by
	for i := range d.n { // a bucket never moves up
		c := d.counts[i]
		d.counts[i] = 0
		d.counts[(d.first+int64(i))>>by-first] += c
	}
	d.first, d.n = first, int(last-first)+1
}

// lower is the lower bound of a bucket, itself not part of it.
func lower(scale int32, i int64) float64 {
	whole := exponent(scale, i)
	if scale <= 0 {
		return math.Ldexp(1, int(whole))
	}
	part := math.Ldexp(float64(i-whole<<scale), -int(scale))
	return math.Ldexp(math.Exp2(part), int(whole))
}

// widenTo moves all buckets below the threshold to the zero bucket. One that lies on it goes, too, and takes the threshold up to its end.
func (e *expo) widenTo(threshold float64) {
	e.threshold = threshold
	for threshold > 0 {
		e.pos.widen(e)
		e.neg.widen(e)
		if e.threshold == threshold {
			return
		}
		threshold = e.threshold
	}
}

func (d *side) widen(e *expo) {
	gone := 0
	for ; gone < d.n; gone++ {
		i := d.first + int64(gone)
		if d.counts[gone] == 0 {
			continue
		}
		if lower(e.scale, i) >= e.threshold {
			break
		}
		e.zero += d.counts[gone]
		e.threshold = min(max(e.threshold, lower(e.scale, i+1)), math.MaxFloat64)
	}
	if gone == 0 {
		return
	}
	n := copy(d.counts[:], d.counts[gone:d.n])
	clear(d.counts[n:d.n])
	if d.first, d.n = d.first+int64(gone), n; n == 0 {
		d.first = 0
	}
}
