package cardinalitylimiterprocessor

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/pdata/pmetric"
)

// again starts another limiter over the folder of one that has stopped.
func (r *rig) again(dir string, configure func(*Config)) *rig {
	r.t.Helper()
	r.shutdown()
	next := newRig(r.t, configure, in(dir), at(r.clock.now().Add(time.Minute)))
	next.out = r.out
	next.next = r.out
	return next
}

func TestARestartKeepsEverybodysPlace(t *testing.T) {
	f := func(configure func(*Config)) {
		t.Helper()
		dir := t.TempDir()
		r := newRig(t, configure, in(dir))
		where := map[string]any{"service.name": "shop", "host": "h"}
		r.send(from(where, counter("m", 0, 100)))
		before := unfolded(r.out.take())
		require.Len(t, before, 20)
		for range 3 { // also when nobody came meanwhile
			r = r.again(dir, configure)
			r.out.take()
			assert.Equal(t, 20, r.active())
		}
		r.send(from(where, counter("m", 200, 300)))
		assert.Empty(t, unfolded(r.out.take()), "those that come first after it take no place")
		r.send(from(where, counter("m", 0, 100)))
		assert.Equal(t, before, unfolded(r.out.take()))
		r.pass(r.cfg.IdleTimeout + r.cfg.IdleTimeout/16)
		r.send(from(where, counter("m", 200, 300)))
		assert.Len(t, unfolded(r.out.take()), 20, "idle is idle")
	}
	f(perMetric(20, "overflow"))
	f(fromFile(t, moreDims(20)))
}

// With other rules, too.
func TestARestartWithOtherDimensionsKeepsEverybodysPlace(t *testing.T) {
	dir := t.TempDir()
	r := newRig(t, fromFile(t, limitOf(20)), in(dir))
	r.send(batch("shop", counter("m", 0, 20)))
	r.out.take()
	r = r.again(dir, fromFile(t, moreDims(20)))
	r.send(batch("shop", counter("m", 0, 3)))
	r = r.again(dir, fromFile(t, moreDims(20))) // most were not seen in between
	r.out.take()
	r.send(batch("shop", counter("m", 100, 200)))
	assert.Empty(t, unfolded(r.out.take()))
	r.send(batch("shop", counter("m", 0, 20)))
	assert.Len(t, unfolded(r.out.take()), 20)
}

// Totals go on over a restart: nothing is counted twice, nothing goes back.
func TestTotalsGoOnOverARestart(t *testing.T) {
	for _, s := range forms() {
		t.Run(s.name, func(t *testing.T) {
			dir := t.TempDir()
			configure := perMetric(4, "overflow")
			r := newRig(t, configure, in(dir))
			var all []sample
			for round := range 6 {
				all = append(all, r.round(s, round, 10)...)
				if round == 1 || round == 3 {
					r.out.err = errLater // what is refused at the end goes on in the next run
				}
				if round%2 == 1 {
					r.shutdown()
					at := r.clock.now()
					r.out.err = nil
					all = append(all, r.out.take()...)
					r = newRig(t, configure, in(dir), func(s *setup) { s.at = at })
				}
			}
			all = append(all, r.folded()...)
			value, _ := said(all, s.kind)
			assert.InDelta(t, 10*(3+2*5), value, 0)
			assert.Len(t, streams(all), 5)
			inOrder(t, all)
		})
	}
}

// After a crash the deltas of a flush that got through are not sent again, and cumulative totals do not go back.
func TestACrashAfterAFlush(t *testing.T) {
	for _, s := range forms() {
		t.Run(s.name, func(t *testing.T) {
			dir := t.TempDir()
			r := newRig(t, perMetric(4, "overflow"), in(dir))
			all := r.round(s, 0, 10)
			all = append(all, r.round(s, 1, 10)...)
			copied := crash(t, dir)
			r = newRig(t, perMetric(4, "overflow"), in(copied), at(r.clock.now()))
			r.mu.Lock()
			r.limits.Learn(false)
			r.mu.Unlock()
			all = append(all, r.folded()...)
			value, _ := said(having(all, overflowKey), s.kind)
			assert.InDelta(t, 6*(3+2), value, 0)
			inOrder(t, having(all, overflowKey))
		})
	}
}

func TestDamagedSnapshotsAreRefused(t *testing.T) {
	f := func(key string, damage func([]byte) []byte, series int, folded float64) {
		t.Helper()
		storage := &memoryStorage{data: map[string][]byte{}}
		configure := func(c *Config) {
			perMetric(20, "overflow")(c)
			c.StartupGrace = time.Hour
		}
		r := newRig(t, configure, over(storage))
		r.learn(false)
		r.send(batch("shop", func(ms pmetric.MetricSlice) {
			m := ms.AppendEmpty()
			m.SetName("m")
			forms()[1].build(m, 0, 50)
		}))
		r.shutdown()
		storage.data[key] = damage(storage.data[key])
		r = newRig(t, configure, over(storage), at(epoch.Add(time.Minute)))
		assert.Equal(t, series, r.active())
		assert.Equal(t, series == 0, r.learning, "what is not known is learnt")
		assert.InDelta(t, folded, total(r.folded()), 0)
		if series == 0 || folded == 0 {
			assert.Equal(t, map[string]int64{"": 1}, r.counted("storage_errors", "none"))
		} else {
			assert.Empty(t, r.counted("storage_errors", "none"))
		}
	}
	whole := func(b []byte) []byte { return b }
	cut := func(b []byte) []byte { return b[:len(b)-1] }
	short := func([]byte) []byte { return []byte{snapshotVersion} }
	flipped := func(b []byte) []byte { b[len(b)/2] ^= 4; return b }
	other := func(b []byte) []byte { b[0]++; return b }
	f(keySeries, whole, 20, 90)
	for _, damage := range []func([]byte) []byte{cut, short, flipped, other} {
		f(keySeries, damage, 0, 0)
		f(keyFolds, damage, 20, 0)
	}
}

func TestStorageThatIsNoneFailsTheStart(t *testing.T) {
	f := func(want string, extensions map[component.ID]component.Component) {
		t.Helper()
		_, err := tryRig(t, perMetric(1, "drop"), func(s *setup) { s.extensions = extensions })
		require.ErrorContains(t, err, want)
	}
	f("storage: extension \"file_storage\" is not there", map[component.ID]component.Component{})
	f("storage: extension \"file_storage\" keeps nothing", map[component.ID]component.Component{storageID: struct {
		component.StartFunc
		component.ShutdownFunc
	}{}})
}

// A disk that is full loses nothing but the state: it is told and counted.
func TestStorageThatFailsIsCounted(t *testing.T) {
	storage := &memoryStorage{data: map[string][]byte{}}
	r := newRig(t, perMetric(1, "overflow"), over(storage))
	storage.fails = errLater
	r.send(batch("shop", counter("m", 0, 5)))
	assert.InDelta(t, 5, total(append(r.out.take(), r.folded()...)), 0)
	assert.Positive(t, r.counted("storage_errors", "none")[""])
	assert.NotEmpty(t, r.foldCounts().SnapshotError)
	storage.fails = nil
	r.saveSeries(context.Background(), true)
	assert.NotEmpty(t, r.foldCounts().SnapshotError, "the totals are not stored as yet")
	r.send(batch("shop", counter("m", 0, 5)))
	r.folded()
	assert.Empty(t, r.foldCounts().SnapshotError)
}
