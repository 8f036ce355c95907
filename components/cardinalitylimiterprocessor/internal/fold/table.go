package fold

import (
	"math"
	"time"
)

// Table is all streams and their members.
type Table struct {
	cfg     Config
	idle    int64 // seconds
	streams []*Stream
	empty   []uint32 // slots of streams that can be used again
	byKey   map[Key]*Stream
	bytes   int // of the streams
	members members
	cells   arena

	// ended is when the streams that were swept ended, since one that comes back must not begin before that; horizon is the greatest of
	// those for which there was no room.
	ended   map[Key]uint64
	horizon uint64

	// The member that was asked for last: a caller looks for it before it folds.
	lastKey   Key
	lastSlot  uint32
	lastKnown bool

	// Scratch, so that nothing is allocated for a point.
	diff                 []uint64
	single               [1]uint64
	point, other, change expo
	out                  Point
}

// NewTable gives an empty table.
func NewTable(cfg Config) *Table {
	t := &Table{cfg: cfg, byKey: map[Key]*Stream{}, ended: map[Key]uint64{}}
	t.idle = int64((cfg.Idle + time.Second - 1) / time.Second)
	return t
}

// Len counts what there is.
func (t *Table) Len() (streams, members int) { return len(t.byKey), t.members.live }

// Bytes is the memory that streams and members take.
func (t *Table) Bytes() int { return t.bytes + t.members.bytes() + t.cells.bytes + 64*len(t.ended) }

func (t *Table) budget() int {
	if t.cfg.MaxBytes <= 0 {
		return math.MaxInt
	}
	return t.cfg.MaxBytes - t.Bytes()
}

// Stream is the stream of a key, nil if there is none.
func (t *Table) Stream(k Key) *Stream { return t.byKey[k] }

// Member is the stream that a series is folded into, nil if it is none.
func (t *Table) Member(k Key) *Stream {
	_, m := t.find(k)
	if m == nil {
		return nil
	}
	return t.streams[m.stream()]
}

func (t *Table) find(k Key) (uint32, *member) {
	if !t.lastKnown || t.lastKey != k {
		slot, _, ok := t.members.find(k)
		if !ok {
			return 0, nil
		}
		t.lastKey, t.lastSlot, t.lastKnown = k, slot, true
	}
	return t.lastSlot, t.members.at(t.lastSlot)
}

// Fold adds a point of a series to its stream. A series that is a member stays with the stream it has, whatever s is.
func (t *Table) Fold(s *Stream, k Key, p *Point, now uint64) Outcome {
	slot, m := t.find(k)
	if p.NoValue {
		if m != nil {
			t.forget(slot)
		}
		return Stale
	}
	if m != nil {
		s = t.streams[m.stream()]
	}
	if s == nil || s.gone {
		return DroppedStream
	}
	if s.kind == Gauge && t.cfg.Gauge == GaugeDrop {
		return DroppedGauge
	}
	s.revive(now)
	f := input{key: k, m: m, p: p, now: now, time: p.Time}
	if f.time == 0 {
		f.time = now
	}
	var o Outcome
	switch s.kind {
	case DeltaSum:
		o = t.foldDelta(s, &f)
	case CumulativeSum:
		o = t.foldCumulative(s, &f)
	case CumulativeUpDown:
		o = t.foldUpDown(s, &f)
	case Gauge:
		o = t.foldGauge(s, &f)
	case DeltaHistogram:
		o = t.foldDeltaHistogram(s, &f)
	case CumulativeHistogram:
		o = t.foldCumulativeHistogram(s, &f)
	case DeltaExponential:
		o = t.foldDeltaExponential(s, &f)
	case CumulativeExponential:
		o = t.foldCumulativeExponential(s, &f)
	default:
		o = t.foldSummary(s, &f)
	}
	// A point that was dropped does not keep its member: one with a time in the future would otherwise block its series for ever.
	if !o.Dropped() {
		s.seen = now
		if f.m != nil {
			f.m.seen = seconds(now)
		}
	}
	return o
}

func seconds(now uint64) uint32 { return uint32(min(now/1e9, never-1)) }

// input is a point on its way in.
type input struct {
	key       Key
	m         *member // nil: none yet
	p         *Point
	now, time uint64
}

// join makes a member of the point's series if there is room. width is that of its cell, 0 for none.
func (t *Table) join(s *Stream, f *input, width int) bool {
	if f.m != nil {
		return true
	}
	var cell uint32
	if width > 0 {
		var ok bool
		if cell, ok = t.cells.alloc(width, t.budget()); !ok {
			return false
		}
	}
	slot, ok := t.members.insert(f.key, t.budget())
	if !ok {
		if width > 0 {
			t.cells.release(cell)
		}
		return false
	}
	f.m = t.members.at(slot)
	f.m.ref, f.m.bits = s.slot<<1, uint64(cell)<<32
	s.members++
	t.lastKnown = false
	return true
}

// forget takes a member out.
func (t *Table) forget(slot uint32) {
	m := t.members.at(slot)
	s := t.streams[m.stream()]
	switch s.kind {
	case CumulativeHistogram, CumulativeExponential, Summary:
		t.cells.release(m.cell())
	}
	s.drop(m, t.cfg.Gauge)
	s.members--
	_, place, _ := t.members.find(m.key)
	t.members.remove(slot, place)
	t.lastKnown = false
}

// Release lets go of members, so that their series may be judged by other rules. Cumulative ones stay: their history is in the stream, and
// would count twice in a series of its own.
func (t *Table) Release() {
	t.forgetIf(func(m *member) bool { return !t.streams[m.stream()].kind.cumulative() })
}

func (t *Table) forgetIf(gone func(*member) bool) (forgotten int) {
	for slot := range t.members.used {
		if m := t.members.at(slot); m.seen != never && gone(m) {
			t.forget(slot)
			forgotten++
		}
	}
	if t.members.live == 0 {
		t.members = members{}
	}
	return forgotten
}

// Sweep forgets the members that have been idle, and streams that have been without members as long. The end of a cumulative stream is
// a point of its own, so it goes with the Commit after the next Collect; it is counted here, once.
func (t *Table) Sweep(now uint64) (forgotten, streams int) {
	if t.idle <= 0 {
		return 0, 0
	}
	at := int64(seconds(now))
	forgotten = t.forgetIf(func(m *member) bool { return at-int64(m.seen) > t.idle })
	for _, s := range t.streams {
		if s == nil || s.members > 0 || s.inFlight || s.ending || s.cur.got || at-int64(seconds(s.seen)) <= t.idle {
			continue
		}
		streams++
		if s.kind.cumulative() && s.fixed && s.last > s.start { // it was sent
			s.ending = true
			continue
		}
		t.removeStream(s)
	}
	return forgotten, streams
}
