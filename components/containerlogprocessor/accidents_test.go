package containerlogprocessor

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/consumer"
	"go.opentelemetry.io/collector/consumer/consumererror"
	"go.opentelemetry.io/collector/extension/xextension/storage"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/processor/processortest"

	"github.com/sluice-otel/sluice/components/containerlogprocessor/internal/metadata"
)

// Rotated twice while filelog was held up in the first generation; where that ended says nothing about the second.
func TestRotatedTwiceUnseen(t *testing.T) {
	p, next, n, _ := rotating(t, time.Hour)
	n.write(cri("out", "F", "1 "+strings.Repeat("x", 500)))
	n.drain(p, 10) // 0.log is read to 540 or so
	n.checkpoint()
	n.rotate()
	n.write(cri("out", "F", "2"), cri("out", "P", "3"))
	require.NoError(t, os.Remove(n.files[0].path)) // the kubelet compresses it now
	n.rotate()
	require.Len(t, n.files, 3)
	n.write(cri("out", "F", "4"))
	done := make(chan struct{})
	go func() { n.feed(context.Background(), p, n.live(), 10); close(done) }()
	time.Sleep(5 * pause)
	n.feed(t.Context(), p, n.files[1], 1)
	n.feed(t.Context(), p, n.files[1], 1)
	<-done
	assert.Equal(t, []string{"2", "34"}, next.bodies()[1:])
}

// Docker gives the rotated file the same name every time.
func TestDockerSecondRotation(t *testing.T) {
	id := strings.Repeat("3f", 32)
	dir := filepath.Join(t.TempDir(), id)
	require.NoError(t, os.MkdirAll(dir, 0o755))
	live := filepath.Join(dir, id+"-json.log")
	l := func(text string) string { return `{"log":"` + text + `","stream":"stdout","time":"` + stamp + `"}` }
	write := func(path string, lines ...string) {
		require.NoError(t, os.WriteFile(path, []byte(strings.Join(lines, "\n")+"\n"), 0o600))
	}
	next := &sink{}
	p := start(t, next, options{cfg: func(c *Config) { c.RotationTimeout = time.Hour }})
	long := l(strings.Repeat("x", 500) + `\n`)
	// generation 1: its tail is read under .1
	write(live+".1", long, long)
	write(live, l(`2\n`))
	one := logFile{path: live + ".1"}
	send(t, p, one.batch(long, long))
	two := logFile{path: live}
	send(t, p, two.batch(l(`2\n`)))
	// generation 2: was read to "2", then "3" was written and it was renamed
	write(live+".1", l(`2\n`), l(`3`))
	write(live, l(`4\n`))
	done := make(chan struct{})
	go func() {
		f := logFile{path: live}
		assert.NoError(t, p.ConsumeLogs(context.Background(), f.batch(l(`4\n`))))
		close(done)
	}()
	time.Sleep(5 * pause)
	tail := logFile{path: live + ".1", offset: two.offset}
	send(t, p, tail.batch(l(`3`)))
	<-done
	assert.Equal(t, []string{"2", "34"}, next.bodies()[2:])
}

// Stopped while a new file waits for the rotated one.
func TestStopWhileANewFileWaits(t *testing.T) {
	dir, next, n := t.TempDir(), &sink{refuse: busy}, newNode(t)
	o := options{dir: dir, cfg: func(c *Config) { c.RotationTimeout, c.PartialTimeout = time.Hour, time.Hour }}
	p := start(t, next, o)
	n.write(cri("out", "F", "0"), cri("out", "P", "a"), cri("out", "F", "b"))
	n.rotate()
	n.write(cri("out", "F", "c"))
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	wg.Go(func() { n.feed(ctx, p, n.files[0], 2) })
	within(t, "it is refused", func() bool { return next.callCount() > 0 })
	wg.Go(func() { n.feed(ctx, p, n.files[1], 10) })
	time.Sleep(5 * pause)
	cancel()
	wg.Wait()
	p.stopOnce(t)
	next.setRefuse(nil)
	p = start(t, next, o)
	n.drain(p, 10)
	within(t, "the new file's turn comes", func() bool { return len(next.all()) > 2 })
	assert.Equal(t, []string{"0", "ab", "c"}, next.bodies())
}

// Filelog flushes a half-written line after force_flush_period; killed before its checkpoint, it reads the whole line.
func TestHalfLineReplayed(t *testing.T) {
	dir, next, n := t.TempDir(), &sink{}, newNode(t)
	p := start(t, next, options{dir: dir})
	line := cri("out", "P", "abcdef")
	half := line[:len(line)-3]
	require.NoError(t, os.WriteFile(n.live().path, []byte(half), 0o600))
	file := logFile{path: n.live().path}
	send(t, p, file.batch(half)) // forced flush
	p.kill(t)
	require.NoError(t, os.Remove(n.live().path))
	n.write(line, cri("out", "F", "g"))
	p = start(t, next, options{dir: dir})
	n.drain(p, 10)
	assert.Contains(t, strings.Join(next.bodies(), " "), "def")
}

// Max_held_size bounds what is held.
func TestHeldIsBounded(t *testing.T) {
	next := &sink{}
	const kib = 1024
	p := start(t, next, options{cfg: func(c *Config) { c.MaxRecordSize, c.MaxHeldSize, c.PartialTimeout = 64*kib, 64*kib, time.Hour }})
	logs := make([]logFile, 100)
	for i := range logs {
		logs[i].path = podFile(i)
		send(t, p, logs[i].batch(cri("out", "P", "x")))
	}
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
	defer cancel()
	for i := range logs {
		require.NoError(t, p.ConsumeLogs(ctx, logs[i].batch(cri("out", "P", strings.Repeat("x", 60*kib)))))
	}
	assert.LessOrEqual(t, p.heldBytes.Load(), int64(2*64*kib))
}

// blocked blocks until the context ends, as a full queue with block_on_overflow does.
type blocked struct{ consumer.Logs }

func (blocked) Capabilities() consumer.Capabilities { return consumer.Capabilities{} }
func (blocked) ConsumeLogs(ctx context.Context, _ plog.Logs) error {
	<-ctx.Done()
	return ctx.Err()
}

// Shutdown ends although the next component blocks.
func TestShutdownEnds(t *testing.T) {
	p := start(t, blocked{}, options{})
	file := logFile{path: podPath}
	send(t, p, file.batch(cri("out", "P", "a")))
	done := make(chan struct{})
	go func() { p.stopOnce(t); close(done) }()
	select {
	case <-done:
	case <-time.After(5 * time.Second):
		p.stopOnce = func(testing.TB) {}
		t.Fatal("Shutdown hangs")
	}
}

// After a kill the file is rotated between filelog's open and ours.
func TestReplayedFileIsRotatedMeanwhile(t *testing.T) {
	dir, next, n := t.TempDir(), &sink{}, newNode(t)
	o := options{dir: dir, cfg: func(c *Config) { c.RotationTimeout = 0 }}
	p := start(t, next, o)
	n.write(cri("out", "P", "a"), cri("out", "P", "b"), cri("out", "F", "c"))
	n.feed(t.Context(), p, n.live(), 2)
	p.kill(t)
	n.forgetUnsaved()
	p = start(t, next, o)
	stale := n.live().path
	n.rotate()
	n.write(cri("out", "F", "d"))
	n.files[0].path = stale // filelog has it open under the name it had
	n.drain(p, 10)
	assert.Equal(t, []string{"abc", "d"}, next.bodies())
}

// The rotated file is forgotten while its batch is refused (an outage of more than an hour, or a small cache).
func TestBusyFileIsForgotten(t *testing.T) {
	next, n := &sink{refuse: busy}, newNode(t)
	p := start(t, next, options{cfg: func(c *Config) { c.RotationTimeout = 2 * pause }})
	n.write(cri("out", "F", "1"), cri("out", "P", "2"), cri("out", "P", "3"))
	n.rotate()
	n.write(cri("out", "F", "4"))
	var wg sync.WaitGroup
	wg.Go(func() { // filelog's goroutine of the rotated file
		n.feed(context.Background(), p, n.files[0], 2)
		n.feed(context.Background(), p, n.files[0], 2)
	})
	within(t, "it is refused", func() bool { return next.callCount() > 0 })
	wg.Go(func() { n.feed(context.Background(), p, n.files[1], 10) })
	time.Sleep(5 * pause)
	require.NotNil(t, p.files.peek(n.files[0].path))
	p.files.sweep(time.Now().Add(time.Hour)) // what flushInTime does
	time.Sleep(10 * pause)
	next.setRefuse(nil)
	wg.Wait()
	assert.Equal(t, []string{"1", "234"}, next.bodies())
}

// Two siblings behind a fan-out; one refuses for good, the other only now.
func TestPermanentOfOneSibling(t *testing.T) {
	next := &sink{}
	next.refuse = func(call int) error {
		if call == 1 {
			return errors.Join(consumererror.NewPermanent(errBusy), errBusy)
		}
		return nil
	}
	p := start(t, next, options{})
	file := logFile{path: podPath}
	_ = p.ConsumeLogs(t.Context(), file.batch(cri("out", "F", "a")))
	assert.Equal(t, []string{"a"}, next.bodies())
}

func TestPartOfOneSibling(t *testing.T) {
	next := &sink{}
	next.refuse = func(call int) error {
		if call == 1 {
			part := plog.NewLogs()
			part.ResourceLogs().AppendEmpty().ScopeLogs().AppendEmpty().LogRecords().AppendEmpty().Body().SetStr("b")
			return errors.Join(consumererror.NewLogs(errBusy, part), errBusy)
		}
		return nil
	}
	p := start(t, next, options{})
	file := logFile{path: podPath}
	send(t, p, file.batch(cri("out", "F", "a"), cri("out", "F", "b")))
	assert.Equal(t, []string{"a", "b"}, next.bodies())
}

// failing is a storage client whose disk is full.
type failing struct{ storage.Client }

func (failing) Batch(context.Context, ...*storage.Operation) error { return errors.New("disk full") }

// An eviction that can neither deliver nor park must leave what is stored.
func TestEvictionKeepsTheStored(t *testing.T) {
	dir, next := t.TempDir(), &sink{}
	o := options{dir: dir, cfg: func(c *Config) { c.PartialTimeout = time.Hour }}
	p := start(t, next, o)
	file := logFile{path: podPath}
	send(t, p, file.batch(cri("out", "P", "a")))
	next.setRefuse(busy)
	real := p.journal.client
	p.journal.client = failing{real}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	p.evict(ctx, p.files.sweep(time.Now().Add(time.Second)))
	cancel()
	p.journal.client = real
	p.kill(t)
	next.setRefuse(nil)
	p = start(t, next, o)
	send(t, p, file.batch(cri("out", "F", "b")))
	assert.Equal(t, []string{"ab"}, next.bodies())
}

// A batch was refused for longer than partial_timeout; its last piece has not waited at all for its next line.
func TestTimeoutCountsFromDelivery(t *testing.T) {
	next := &sink{refuse: busy}
	p := start(t, next, options{cfg: func(c *Config) { c.PartialTimeout = time.Second }})
	file := logFile{path: podPath}
	done := make(chan struct{})
	go func() {
		assert.NoError(t, p.ConsumeLogs(context.Background(), file.batch(cri("out", "F", "0"), cri("out", "P", "a"))))
		close(done)
	}()
	within(t, "refused", func() bool { return next.callCount() > 0 })
	time.Sleep(1200 * time.Millisecond)
	next.setRefuse(nil)
	<-done
	p.flushExpired(t.Context(), p.now().Add(-p.cfg.PartialTimeout)) // the next tick
	send(t, p, file.batch(cri("out", "F", "b")))
	assert.Equal(t, []string{"0", "ab"}, next.bodies())
}

// The time is not over either while filelog has not got to the next line, which is there: it reads all files in rounds, and one of them may be
// long in an outage and after it.
func TestTimeoutWaitsForWhatIsNotRead(t *testing.T) {
	next, n := &sink{}, newNode(t)
	p := start(t, next, options{cfg: func(c *Config) { c.PartialTimeout = time.Hour }})
	expire := func() { p.flushExpired(t.Context(), p.now().Add(2*time.Hour)) }
	f := func(want ...string) {
		t.Helper()
		expire()
		assert.Equal(t, want, next.bodies())
		next.mu.Lock()
		next.records = nil
		next.mu.Unlock()
	}
	n.write(cri("out", "P", "a"), cri("out", "F", "b"))
	n.feed(t.Context(), p, n.live(), 1)
	f([]string{}...)
	n.drain(p, 10)
	f("ab")

	// In the file that has taken its place; the old one was read before its name was another one, or after.
	for end, before := range map[string]bool{"d": true, "D": false} {
		n.write(cri("out", "P", "c"))
		old, live := n.live(), n.live().path
		n.rotate()
		rotated := old.path
		if before {
			old.path = live
		}
		n.feed(t.Context(), p, old, 1)
		old.path = rotated
		n.write(cri("out", "F", end))
		f([]string{}...)
		n.drain(p, 10)
		f("c" + end)
		n.checkpoint()
	}

	// Lines of the other stream are not what it waits for: when filelog has read on it comes out as it is. So does what has nothing after it.
	n.write(cri("out", "P", "e"), cri("err", "F", "1"), cri("err", "F", "2"))
	n.feed(t.Context(), p, n.live(), 1)
	f([]string{}...)
	n.feed(t.Context(), p, n.live(), 1)
	f("1", "e|timeout")
	n.drain(p, 10)
	n.write(cri("out", "P", "f"))
	n.drain(p, 10)
	f("2", "f|timeout")

	// Nor does it depend on what is remembered of the file.
	n.write(cri("out", "F", "g"), cri("out", "P", "h"))
	n.drain(p, 10)
	p.files.mu.Lock()
	p.files.files.Remove(n.live().path)
	p.files.mu.Unlock()
	n.write(cri("err", "F", "3"))
	n.drain(p, 10)
	f("g|last", "3", "h|timeout")
}

// Each file of a rotated-twice chain waits for its predecessor's real end.
func TestFirstBatchMalformed(t *testing.T) {
	dir, next, n := t.TempDir(), &sink{}, newNode(t)
	p := start(t, next, options{dir: dir})
	n.write("broken", cri("out", "P", "a"), cri("out", "F", "b"))
	n.feed(t.Context(), p, n.live(), 1)
	n.feed(t.Context(), p, n.live(), 1)
	assert.Equal(t, uint64(1), p.files.peek(n.live().path).source)
	n.write("broken", cri("out", "F", "c"))
	n.feed(t.Context(), p, n.live(), 1)
	n.feed(t.Context(), p, n.live(), 10)
	assert.Equal(t, uint64(1), p.files.peek(n.live().path).source, "one file, one source")
	assert.Equal(t, []string{"broken|unknown_format", "ab", "broken|unknown_format", "c"}, next.bodies())
}

// A stored length that makes no sense is skipped.
func TestCorruptMark(t *testing.T) {
	dir, n := t.TempDir(), newNode(t)
	p := start(t, &sink{}, options{dir: dir})
	n.write(cri("out", "P", "a"))
	n.feed(t.Context(), p, n.live(), 1)
	data, err := p.journal.client.Get(t.Context(), "slot/0")
	require.NoError(t, err)
	i := strings.Index(string(data), `"length":`)
	require.Positive(t, i)
	bad := strings.Replace(string(data), `"length":`, `"length":-`, 1)
	require.NoError(t, p.journal.client.Set(t.Context(), "slot/0", []byte(bad)))
	p.kill(t)
	n.forgetUnsaved()
	p = start(t, &sink{}, options{dir: dir})
	assert.NotPanics(t, func() { n.drain(p, 10) })
}

// The processor in two pipelines asks the storage for the same client.
func TestTwoPipelines(t *testing.T) {
	h := newHost(t, t.TempDir())
	cfg := createDefaultConfig().(*Config)
	cfg.Storage = &storageID
	for i := range 2 {
		p, err := newProcessor(processortest.NewNopSettings(metadata.Type), cfg, &sink{})
		require.NoError(t, err)
		err = p.Start(t.Context(), h)
		if i == 0 {
			require.NoError(t, err)
			t.Cleanup(func() { require.NoError(t, p.Shutdown(context.Background())) })
			continue
		}
		assert.ErrorContains(t, err, "give each its own (containerlog/2)")
		require.NoError(t, p.Shutdown(t.Context()))
	}
}

// A container comes back while what it held is being sent because of its eviction: its lines wait, and a kill loses nothing.
func TestEvictedComesBack(t *testing.T) {
	dir, next := t.TempDir(), &sink{}
	p := start(t, next, options{dir: dir, cfg: func(c *Config) { c.PartialTimeout, c.MaxFiles = time.Hour, 1 }})
	a, b := logFile{path: podFile(1)}, logFile{path: podFile(2)}
	send(t, p, a.batch(cri("out", "P", "a")))
	next.setRefuse(busy)
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	wg.Go(func() { _ = p.ConsumeLogs(ctx, b.batch(cri("out", "F", "b"))) })
	within(t, "its eviction is refused", func() bool { return next.callCount() > 0 })
	came := make(chan error)
	again := a
	go func() { came <- p.ConsumeLogs(ctx, a.batch(cri("out", "P", "c"))) }()
	select {
	case err := <-came:
		t.Fatal("it must wait", err)
	case <-time.After(5 * pause):
	}
	killed := t.TempDir() // the storage as SIGKILL would leave it now
	entries, err := os.ReadDir(dir)
	require.NoError(t, err)
	for _, e := range entries {
		data, err := os.ReadFile(filepath.Join(dir, e.Name()))
		require.NoError(t, err)
		require.NoError(t, os.WriteFile(filepath.Join(killed, e.Name()), data, 0o600))
	}
	cancel()
	require.NoError(t, <-came)
	wg.Wait()
	p.stopOnce(t)

	after := &sink{}
	p = start(t, after, options{dir: killed, cfg: func(c *Config) { c.PartialTimeout = time.Hour }})
	send(t, p, again.batch(cri("out", "P", "c"), cri("out", "F", "d")))
	assert.Equal(t, []string{"acd"}, after.bodies())

	next.setRefuse(nil) // and without the kill: what was set aside comes in its turn
	p = start(t, next, options{dir: dir, cfg: func(c *Config) { c.PartialTimeout = time.Hour }})
	send(t, p, a.batch(cri("out", "F", "d")))
	within(t, "all is there", func() bool { return len(next.all()) == 3 })
	got := strings.Join(next.bodies(), " ") // the mark of the end is forgotten when nothing of the container is known any more
	assert.ElementsMatch(t, []string{"a|evicted", "b", "cd"}, strings.Fields(strings.ReplaceAll(got, "|last", "")))
}

// What was set aside is of a file that has been rotated since: the rest of it, under its new name, still comes behind.
func TestSetAsideThenRotated(t *testing.T) {
	dir, next, n := t.TempDir(), &sink{refuse: busy}, newNode(t)
	o := options{dir: dir, cfg: func(c *Config) { c.RotationTimeout, c.PartialTimeout = time.Hour, time.Hour }}
	p := start(t, next, o)
	n.write(cri("out", "F", "0"))
	n.rotate()
	n.write(cri("out", "F", "1"), cri("out", "P", "2"), cri("out", "F", "3"))
	ctx, cancel := context.WithTimeout(t.Context(), 5*pause)
	defer cancel()
	n.feed(ctx, p, n.live(), 2) // waits for the rotated file
	p.stopOnce(t)
	n.checkpoint()
	next.setRefuse(nil)
	p = start(t, next, o)
	n.feed(t.Context(), p, n.files[0], 1)
	within(t, "it is not stored any more", func() bool { return len(next.all()) > 1 })
	p.stopOnce(t)

	// Once more, and the file that waits is rotated while the collector is down.
	next, n = &sink{refuse: busy}, newNode(t)
	dir = t.TempDir()
	o.dir = dir
	p = start(t, next, o)
	n.write(cri("out", "F", "0"))
	n.rotate()
	n.write(cri("out", "F", "1"), cri("out", "P", "2"), cri("out", "F", "3"))
	ctx2, cancel2 := context.WithTimeout(t.Context(), 5*pause)
	defer cancel2()
	n.feed(ctx2, p, n.live(), 2)
	p.stopOnce(t)
	n.checkpoint()
	n.files[0].saved = 1
	n.rotate()
	n.write(cri("out", "F", "4"))
	next.setRefuse(nil)
	o.cfg = func(c *Config) { c.RotationTimeout, c.PartialTimeout = 20*pause, time.Hour }
	p = start(t, next, o)
	var wg sync.WaitGroup
	for _, f := range n.files {
		wg.Go(func() { n.feed(context.Background(), p, f, 10) })
	}
	wg.Wait()
	assert.Equal(t, []string{"0", "1", "23", "4"}, next.bodies())
}

// Lines of a new and of the rotated file were set aside, the new one's first: each takes its turn all the same.
func TestSetAsideInTheWrongOrder(t *testing.T) {
	dir, next, n := t.TempDir(), &sink{refuse: busy}, newNode(t)
	o := options{dir: dir, cfg: func(c *Config) { c.RotationTimeout, c.PartialTimeout = time.Hour, time.Hour }}
	p := start(t, next, o)
	n.write(cri("out", "F", "1"), cri("out", "P", "2"))
	n.rotate()
	n.write(cri("out", "F", "3"), cri("out", "F", "4"))
	newer := logFile{path: n.files[1].path}
	older := logFile{path: n.files[0].path}
	require.NoError(t, p.setAside(newer.batch(n.files[1].lines[0]), nil))
	require.NoError(t, p.setAside(older.batch(n.files[0].lines[0]), nil))
	n.files[0].read, n.files[1].read = 1, 1
	p.stopOnce(t)
	next.setRefuse(nil)
	p = start(t, next, o)
	var wg sync.WaitGroup
	for _, f := range n.files {
		wg.Go(func() { n.feed(context.Background(), p, f, 10) })
	}
	wg.Wait()
	within(t, "all is there", func() bool { return len(next.all()) == 3 })
	assert.Equal(t, []string{"1", "23", "4"}, next.bodies())
}

// The rotated file is forgotten and looked up again while the new one waits for it: nothing of it has been taken under that memory.
func TestRotatedFileIsForgottenMeanwhile(t *testing.T) {
	p, next, n, _ := rotating(t, time.Hour)
	n.write(cri("out", "F", "1"), cri("out", "F", "2"))
	n.rotate()
	n.feed(t.Context(), p, n.files[0], 1)
	n.write(cri("out", "F", "3"))
	var wg sync.WaitGroup
	wg.Go(func() { n.feed(context.Background(), p, n.files[1], 1) })
	time.Sleep(3 * pause) // it must have seen the file
	within(t, "the rotated file is forgotten", func() bool {
		for _, c := range p.files.sweep(time.Now().Add(time.Hour)) {
			c.unlock()
		}
		return p.files.peek(n.files[0].path) == nil
	})
	p.files.get(n.files[0].path, time.Now())
	time.Sleep(3 * pause)
	n.feed(t.Context(), p, n.files[0], 1)
	wg.Wait()
	assert.Equal(t, []string{"1", "2", "3"}, next.bodies())
}
