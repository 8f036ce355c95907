package containerlogprocessor

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func ends(t *testing.T, what string, done <-chan struct{}) {
	t.Helper()
	select {
	case <-done:
	case <-time.After(4 * time.Second):
		t.Fatal(what)
	}
}

// max_files was made smaller and what is stored is refused until shutdown.
func TestStopWhileRefusedWithFewerFiles(t *testing.T) {
	dir, next := t.TempDir(), &sink{}
	o := options{dir: dir, cfg: func(c *Config) { c.PartialTimeout = time.Hour }}
	p := start(t, next, o)
	for i := range 3 {
		f := logFile{path: podFile(i)}
		send(t, p, f.batch(cri("out", "P", "a")))
	}
	next.setRefuse(busy)
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	f := logFile{path: podFile(7)}
	require.NoError(t, p.ConsumeLogs(ctx, f.batch(cri("out", "F", "x"))))
	cancel()
	p.stopOnce(t)
	o.cfg = func(c *Config) { c.PartialTimeout, c.MaxFiles = time.Hour, 1 }
	p = start(t, next, o)
	time.Sleep(50 * time.Millisecond)
	done := make(chan struct{})
	stop := p.stopOnce
	p.stopOnce = func(testing.TB) {}
	go func() { stop(t); close(done) }()
	ends(t, "Shutdown hangs", done)
}

// Two batches of one file set aside in two runs; the file is rotated while the collector is down.
func TestSetAsideTwiceThenRotated(t *testing.T) {
	for range 5 {
		dir, next, n := t.TempDir(), &sink{}, newNode(t)
		o := options{dir: dir, cfg: func(c *Config) { c.RotationTimeout, c.PartialTimeout = 2*pause, time.Hour }}
		p := start(t, next, o)
		n.write(cri("out", "F", "1"), cri("out", "P", "2"), cri("out", "F", "3"), cri("out", "F", "4"))
		f := logFile{path: n.live().path}
		for _, l := range n.live().lines {
			require.NoError(t, p.setAside(f.batch(l), nil))
		}
		p.stopOnce(t)
		n.live().read = 4
		n.checkpoint()
		n.rotate()
		p = start(t, next, o)
		n.write(cri("out", "F", "5"))
		n.feed(t.Context(), p, n.live(), 10)
		assert.Equal(t, []string{"1", "23", "4", "5"}, next.bodies())
		p.stopOnce(t)
	}
}

// The file of what was set aside is gone (compressed): newer lines still come behind.
func TestSetAsideOfAFileThatIsGone(t *testing.T) {
	for range 10 {
		playGone(t)
	}
}

func playGone(t *testing.T) {
	dir, next, n := t.TempDir(), &sink{}, newNode(t)
	o := options{dir: dir, cfg: func(c *Config) { c.RotationTimeout, c.PartialTimeout = 2*pause, time.Hour }}
	p := start(t, next, o)
	n.write(cri("out", "F", "1"), cri("out", "P", "2"))
	f := logFile{path: n.live().path}
	require.NoError(t, p.setAside(f.batch(n.live().lines...), nil))
	p.stopOnce(t)
	n.live().read = 2
	n.checkpoint()
	n.rotate()
	require.NoError(t, os.Rename(n.files[0].path, n.files[0].path+".gz"))
	require.NoError(t, os.WriteFile(n.files[0].path+".gz", []byte("compressed"), 0o600))
	n.write(cri("out", "F", "3"))
	p = start(t, next, o)
	n.feed(t.Context(), p, n.live(), 10)
	within(t, "all", func() bool { return len(next.all()) >= 2 })
	time.Sleep(5 * pause)
	assert.Equal(t, []string{"1", "23"}, next.bodies())
	p.stopOnce(t)
}

// Docker renames the rotated files once more: .1 becomes .2. What was set aside of it still comes between the older file and the newer.
func TestSetAsideOfADockerFile(t *testing.T) {
	id := strings.Repeat("3f", 32)
	d := filepath.Join(t.TempDir(), id)
	require.NoError(t, os.MkdirAll(d, 0o755))
	live := filepath.Join(d, id+"-json.log")
	write := func(name, text string) (path, line string) {
		path, line = live+name, fmt.Sprintf(`{"log":"%s","stream":"stdout","time":"%s"}`, text, stamp)
		require.NoError(t, os.WriteFile(path, []byte(line+"\n"), 0o600))
		return path, line
	}
	dir, next := t.TempDir(), &sink{}
	o := options{dir: dir, cfg: func(c *Config) { c.RotationTimeout, c.PartialTimeout = time.Hour, time.Hour }}
	p := start(t, next, o)
	middle, b := write(".1", "b")
	f := logFile{path: middle}
	require.NoError(t, p.setAside(f.batch(b), nil))
	p.stopOnce(t)
	require.NoError(t, os.Rename(middle, live+".2"))
	oldest, a := write(".3", "a")
	newest, c := write(".1", `c\n`)
	p = start(t, next, o)
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	read := func(path, line string) {
		f := logFile{path: path}
		assert.NoError(t, p.ConsumeLogs(ctx, f.batch(line)))
	}
	var wg sync.WaitGroup
	wg.Go(func() { read(newest, c) })
	<-p.first
	time.Sleep(5 * pause)
	assert.Empty(t, next.bodies())
	read(oldest, a)
	wg.Wait()
	assert.Equal(t, []string{"abc"}, next.bodies())
}

// Two batches of the rotated file are on their way, one that was set aside and one of filelog's: the end of the first is not that of both.
func TestTwoBatchesOfARotatedFile(t *testing.T) {
	dir, next, n := t.TempDir(), &sink{}, newNode(t)
	o := options{dir: dir, cfg: func(c *Config) { c.RotationTimeout, c.PartialTimeout = 6*pause, time.Hour }}
	p := start(t, next, o)
	n.write(cri("out", "F", "1"), cri("out", "F", "2"), cri("out", "F", "3"))
	n.rotate()
	f := logFile{path: n.files[0].path}
	require.NoError(t, p.setAside(f.batch(n.files[0].lines[0]), nil))
	p.stopOnce(t)
	n.files[0].read = 1
	n.write(cri("out", "F", "4"))
	accepted := 0
	next.setRefuse(func(int) error {
		if accepted++; accepted > 1 { // the one that was set aside
			return errBusy
		}
		return nil
	})
	p = start(t, next, o)
	var wg sync.WaitGroup
	wg.Go(func() {
		n.feed(context.Background(), p, n.files[0], 1)
		n.feed(context.Background(), p, n.files[0], 1)
	})
	wg.Go(func() { n.feed(context.Background(), p, n.files[1], 1) })
	within(t, "refused", func() bool { return next.callCount() > 1 })
	time.Sleep(20 * pause)
	next.setRefuse(nil)
	wg.Wait()
	assert.Equal(t, []string{"1", "2", "3", "4"}, next.bodies())
}

// Lines of the rotated file are set aside while filelog stops; those of the new file, set aside in the run before, do not go first
// because nobody reads the rotated one any more.
func TestSetAsideDoesNotOvertakeAtTheStop(t *testing.T) {
	dir, next, n := t.TempDir(), &sink{}, newNode(t)
	o := options{dir: dir, cfg: func(c *Config) { c.RotationTimeout, c.PartialTimeout = 5*pause, time.Hour }}
	p := start(t, next, o)
	n.write(cri("out", "F", "1"), cri("out", "P", "2"))
	n.rotate()
	n.write(cri("out", "F", "3"))
	newer := logFile{path: n.live().path}
	require.NoError(t, p.setAside(newer.batch(n.live().lines...), nil))
	n.live().read = 1
	p.stopOnce(t)
	p = start(t, next, o)
	<-p.restored
	ctx, cancel := context.WithCancel(t.Context())
	c := func() *container { f, _ := p.files.get(n.files[0].path, p.now()); return f.container }()
	c.lock <- struct{}{} // something is on its way
	var wg sync.WaitGroup
	wg.Go(func() { n.feed(ctx, p, n.files[0], 2) })
	time.Sleep(3 * pause)
	cancel() // filelog stops
	wg.Wait()
	c.unlock()
	time.Sleep(20 * pause) // other receivers take their time
	p.stopOnce(t)
	p = start(t, next, o)
	f := logFile{path: podPath}
	send(t, p, f.batch(cri("out", "F", "other")))
	within(t, "all", func() bool { return len(next.all()) >= 3 })
	assert.NotContains(t, next.bodies(), "3")
	assert.Contains(t, next.bodies(), "23")
}

// An outage that lasts over the restart for longer than partial_timeout, and than files are remembered: the next line could not come
// meanwhile, and filelog, which has other files to read, does not bring it at once.
func TestOutageOverARestart(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	dir, next := t.TempDir(), &sink{refuse: func(int) error { cancel(); return errBusy }}
	var late atomic.Int64
	o := options{
		dir: dir, cfg: func(c *Config) { c.PartialTimeout = 5 * pause },
		now: func() time.Time { return time.Unix(1_700_000_000, late.Load()) },
	}
	p := start(t, next, o)
	f := logFile{path: podPath}
	require.NoError(t, p.ConsumeLogs(ctx, f.batch(cri("out", "F", "0"), cri("out", "P", "a"))))
	p.stopOnce(t)
	before := next.callCount()
	p = start(t, next, o)
	within(t, "it is refused again", func() bool { return next.callCount() > before })
	time.Sleep(5 * pause) // the clock ticks
	late.Add(int64(2 * idleTimeout))
	next.setRefuse(nil)
	<-p.restored
	time.Sleep(5 * pause)
	assert.Equal(t, []string{"0"}, next.bodies())
	send(t, p, f.batch(cri("out", "F", "b")))
	assert.Equal(t, []string{"0", "ab"}, next.bodies())
}

// The next line was set aside and filelog has nothing to read.
func TestSetAsideOutlivesPartialTimeout(t *testing.T) {
	dir, next := t.TempDir(), &sink{}
	o := options{dir: dir, cfg: func(c *Config) { c.PartialTimeout = 5 * pause }}
	p := start(t, next, o)
	f := logFile{path: podPath}
	send(t, p, f.batch(cri("out", "P", "a")))
	require.NoError(t, p.setAside(f.batch(cri("out", "F", "b")), nil))
	p.stopOnce(t)
	start(t, next, o)
	within(t, "all", func() bool { return len(next.all()) > 0 })
	assert.Equal(t, []string{"ab"}, next.bodies())
}

// With the gate off: a batch of the rotated and the new file, whose first lines were set aside.
func TestSeveralFilesBehindSetAside(t *testing.T) {
	dir, next, n := t.TempDir(), &sink{}, newNode(t)
	o := options{dir: dir, cfg: func(c *Config) { c.RotationTimeout, c.PartialTimeout = 2*pause, time.Hour }}
	p := start(t, next, o)
	n.write(cri("out", "F", "1"))
	n.rotate()
	n.write(cri("out", "F", "2"), cri("out", "F", "3"))
	newer, older := logFile{path: n.live().path}, logFile{path: n.files[0].path}
	require.NoError(t, p.setAside(newer.batch(n.live().lines[0]), nil))
	p.stopOnce(t)
	p = start(t, next, o)
	ld := newer.batch(n.live().lines[1])
	older.append(ld.ResourceLogs().At(0).ScopeLogs().At(0).LogRecords(), n.files[0].lines...)
	done := make(chan struct{})
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	go func() { _ = p.ConsumeLogs(ctx, ld); close(done) }()
	ends(t, "stuck", done)
}

// With the gate off and without storage, a context that has ended.
func TestSeveralFilesAfterTheEnd(t *testing.T) {
	p := start(t, &sink{}, options{})
	<-p.restored
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for range 20 {
		a, b := logFile{path: podFile(1)}, logFile{path: podFile(2)}
		ld := a.batch(cri("out", "F", "1"))
		b.append(ld.ResourceLogs().At(0).ScopeLogs().At(0).LogRecords(), cri("out", "F", "1"))
		done := make(chan struct{})
		go func() { defer close(done); _ = p.ConsumeLogs(ctx, ld) }()
		ends(t, "hangs", done)
	}
}

// Records of the rotated file are refused until filelog stops, and stored; then the next component recovers before Shutdown.
// Lines of the new file, set aside in the run before, must not overtake them, nor must what is held come out in time.
func TestStoredRecordsAreNotOvertaken(t *testing.T) {
	dir, next, n := t.TempDir(), &sink{}, newNode(t)
	o := options{dir: dir, cfg: func(c *Config) { c.RotationTimeout, c.PartialTimeout = time.Hour, time.Hour }}
	p := start(t, next, o)
	n.write(cri("out", "F", "1"), cri("out", "P", "2"))
	n.rotate()
	n.write(cri("out", "F", "3"))
	newer := logFile{path: n.live().path}
	require.NoError(t, p.setAside(newer.batch(n.live().lines...), nil))
	n.live().read = 1
	p.stopOnce(t)
	next.setRefuse(busy)
	p = start(t, next, o)
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	wg.Go(func() { n.feed(ctx, p, n.files[0], 2) })
	within(t, "refused", func() bool { return next.callCount() > 0 })
	cancel()
	wg.Wait()
	next.setRefuse(nil)
	time.Sleep(10 * pause)
	p.stopOnce(t)
	o.cfg = func(c *Config) { c.RotationTimeout, c.PartialTimeout = pause, time.Hour }
	p = start(t, next, o)
	f := logFile{path: podPath}
	send(t, p, f.batch(cri("out", "F", "other")))
	within(t, "all", func() bool { return len(next.all()) >= 3 })
	assert.Less(t, slices.Index(next.bodies(), "1"), slices.Index(next.bodies(), "23"), next.bodies())
}
