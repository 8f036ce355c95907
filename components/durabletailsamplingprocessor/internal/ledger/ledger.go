// Package ledger works out which batches a tail sampler is done with, from nothing but the order of events.
//
// What it knows of the sampler: calls hand it batches, and return when each piece of the batch is in a channel of known capacity; one loop
// takes the pieces out, one after the other; traces that are new since the loop's last tick are decided together, at one later tick, and
// ticks take such groups in the order in which they came. How long any of this takes is not known: the loop may be blocked for hours.
//
// What follows: let a decision be made while calls up to number s have started. A trace that only later calls brought is in a later group
// than everything the loop had taken before that decision. So when this trace is decided in its turn, all of that is decided.
//
// What the loop has taken is known from later calls: when as many have returned as the channel holds and one more. Where there are none,
// a mark does it: a piece of the caller's own that is recognized when the loop takes it.
package ledger

import (
	"slices"
	"sync"
	"time"
)

// TraceID is a trace's.
type TraceID = [16]byte

// barrierInterval is how far apart decisions are that the ledger measures against; the sampler ticks once a second.
const barrierInterval = 500 * time.Millisecond

// Ledger is safe for concurrent use.
type Ledger struct {
	// slots is how many calls have to have begun and returned after a call for its pieces to be surely taken: the channel's capacity,
	// and one that the loop is at.
	slots uint64

	mu       sync.Mutex
	started  uint64              // the number of the last call
	low      uint64              // calls up to this one have returned
	returned map[uint64]struct{} // others that have
	batches  []batch             // returned and not settled, in the order of their return: after never falls
	settled  uint64              // how many there were before them
	taken    uint64              // how many of all have been said to be taken; the first ones
	marked   uint64              // how many of all had returned at the last mark
	barriers []barrier
	newSince map[TraceID]uint64 // undecided trace: the call that brought it first
	swept    int                // traces left by the last sweep
}

type batch struct{ number, call, after uint64 }

type barrier struct {
	at             time.Time
	started, taken uint64
}

// New makes a ledger for a sampler whose channel has this capacity.
func New(capacity int) *Ledger {
	return &Ledger{slots: uint64(capacity) + 1, returned: map[uint64]struct{}{}, newSince: map[TraceID]uint64{}}
}

// Begin is called before a batch is handed to the sampler. Its result is End's argument.
func (l *Ledger) Begin(traces func(yield func(TraceID) bool)) (call uint64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.started++
	for id := range traces {
		if _, ok := l.newSince[id]; !ok {
			l.newSince[id] = l.started
		}
	}
	return l.started
}

// End is called when the sampler has returned. The number is the caller's name for the batch. It returns the batches that are now known to
// be taken: what happens to their traces from now on, happens to all their spans.
func (l *Ledger) End(call, number uint64) (taken []uint64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.returned[call] = struct{}{}
	for {
		if _, ok := l.returned[l.low+1]; !ok {
			break
		}
		l.low++
		delete(l.returned, l.low)
	}
	l.batches = append(l.batches, batch{number, call, l.started})
	until := l.taken
	for until < l.end() && l.batches[until-l.settled].after+l.slots <= l.low {
		until++
	}
	return l.take(until)
}

// Mark says whether a mark is of use, and what it says when the loop takes it. The mark has to be sent after the call of Mark.
func (l *Ledger) Mark() (mark uint64, useful bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.end() == max(l.taken, l.marked) {
		return 0, false
	}
	l.marked = l.end()
	return l.marked, true
}

// Marked is called by the sampler's loop when it takes a mark. Like End it returns the batches that are now known to be taken.
func (l *Ledger) Marked(mark uint64) (taken []uint64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.take(mark)
}

// end is how many batches there have been in all.
func (l *Ledger) end() uint64 { return l.settled + uint64(len(l.batches)) }

func (l *Ledger) take(until uint64) (taken []uint64) {
	for ; l.taken < until; l.taken++ {
		taken = append(taken, l.batches[l.taken-l.settled].number)
	}
	return taken
}

// Decided is called by the sampler's loop when it has decided on a trace at a tick, before it hands the trace on. It returns the batches
// that are settled thereby: each of their traces has been decided on and handed on.
func (l *Ledger) Decided(id TraceID, now time.Time) (settled []uint64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if first, ok := l.newSince[id]; ok {
		delete(l.newSince, id)
		settled = l.pass(first)
	}
	if n := len(l.barriers); n == 0 || l.started > l.barriers[n-1].started && now.Sub(l.barriers[n-1].at) >= barrierInterval {
		l.barriers = append(l.barriers, barrier{now, l.started, l.taken})
	}
	return settled
}

// pass settles what the loop had taken at the newest barrier before the call first.
func (l *Ledger) pass(first uint64) (settled []uint64) {
	passed := 0
	for passed < len(l.barriers) && l.barriers[passed].started < first {
		passed++
	}
	if passed == 0 {
		return nil
	}
	taken := l.barriers[passed-1].taken
	l.barriers = slices.Delete(l.barriers, 0, passed)
	n := 0
	for ; l.settled < taken; l.settled++ {
		settled = append(settled, l.batches[n].number)
		n++
	}
	l.batches = slices.Delete(l.batches, 0, n)
	oldest := l.low + 1
	for i := range l.batches {
		oldest = min(oldest, l.batches[i].call)
	}
	l.sweep(oldest)
	return settled
}

// sweep forgets spans that came after their trace's decision: no decision follows. That is certain when their batch is settled. It runs
// when the traces have doubled, so that it costs little per trace.
func (l *Ledger) sweep(oldest uint64) {
	if len(l.newSince) < 2*l.swept+1024 {
		return
	}
	for id, first := range l.newSince {
		if first < oldest {
			delete(l.newSince, id)
		}
	}
	l.swept = len(l.newSince)
}
