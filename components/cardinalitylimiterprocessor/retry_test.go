package cardinalitylimiterprocessor

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/consumer/consumererror"
)

var (
	errLater = errors.New("later")
	errNever = consumererror.NewPermanent(errors.New("never"))
)

// What is folded is folded once the rest of its batch was taken: a batch that is refused comes again.
func TestARefusedBatchThatComesAgainCountsOnce(t *testing.T) {
	r := newRig(t, perMetric(10, "overflow"))
	r.out.err = errLater
	for range 3 {
		require.ErrorIs(t, r.ConsumeMetrics(context.Background(), batch("shop", counter("m", 0, 100))), errLater)
	}
	assert.Empty(t, r.points())
	r.out.err = nil
	r.send(batch("shop", counter("m", 0, 100)))
	got := append(r.out.take(), r.folded()...)
	assert.InDelta(t, 100, total(got), 0)
	assert.Equal(t, map[string]int64{"passed": 10, "overflow": 90}, r.points())
}

// Nobody sends a batch again that was refused for good: what is folded of it counts.
func TestABatchThatIsRefusedForGoodIsFoldedAllTheSame(t *testing.T) {
	r := newRig(t, perMetric(10, "overflow"))
	r.out.err = errNever
	require.Error(t, r.ConsumeMetrics(context.Background(), batch("shop", counter("m", 0, 100))))
	r.out.err = nil
	assert.InDelta(t, 90, total(r.folded()), 0)
	assert.Equal(t, map[string]int64{"passed": 10, "overflow": 90}, r.points())
}

func TestARefusedFlushComesAgain(t *testing.T) {
	r := newRig(t, perMetric(10, "overflow"))
	var all []sample
	for range 3 {
		r.send(batch("shop", counter("m", 0, 100)))
		r.clock.advance(time.Second)
		r.out.err = errLater
		require.ErrorIs(t, r.flush(context.Background()), errLater)
		r.out.err = nil
	}
	all = append(all, r.out.take()...)
	all = append(all, r.folded()...)
	r.send(batch("shop", counter("m", 0, 100)))
	all = append(all, r.out.take()...)
	all = append(all, r.folded()...)
	assert.InDelta(t, 400, total(all), 0)
	flushed := having(all, "otel.metric.overflow")
	require.Len(t, flushed, 2)
	inOrder(t, flushed)
	assert.Empty(t, r.folded(), "and nothing is sent twice")
}

func TestAFlushThatIsRefusedForGoodIsCounted(t *testing.T) {
	r := newRig(t, perMetric(10, "overflow"))
	r.send(batch("shop", counter("m", 0, 100)))
	r.out.take()
	r.out.err = errNever
	r.clock.advance(time.Second)
	require.NoError(t, r.flush(context.Background()))
	r.out.err = nil
	assert.Equal(t, map[string]int64{"refused": 1}, r.drops())
	assert.Empty(t, r.folded())
}

func TestShutdownSendsWhatIsFolded(t *testing.T) {
	r := newRig(t, perMetric(10, "overflow"))
	r.send(batch("shop", counter("m", 0, 100)))
	r.shutdown()
	assert.InDelta(t, 100, total(r.out.take()), 0)
}

func TestAtShutdownWithoutStorageWhatIsRefusedIsCounted(t *testing.T) {
	var moving clock // the last flush must not see the time stand still
	moving.at = epoch
	r := newRig(t, perMetric(10, "overflow"))
	r.now = func() time.Time {
		moving.advance(time.Millisecond)
		return moving.now()
	}
	r.send(batch("shop", counter("m", 0, 100)))
	r.out.take()
	r.out.err = errLater
	r.shutdown()
	_, drops := r.tel.totals()
	assert.Equal(t, map[string]int64{"refused": 1}, drops)
}

// In the background, too: a refusal is told and counted, and the next flush brings everything.
func TestRefusalsInTheBackgroundAreCounted(t *testing.T) {
	r := newRig(t, func(c *Config) {
		perMetric(1, "overflow")(c)
		c.Overflow.FlushInterval = time.Second
	})
	r.send(batch("shop", counter("m", 0, 10)))
	r.out.take()
	r.out.mu.Lock()
	r.out.err = errLater
	r.out.mu.Unlock()
	r.clock.advance(time.Second)
	require.Eventually(t, func() bool { return r.counted("flush_refusals", "none")[""] > 0 }, 20*time.Second, 10*time.Millisecond)
	r.out.mu.Lock()
	r.out.err = nil
	r.out.mu.Unlock()
	var got []sample
	require.Eventually(t, func() bool {
		r.clock.advance(time.Second)
		got = append(got, r.out.take()...)
		return len(got) > 0
	}, 20*time.Second, 10*time.Millisecond)
	assert.InDelta(t, 9, total(got), 0)
}

// A clock that is set back neither silences streams until it has caught up, nor gives a time twice.
func TestAClockThatIsSetBackSilencesNobody(t *testing.T) {
	for _, f := range forms() {
		t.Run(f.name, func(t *testing.T) {
			r := newRig(t, perMetric(4, "overflow"))
			all := r.round(f, 0, 10)
			r.clock.advance(-time.Hour)
			all = append(all, r.round(f, 1, 10)...)
			all = append(all, r.round(f, 2, 10)...)
			r.clock.advance(-time.Hour)
			r.shutdown()
			all = append(all, r.out.take()...)
			value, _ := said(all, f.kind)
			assert.InDelta(t, 10*(3+2+2), value, 0)
			inOrder(t, having(all, overflowKey))
		})
	}
}
