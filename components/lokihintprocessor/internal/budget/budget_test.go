package budget

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
)

func TestAValueThatDoesNotFitIsDemotedAndThoseThatDidStay(t *testing.T) {
	r := newRig(1000, 10, 200)
	for i := range 200 {
		assert.Equal(t, fmt.Sprintf("cart p%d +", i), r.ask("", "cart", fmt.Sprint("p", i)))
	}
	assert.Equal(t, "cart !p200 +", r.ask("", "cart", "p200")) // {cart} alone is a stream, too
	assert.Equal(t, "cart !p201", r.ask("", "cart", "p201"))
	assert.Equal(t, "pay !p201 +", r.ask("", "pay", "p201"))
	for i := range 200 {
		assert.Equal(t, fmt.Sprintf("cart p%d", i), r.ask("", "cart", fmt.Sprint("p", i)))
		assert.Equal(t, fmt.Sprintf("pay p%d +", i), r.ask("", "pay", fmt.Sprint("p", i)), "a known value in a new stream")
	}
	assert.Equal(t, "1 402 [2 200]", r.stats())
}

func TestServicesThatDoNotFit(t *testing.T) {
	r := newRig(1000, 2, 10)
	assert.Equal(t, "a p +", r.ask("", "a", "p"))
	assert.Equal(t, "b p +", r.ask("", "b", "p"))
	assert.Equal(t, "!c p +", r.ask("", "c", "p"), "the other labels stay")
	assert.Equal(t, "!d p", r.ask("", "d", "p"), "which is the stream of all that do not fit")
	assert.Equal(t, "a p", r.ask("", "a", "p"))
	assert.Equal(t, "1 3 [2 1]", r.stats())
}

// A value counts from when it was seen last: never forgotten within the window, always after two.
func TestForgetting(t *testing.T) {
	f := func(step time.Duration) {
		t.Helper()
		for first := time.Duration(0); first < window; first += window / 5 {
			r := newRig(10, 10, 1)
			r.ask("", "a", "")
			r.pass(first) // halves do not begin when the value comes
			r.ask("", "a", "p")
			last := r.at
			for r.at.Sub(last) < window {
				assert.Equal(t, "a !q", r.ask("", "a", "q"), "%s after p", r.at.Sub(last))
				r.pass(step)
			}
			for r.ask("", "a", "q") == "a !q" {
				assert.Less(t, r.at.Sub(last), 2*window)
				r.pass(step)
			}
			assert.Equal(t, "a !p", r.ask("", "a", "p"), "its place is taken")
		}
	}
	f(window / 7)
	f(time.Minute)
	f(window - 1)
	f(window)
}

func TestWhatIsSeenNowAndThenStays(t *testing.T) {
	f := func(pause time.Duration) {
		t.Helper()
		r := newRig(10, 10, 1)
		r.ask("", "a", "p")
		r.ask("", "a", "")
		for range 20 {
			r.pass(pause)
			assert.Equal(t, "a p", r.ask("", "a", "p"), "a pause of %s", pause)
		}
	}
	f(time.Second)
	f(window / 2)
	f(window - 1)
	f(window)
}

func TestARestMakesRoom(t *testing.T) {
	r := newRig(10, 10, 1)
	r.ask("", "a", "p")
	r.pass(2 * window)
	assert.Equal(t, "a q +", r.ask("", "a", "q"))
	r.pass(100 * window)
	assert.Equal(t, "0 [0 0]", r.stats()[2:])
	assert.Equal(t, "a p +", r.ask("", "a", "p"))
}

// The streams of a tenant are never more than it may have, whatever comes: of these one is kept for what fits nowhere.
func TestTheBoundOfStreamsIsExact(t *testing.T) {
	f := func(maxStreams int, tenants, shared int) {
		t.Helper()
		r := newRig(maxStreams, 50, 50, 50)
		dice := rand.New(rand.NewPCG(1, uint64(maxStreams))) //nolint:gosec // the same each time
		streams := map[string]map[string]bool{}
		for range 5000 {
			tenant := fmt.Sprint("t", dice.IntN(tenants))
			if streams[tenant] == nil {
				streams[tenant] = map[string]bool{}
			}
			streams[tenant][r.left(tenant, fmt.Sprint("s", dice.IntN(60)), fmt.Sprint("p", dice.IntN(60)), fmt.Sprint("u", dice.IntN(5)))] = true
		}
		own, others := 0, 0
		for tenant, of := range streams {
			assert.LessOrEqual(t, len(of), maxStreams, "%s", tenant)
			if r.tenants[tenant] != nil {
				own++
				assert.GreaterOrEqual(t, len(of), maxStreams-1, "and they are used")
				continue
			}
			delete(of, "overflow  ")
			others += len(of)
		}
		assert.Equal(t, min(3, tenants), own)
		if shared > 0 {
			assert.Equal(t, maxStreams-1, others, "of those that share one")
		}
		assert.Equal(t, maxStreams-1, r.Stats(r.at).Streams)
	}
	f(2, 1, 0)
	f(3, 1, 0)
	f(100, 1, 0)
	f(100, 3, 0)
	f(20, 4, 1)
	f(20, 10, 7)
}

// When streams run out, the label with the most values goes first: it is the one that explodes. Of 40 streams whole ones get 30, those that do without
// one of two labels 35, and the service alone all but the one of what fits nowhere.
func TestWhichLabelGoesFirst(t *testing.T) {
	r := newRig(41, 100, 100, 100)
	for i := range 28 {
		assert.Equal(t, fmt.Sprintf("a p%d x +", i), r.ask("", "a", fmt.Sprint("p", i), "x"))
	}
	assert.Equal(t, "a p0 y +", r.ask("", "a", "p0", "y"))
	assert.Equal(t, "a  x +", r.ask("", "a", "", "x"))
	assert.Equal(t, "1 30 [1 28 2]", r.stats())
	assert.Equal(t, "a ~p30 x", r.ask("", "a", "p30", "x"), "the stream without it is known")
	assert.Equal(t, "a ~p1 y +", r.ask("", "a", "p1", "y"), "though both values are")
	for i := range 4 {
		assert.Equal(t, fmt.Sprintf("b%d ~p1 x +", i), r.ask("", fmt.Sprint("b", i), "p1", "x"))
	}
	assert.Equal(t, "1 35 [5 28 2]", r.stats())
	assert.Equal(t, "b0 ~p1 ~y +", r.ask("", "b0", "p1", "y"))
	assert.Equal(t, "c ~p1 ~x +", r.ask("", "c", "p1", "x"), "one after the other, until the service is left")
	assert.Equal(t, "d   +", r.ask("", "d", "", ""))
	assert.Equal(t, "e ~p1  +", r.ask("", "e", "p1", ""))
	assert.Equal(t, "f  ~x +", r.ask("", "f", "", "x"))
	assert.Equal(t, "1 40 [9 28 2]", r.stats())
	assert.Equal(t, "~g ~p1 ~x", r.ask("", "g", "p1", "x"), "or nothing is")
	assert.Equal(t, "~g  ", r.ask("", "g", "", ""))
	assert.Equal(t, "b3 ~p1 x", r.ask("", "b3", "p1", "x"), "what is known passes")
	assert.Equal(t, "a p27 x", r.ask("", "a", "p27", "x"))
	assert.Equal(t, "1 40 [9 28 2]", r.stats(), "what does not fit is not known then")
}

// A label that explodes leaves room for services that come later, under all their other labels.
func TestAnExplosionLeavesRoom(t *testing.T) {
	r := newRig(101, 1000, 1000, 1000)
	for i := range 1000 {
		r.ask("", "a", fmt.Sprint("p", i), "prod")
	}
	for i := range 11 {
		service := fmt.Sprint("s", i)
		assert.Equal(t, service+" ~p prod +", r.ask("", service, "p", "prod"))
	}
}

func TestOfEqualsTheLessImportantLabelGoesFirst(t *testing.T) {
	r := newRig(3, 100, 100, 100)
	r.ask("", "a", "p", "")
	r.ask("", "a", "", "x")
	assert.Equal(t, "a p ~x", r.ask("", "a", "p", "x"))
}

// The service goes last, even when it has most values.
func TestTheServiceGoesLast(t *testing.T) {
	r := newRig(6, 100, 100)
	r.ask("", "s0", "p")
	for i := range 4 {
		r.ask("", fmt.Sprint("s", i), "")
	}
	assert.Equal(t, "s3 ~p", r.ask("", "s3", "p"))
	assert.Equal(t, "~s4 ~p", r.ask("", "s4", "p"))
	assert.Equal(t, "~s5 ", r.ask("", "s5", ""))
}

// A tenant's budget is its own, until there are more tenants than may have one.
func TestTenants(t *testing.T) {
	r := newRig(100, 1, 1)
	for _, tenant := range []string{"t0", "t1", "t2"} {
		assert.Equal(t, "a p +", r.ask(tenant, "a", "p"))
		assert.Equal(t, "a !q +", r.ask(tenant, "a", "q"))
	}
	assert.Equal(t, "a p +", r.ask("t3", "a", "p"), "the others share one")
	assert.Equal(t, "a p +", r.ask("t4", "a", "p"), "but a stream of one is none of another")
	assert.Equal(t, "!b p +", r.ask("t3", "b", "p"))
	assert.Equal(t, "3 3 [1 1]", r.stats())
	assert.Equal(t, "!z !y", r.ask("t3", "z", "y")[:5])
	for range 20 {
		r.pass(window / 5)
		r.ask("t0", "a", "p")
		r.ask("t3", "z", "y")
	}
	assert.Equal(t, "2 1 [1 1]", r.stats(), "tenants that went away leave their places")
	assert.Equal(t, "z y", r.ask("t3", "z", "y"), "and one that shared has a budget of its own")
	assert.Equal(t, "a !q +", r.ask("t0", "a", "q"))
}

// Goroutines that ask at once: what is a label once stays one, and the bounds hold.
func TestConcurrency(t *testing.T) {
	const goroutines, streams = 8, 60
	r := newRig(streams, 40, 40)
	var mu sync.Mutex
	seen := map[string]bool{}
	var wg sync.WaitGroup
	for g := range goroutines {
		wg.Go(func() {
			dice := rand.New(rand.NewPCG(uint64(g), 1)) //nolint:gosec // the same each time
			mine := map[string]string{}
			for range 3000 {
				values := []string{fmt.Sprint("s", dice.IntN(50)), fmt.Sprint("p", dice.IntN(50))}
				left := r.left("", values...)
				key := fmt.Sprint(values)
				if before, ok := mine[key]; ok && before == values[0]+" "+values[1] {
					assert.Equal(t, before, left)
				}
				mine[key] = left
				mu.Lock()
				seen[left] = true
				mu.Unlock()
				if dice.IntN(100) == 0 {
					r.Stats(r.at)
					r.Snapshot(r.at)
				}
			}
		})
	}
	wg.Wait()
	assert.Len(t, seen, streams)
	s := r.Stats(r.at)
	assert.Equal(t, streams-1, s.Streams)
	assert.LessOrEqual(t, slices.Max(s.Values), 40)
}
