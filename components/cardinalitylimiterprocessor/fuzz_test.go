package cardinalitylimiterprocessor

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/consumer/consumererror"
	"go.opentelemetry.io/collector/extension/xextension/storage"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/pmetric"

	"github.com/sluice-otel/sluice/components/cardinalitylimiterprocessor/internal/fold"
)

// memoryStorage is a storage extension for many restarts a second.
type memoryStorage struct {
	component.StartFunc
	component.ShutdownFunc
	data  map[string][]byte
	fails error
}

func (s *memoryStorage) GetClient(context.Context, component.Kind, component.ID, string) (storage.Client, error) {
	return s, nil
}

func (s *memoryStorage) Get(_ context.Context, key string) ([]byte, error) { return s.data[key], nil }

func (s *memoryStorage) Set(_ context.Context, key string, value []byte) error {
	if s.fails == nil {
		s.data[key] = value
	}
	return s.fails
}

func (s *memoryStorage) Delete(_ context.Context, key string) error {
	delete(s.data, key)
	return nil
}

func (*memoryStorage) Batch(context.Context, ...*storage.Operation) error {
	return errors.New("not used")
}

func (*memoryStorage) Close(context.Context) error { return nil }

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
	marking := w.dice.roll(10) == 0
	for range 1 + w.dice.roll(2) {
		rm := md.ResourceMetrics().AppendEmpty()
		rm.Resource().Attributes().PutStr("service.name", fmt.Sprint("s", w.dice.roll(2)))
		sm := rm.ScopeMetrics().AppendEmpty()
		for range 1 + w.dice.roll(2) {
			w.metric(sm.Metrics().AppendEmpty(), marking)
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

func (w *world) metric(m pmetric.Metric, marking bool) {
	flags := pmetric.DefaultDataPointFlags.WithNoRecordedValue(marking)
	temporality := []pmetric.AggregationTemporality{pmetric.AggregationTemporalityDelta, pmetric.AggregationTemporalityCumulative}
	count := 1 + w.dice.roll(3)
	switch kind := w.dice.roll(8); kind {
	case 0, 1, 2:
		m.SetName("tracked.sum")
		s := m.SetEmptySum()
		s.SetIsMonotonic(true)
		s.SetAggregationTemporality(temporality[0])
		for range count {
			p := s.DataPoints().AppendEmpty()
			p.SetIntValue(int64(1 + w.dice.roll(3)))
			w.stamp(p, flags)
		}
	case 3:
		m.SetName("tracked.histogram")
		h := m.SetEmptyHistogram()
		h.SetAggregationTemporality(temporality[0])
		for range count {
			p := h.DataPoints().AppendEmpty()
			p.SetCount(3)
			p.SetSum(5)
			p.ExplicitBounds().FromRaw([][]float64{{1}, {1, 2}, {3}}[w.dice.roll(3)])
			p.BucketCounts().FromRaw([]uint64{1, 2, 0}[:p.ExplicitBounds().Len()+1])
			w.stamp(p, flags)
		}
	case 4:
		m.SetName("wild.number")
		if w.dice.roll(2) == 0 {
			w.numbers(m.SetEmptyGauge().DataPoints(), count, flags)
			return
		}
		s := m.SetEmptySum()
		s.SetIsMonotonic(w.dice.roll(2) == 0)
		s.SetAggregationTemporality(temporality[w.dice.roll(2)])
		w.numbers(s.DataPoints(), count, flags)
	case 5:
		m.SetName("wild.histogram")
		h := m.SetEmptyHistogram()
		h.SetAggregationTemporality(temporality[w.dice.roll(2)])
		for range count {
			p := h.DataPoints().AppendEmpty()
			p.SetCount(uint64(w.dice.roll(6)))
			p.SetSum(w.float())
			p.ExplicitBounds().FromRaw([][]float64{{1}, {1, 2}, {2, 1}, {math.NaN()}, nil}[w.dice.roll(5)])
			p.BucketCounts().FromRaw([]uint64{uint64(w.dice.roll(4)), 2, 0}[:w.dice.roll(4)])
			w.stamp(p, flags)
		}
	case 6:
		m.SetName("wild.exponential")
		h := m.SetEmptyExponentialHistogram()
		h.SetAggregationTemporality(temporality[w.dice.roll(2)])
		for range count {
			p := h.DataPoints().AppendEmpty()
			p.SetScale(int32(w.dice.roll(60) - 30))
			p.SetZeroThreshold(w.float())
			p.SetZeroCount(uint64(w.dice.roll(3)))
			p.Positive().SetOffset([]int32{0, -5, math.MaxInt32, math.MinInt32}[w.dice.roll(4)])
			p.Positive().BucketCounts().FromRaw([]uint64{1, 0, 2}[:w.dice.roll(4)])
			for _, n := range p.Positive().BucketCounts().All() {
				p.SetCount(p.Count() + n)
			}
			p.SetCount(p.Count() + p.ZeroCount())
			p.SetSum(w.float())
			w.stamp(p, flags)
		}
	case 7:
		m.SetName("wild.summary")
		for range count {
			p := m.SetEmptySummary().DataPoints().AppendEmpty()
			p.SetCount(uint64(w.dice.roll(5)))
			p.SetSum(w.float())
			w.stamp(p, flags)
		}
	}
}

func (w *world) numbers(points pmetric.NumberDataPointSlice, count int, flags pmetric.DataPointFlags) {
	for range count {
		p := points.AppendEmpty()
		switch w.dice.roll(3) {
		case 0:
			p.SetIntValue([]int64{0, 1, -1, math.MaxInt64, math.MinInt64}[w.dice.roll(5)])
		case 1:
			p.SetDoubleValue(w.float())
		}
		w.stamp(p, flags)
	}
}

func (w *world) float() float64 {
	return []float64{0, 1, -1.5, math.Copysign(0, -1), math.NaN(), math.Inf(1), math.Inf(-1), math.MaxFloat64}[w.dice.roll(8)]
}

func (w *world) stamp(p interface {
	Attributes() pcommon.Map
	SetStartTimestamp(pcommon.Timestamp)
	SetTimestamp(pcommon.Timestamp)
	SetFlags(pmetric.DataPointFlags)
}, flags pmetric.DataPointFlags,
) {
	now := pcommon.NewTimestampFromTime(w.r.clock.now())
	p.SetStartTimestamp([]pcommon.Timestamp{0, now - 1e9, now, 1, now + 1e9, math.MaxUint64}[w.dice.roll(6)])
	p.SetTimestamp([]pcommon.Timestamp{now, now - 5e9, 0, now + 1e9, math.MaxUint64}[w.dice.roll(5)])
	p.SetFlags(flags)
	p.Attributes().PutStr("user", fmt.Sprint("u", w.dice.roll(9)))
	switch w.dice.roll(7) {
	case 0:
		p.Attributes().PutEmptyMap("odd").PutInt("n", 1)
	case 1:
		p.Attributes().PutDouble("odd", math.NaN())
	case 2:
		p.Attributes().PutEmptyBytes("\xff").FromRaw([]byte{0})
	}
}

// tracked points are whole: all that they say has to come out again.
func tracked(s *sample) bool { return s.metric == "tracked.sum" || s.metric == "tracked.histogram" }

// look judges what came out, and tells which identities came unfolded.
func (w *world) look() (came map[string]bool) {
	came = map[string]bool{}
	for _, s := range samplesOf(w.r.out.later...) {
		if !s.folded && !s.ended { // it has its place
			w.pass(&s)
		}
	}
	all := append(samplesOf(w.r.out.batches...), samplesOf(w.r.out.lost...)...)
	w.r.out.batches, w.r.out.lost, w.r.out.later = nil, nil, nil
	for i := range all {
		s := &all[i]
		if tracked(s) && !s.ended {
			w.out[s.metric] += s.value
		}
		if s.folded {
			w.folded(s)
			continue
		}
		came[s.id] = true
		if s.ended {
			delete(w.live, s.id)
			continue
		}
		w.pass(s)
	}
	return came
}

// pass notes a series that came unfolded. One that was not there needs room.
func (w *world) pass(s *sample) {
	now := w.r.clock.now()
	seen, known := w.live[s.id]
	if !known {
		w.fits(s)
	}
	if now.After(seen) {
		seen = now
	}
	w.live[s.id] = seen
}

// fits tells whether there was room for a series that was not there for a while. If it was not there ever, it had to fit what holds now.
func (w *world) fits(s *sample) {
	n := 0
	for id := range w.live {
		if w.budget[id] == s.metric {
			n++
		}
	}
	limit := w.highest
	if w.budget[s.id] == "" {
		limit = w.limit
	}
	w.budget[s.id] = s.metric
	require.Less(w.t, n, limit, "one more series of %s: %s", s.metric, s.id)
}

// folded streams have one writer: their times go on, their intervals do not overlap, and their totals grow.
func (w *world) folded(s *sample) {
	before, known := w.last[s.id]
	w.last[s.id] = *s
	if !known {
		return
	}
	require.Greater(w.t, s.time, before.time, s.id)
	switch {
	case s.kind == fold.Gauge || before.ended || s.ended:
	case s.kind == fold.DeltaSum || s.kind == fold.DeltaHistogram || s.kind == fold.DeltaExponential:
		require.GreaterOrEqual(w.t, s.start, before.time, s.id)
	case s.start != before.start:
		require.GreaterOrEqual(w.t, s.start, before.time, s.id)
	case s.kind != fold.CumulativeUpDown:
		require.GreaterOrEqual(w.t, s.value, before.value, s.id)
	}
}

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
