package fold

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestOracle lets series come and go, begin anew, arrive late, be refused and be restarted, and holds every point that comes out to the
// oracle.
func TestOracle(t *testing.T) {
	for kind := range kinds {
		if kind == Gauge {
			continue
		}
		t.Run(fmt.Sprint(kind), func(t *testing.T) {
			for seed := range uint64(8) {
				walk(t, kind, seed)
				if t.Failed() {
					t.Fatalf("seed %d", seed)
				}
			}
		})
	}
}

// trial is a table and its oracle.
type trial struct {
	*testing.T
	rnd     *rand.Rand
	kind    Kind
	now     uint64
	table   *Table
	o       *oracle
	sources []source
	touched bool // the stream has something to say
}

func walk(t *testing.T, kind Kind, seed uint64) {
	w := &trial{T: t, rnd: rand.New(rand.NewPCG(seed, 1)), kind: kind, now: t0, table: NewTable(Config{Idle: 100 * second})}
	w.table.AddStream(output, kind, []byte("meta"), w.now)
	w.o = &oracle{kind: kind, members: map[int]*last{}, start: w.now}
	w.sources = make([]source, 6)
	for i := range w.sources {
		w.sources[i] = source{rnd: w.rnd, kind: kind}
		w.sources[i].restart(w.now - w.rnd.Uint64N(500*second))
	}
	for range 300 {
		w.now += 1 + w.rnd.Uint64N(second)
		id := w.rnd.IntN(len(w.sources))
		src := &w.sources[id]
		switch w.rnd.IntN(20) {
		case 0:
			src.restart(w.now)
		case 1:
			touched := w.touched || w.o.members[id] != nil && kind.cumulative()
			w.fold(id, &Point{NoValue: true}, nil)
			w.touched = touched
		case 2, 3:
			w.collect(id)
		case 4:
			w.table = reread(t, w.table)
		case 5:
			if w.o.members[id] != nil && w.rnd.IntN(3) == 0 {
				w.idle(id)
			}
		default:
			p := src.value // again, or late
			said := src.said(&p)
			if p.Time == 0 || w.rnd.IntN(8) > 0 {
				next, new := src.next(w.now)
				p, said = *next, new
			} else if w.rnd.IntN(2) == 0 {
				p.Time--
			}
			w.fold(id, &p, said)
		}
		_, n := w.table.Len()
		require.Equal(t, len(w.o.members), n)
	}
}

func (w *trial) fold(id int, p *Point, said content) {
	w.Helper()
	require.Equal(w, w.o.fold(id, p, said), w.table.Fold(w.table.Stream(output), series(id), p, w.now))
	w.touched = true
}

func (w *trial) collect(id int) {
	collected := false
	w.touched = w.touched || len(w.o.members) > 0 && w.kind.cumulative()
	w.table.Collect(w.now, func(_ *Stream, p *Point) {
		collected = true
		assert.Equal(w, w.now, p.Time)
		assert.Equal(w, w.o.start, p.Start)
		assert.False(w, p.NoValue)
		w.o.check(w.T, p)
	})
	require.Equal(w, w.touched, collected, "something to say")
	w.touched = false
	if !collected {
		return
	}
	w.o.fixed, w.o.flight = true, w.o.total
	if !w.kind.cumulative() {
		w.o.total = nil
	}
	// Points go on coming before it is known what became of it.
	if p, said := w.sources[id].next(w.now); w.rnd.IntN(2) == 0 {
		w.fold(id, p, said)
	}
	if w.rnd.IntN(3) == 0 {
		w.table = reread(w.T, w.table)
	}
	refused := w.rnd.IntN(3) == 0
	if refused {
		w.table.Restore()
		w.touched = true
	} else {
		w.table.Commit()
	}
	switch {
	case w.kind.cumulative():
	case refused:
		w.o.total = w.o.total.add(w.o.flight, 1)
	default:
		w.o.start = w.now
	}
}

// idle lets all but one be forgotten.
func (w *trial) idle(id int) {
	w.now += 200 * second
	p, said := w.sources[id].next(w.now)
	w.fold(id, p, said)
	gone, streams := w.table.Sweep(w.now)
	assert.Equal(w, len(w.o.members)-1, gone)
	assert.Zero(w, streams)
	for other := range w.sources {
		if other != id {
			w.o.forget(other)
		}
	}
}

func reread(t *testing.T, table *Table) *Table {
	t.Helper()
	again := NewTable(table.cfg)
	require.NoError(t, again.UnmarshalBinary(table.AppendBinary(nil)))
	assert.Equal(t, table.Bytes()-table.members.bytes()-table.cells.bytes, again.Bytes()-again.members.bytes()-again.cells.bytes)
	return again
}
