package fold

import (
	"math"
	"slices"
)

const expoHeader = 5

// cellWidth is rounded up, so that a histogram that grows by a bucket does not move.
func (e *expo) cellWidth() int { return (expoHeader + e.pos.n + e.neg.n + 7) &^ 7 }

func (e *expo) store(sum uint64, cell []uint64) {
	cell[0], cell[1], cell[2] = sum, e.zero, math.Float64bits(e.threshold)
	cell[3] = uint64(uint32(e.scale))<<32 | uint64(e.pos.n)<<16 | uint64(e.neg.n)
	cell[4] = uint64(uint32(e.pos.first))<<32 | uint64(uint32(e.neg.first))
	n := copy(cell[expoHeader:], e.pos.counts[:e.pos.n])
	copy(cell[expoHeader+n:], e.neg.counts[:e.neg.n])
}

func (e *expo) restore(cell []uint64) {
	e.reset()
	e.set, e.zero, e.threshold = true, cell[1], math.Float64frombits(cell[2])
	e.scale, e.pos.n, e.neg.n = int32(cell[3]>>32), int(cell[3]>>16&0xffff), int(cell[3]&0xffff)
	e.pos.first, e.neg.first = int64(int32(cell[4]>>32)), int64(int32(cell[4]))
	n := copy(e.pos.counts[:e.pos.n], cell[expoHeader:])
	copy(e.neg.counts[:e.neg.n], cell[expoHeader+n:])
}

func (e *expo) count() uint64 {
	sum := e.zero
	for _, d := range []*side{&e.pos, &e.neg} {
		for _, c := range d.counts[:d.n] {
			sum += c
		}
	}
	return sum
}

func (e *expo) equal(o *expo) bool {
	return e.scale == o.scale && e.zero == o.zero && e.threshold == o.threshold && e.pos.equal(&o.pos) && e.neg.equal(&o.neg)
}

func (d *side) equal(o *side) bool {
	return d.n == o.n && (d.n == 0 || d.first == o.first) && slices.Equal(d.counts[:d.n], o.counts[:o.n])
}

func (t *Table) foldDeltaExponential(s *Stream, f *input) Outcome {
	if f.p.HasSum && !finite(f.p.Sum) {
		return DroppedNotFinite
	}
	if !t.point.load(f.p) {
		return DroppedMalformed
	}
	if !s.room(f.p.Count) {
		return DroppedOverflow
	}
	t.join(s, f, 0)
	s.cur.exp.merge(&t.point)
	s.cur.addDistribution(f.p)
	return Folded
}

func (t *Table) foldCumulativeExponential(s *Stream, f *input) Outcome {
	p := f.p
	if p.HasSum && !finite(p.Sum) {
		return DroppedNotFinite
	}
	now, increase := &t.point, &t.change
	if !now.load(p) {
		return DroppedMalformed
	}
	increase.copyFrom(now)
	var before uint64
	var sum float64
	width := now.cellWidth()
	if f.m != nil {
		cell, old := t.cells.at(f.m.cell()), &t.other
		old.restore(cell)
		if f.late() {
			return f.repeated(cell[0] == sumBits(p) && old.equal(now))
		}
		count := old.count()
		if !f.restarted() && increase.subtract(old) {
			before, sum = count, math.Float64frombits(cell[0])
		} else {
			increase.copyFrom(now)
		}
	}
	if !s.room(p.Count - before) {
		return DroppedOverflow
	}
	whole := f.m != nil || !p.Moved && s.whole(p.Start)
	if !t.keep(s, f, width) {
		return DroppedState
	}
	now.store(sumBits(p), t.cells.at(f.m.cell()))
	f.seenAt()
	if !whole {
		return Baseline
	}
	s.begin(p.Start)
	s.cur.exp.merge(increase)
	s.cur.addIncrease(p, p.Count-before, sum)
	return Folded
}
