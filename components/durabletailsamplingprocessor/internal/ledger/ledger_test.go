package ledger

import (
	"encoding/binary"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// model is a tail sampler as the package's comment describes it, with time stopped: whatever may happen next, happens by chance.
type model struct {
	t        *testing.T
	r        *rand.Rand
	l        *Ledger
	capacity int
	now      time.Time

	channel []piece
	callers []*caller
	groups  [][]TraceID // the oldest first, the current one last
	known   map[TraceID]state
	batches []*progress
	traces  uint64

	settled, taken int
}

type state int

const (
	waits state = iota + 1
	handedOn
)

// progress is a batch: how many of its pieces have been gone through, and its traces.
type progress struct {
	pieces, done int
	traces       []TraceID
}

type piece struct {
	batch  int // or mark
	mark   uint64
	traces []TraceID
}

const aMark = -1

type caller struct {
	batch  int
	call   uint64
	pieces []piece
}

func newModel(t *testing.T, seed uint64) *model {
	r := rand.New(rand.NewPCG(seed, 1))
	m := &model{t: t, r: r, capacity: 1 + r.IntN(4), known: map[TraceID]state{}, now: time.Unix(1, 0)}
	m.l = New(m.capacity)
	m.groups = make([][]TraceID, 1+r.IntN(4))
	return m
}

func (m *model) trace() TraceID {
	if m.r.IntN(3) > 0 || m.traces == 0 {
		m.traces++
	}
	var id TraceID
	binary.BigEndian.PutUint64(id[8:], m.traces-uint64(m.r.Int64N(int64(min(m.traces, 20)))))
	return id
}

// outside is what goes on while the loop is busy or blocked.
func (m *model) outside() {
	switch m.r.IntN(4) {
	case 3:
		if mark, useful := m.l.Mark(); useful {
			m.callers = append(m.callers, &caller{batch: aMark, pieces: []piece{{batch: aMark, mark: mark}}})
		}
	case 0:
		if len(m.callers) < 5 {
			m.begin()
		}
	case 1:
		if len(m.callers) > 0 {
			m.push(m.r.IntN(len(m.callers)))
		}
	case 2:
		m.now = m.now.Add(time.Duration(m.r.IntN(1000)) * time.Millisecond)
	}
}

func (m *model) begin() {
	c := &caller{batch: len(m.batches)}
	b := &progress{}
	for range 1 + m.r.IntN(3) {
		p := piece{batch: c.batch}
		for range 1 + m.r.IntN(3) {
			p.traces = append(p.traces, m.trace())
		}
		c.pieces = append(c.pieces, p)
		b.traces = append(b.traces, p.traces...)
	}
	b.pieces = len(c.pieces)
	m.batches = append(m.batches, b)
	c.call = m.l.Begin(slices.Values(b.traces))
	m.callers = append(m.callers, c)
}

func (m *model) push(i int) {
	c := m.callers[i]
	if len(m.channel) == m.capacity {
		return
	}
	m.channel = append(m.channel, c.pieces[0])
	if c.pieces = c.pieces[1:]; len(c.pieces) > 0 {
		return
	}
	m.callers = slices.Delete(m.callers, i, i+1)
	if c.batch != aMark {
		m.areTaken(m.l.End(c.call, uint64(c.batch)))
	}
}

func (m *model) areTaken(batches []uint64) {
	for _, n := range batches {
		m.taken++
		require.Equal(m.t, m.batches[n].pieces, m.batches[n].done, "batch %d is said to be taken", n)
	}
}

func (m *model) loop() {
	if m.r.IntN(4) == 0 {
		m.tick()
		return
	}
	if len(m.channel) == 0 {
		return
	}
	p := m.channel[0]
	m.channel = m.channel[1:]
	if p.batch == aMark {
		m.areTaken(m.l.Marked(p.mark))
		return
	}
	for _, id := range p.traces {
		if m.known[id] == 0 {
			for m.r.IntN(8) == 0 { // no space: it ticks while it has a piece in its hands
				m.tick()
			}
			if m.known[id] == 0 {
				m.known[id] = waits
				m.groups[len(m.groups)-1] = append(m.groups[len(m.groups)-1], id)
			}
		}
		m.sometimesOutside()
	}
	m.batches[p.batch].done++
}

func (m *model) tick() {
	first := m.groups[0]
	m.groups = append(m.groups[1:], nil)
	m.r.Shuffle(len(first), func(i, j int) { first[i], first[j] = first[j], first[i] })
	for _, id := range first {
		for _, n := range m.l.Decided(id, m.now) {
			m.settled++
			b := m.batches[n]
			require.Equal(m.t, b.pieces, b.done, "batch %d is said to be settled, and is not taken", n)
			for _, id := range b.traces {
				require.Equal(m.t, handedOn, m.known[id], "batch %d is said to be settled", n)
			}
		}
		m.sometimesOutside() // handing on may take long
		m.known[id] = handedOn
	}
}

func (m *model) sometimesOutside() {
	for m.r.IntN(3) == 0 {
		m.outside()
	}
}

// Whatever happens, what is said to be settled is, and what is said to be taken.
func TestNeverTooEarly(t *testing.T) {
	for seed := range uint64(300) {
		m := newModel(t, seed)
		for range 2000 {
			if m.r.IntN(2) == 0 {
				m.loop()
			} else {
				m.outside()
			}
		}
		require.Greater(t, m.settled, len(m.batches)/4, "seed %d: next to nothing was settled", seed)
		require.GreaterOrEqual(t, m.taken, m.settled)
	}
}

// With no more traffic a mark shows that the last batches are taken, and nothing is marked twice.
func TestMarksTheLast(t *testing.T) {
	l := New(2)
	assert.Empty(t, l.End(l.Begin(slices.Values([]TraceID{{1}})), 7))
	late := l.Begin(slices.Values([]TraceID{{2}}))
	mark, useful := l.Mark()
	require.True(t, useful)
	_, useful = l.Mark()
	require.False(t, useful, "nothing has returned since the mark before")
	assert.Empty(t, l.End(late, 8))
	assert.Equal(t, []uint64{7}, l.Marked(mark), "the other one returned after the mark was made")
	mark, useful = l.Mark()
	require.True(t, useful)
	assert.Equal(t, []uint64{8}, l.Marked(mark))
	_, useful = l.Mark()
	require.False(t, useful)
}

// With steady traffic a batch is settled soon after its traces' decision, and nothing is remembered for ever.
func TestSettlesSteadily(t *testing.T) {
	l := New(2)
	now := time.Unix(1, 0)
	id := func(n int) (id TraceID) {
		binary.BigEndian.PutUint64(id[8:], uint64(n))
		return id
	}
	const wait = 10 // seconds, one call each
	worst := 0
	for second := range 10_000 {
		now = now.Add(time.Second)
		call := l.Begin(slices.Values([]TraceID{id(second), id(1_000_000 + second - 20)})) // the latter comes late
		l.End(call, uint64(second))
		for _, n := range l.Decided(id(second-wait), now) {
			worst = max(worst, second-int(n))
		}
	}
	assert.Equal(t, wait+4, worst, "the wait, three calls that show that a batch was taken, and one more after the decision that is measured against")
	assert.Less(t, len(l.newSince), 3000)
	assert.Less(t, len(l.batches), wait+10)
	assert.Less(t, len(l.barriers), wait+10)
}
