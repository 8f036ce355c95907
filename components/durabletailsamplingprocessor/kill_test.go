package durabletailsamplingprocessor

import (
	"context"
	"errors"
	"maps"
	"math/rand/v2"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// load sends a batch each tick: new traces, and a second span of traces that are a second or so old. One trace in four fails in its second
// span only, so a trace that is not decided as a whole is lost.
type load struct {
	mu    sync.Mutex
	acked map[span]bool
}

func kept(trace uint64) bool { return trace%4 == 0 }

func (l *load) run(s *sampler, from, ticks uint64, senders *sync.WaitGroup) {
	for n := from; n < from+ticks; n++ {
		var batch []span
		for i := range uint64(5) {
			batch = append(batch, span{n*5 + i, 1})
			if n >= 10 {
				second := span{(n-10)*5 + i, 2}
				if kept(second.trace) {
					second.number = failed
				}
				batch = append(batch, second)
			}
		}
		senders.Go(func() {
			if s.ConsumeTraces(context.Background(), traces(batch...)) == nil {
				l.mu.Lock()
				defer l.mu.Unlock()
				for _, sp := range batch {
					l.acked[sp] = true
				}
			}
		})
		time.Sleep(tick)
		synctest.Wait()
	}
}

// death is what kill -9 leaves at a moment.
type death struct {
	disk  *disk
	acked map[span]bool
	got   map[span]int
}

func (l *load) death(d *disk, b *backend) death {
	synctest.Wait()
	l.mu.Lock()
	defer l.mu.Unlock()
	return death{d.copy(), maps.Clone(l.acked), b.got()}
}

// recover starts again on what was left, sends what was not acknowledged of traces that were, and compares. It says how many spans came twice.
func (d death) recover(t *testing.T) (twice, spans int) {
	t.Helper()
	b := &backend{spans: map[span]int{}}
	s := start(t, d.disk, b, nil)
	time.Sleep(10 * time.Second)
	require.NoError(t, s.Shutdown(context.Background()))
	whole := map[uint64]bool{} // traces of which both spans were acknowledged
	for sp := range d.acked {
		whole[sp.trace] = whole[sp.trace] || sp.number != 1
	}
	for sp := range d.acked {
		if !whole[sp.trace] {
			continue
		}
		n := d.got[sp] + b.got()[sp]
		if !kept(sp.trace) {
			require.Zero(t, n, "%v should have been dropped", sp)
			continue
		}
		spans++
		require.Positive(t, n, "%v was acknowledged and is lost", sp)
		twice += n - 1
	}
	return twice, spans
}

// kill -9 at any moment loses no acknowledged span, and decides on none by half a trace.
func TestKilledAtAnyMoment(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d, b, l := newDisk(), &backend{spans: map[span]int{}}, &load{acked: map[span]bool{}}
		s := start(t, d, b, nil)
		r := rand.New(rand.NewPCG(1, 1))
		var senders sync.WaitGroup
		var deaths []death
		for n := uint64(0); n < 600; {
			more := uint64(1 + r.IntN(40))
			l.run(s, n, more, &senders)
			n += more
			time.Sleep(time.Duration(r.IntN(99)) * time.Millisecond)
			deaths = append(deaths, l.death(d, b))
		}
		senders.Wait()
		time.Sleep(10 * time.Second)
		assert.Less(t, d.keys("b"), 60, "the journal grows")
		require.NoError(t, s.Shutdown(t.Context()))
		assert.Zero(t, d.keys("b"), "the journal after a stop")
		require.Greater(t, len(deaths), 20)
		twice := 0
		for i, death := range deaths {
			n, spans := death.recover(t)
			twice += n
			if i == len(deaths)-1 {
				assert.Greater(t, spans, 1000)
			}
		}
		t.Logf("%d deaths: %.1f spans came twice at each, of 25 kept a second", len(deaths), float64(twice)/float64(len(deaths)))
		assert.Less(t, twice/len(deaths), 25, "more than what is kept in a second came twice")
	})
}

// The next exporter's queue is full for longer than any window, then comes kill -9. The age of a batch says nothing: upstream's loop stands still.
func TestBlockedThenKilled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d, b, l := newDisk(), &backend{spans: map[span]int{}}, &load{acked: map[span]bool{}}
		s := start(t, d, b, nil)
		var senders sync.WaitGroup
		l.run(s, 0, 100, &senders)
		blocked := make(chan struct{})
		b.set(blocked, nil)
		l.run(s, 100, 50, &senders)
		time.Sleep(time.Hour)
		first := l.death(d, b)
		close(blocked)
		b.set(nil, nil)
		l.run(s, 150, 30, &senders)
		second := l.death(d, b)
		senders.Wait()
		require.NoError(t, s.Shutdown(t.Context()))
		for _, death := range []death{first, second} {
			_, spans := death.recover(t)
			assert.Greater(t, spans, 100)
		}
	})
}

// A process that dies again and again while it takes up what was left still loses nothing.
func TestKilledAgainAndAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d, b, l := newDisk(), &backend{spans: map[span]int{}}, &load{acked: map[span]bool{}}
		var senders sync.WaitGroup
		for n := uint64(0); n < 400; n += 40 {
			s := start(t, d, b, nil)
			l.run(s, n, 40, &senders)
			died := l.death(d, b)
			// The process that died must end for the test's sake; nobody sees what it does.
			dead := b.got()
			require.NoError(t, s.Shutdown(t.Context()))
			b.mu.Lock()
			b.spans = dead
			b.mu.Unlock()
			d = died.disk
		}
		_, spans := l.death(d, b).recover(t)
		assert.Greater(t, spans, 500)
	})
}

// A stop decides on what is held; with keep_on_shutdown it does not, and traces stay whole.
func TestStopped(t *testing.T) {
	for _, keep := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			d, b, l := newDisk(), &backend{spans: map[span]int{}}, &load{acked: map[span]bool{}}
			s := start(t, d, b, func(c *Config) { c.Journal.KeepOnShutdown = keep })
			var senders sync.WaitGroup
			l.run(s, 0, 100, &senders)
			require.NoError(t, s.Shutdown(t.Context()))
			if keep {
				assert.Positive(t, d.keys("b"))
			} else {
				assert.Zero(t, d.keys("b"))
			}
			assert.Positive(t, d.keys("d"), "decisions, for spans that come late")
			twice, spans := l.death(d, b).recover(t)
			assert.Equal(t, 2*113, spans, "of 450 traces that were whole every fourth is kept")
			assert.Zero(t, twice)
		})
	}
}

// A span that comes after a restart follows the decision made before.
func TestLateAfterRestart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d, b := newDisk(), &backend{spans: map[span]int{}}
		s := start(t, d, b, nil)
		require.NoError(t, s.ConsumeTraces(t.Context(), traces(span{1, failed}, span{2, 1})))
		time.Sleep(10 * time.Second)
		dead := d.copy() // killed, not stopped
		require.NoError(t, s.Shutdown(t.Context()))
		for _, left := range []*disk{d, dead} {
			s = start(t, left, b, nil)
			require.NoError(t, s.ConsumeTraces(t.Context(), traces(span{1, 5}, span{2, failed})))
			time.Sleep(10 * time.Second)
			require.NoError(t, s.Shutdown(t.Context()))
			got := b.got()
			assert.Positive(t, got[span{1, 5}])
			assert.Zero(t, got[span{2, failed}])
			b.mu.Lock()
			delete(b.spans, span{1, 5})
			b.mu.Unlock()
		}
	})
}

// A kept trace that the next component refuses for a while is not lost.
func TestRefusedByNext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d, b := newDisk(), &backend{spans: map[span]int{}}
		s := start(t, d, b, nil)
		b.set(nil, errors.New("no space left on device"))
		require.NoError(t, s.ConsumeTraces(t.Context(), traces(span{1, failed})))
		time.Sleep(time.Hour)
		b.set(nil, nil)
		time.Sleep(2 * retryDelay)
		assert.Equal(t, map[span]int{{1, failed}: 1}, b.got())

		// Stopped while it is refused: the journal keeps it.
		b.set(nil, errors.New("no space left on device"))
		require.NoError(t, s.ConsumeTraces(t.Context(), traces(span{2, failed})))
		time.Sleep(time.Hour)
		require.NoError(t, s.Shutdown(t.Context()))
		b.set(nil, nil)
		s = start(t, d, b, nil)
		time.Sleep(10 * time.Second)
		require.NoError(t, s.Shutdown(t.Context()))
		assert.Positive(t, b.got()[span{2, failed}])
	})
}

// A span that is still on its way to upstream's loop when its trace is handed on is not taken for handed on.
func TestKilledBehindADecision(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d, b := newDisk(), &backend{spans: map[span]int{}}
		s := start(t, d, b, nil)
		require.NoError(t, s.ConsumeTraces(t.Context(), traces(span{1, failed}, span{2, failed})))
		first, second := make(chan struct{}), make(chan struct{})
		b.set(first, nil)
		time.Sleep(10 * time.Second) // one of the two is about to be handed on
		require.NoError(t, s.ConsumeTraces(t.Context(), traces(span{1, 5}, span{2, 5})))
		b.set(second, nil)
		close(first)
		time.Sleep(time.Minute) // it has been, and this is noted; the other one is about to be
		require.Len(t, b.got(), 1)
		synctest.Wait()
		dead := d.copy()
		b.set(nil, nil)
		close(second)
		require.NoError(t, s.Shutdown(t.Context()))

		b = &backend{spans: map[span]int{}}
		s = start(t, dead, b, nil)
		time.Sleep(10 * time.Second)
		require.NoError(t, s.Shutdown(t.Context()))
		assert.Positive(t, b.got()[span{1, 5}])
		assert.Positive(t, b.got()[span{2, 5}])
	})
}
