package durabletailsamplingprocessor

import (
	"context"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// A stop while the next exporter's queue is full ends by itself; the journal keeps what was not handed on, and that comes after the next
// start, also what was decided on behind the first that was refused, and spans that came late.
func TestStoppedWhileBlocked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d, b := newDisk(), &backend{spans: map[span]int{}}
		s := start(t, d, b, nil)
		require.NoError(t, s.ConsumeTraces(t.Context(), traces(span{1, failed}))) // decided in time
		time.Sleep(10 * time.Second)
		require.Len(t, b.got(), 1)
		b.set(make(chan struct{}), nil)
		var senders sync.WaitGroup
		acked := map[span]bool{}
		var mu sync.Mutex
		for n := range uint64(100) {
			batch := []span{{2 + n, failed}, {1, 100 + n}, {200 + n, failed}}
			senders.Go(func() {
				if s.ConsumeTraces(context.Background(), traces(batch...)) == nil {
					mu.Lock()
					defer mu.Unlock()
					for _, sp := range batch {
						acked[sp] = true
					}
				}
			})
			time.Sleep(tick)
		}
		time.Sleep(time.Hour)
		before := time.Now()
		senders.Wait() // a receiver stops first, and that waits for its calls
		require.Zero(t, time.Since(before), "calls wait for the next component")
		require.NotEmpty(t, acked)
		require.Less(t, len(acked), 3*50, "what is more than may wait is refused")
		before = time.Now()
		done := make(chan error, 1)
		go func() { done <- s.Shutdown(context.Background()) }()
		select {
		case err := <-done:
			require.NoError(t, err)
		case <-time.After(time.Hour):
			t.Fatal("the stop waits for the next component")
		}
		assert.Less(t, time.Since(before), 2*shutdownPatience)
		b.set(nil, nil)
		s = start(t, d, b, nil)
		time.Sleep(10 * time.Second)
		require.NoError(t, s.Shutdown(t.Context()))
		for sp := range acked {
			assert.Equal(t, 1, b.got()[sp], "%v", sp)
		}
		assert.Equal(t, 1, b.got()[span{1, failed}], "handed on long before")
	})
}

// A sender of a batch now and then: kill -9 between two of them repeats no trace that was handed on a second before.
func TestKilledWhenQuiet(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d, b := newDisk(), &backend{spans: map[span]int{}}
		s := start(t, d, b, nil)
		for n := range uint64(5) {
			require.NoError(t, s.ConsumeTraces(t.Context(), traces(span{n, failed}, span{100 + n, 1})))
			time.Sleep(2 * time.Second)
		}
		time.Sleep(10 * time.Second)
		dead := d.copy()
		require.NoError(t, s.Shutdown(t.Context()))
		require.Len(t, b.got(), 5)
		s = start(t, dead, b, nil)
		time.Sleep(10 * time.Second)
		require.NoError(t, s.Shutdown(t.Context()))
		for sp, times := range b.got() {
			assert.Equal(t, 1, times, "%v", sp)
		}
	})
}
