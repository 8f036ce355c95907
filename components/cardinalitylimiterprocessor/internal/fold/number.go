package fold

import "math"

// late tells whether the point is not newer than its member's last one.
func (f *input) late() bool { return f.time <= f.m.time }

// repeated is what becomes of a late point: the same value at the same time is a retry, of no effect.
func (f *input) repeated(same bool) Outcome {
	if same && f.time == f.m.time {
		return Folded
	}
	return DroppedOrder
}

// restarted tells whether the series has begun anew since the member's last point. A start that appears late, and says nothing new, is
// none.
func (f *input) restarted() bool {
	return f.p.Start > f.m.start && (f.m.start != 0 || f.p.Start > f.m.time)
}

// seenAt takes the point's times. The greatest start is kept, so that two writers of one series do not restart it at every point.
func (f *input) seenAt() {
	f.m.start, f.m.time = max(f.m.start, f.p.Start), f.time
}

// whole tells whether a first point counts in full: all of it must be younger than the stream, or the stream must still be free to begin
// where the point does.
func (s *Stream) whole(start uint64) bool {
	if !s.fixed && s.forgot == 0 {
		return true
	}
	return start > s.forgot && (!s.fixed || start >= s.start)
}

// begin moves the stream's start back to a member's.
func (s *Stream) begin(start uint64) {
	if !s.fixed && start != 0 {
		s.start = min(s.start, start)
	}
}

func (t *Table) foldDelta(s *Stream, f *input) Outcome {
	n := number(f.p)
	if !n.finite() {
		return DroppedNotFinite
	}
	t.join(s, f, 0) // full or not: the value counts
	s.cur.total.add(n, false)
	s.cur.got = true
	return Folded
}

func (t *Table) foldCumulative(s *Stream, f *input) Outcome {
	n := number(f.p)
	switch {
	case !n.finite():
		return DroppedNotFinite
	case n.negative():
		return DroppedMalformed
	}
	if f.m != nil {
		old := f.m.value()
		if f.late() {
			return f.repeated(n == old)
		}
		if !f.restarted() && n.compare(old) >= 0 {
			s.cur.total.add(old, true)
		}
		s.begin(f.p.Start)
		s.cur.total.add(n, false)
		s.cur.got = true
		f.seenAt()
		f.m.setValue(n)
		return Folded
	}
	if !t.join(s, f, 0) {
		return DroppedState
	}
	f.seenAt()
	f.m.setValue(n)
	if f.p.Moved || !s.whole(f.p.Start) {
		s.cur.total.add(num{isInt: n.isInt}, false) // settles the type
		return Baseline
	}
	s.begin(f.p.Start)
	s.cur.total.add(n, false)
	s.cur.got = true
	return Folded
}

func (t *Table) foldUpDown(s *Stream, f *input) Outcome {
	n := number(f.p)
	if !n.finite() {
		return DroppedNotFinite
	}
	if f.m != nil {
		old := f.m.value()
		if f.late() {
			return f.repeated(n == old)
		}
		s.cur.total.add(old, true)
	} else if !t.join(s, f, 0) {
		return DroppedState
	}
	s.begin(f.p.Start)
	s.cur.total.add(n, false)
	s.cur.got = true
	f.seenAt()
	f.m.setValue(n)
	return Folded
}

// foldSummary keeps count and sum; quantiles of many series say nothing about all of them.
func (t *Table) foldSummary(s *Stream, f *input) Outcome {
	p := f.p
	if !finite(p.Sum) {
		return DroppedNotFinite
	}
	var cell []uint64
	var count uint64
	var sum num
	if f.m != nil {
		cell = t.cells.at(f.m.cell())
		count, sum = cell[0], num{f: math.Float64frombits(cell[1])}
		if f.late() {
			return f.repeated(p.Count == count && p.Sum == sum.f)
		}
		if f.restarted() || p.Count < count {
			count, sum = 0, num{}
		}
	}
	if !s.room(p.Count - count) {
		return DroppedOverflow
	}
	first := f.m == nil
	if !t.join(s, f, 2) {
		return DroppedState
	}
	cell = t.cells.at(f.m.cell())
	cell[0], cell[1] = p.Count, num{f: p.Sum}.bits()
	if first && (p.Moved || !s.whole(p.Start)) {
		f.seenAt()
		return Baseline
	}
	f.seenAt()
	s.begin(p.Start)
	s.cur.count += p.Count - count
	s.cur.total.addFloat(p.Sum, false)
	s.cur.total.addFloat(sum.f, true)
	s.cur.got = true
	return Folded
}
