package series

import (
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
)

// Readers hit series that are always there, while a writer adds, removes and sweeps others, so that tables grow, split, shrink and merge.
func TestHitBesideWriter(t *testing.T) {
	f := func(name string, stable, others, rounds int) {
		t.Run(name, func(t *testing.T) {
			r := &race{t: t, set: filled(stable), stable: stable}
			r.now.Store(1)
			var readers sync.WaitGroup
			for i := range 8 {
				readers.Go(func() { r.read(uint64(i)) })
			}
			for range rounds {
				r.write(others)
			}
			r.stop.Store(true)
			readers.Wait()
			t.Log("misses that the lock put right:", r.misses.Load())
		})
	}
	f("moves", 100, 150, 1000)
	f("split", 500, 70_000, 1)
}

type race struct {
	t      *testing.T
	mu     sync.Mutex
	set    *Set
	stable int
	now    atomic.Uint32
	stop   atomic.Bool
	misses atomic.Int64
}

func (r *race) locked(do func(now Step)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	do(Step(r.now.Load()))
}

func (r *race) read(seed uint64) {
	keys := rand.New(rand.NewPCG(1, seed))
	for n := 1; !r.stop.Load(); n++ {
		if n%500 == 0 {
			// Eight readers that never pause would leave the writer little of a small machine.
			time.Sleep(time.Millisecond)
		}
		key := keys.Uint32N(uint32(r.stable))
		h := random(key)
		found, marked, _ := r.set.Hit(h, Step(r.now.Load()))
		if !found {
			r.misses.Add(1)
			r.locked(func(now Step) {
				found = r.set.Has(h)
				_, marked, _ = r.set.Hit(h, now)
			})
		}
		if !found || marked != (key%2 == 0) {
			assert.Fail(r.t, "lost", "%d %v", key, marked)
			return
		}
	}
}

// write takes one step only, so that no reader's clock is far behind. What it adds is too old already.
func (r *race) write(others int) {
	for i := range others {
		r.locked(func(now Step) { r.set.Add(random(uint32(1000+i)), false, now-idle) })
	}
	for i := range others / 2 {
		r.locked(func(Step) {
			found, _ := r.set.Remove(random(uint32(1000 + 2*i)))
			assert.True(r.t, found)
		})
	}
	r.locked(func(Step) {
		now := Step(r.now.Add(1))
		for key := range r.stable {
			r.set.Hit(random(uint32(key)), now)
		}
	})
	var cursor Cursor
	for done := false; !done; {
		r.locked(func(now Step) { _, _, done = r.set.Sweep(now, idle, &cursor, 1000) })
	}
	assert.Equal(r.t, r.stable, r.set.Len())
}

// A series that is too old is hit while it is swept: it was found and stays, or it was not and is gone. Else a place in a budget
// would be given away twice.
func TestHitBesideSweep(t *testing.T) {
	var s Set
	for round := range 5000 {
		now := Step(round)
		for h := range uint64(64) {
			s.Add(h<<32, false, now-idle-1)
		}
		var found [64]bool
		// In the order of the sweep, so that the two go side by side.
		var order []uint64
		for w := range s.Words() {
			order = append(order, unkey(w&^lowBits))
		}
		started := make(chan struct{})
		var reader sync.WaitGroup
		reader.Go(func() {
			close(started)
			for i, h := range order {
				found[i], _, _ = s.Hit(h, now)
			}
		})
		<-started
		s.Sweep(now, idle, new(Cursor), 1000)
		reader.Wait()
		left := s.Len()
		for i, f := range found {
			there, _ := s.Remove(order[i])
			if there {
				left--
			}
			if f != there {
				assert.Fail(t, "found and gone, or missed and there", "round %d: %v %v", round, f, there)
				return
			}
		}
		if !assert.Zero(t, left, "round %d", round) {
			return
		}
	}
}

// A reader that looks at the places in the order of the moves always sees the word.
func TestMove(t *testing.T) {
	for range 20 {
		var places [1000]atomic.Uint64
		places[0].Store(1)
		var mover sync.WaitGroup
		var done atomic.Bool
		mover.Go(func() {
			for i := range len(places) - 1 {
				move(&places[i], &places[i+1])
			}
			done.Store(true)
		})
		for missed := false; !done.Load() && !missed; {
			missed = true
			for i := range places {
				if places[i].Load() != 0 {
					missed = false
					break
				}
			}
			assert.False(t, missed)
		}
		mover.Wait()
	}
}
