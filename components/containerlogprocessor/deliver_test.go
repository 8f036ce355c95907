package containerlogprocessor

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/consumer/consumererror"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/processor/processortest"

	"github.com/sluice-otel/sluice/components/containerlogprocessor/internal/metadata"
)

var errBusy = errors.New("busy")

func busy(int) error { return errBusy }

// refuseFirst refuses the first n calls.
func refuseFirst(n int) func(int) error {
	return func(call int) error {
		if call <= n {
			return errBusy
		}
		return nil
	}
}

func TestRefusedBatchIsTriedAgain(t *testing.T) {
	next := &sink{refuse: refuseFirst(2)}
	p := start(t, next, options{})
	file := logFile{path: podPath}
	send(t, p, file.batch(cri("out", "F", "a"), cri("out", "P", "b")))
	send(t, p, file.batch(cri("out", "F", "c")))
	assert.Equal(t, []string{"a", "bc"}, next.bodies())
}

// The next component may accept some and give back the rest.
func TestPartlyRefusedBatch(t *testing.T) {
	rest := plog.NewLogs()
	rest.ResourceLogs().AppendEmpty().ScopeLogs().AppendEmpty().LogRecords().AppendEmpty().Body().SetStr("the rest")
	next := &sink{refuse: func(call int) error {
		if call == 1 {
			return consumererror.NewLogs(errBusy, rest)
		}
		return nil
	}}
	p := start(t, next, options{})
	file := logFile{path: podPath}
	send(t, p, file.batch(cri("out", "F", "a")))
	assert.Equal(t, []string{"the rest"}, next.bodies())
}

// What is refused for good goes back to the receiver as such, is counted, and does not touch what is held.
func TestRefusedForGood(t *testing.T) {
	tel := componenttest.NewTelemetry()
	t.Cleanup(func() { require.NoError(t, tel.Shutdown(context.Background())) })
	set := processortest.NewNopSettings(metadata.Type)
	set.TelemetrySettings = tel.NewTelemetrySettings()
	next := &sink{refuse: func(call int) error {
		if call == 1 {
			return consumererror.NewPermanent(errBusy)
		}
		return nil
	}}
	p := start(t, next, options{set: &set})
	file := logFile{path: podPath}
	err := p.ConsumeLogs(t.Context(), file.batch(cri("out", "F", "a"), cri("out", "P", "b")))
	require.True(t, consumererror.IsPermanent(err), err)
	assert.Positive(t, p.files.peek(podPath).end(), "the receiver goes on, too")
	send(t, p, file.batch(cri("out", "F", "c")))
	assert.Equal(t, []string{"bc"}, next.bodies())
	assert.Equal(t, int64(1), sum(t, tel, "otelcol_processor_containerlog_dropped_records", nil))
}

// A sibling pipeline refused: the receiver sends all of its pipelines the batch again, as it was.
func TestRetryOfAFanOut(t *testing.T) {
	next := &sink{}
	p := start(t, next, options{})
	lines := []string{cri("out", "F", "a"), cri("out", "P", "b")}
	for range 3 {
		file := logFile{path: podPath}
		send(t, p, file.batch(lines...))
	}
	file := logFile{path: podPath, offset: int64(len(lines[0]) + len(lines[1]) + 2)}
	send(t, p, file.batch(cri("out", "F", "c")))
	assert.Equal(t, []string{"a", "bc"}, next.bodies())
}

// The same offsets with other lines are another file, or one that was truncated.
func TestSameOffsetsAreNotARetry(t *testing.T) {
	next := &sink{}
	p := start(t, next, options{})
	for _, text := range []string{"a", "b", "b"} {
		file := logFile{path: podPath}
		send(t, p, file.batch(text)) // not CRI: nothing in the line itself says when it was written
		file = logFile{path: podPath}
		send(t, p, file.batch(cri("out", "F", text)))
	}
	assert.Equal(t, []string{"a|unknown_format", "a", "b|unknown_format", "b", "b|unknown_format", "b"}, next.bodies())
}

// A single pipeline: the receiver tries again with the object we were given, which we have changed.
func TestRetryOfTheChangedBatch(t *testing.T) {
	next := &sink{refuse: busy}
	p := start(t, next, options{})
	file := logFile{path: podPath}
	ld := file.batch(cri("out", "F", "a"), cri("out", "P", "b"))
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	require.Error(t, p.ConsumeLogs(ctx, ld), "without a storage there is no other place for it")
	next.setRefuse(nil)
	send(t, p, ld)
	send(t, p, file.batch(cri("out", "F", "c")))
	assert.Equal(t, []string{"a", "bc"}, next.bodies())
}

// The receiver stops while the batch is refused: filelog would move the offset and lose it.
func TestStopWhileRefused(t *testing.T) {
	dir := t.TempDir()
	next := &sink{refuse: busy}
	p := start(t, next, options{dir: dir})
	file := logFile{path: podPath}
	stopping, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	for _, text := range []string{"a", "b"} {
		go func() {
			other := logFile{path: podDir + "7.log"}
			ld := file.batch(cri("out", "F", text), cri("out", "P", text+"1"))
			if text == "b" {
				ld = other.batch(cri("out", "F", text), cri("out", "P", text+"1"))
			}
			done <- p.ConsumeLogs(stopping, ld)
		}()
		within(t, "it is refused", func() bool { return next.callCount() > 0 })
	}
	cancel()
	require.NoError(t, <-done)
	require.NoError(t, <-done)
	p.stopOnce(t)
	assert.Empty(t, next.bodies())

	// Once more, with the next component still refusing: nothing is lost by a second restart.
	p = start(t, next, options{dir: dir})
	within(t, "it is refused again", func() bool { return next.callCount() > 4 })
	p.stopOnce(t)
	next.setRefuse(nil)
	p = start(t, next, options{dir: dir})
	send(t, p, file.batch(cri("out", "F", "a2")))
	within(t, "all is delivered", func() bool { return len(next.all()) >= 3 }) // b may have been set aside before it was taken
	assert.ElementsMatch(t, []string{"a", "b", "a1a2"}, next.bodies())
	assert.Less(t, slices.Index(next.bodies(), "a"), slices.Index(next.bodies(), "a1a2"), "what was stored comes first")
	p.stopOnce(t)

	p = start(t, next, options{dir: dir})
	within(t, "what was stored is gone", func() bool {
		select {
		case <-p.restored:
			return true
		default:
			return false
		}
	})
	assert.Len(t, next.bodies(), 3)
}

// The receiver stops before what was stored is delivered: newer records wait behind it, in the storage.
func TestStopWhileStoredIsRefused(t *testing.T) {
	dir := t.TempDir()
	next := &sink{refuse: busy}
	file := logFile{path: podPath}
	for _, text := range []string{"a", "b", "c"} {
		p := start(t, next, options{dir: dir})
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
		require.NoError(t, p.ConsumeLogs(ctx, file.batch(cri("out", "F", text))))
		cancel()
		p.stopOnce(t)
	}
	next.setRefuse(nil)
	p := start(t, next, options{dir: dir})
	send(t, p, file.batch(cri("out", "F", "d")))
	assert.Equal(t, []string{"a", "b", "c", "d"}, next.bodies())
}

func TestHeldOverARestart(t *testing.T) {
	for _, end := range []string{"SIGTERM", "SIGKILL"} {
		dir := t.TempDir()
		next := &sink{}
		p := start(t, next, options{dir: dir})
		file := logFile{path: podPath}
		send(t, p, file.batch(cri("out", "P", "a\xe6"), cri("err", "P", "1")))
		if end == "SIGTERM" {
			p.stopOnce(t)
		} else {
			p.kill(t)
		}
		p = start(t, next, options{dir: dir})
		assert.Equal(t, int64(len("a\xe6")+len("1")), p.heldBytes.Load())
		send(t, p, file.batch(cri("out", "F", "\xbc\xa2b"), cri("err", "F", "2")))
		assert.Equal(t, []string{"a漢b", "12"}, next.bodies(), end)
		p.stopOnce(t)
	}
}

// Without a storage what is held is sent at shutdown, as a piece.
func TestShutdownWithoutStorage(t *testing.T) {
	next := &sink{}
	p := start(t, next, options{})
	file := logFile{path: podPath}
	send(t, p, file.batch(cri("out", "P", "a"), cri("err", "P", "1")))
	p.stopOnce(t)
	assert.ElementsMatch(t, []string{"a|shutdown", "1|shutdown"}, next.bodies())
}

func TestShutdownWithoutStart(t *testing.T) {
	p, err := newProcessor(processortest.NewNopSettings(metadata.Type), createDefaultConfig().(*Config), &sink{})
	require.NoError(t, err)
	require.NoError(t, p.Shutdown(t.Context()))
}

func TestPartialTimeout(t *testing.T) {
	next := &sink{}
	p := start(t, next, options{dir: t.TempDir(), cfg: func(c *Config) { c.PartialTimeout = 30 * time.Millisecond }})
	file := logFile{path: podPath}
	next.setRefuse(refuseFirst(3))
	send(t, p, file.batch(cri("out", "P", "a"), cri("out", "P", "b")))
	within(t, "it is flushed", func() bool { return len(next.all()) > 0 })
	send(t, p, file.batch(cri("out", "P", "c"), cri("out", "F", "d"), cri("out", "F", "e")))
	assert.Equal(t, []string{"ab|timeout", "cd|last", "e"}, next.bodies())
	send(t, p, file.batch(cri("out", "P", "f\xe6")))
	within(t, "all but half a character is flushed", func() bool { return len(next.all()) > 3 })
	time.Sleep(100 * time.Millisecond) // more than another timeout
	send(t, p, file.batch(cri("out", "F", "\xbc\xa2")))
	assert.Equal(t, []string{"f|timeout", "漢|last"}, next.bodies()[3:])
	first := next.all()[0]
	assert.Equal(t, "stdout", first.Stream)
	assert.Equal(t, podPath, first.Path)
	assert.Equal(t, "cart-0", first.Resource["k8s.pod.name"])
}

// What was flushed in time is not held any more after a restart, and its end is still known as such.
func TestFlushedOverARestart(t *testing.T) {
	dir, next := t.TempDir(), &sink{}
	inTime := func(c *Config) { c.PartialTimeout = 30 * time.Millisecond }
	p := start(t, next, options{dir: dir, cfg: inTime})
	file := logFile{path: podPath}
	send(t, p, file.batch(cri("out", "P", "a")))
	within(t, "it is flushed", func() bool { return len(next.all()) > 0 && p.heldRecords.Load() == 0 })
	p.kill(t)
	p = start(t, next, options{dir: dir, cfg: inTime})
	assert.Zero(t, p.heldRecords.Load())
	send(t, p, file.batch(cri("out", "F", "b")))
	assert.Equal(t, []string{"a|timeout", "b|last"}, next.bodies())
}

// Above max_held_size other files wait; the ones that hold go on.
func TestMaxHeldSize(t *testing.T) {
	next := &sink{}
	p := start(t, next, options{cfg: func(c *Config) {
		c.MaxRecordSize, c.MaxHeldSize, c.PartialTimeout = 1024, 1024, time.Hour
	}})
	holder, second, other := logFile{path: podPath}, logFile{path: podDir + "1.log"}, logFile{path: podDir + "2.log"}
	send(t, p, holder.batch(cri("out", "P", strings.Repeat("h", 1000))))
	send(t, p, second.batch(cri("out", "P", strings.Repeat("s", 1000))))
	done := make(chan error)
	go func() { done <- p.ConsumeLogs(context.Background(), other.batch(cri("out", "F", "waits"))) }()
	select {
	case err := <-done:
		t.Fatal("it must wait", err)
	case <-time.After(50 * time.Millisecond):
	}
	send(t, p, holder.batch(cri("out", "F", "")))
	require.NoError(t, <-done)
	assert.Len(t, next.bodies(), 2)

	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond) // and at shutdown nobody waits
	defer cancel()
	send(t, p, holder.batch(cri("out", "P", strings.Repeat("h", 1000))))
	require.NoError(t, p.ConsumeLogs(ctx, other.batch(cri("out", "F", "goes on"))))
	assert.Contains(t, next.bodies(), "goes on")
}

// What holds too much is sent in pieces in time, also when its end is there and not read: filelog does not read on while others wait for room.
func TestRoomIsMadeInTime(t *testing.T) {
	next := &sink{}
	p := start(t, next, options{cfg: func(c *Config) {
		c.MaxRecordSize, c.MaxHeldSize, c.PartialTimeout = 1024, 1024, 5*pause
	}})
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	for range 2 {
		n := newNode(t)
		n.write(cri("out", "P", strings.Repeat("h", 1000)), cri("out", "F", ""))
		n.feed(ctx, p, n.live(), 1)
	}
	other := logFile{path: podDir + "2.log"}
	require.NoError(t, p.ConsumeLogs(ctx, other.batch(cri("out", "F", "waits"))))
	require.NoError(t, ctx.Err(), "nobody made room")
	assert.Contains(t, next.bodies(), "waits")
}
