package fold

// match brings two histograms to one scale at which both together keep to maxSide, and to one threshold.
func (e *expo) match(o *expo) {
	scale := min(e.scale, o.scale)
	for !e.pos.fits(&o.pos, e.scale-scale, o.scale-scale) || !e.neg.fits(&o.neg, e.scale-scale, o.scale-scale) {
		scale--
	}
	e.downscale(uint(e.scale - scale))
	o.downscale(uint(o.scale - scale))
	for threshold := max(e.threshold, o.threshold); ; threshold = o.threshold {
		e.widenTo(threshold)
		o.widenTo(e.threshold)
		if o.threshold == e.threshold {
			return
		}
	}
}

func (d *side) fits(o *side, down, oDown int32) bool {
	if d.n == 0 || o.n == 0 {
		return true
	}
	first := min(d.first>>down, o.first>>oDown)
	last := max((d.first+int64(d.n)-1)>>down, (o.first+int64(o.n)-1)>>oDown)
	return last-first < maxSide
}

// merge adds o, which it may change to fit.
func (e *expo) merge(o *expo) {
	if !o.set {
		return
	}
	if !e.set {
		e.copyFrom(o)
		return
	}
	e.match(o)
	e.zero += o.zero
	e.pos.add(&o.pos)
	e.neg.add(&o.neg)
}

func (d *side) add(o *side) {
	if o.n == 0 {
		return
	}
	if d.n == 0 {
		d.copyFrom(o)
		return
	}
	if up := d.first - o.first; up > 0 {
		copy(d.counts[up:], d.counts[:d.n])
		clear(d.counts[:up])
		d.first, d.n = o.first, d.n+int(up)
	}
	at := int(o.first - d.first)
	for i, c := range o.counts[:o.n] {
		d.counts[at+i] += c
	}
	d.n = max(d.n, at+o.n)
}

// subtract takes o away, which it may change to fit. False: o is not part of e, which is then undefined.
func (e *expo) subtract(o *expo) bool {
	e.match(o)
	if e.zero < o.zero || !e.pos.subtract(&o.pos) || !e.neg.subtract(&o.neg) {
		return false
	}
	e.zero -= o.zero
	return true
}

func (d *side) subtract(o *side) bool {
	if o.n == 0 {
		return true
	}
	at := o.first - d.first
	if at < 0 || at+int64(o.n) > int64(d.n) {
		return false
	}
	if _, less := subtract(d.counts[at:d.n], o.counts[:o.n]); less {
		return false
	}
	d.trim()
	return true
}

func (d *side) trim() {
	for d.n > 0 && d.counts[d.n-1] == 0 {
		d.n--
	}
	skip := 0
	for skip < d.n && d.counts[skip] == 0 {
		skip++
	}
	if skip > 0 {
		copy(d.counts[:], d.counts[skip:d.n])
		clear(d.counts[d.n-skip : d.n])
		d.first, d.n = d.first+int64(skip), d.n-skip
	}
}

func (e *expo) put(p *Point) {
	p.Scale, p.ZeroCount, p.ZeroThreshold = e.scale, e.zero, e.threshold
	p.Positive = Exponents{Offset: int32(e.pos.first), Counts: e.pos.counts[:e.pos.n]}
	p.Negative = Exponents{Offset: int32(e.neg.first), Counts: e.neg.counts[:e.neg.n]}
}
