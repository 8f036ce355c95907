package fold

import (
	"encoding/binary"
	"errors"
	"math"
)

var (
	errState   = errors.New("fold state is truncated or corrupt")
	errVersion = errors.New("fold state has an unknown version")
	errMemory  = errors.New("fold state has more streams than its memory allows")
)

// reader takes a state apart. After the first fault everything reads as zero.
type reader struct {
	b      []byte
	broken bool
}

func (r *reader) check(ok bool) bool {
	if !ok {
		r.b, r.broken = nil, true
	}
	return !r.broken
}

func (r *reader) uvarint() uint64 {
	v, n := binary.Uvarint(r.b)
	if !r.check(n > 0) {
		return 0
	}
	r.b = r.b[n:]
	return v
}

func (r *reader) varint() int64 {
	v, n := binary.Varint(r.b)
	if !r.check(n > 0) {
		return 0
	}
	r.b = r.b[n:]
	return v
}

// length is a number of elements of at least so many bytes: a lie about it must not make anyone allocate.
func (r *reader) length(size int) int {
	n := r.uvarint()
	if !r.check(n <= uint64(len(r.b)/size)) {
		return 0
	}
	return int(n)
}

func (r *reader) bytes(n int) []byte {
	if !r.check(n <= len(r.b)) {
		return make([]byte, min(n, 8))
	}
	b := r.b[:n]
	r.b = r.b[n:]
	return b
}

func (r *reader) byte() byte   { return r.bytes(1)[0] }
func (r *reader) word() uint64 { return binary.LittleEndian.Uint64(r.bytes(8)) }

func (r *reader) key() Key { return Key{Hi: r.word(), Lo: r.word()} }

func (r *reader) float() float64 {
	f := math.Float64frombits(r.word())
	r.check(finite(f))
	return f
}

func (r *reader) num() num {
	kind := r.byte()
	r.check(kind <= 1)
	if kind == 1 {
		return num{i: int64(r.word()), isInt: true}
	}
	return num{f: r.float() + 0}
}

// counts reads n counts; n has been held against what is there.
func (r *reader) counts(into []uint64) {
	for i := range into {
		into[i] = r.uvarint()
	}
}

// UnmarshalBinary replaces the table's state by one that AppendBinary wrote, or leaves it as it is. Members that no longer fit are
// forgotten as if they had been idle.
func (t *Table) UnmarshalBinary(b []byte) error {
	if len(b) == 0 || b[0] != version {
		return errVersion
	}
	r := &reader{b: b[1:]}
	n := NewTable(t.cfg)
	gauge := GaugeFold(r.byte())
	n.horizon = r.uvarint()
	for range r.length(17) {
		k := r.key()
		n.ended[k] = r.uvarint()
	}
	all := make([]*Stream, 0, r.length(40))
	for range cap(all) {
		s := r.stream()
		if r.broken || n.byKey[s.key] != nil {
			return errState
		}
		cost := streamCost(s.kind, len(s.meta))
		if s.cur.buckets != nil {
			cost += boundsCost(len(s.cur.bounds))
		}
		if cost > n.budget() {
			return errMemory
		}
		if s.kind == Gauge && gauge != t.cfg.Gauge {
			s.cur, s.flight, s.inFlight, s.epoch = acc{}, acc{}, false, s.epoch+1
			s.base = s.epoch
		}
		n.insertStream(s)
		n.bytes += cost
		all = append(all, s)
	}
	for range r.length(20) {
		k, place := r.key(), r.uvarint()
		if !r.check(place < uint64(len(all))) {
			break
		}
		n.readMember(r, k, all[place])
	}
	for _, s := range all {
		r.check(!s.ending || s.members == 0)
	}
	if r.broken || len(r.b) > 0 {
		return errState
	}
	*t = *n
	return nil
}

func (r *reader) stream() *Stream {
	s := &Stream{key: r.key(), kind: Kind(r.byte())}
	flags := r.byte()
	r.check(s.kind < kinds && flags < endingBit<<1)
	s.fixed, s.inFlight, s.ending = flags&fixedBit != 0, flags&flightBit != 0, flags&endingBit != 0
	s.meta = append([]byte(nil), r.bytes(r.length(1))...)
	var changes uint64
	for _, v := range []*uint64{&s.seen, &s.start, &s.forgot, &s.last, &s.epoch, &s.base, &changes} {
		*v = r.uvarint()
	}
	r.check(changes <= maxChanges+1 && s.base <= s.epoch && s.epoch < math.MaxUint64)
	s.changes = int(changes)
	s.sent = r.varint()
	r.acc(&s.cur, s.kind)
	if s.inFlight && !s.kind.cumulative() {
		r.acc(&s.flight, s.kind)
	}
	if s.cur.buckets != nil {
		s.boundsHash = hashBounds(s.cur.bounds)
	}
	if s.cur.exp != nil && s.flight.exp == nil {
		s.flight.exp = new(expo)
	}
	// What is in flight must be able to come back.
	r.check(s.room(0) && (s.flight.buckets == nil || s.cur.buckets != nil && subset(s.cur.bounds, s.flight.bounds)))
	r.check(!s.ending || s.kind.cumulative())
	return s
}

func (r *reader) acc(a *acc, kind Kind) {
	flags := r.byte()
	a.got, a.noSum, a.noMinMax = flags&gotBit != 0, flags&noSumBit != 0, flags&noMinMaxBit != 0
	a.total.float, a.total.int = flags&floatBit != 0, r.varint()
	r.check(a.total.float == (flags&wideBit != 0) && flags < expoBit<<1)
	if a.total.float {
		a.total.wide = new(exact)
		r.counts(a.total.wide[:])
	}
	a.count, a.min, a.max = r.uvarint(), r.float(), r.float()
	if kind == Gauge {
		a.newest, a.lowest, a.greatest, a.newestTime = r.num(), r.num(), r.num(), r.uvarint()
	}
	histogram := kind == DeltaHistogram || kind == CumulativeHistogram
	if flags&bucketsBit != 0 {
		n := r.length(9)
		r.check(histogram && n <= maxBounds)
		a.bounds, a.buckets = make([]float64, n), make([]uint64, n+1)
		for i := range a.bounds {
			a.bounds[i] = math.Float64frombits(r.word())
		}
		r.counts(a.buckets)
		r.check(ascending(a.bounds) && addsUp(a.count, 0, a.buckets))
	} else {
		r.check(!histogram || a.count == 0)
	}
	exponential := kind == DeltaExponential || kind == CumulativeExponential
	if exponential && !r.broken {
		a.exp = new(expo)
	}
	if flags&expoBit != 0 && r.check(exponential) {
		r.expo(a.exp)
	}
	r.check(a.exp == nil || a.exp.count() == a.count)
}

func (r *reader) expo(e *expo) {
	e.reset()
	scale := r.varint()
	e.set, e.scale, e.zero, e.threshold = true, int32(scale), r.uvarint(), r.float()
	r.check(scale >= minScale && scale <= maxScale && e.threshold >= 0)
	for _, d := range []*side{&e.pos, &e.neg} {
		d.first = r.varint()
		n := r.length(1)
		if !r.check(n <= maxSide && d.first >= math.MinInt32 && d.first <= math.MaxInt32+1-int64(n)) {
			return
		}
		d.n = n
		r.counts(d.counts[:n])
		r.check(n == 0 || d.counts[0] > 0 && d.counts[n-1] > 0)
		r.check(trim(Exponents{Offset: int32(d.first), Counts: d.counts[:n]}).floats(e.scale))
	}
	r.check(noOverflow([]uint64{e.zero}, e.pos.counts[:], e.neg.counts[:]))
}

// readMember reads one and its last values, and forgets it at once if there is no room.
func (t *Table) readMember(r *reader, k Key, s *Stream) {
	seen := r.uvarint()
	f := input{key: k, m: nil}
	start, time := r.uvarint(), r.uvarint()
	var value num
	var cell []uint64
	var hash uint64
	switch s.kind {
	case CumulativeSum, CumulativeUpDown, Gauge:
		value = r.num()
		r.check(s.kind != CumulativeSum || !value.negative())
	case CumulativeHistogram:
		hash = r.uvarint()
		cell = make([]uint64, 1+r.length(1))
		cell[0] = math.Float64bits(r.float())
		r.counts(cell[1:])
		r.check(hash <= math.MaxUint32 && len(cell) > 1 && len(cell) <= maxBounds+2 && noOverflow(cell[1:]))
	case CumulativeExponential:
		sum := math.Float64bits(r.float())
		r.expo(&t.other)
		cell = make([]uint64, t.other.cellWidth())
		t.other.store(sum, cell)
	case Summary:
		cell = []uint64{r.uvarint(), math.Float64bits(r.float())}
	}
	if _, _, ok := t.members.find(k); !r.check(!ok && seen < never && (s.kind != Gauge || start <= s.epoch)) {
		return
	}
	if !t.join(s, &f, len(cell)) {
		s.drop(&member{start: start, bits: value.bits(), ref: uint32(flag(value.isInt, 1))}, t.cfg.Gauge)
		return
	}
	f.m.seen, f.m.start, f.m.time = uint32(seen), start, time
	if cell != nil {
		f.m.bits |= hash
		copy(t.cells.at(f.m.cell()), cell)
		return
	}
	f.m.setValue(value)
}
