package fold

// foldGauge takes a point into the interval. For a sum or a mean the table has to know what the series said before, so without a member
// the point cannot count; a newest, lowest or greatest point needs none.
func (t *Table) foldGauge(s *Stream, f *input) Outcome {
	n := number(f.p)
	if !n.finite() {
		return DroppedNotFinite
	}
	known := f.m != nil
	if !t.join(s, f, 0) && t.cfg.Gauge.perMember() {
		return DroppedState
	}
	a := &s.cur
	if !t.cfg.Gauge.perMember() {
		a.observe(n, f.time)
		return Folded
	}
	m := f.m
	if known {
		old := m.value()
		held := s.holds(m)
		if f.time < m.time || f.time == m.time && n.compare(old) < 0 {
			if held == a {
				return Folded // the interval has a newer one
			}
			return DroppedOrder
		}
		if held != nil {
			held.remove(old) // also from what may yet be refused: this point takes its place
		}
	}
	m.start, m.time = s.epoch, f.time
	m.setValue(n)
	a.total.add(n, false)
	a.count++
	a.got = true
	return Folded
}

// holds is the accumulator that has the member's value, if one still has.
func (s *Stream) holds(m *member) *acc {
	switch {
	case m.start < s.base:
		return nil
	case m.start == s.epoch || !s.inFlight:
		return &s.cur
	default:
		return &s.flight
	}
}

// remove takes the value of one series out of a sum or mean.
func (a *acc) remove(n num) {
	a.total.add(n, true)
	a.count--
	a.got = a.count > 0
}

// observe takes a point into newest, lowest and greatest.
func (a *acc) observe(n num, time uint64) {
	if !a.got {
		a.got, a.newest, a.lowest, a.greatest, a.newestTime = true, n, n, n, time
		return
	}
	if time > a.newestTime || time == a.newestTime && n.compare(a.newest) > 0 {
		a.newest, a.newestTime = n, time
	}
	if n.compare(a.lowest) < 0 {
		a.lowest = n
	}
	if n.compare(a.greatest) > 0 {
		a.greatest = n
	}
}

// mergeGauge takes in what was refused.
func (a *acc) mergeGauge(o *acc, fold GaugeFold) {
	if fold.perMember() {
		a.total.addTotal(&o.total)
		a.count += o.count
		a.got = a.count > 0
		return
	}
	if !o.got {
		return
	}
	a.observe(o.newest, o.newestTime)
	a.observe(o.lowest, 0)
	a.observe(o.greatest, 0)
}

func (a *acc) putGauge(p *Point, fold GaugeFold) {
	n := a.newest
	switch fold {
	case GaugeSum:
		a.total.put(p)
		return
	case GaugeMean:
		p.Float = a.total.value() / float64(a.count)
		return
	case GaugeMin:
		n = a.lowest
	case GaugeMax:
		n = a.greatest
	}
	p.IsInt, p.Int, p.Float = n.isInt, n.i, n.f
}
