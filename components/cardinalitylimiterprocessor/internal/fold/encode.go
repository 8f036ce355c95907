package fold

import (
	"encoding/binary"
	"math"
	"slices"
)

// version is the first byte of the state. Another layout gets another one: an old state is then refused and the table begins empty.
const version = 1

// Bits of what is stored of an accumulator.
const (
	gotBit = 1 << iota
	floatBit
	wideBit
	noSumBit
	noMinMaxBit
	bucketsBit
	expoBit
)

// Bits of what is stored of a stream.
const (
	fixedBit = 1 << iota
	flightBit
	endingBit
)

// AppendBinary writes the whole state. Between Collect and Commit or Restore it is written as it is then: a table that reads it has what
// was collected still in flight, and it is for its owner to say whether that got through.
func (t *Table) AppendBinary(b []byte) []byte {
	b = slices.Grow(b, 48*t.members.live+512*len(t.byKey)) // about
	b = append(b, version, byte(t.cfg.Gauge))
	b = binary.AppendUvarint(b, t.horizon)
	b = binary.AppendUvarint(b, uint64(len(t.ended)))
	for k, end := range t.ended {
		b = binary.AppendUvarint(appendKey(b, k), end)
	}
	b = binary.AppendUvarint(b, uint64(len(t.byKey)))
	places := make([]uint64, len(t.streams))
	var n uint64
	for _, s := range t.streams {
		if s != nil {
			places[s.slot] = n
			n++
			b = s.append(b)
		}
	}
	b = binary.AppendUvarint(b, uint64(t.members.live))
	for slot := range t.members.used {
		if m := t.members.at(slot); m.seen != never {
			b = binary.AppendUvarint(appendKey(b, m.key), places[m.stream()])
			b = t.appendMember(b, m)
		}
	}
	return b
}

func appendKey(b []byte, k Key) []byte {
	return binary.LittleEndian.AppendUint64(binary.LittleEndian.AppendUint64(b, k.Hi), k.Lo)
}

func appendFloat(b []byte, f float64) []byte {
	return binary.LittleEndian.AppendUint64(b, math.Float64bits(f))
}

func flag(on bool, bit byte) byte {
	if on {
		return bit
	}
	return 0
}

func (s *Stream) append(b []byte) []byte {
	b = append(appendKey(b, s.key), byte(s.kind), flag(s.fixed, fixedBit)|flag(s.inFlight, flightBit)|flag(s.ending, endingBit))
	b = append(binary.AppendUvarint(b, uint64(len(s.meta))), s.meta...)
	for _, v := range []uint64{s.seen, s.start, s.forgot, s.last, s.epoch, s.base, uint64(s.changes)} {
		b = binary.AppendUvarint(b, v)
	}
	b = binary.AppendVarint(b, s.sent)
	b = s.cur.append(b, s.kind)
	if s.inFlight && !s.kind.cumulative() {
		b = s.flight.append(b, s.kind)
	}
	return b
}

func (a *acc) append(b []byte, kind Kind) []byte {
	expo := a.exp != nil && a.exp.set
	b = append(b, flag(a.got, gotBit)|flag(a.total.float, floatBit)|flag(a.total.wide != nil, wideBit)|flag(a.noSum, noSumBit)|
		flag(a.noMinMax, noMinMaxBit)|flag(a.buckets != nil, bucketsBit)|flag(expo, expoBit))
	b = binary.AppendVarint(b, a.total.int)
	if a.total.wide != nil {
		for _, w := range a.total.wide {
			b = binary.AppendUvarint(b, w)
		}
	}
	b = binary.AppendUvarint(b, a.count)
	b = appendFloat(appendFloat(b, a.min), a.max)
	if kind == Gauge {
		for _, n := range []num{a.newest, a.lowest, a.greatest} {
			b = appendNum(b, n)
		}
		b = binary.AppendUvarint(b, a.newestTime)
	}
	if a.buckets != nil {
		b = binary.AppendUvarint(b, uint64(len(a.bounds)))
		for _, f := range a.bounds {
			b = appendFloat(b, f)
		}
		b = appendCounts(b, a.buckets)
	}
	if expo {
		b = a.exp.append(b)
	}
	return b
}

func appendNum(b []byte, n num) []byte {
	return binary.LittleEndian.AppendUint64(append(b, flag(n.isInt, 1)), n.bits())
}

func appendCounts(b []byte, counts []uint64) []byte {
	for _, c := range counts {
		b = binary.AppendUvarint(b, c)
	}
	return b
}

func (e *expo) append(b []byte) []byte {
	b = binary.AppendUvarint(binary.AppendVarint(b, int64(e.scale)), e.zero)
	b = appendFloat(b, e.threshold)
	for _, d := range []*side{&e.pos, &e.neg} {
		b = binary.AppendUvarint(binary.AppendVarint(b, d.first), uint64(d.n))
		b = appendCounts(b, d.counts[:d.n])
	}
	return b
}

func (t *Table) appendMember(b []byte, m *member) []byte {
	for _, v := range []uint64{uint64(m.seen), m.start, m.time} {
		b = binary.AppendUvarint(b, v)
	}
	switch t.streams[m.stream()].kind {
	case CumulativeSum, CumulativeUpDown, Gauge:
		return appendNum(b, m.value())
	case CumulativeHistogram:
		cell := t.cells.at(m.cell())
		b = binary.AppendUvarint(binary.AppendUvarint(b, m.bits&math.MaxUint32), uint64(len(cell)-1))
		return appendCounts(binary.LittleEndian.AppendUint64(b, cell[0]), cell[1:])
	case CumulativeExponential:
		cell := t.cells.at(m.cell())
		t.other.restore(cell)
		return t.other.append(binary.LittleEndian.AppendUint64(b, cell[0]))
	case Summary:
		cell := t.cells.at(m.cell())
		return binary.LittleEndian.AppendUint64(binary.AppendUvarint(b, cell[0]), cell[1])
	}
	return b
}
