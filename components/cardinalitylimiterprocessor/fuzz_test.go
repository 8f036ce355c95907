package cardinalitylimiterprocessor

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/consumer/consumererror"
	"go.opentelemetry.io/collector/pdata/pmetric"
)

// dice gives the fuzzer's bytes, and zeros after them.
type dice struct{ bytes []byte }

func (d *dice) roll(sides int) int {
	if len(d.bytes) == 0 {
		return 0
	}
	b := d.bytes[0]
	d.bytes = d.bytes[1:]
	return int(b) % sides
}

// world is a limiter, whoever sends to it and whoever gets what comes out.
type world struct {
	t       *testing.T
	dice    *dice
	r       *rig
	storage *memoryStorage
	file    string
	limit   int
	highest int // so far
	latest  time.Time

	in, out  map[string]float64 // by metric, what is said in deltas
	pointsIn int64
	points   map[string]int64     // of earlier runs
	live     map[string]time.Time // identities that came unfolded, and when they came last
	budget   map[string]string    // theirs
	last     map[string]sample    // of identities that came folded
	fate     map[string]bool      // whether an input identity passes, as long as it is active
	seen     map[string]time.Time // when it came last
}

const fuzzIdle = time.Minute

func (w *world) begin() {
	cfg := func(c *Config) {
		c.LimitsFile = w.file
		c.IdleTimeout = fuzzIdle
		c.MaxMemoryMiB = 8
		c.Overflow.Gauge = gaugeFolds[len(w.dice.bytes)%len(gaugeFolds)]
	}
	at := epoch
	if w.r != nil {
		at = w.r.clock.now()
	}
	w.r = newRig(w.t, cfg, over(w.storage), func(s *setup) { s.at, s.instance = at, "one" })
}

// over keeps state in a storage extension that the test has.
func over(s *memoryStorage) func(*setup) { return func(to *setup) { to.storage = s } }

func (w *world) writeLimits(limit int) {
	w.limit, w.highest = limit, max(limit, w.highest)
	actions := []string{"overflow", "degrade"}
	text := fmt.Sprintf("rules:\n- {name: metric, per: [metric], max_series: %d, action: %s}\n- {name: look, per: [metric], max_series: 1, mode: observe}\n",
		limit, actions[limit%2])
	if w.dice.roll(2) == 0 { // tells places apart in another way
		text += "- {name: host, per: [resource.host], max_series: 1000}\n"
	}
	require.NoError(w.t, os.WriteFile(w.file, []byte(text), 0o600))
}

// play is one move.
func (w *world) play() {
	switch w.dice.roll(12) {
	case 0:
		w.r.clock.advance(time.Duration(w.dice.roll(100)) * time.Second)
		w.tidy()
	case 1:
		// Ages go by a clock that does not go back: they would be wrong if this were more than a few steps.
		now := w.r.clock.now()
		if w.latest.Before(now) {
			w.latest = now
		}
		w.r.clock.advance(max(-time.Duration(w.dice.roll(10))*time.Second, w.latest.Add(-15*time.Second).Sub(now)))
	case 2:
		w.tidy()
	case 3:
		w.writeLimits(1 + w.dice.roll(6))
		require.NoError(w.t, w.r.readLimits(false))
		maps.DeleteFunc(w.fate, func(_ string, passes bool) bool { return !passes }) // they may pass now
	case 4:
		w.restart()
	case 5, 6:
		w.flush()
	default:
		w.batch()
	}
}

func (w *world) refusal() error {
	switch w.dice.roll(8) {
	case 0:
		return errors.New("later")
	case 1:
		return consumererror.NewPermanent(errors.New("never"))
	}
	return nil
}

func (w *world) flush() {
	w.r.clock.advance(time.Second)
	w.r.out.err = w.refusal()
	err := w.r.flush(context.Background())
	if err != nil {
		require.Equal(w.t, w.r.out.err, err)
	}
	w.r.out.err = nil
	w.look()
}

func (w *world) restart() {
	w.r.clock.advance(20 * time.Second) // past what the clock went back
	w.r.out.err = nil
	if w.dice.roll(2) == 0 {
		w.r.out.err = errors.New("down")
	}
	w.r.shutdown()
	w.r.out.err = nil
	w.look()
	w.addPoints()
	w.begin()
}

func (w *world) addPoints() {
	points, _ := w.r.tel.totals()
	for k, n := range points {
		w.points[k] += n
	}
}

// batch sends one. A sender that is told to come again later does so, or gives up.
func (w *world) batch() {
	md := pmetric.NewMetrics()
	for range 1 + w.dice.roll(2) {
		rm := md.ResourceMetrics().AppendEmpty()
		rm.Resource().Attributes().PutStr("service.name", fmt.Sprint("s", w.dice.roll(2)))
		sm := rm.ScopeMetrics().AppendEmpty()
		for range 1 + w.dice.roll(2) {
			w.metric(sm.Metrics().AppendEmpty())
		}
	}
	again := pmetric.NewMetrics()
	md.CopyTo(again)
	sent := samplesOf(again)
	w.r.out.err = w.refusal()
	err := w.r.ConsumeMetrics(context.Background(), md)
	w.r.out.err = nil
	if err != nil && !consumererror.IsPermanent(err) {
		w.look()
		if w.dice.roll(2) == 0 {
			return
		}
		w.r.clock.advance(time.Second)
		md = pmetric.NewMetrics()
		again.CopyTo(md)
		require.NoError(w.t, w.r.ConsumeMetrics(context.Background(), md))
	}
	w.pointsIn += int64(again.DataPointCount())
	came := w.look()
	now := w.r.clock.now()
	for i := range sent {
		s := &sent[i]
		if !tracked(s) {
			continue
		}
		if s.ended {
			delete(w.fate, s.id)
			delete(w.seen, s.id)
			continue
		}
		w.in[s.metric] += s.value
		if before, known := w.fate[s.id]; known {
			require.Equal(w.t, before, came[s.id], "it passed before (true) or was folded (false): %s", s.id)
		}
		w.fate[s.id], w.seen[s.id] = came[s.id], now
	}
	counted := sum(w.points)
	points, _ := w.r.tel.totals()
	require.Equal(w.t, w.pointsIn, counted+sum(points))
}

// tracked points are whole: all that they say has to come out again.
func tracked(s *sample) bool { return s.metric == "tracked.sum" || s.metric == "tracked.histogram" }

// tidy forgets what the limiter may forget.
func (w *world) tidy() {
	w.r.tidyNow()
	idle := func(seen time.Time) bool { return w.r.clock.now().Sub(seen) >= fuzzIdle-2*fuzzIdle/steps }
	for id, seen := range w.live {
		if idle(seen) {
			delete(w.live, id)
		}
	}
	for id, seen := range w.seen {
		if idle(seen) {
			delete(w.seen, id)
			delete(w.fate, id)
		}
	}
}

func (w *world) end() {
	w.r.clock.advance(time.Hour)
	w.r.out.err = nil
	w.r.shutdown()
	w.look()
	require.Equal(w.t, w.in, w.out)
}

// FuzzConsume plays a limiter's life: batches of everything, refusals, jumps of the clock, sweeps, flushes, reloads, restarts.
func FuzzConsume(f *testing.F) {
	f.Add([]byte{})
	for seed := range byte(40) {
		game := make([]byte, 600)
		for i := range game {
			game[i] = byte(rand.New(rand.NewPCG(uint64(seed), uint64(i))).IntN(256)) //nolint:gosec // the same each time
		}
		f.Add(game)
	}
	f.Fuzz(func(t *testing.T, game []byte) {
		w := &world{
			t: t, dice: &dice{game}, storage: &memoryStorage{data: map[string][]byte{}}, file: filepath.Join(t.TempDir(), "limits.yaml"),
			in: map[string]float64{}, out: map[string]float64{}, points: map[string]int64{}, live: map[string]time.Time{},
			budget: map[string]string{}, last: map[string]sample{}, fate: map[string]bool{}, seen: map[string]time.Time{},
		}
		w.writeLimits(3)
		w.begin()
		for len(w.dice.bytes) > 0 {
			w.play()
		}
		w.end()
	})
}
