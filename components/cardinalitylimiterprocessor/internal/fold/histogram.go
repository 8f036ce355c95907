package fold

import (
	"math"
	"math/bits"
	"slices"
)

const (
	// maxBounds: a point with more is taken as one without any.
	maxBounds = 2048
	// maxChanges: the next one leaves the stream without bounds, so that a stream fed with ever new ones settles.
	maxChanges = 4
)

// room tells whether the count can grow by n. What is in flight may come back.
func (s *Stream) room(n uint64) bool {
	sum, over := bits.Add64(s.cur.count, n, 0)
	_, back := bits.Add64(sum, s.flight.count, 0)
	return over == 0 && back == 0
}

// shape is what a histogram point looks like. One without buckets has the one that holds everything.
type shape struct {
	bounds  []float64
	buckets []uint64
	known   bool // the bounds are the stream's
}

func (t *Table) shape(s *Stream, p *Point) (shape, Outcome) {
	if p.HasSum && !finite(p.Sum) {
		return shape{}, DroppedNotFinite
	}
	h := shape{bounds: p.Bounds, buckets: p.Buckets}
	if len(h.bounds) > 0 || len(h.buckets) > 0 {
		if len(h.buckets) != len(h.bounds)+1 || !addsUp(p.Count, 0, h.buckets) {
			return shape{}, DroppedMalformed
		}
		h.known = s.cur.buckets != nil && slices.Equal(h.bounds, s.cur.bounds)
		if !h.known && !ascending(h.bounds) {
			return shape{}, DroppedMalformed
		}
		if len(h.bounds) <= maxBounds {
			return h, Folded
		}
	}
	t.single[0] = p.Count
	return shape{buckets: t.single[:]}, Folded
}

func ascending(bounds []float64) bool {
	for i, b := range bounds {
		if math.IsNaN(b) || i > 0 && b <= bounds[i-1] {
			return false
		}
	}
	return true
}

// addsUp tells whether the counts and rest make sum, without passing 64 bits on the way.
func addsUp(sum, rest uint64, counts ...[]uint64) bool {
	var over uint64
	for _, side := range counts {
		for _, c := range side {
			var carry uint64
			rest, carry = bits.Add64(rest, c, 0)
			over |= carry
		}
	}
	return over == 0 && rest == sum
}

func noOverflow(counts ...[]uint64) bool {
	var sum uint64
	for _, side := range counts {
		for _, c := range side {
			sum += c
		}
	}
	return addsUp(sum, 0, counts...)
}

func (t *Table) foldDeltaHistogram(s *Stream, f *input) Outcome {
	h, o := t.shape(s, f.p)
	if o != Folded {
		return o
	}
	if !s.room(f.p.Count) {
		return DroppedOverflow
	}
	t.join(s, f, 0)
	t.align(s, &h)
	s.cur.addBuckets(h.bounds, h.buckets)
	s.cur.addDistribution(f.p)
	return Folded
}

// addDistribution takes count, sum, lowest and greatest of a delta point. One point without any of the last three leaves the interval
// without it, since the rest would be passed off as all.
func (a *acc) addDistribution(p *Point) {
	a.count += p.Count
	if p.HasSum {
		a.total.addFloat(p.Sum, false)
	} else {
		a.noSum = true
	}
	a.addRange(p.HasMin && p.HasMax && finite(p.Min) && finite(p.Max), p.Min, p.Max)
}

func (a *acc) addRange(has bool, lowest, greatest float64) {
	switch {
	case !has:
		a.noMinMax = true
	case !a.got || a.noMinMax:
		a.min, a.max = lowest, greatest
	default:
		a.min, a.max = min(a.min, lowest), max(a.max, greatest)
	}
	a.got = true
}

func (t *Table) foldCumulativeHistogram(s *Stream, f *input) Outcome {
	p := f.p
	h, o := t.shape(s, p)
	if o != Folded {
		return o
	}
	width := len(h.buckets) + 1
	hash := s.boundsHash
	if !h.known {
		hash = hashBounds(h.bounds)
	}
	t.diff = append(t.diff[:0], h.buckets...)
	var before uint64
	var sum float64
	if f.m != nil {
		cell := t.cells.at(f.m.cell())
		alike := len(cell) == width && uint32(f.m.bits) == hash
		if f.late() {
			return f.repeated(alike && slices.Equal(cell[1:], h.buckets) && cell[0] == sumBits(p))
		}
		if alike && !f.restarted() {
			var less bool
			if before, less = subtract(t.diff, cell[1:]); less {
				before = 0
				copy(t.diff, h.buckets)
			} else {
				sum = math.Float64frombits(cell[0])
			}
		}
	}
	if !s.room(p.Count - before) {
		return DroppedOverflow
	}
	whole := f.m != nil || !p.Moved && s.whole(p.Start)
	if !t.keep(s, f, width) {
		return DroppedState
	}
	f.m.bits = uint64(f.m.cell())<<32 | uint64(hash)
	cell := t.cells.at(f.m.cell())
	cell[0] = sumBits(p)
	copy(cell[1:], h.buckets)
	f.seenAt()
	t.align(s, &h)
	if !whole {
		return Baseline
	}
	s.begin(p.Start)
	s.cur.addBuckets(h.bounds, t.diff)
	s.cur.addIncrease(p, p.Count-before, sum)
	return Folded
}

func sumBits(p *Point) uint64 {
	if !p.HasSum {
		return 0
	}
	return math.Float64bits(p.Sum + 0)
}

// addIncrease takes count and sum of a cumulative point whose member had sum before. Once a point came without a sum, that of the stream
// stays unknown: nothing says what it has missed.
func (a *acc) addIncrease(p *Point, count uint64, sum float64) {
	a.count += count
	if p.HasSum {
		a.total.addFloat(p.Sum, false)
		a.total.addFloat(sum, true)
	} else {
		a.noSum = true
	}
	a.got = true
}

// keep makes sure that the point's series is a member with a cell of a width. If there is no room, all stays as it is.
func (t *Table) keep(s *Stream, f *input, width int) bool {
	if f.m == nil {
		return t.join(s, f, width)
	}
	if len(t.cells.at(f.m.cell())) == width {
		return true
	}
	cell, ok := t.cells.alloc(width, t.budget())
	if ok {
		t.cells.release(f.m.cell())
		f.m.bits = uint64(cell) << 32
	}
	return ok
}

// subtract takes old from counts and gives what it took. If some count was greater before, counts are of no more use.
func subtract(counts, old []uint64) (sum uint64, less bool) {
	counts = counts[:len(old)]
	var under uint64
	for i, c := range old {
		var borrow uint64
		counts[i], borrow = bits.Sub64(counts[i], c, 0)
		under |= borrow
		sum += c
	}
	return sum, under != 0
}

// mergeDistribution takes in what was refused. Its bounds include those the stream has now, since bounds only ever go.
func (a *acc) mergeDistribution(o *acc) {
	if !o.got {
		return
	}
	a.total.addTotal(&o.total)
	a.count += o.count
	a.noSum = a.noSum || o.noSum
	a.addRange(!o.noMinMax, o.min, o.max)
	if o.buckets != nil {
		a.addBuckets(o.bounds, o.buckets)
	}
	if o.exp != nil {
		a.exp.merge(o.exp)
	}
}
