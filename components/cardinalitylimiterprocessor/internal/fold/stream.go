package fold

import "unsafe"

// Stream is an output.
type Stream struct {
	key     Key
	kind    Kind // what it adds up
	meta    []byte
	slot    uint32
	members int    // series that are folded into it
	seen    uint64 // when something last came in

	// start is the end of the last interval that got through for deltas, of cumulative kinds it lies where the values begin. Once fixed,
	// it is not moved back to the start of a member that has been counting for longer.
	start uint64
	fixed bool
	// forgot is the greatest start among the members that were forgotten: a series that begins no later may be one of them coming back,
	// and what it counted before is in the total.
	forgot uint64
	// last is the time of the last point handed out, refused or not.
	last uint64
	sent int64 // the last value of a monotonic sum as long as that was an int

	cur, flight acc
	inFlight    bool
	ending      bool // its end is the next point
	gone        bool

	// Gauge intervals are numbered: epoch is the current one, base the first that has not got through.
	epoch, base uint64
	changes     int    // of its bounds
	boundsHash  uint32 // of cur.bounds
}

// Key names the stream.
func (s *Stream) Key() Key { return s.key }

// Meta is what AddStream got; the caller must not change it.
func (s *Stream) Meta() []byte { return s.meta }

// acc is what a stream has got: in an interval for deltas and gauges, since its start for the others.
type acc struct {
	got   bool // something that no emitted point says
	total total
	count uint64

	min, max        float64
	noSum, noMinMax bool

	bounds  []float64
	buckets []uint64 // nil as long as the bounds are not known
	exp     *expo

	// gauge: the newest, lowest and greatest point, and of how many series total is.
	newest, lowest, greatest num
	newestTime               uint64
}

// streamCost is what a stream takes without its bounds: the totals are counted whether it has them already or not.
func streamCost(kind Kind, meta int) int {
	cost := int(unsafe.Sizeof(Stream{})) + 2*int(unsafe.Sizeof(exact{})) + meta + 64 // the map's and the list's part
	if kind == DeltaExponential || kind == CumulativeExponential {
		cost += 2 * int(unsafe.Sizeof(expo{}))
	}
	return cost
}

func boundsCost(bounds int) int { return 2 * 16 * (bounds + 1) }

// AddStream adds a stream, or gives the one that has the key. It is nil when MaxStreams or MaxBytes is reached. A gauge stream that
// nothing would be folded into is not kept.
func (t *Table) AddStream(k Key, kind Kind, meta []byte, now uint64) *Stream {
	if s := t.byKey[k]; s != nil {
		return s
	}
	if kind == Gauge && t.cfg.Gauge == GaugeDrop {
		return &Stream{key: k, kind: kind}
	}
	cost := streamCost(kind, len(meta))
	if kind >= kinds || t.cfg.MaxStreams > 0 && len(t.byKey) >= t.cfg.MaxStreams || cost > t.budget() {
		return nil
	}
	s := &Stream{key: k, kind: kind, meta: append([]byte(nil), meta...), start: now, seen: now}
	if floor := max(t.ended[k], t.horizon); floor > 0 {
		s.start, s.fixed = max(now, floor), true
		delete(t.ended, k)
	}
	s.last = s.start
	s.epoch, s.base = 1, 1
	if kind == DeltaExponential || kind == CumulativeExponential {
		s.cur.exp, s.flight.exp = new(expo), new(expo)
	}
	t.insertStream(s)
	t.bytes += cost
	return s
}

func (t *Table) insertStream(s *Stream) {
	if n := len(t.empty); n > 0 {
		s.slot, t.empty = t.empty[n-1], t.empty[:n-1]
		t.streams[s.slot] = s
	} else {
		s.slot = uint32(len(t.streams))
		t.streams = append(t.streams, s)
	}
	t.byKey[s.key] = s
}

func (t *Table) removeStream(s *Stream) {
	delete(t.byKey, s.key)
	t.streams[s.slot], s.gone = nil, true
	t.empty = append(t.empty, s.slot)
	t.bytes -= streamCost(s.kind, len(s.meta))
	if s.cur.buckets != nil {
		t.bytes -= boundsCost(len(s.cur.bounds))
	}
	if len(t.ended) >= max(len(t.byKey), 1024) {
		for _, end := range t.ended {
			t.horizon = max(t.horizon, end)
		}
		clear(t.ended)
	}
	t.ended[s.key] = s.last
}

// revive keeps a stream whose end is due. If the end is already on its way, what comes now belongs to a new run of the stream.
func (s *Stream) revive(now uint64) {
	if !s.ending {
		return
	}
	s.ending = false
	if s.inFlight {
		s.inFlight, s.fixed = false, true
		s.start = max(s.last, now)
		s.last = s.start
		s.cur.reset()
		s.sent = 0
	}
}

// drop ends a member's contribution: its part of a monotonic total stays, of a current value it goes.
func (s *Stream) drop(m *member, gauge GaugeFold) {
	switch s.kind {
	case CumulativeUpDown:
		s.cur.total.add(m.value(), true)
	case Gauge:
		if a := s.holds(m); a != nil && gauge.perMember() {
			a.remove(m.value())
		}
	}
	if s.kind.cumulative() {
		s.cur.got = true // the stream may have no member any more, and still something to say
		s.forgot = max(s.forgot, m.start, 1)
	}
}
