package fold

import "math"

// Collect hands out one point for each stream that has something to say. Until Commit or Restore says what became of them, new points
// go into the next interval. A second Collect before that takes them for refused.
func (t *Table) Collect(now uint64, emit func(s *Stream, p *Point)) {
	t.Restore()
	for _, s := range t.streams {
		// A clock that stands still or went back must not give a time twice: it waits.
		if s == nil || now <= s.last {
			continue
		}
		p := &t.out
		*p = Point{Start: s.start, Time: now}
		switch {
		case s.ending:
			p.NoValue = true
		case s.kind.cumulative():
			if s.members == 0 && !s.cur.got {
				continue
			}
			s.put(p, &s.cur, t.cfg.Gauge)
			s.cur.got, s.fixed = false, true
		default:
			if !s.cur.got {
				continue
			}
			s.cur, s.flight = s.flight, s.cur
			s.cur.follow(&s.flight)
			s.epoch++
			s.put(p, &s.flight, t.cfg.Gauge)
		}
		s.last, s.inFlight = now, true
		emit(s, p)
	}
}

// Commit lets go of what was collected.
func (t *Table) Commit() {
	for _, s := range t.streams {
		if s == nil || !s.inFlight {
			continue
		}
		s.inFlight = false
		if s.ending {
			t.removeStream(s)
			continue
		}
		if s.kind.cumulative() {
			continue
		}
		s.flight.reset()
		s.base = s.epoch
		if s.kind != Gauge {
			s.start = s.last
		}
	}
}

// Restore takes back what was collected, since the next consumer refused it; the next Collect sends it with the start it had. Nothing
// has to be taken back of a cumulative stream, whose next point says it all.
func (t *Table) Restore() {
	for _, s := range t.streams {
		if s == nil || !s.inFlight {
			continue
		}
		s.inFlight = false
		switch s.kind {
		case DeltaSum:
			s.cur.total.addTotal(&s.flight.total)
			s.cur.got = true
		case Gauge:
			s.cur.mergeGauge(&s.flight, t.cfg.Gauge)
		case DeltaHistogram, DeltaExponential:
			s.cur.mergeDistribution(&s.flight)
		default:
			s.cur.got = !s.ending
			continue
		}
		s.flight.reset()
	}
}

// put writes what an accumulator says into a point.
func (s *Stream) put(p *Point, a *acc, gauge GaugeFold) {
	switch s.kind {
	case Gauge:
		p.Start = 0
		a.putGauge(p, gauge)
		return
	case CumulativeSum:
		a.total.put(p)
		if p.IsInt {
			s.sent = p.Int
		} else if number(p).compare(num{i: s.sent, isInt: true}) < 0 {
			p.Float = math.Nextafter(p.Float, math.Inf(1)) // a great int was rounded down when the first float came
		}
		return
	case DeltaSum, CumulativeUpDown:
		a.total.put(p)
		return
	}
	p.Count = a.count
	if p.HasSum = !a.noSum; p.HasSum {
		p.Sum = a.total.value()
	}
	switch s.kind {
	case DeltaHistogram, CumulativeHistogram:
		p.Bounds, p.Buckets = a.bounds, a.buckets
	case DeltaExponential, CumulativeExponential:
		a.exp.put(p)
	}
	if !s.kind.cumulative() && !a.noMinMax {
		p.HasMin, p.HasMax, p.Min, p.Max = true, true, a.min, a.max
	}
}

// reset empties the accumulator for a new interval; its bounds, the type of its total and its memory stay.
func (a *acc) reset() {
	a.got, a.count, a.noSum, a.noMinMax = false, 0, false, false
	a.total.clear()
	clear(a.buckets)
	if a.exp != nil {
		a.exp.reset()
	}
}

// follow takes over what stays from one interval to the next.
func (a *acc) follow(before *acc) {
	a.reset()
	if before.total.float {
		a.total.widen()
	}
	if before.buckets == nil {
		return
	}
	if len(a.buckets) != len(before.buckets) {
		a.buckets = make([]uint64, len(before.buckets))
	}
	a.bounds = before.bounds // never written to, only replaced
}
