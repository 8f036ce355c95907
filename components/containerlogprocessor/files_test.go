package containerlogprocessor

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/plog"
)

func podFile(i int) string {
	return fmt.Sprintf("/var/log/pods/shop_cart-%d_0b6e1c5e-6a3c-4a55-9d0e-%012d/cart/0.log", i, i)
}

// Ten times more files than the cache has room for, each with an unfinished record: nothing held is lost.
func TestCacheIsBounded(t *testing.T) {
	const files, room = 10_000, 1000
	next, dir := &sink{}, t.TempDir()
	p := start(t, next, options{dir: dir, cfg: func(c *Config) { c.MaxFiles, c.PartialTimeout = room, time.Hour }})
	for i := range files {
		file := logFile{path: podFile(i)}
		send(t, p, file.batch(cri("out", "F", fmt.Sprint("whole ", i)), cri("out", "P", fmt.Sprint("held ", i, "\xe6"))))
		require.LessOrEqual(t, p.files.len(), room)
	}
	p.stopOnce(t)
	p = start(t, next, options{dir: dir, cfg: func(c *Config) { c.PartialTimeout = time.Hour }})
	got := map[string]bool{}
	for _, body := range next.bodies() {
		got[body] = true
	}
	for i := range files {
		assert.True(t, got[fmt.Sprint("whole ", i)])
		if i < files-room {
			assert.True(t, got[fmt.Sprint("held ", i, `\xe6|evicted`)], i)
		}
	}
	assert.Equal(t, int64(room), p.heldRecords.Load())
}

// The slots of containers that are gone are used again: the storage does not grow with the pods that ever were.
func TestSlotsAreUsedAgain(t *testing.T) {
	p := start(t, &sink{}, options{dir: t.TempDir(), cfg: func(c *Config) { c.MaxFiles = 3 }})
	for i := range 50 {
		file := logFile{path: podFile(i)}
		send(t, p, file.batch(cri("out", "P", "held")))
	}
	assert.Equal(t, 3, p.journal.slots)
}

// Files that nobody wrote to for long are forgotten, with what the storage knows of them.
func TestIdleFilesAreForgotten(t *testing.T) {
	next := &sink{}
	p := start(t, next, options{dir: t.TempDir()})
	file := logFile{path: podPath}
	send(t, p, file.batch(cri("out", "P", "held")))
	p.evict(t.Context(), p.files.sweep(time.Now().Add(-time.Second)))
	assert.Equal(t, 1, p.files.len())
	p.evict(t.Context(), p.files.sweep(time.Now().Add(time.Second)))
	assert.Zero(t, p.files.len())
	assert.Equal(t, []string{"held|evicted"}, next.bodies())
	assert.Len(t, p.journal.free, 1)
}

// Many files at once, more than the cache has room for, and two files of each container: order per file, nothing lost.
func TestConcurrency(t *testing.T) {
	const workers, files, batches = 100, 100, 4
	next := &sink{}
	p := start(t, next, options{cfg: func(c *Config) { c.MaxFiles, c.PartialTimeout = workers*files/2, time.Millisecond }})
	var wg sync.WaitGroup
	for w := range workers {
		wg.Go(func() {
			logs := make([]logFile, files)
			for b := range batches {
				for i := range logs {
					if b == 0 {
						logs[i].path = podFile(w*files + i)
					}
					send(t, p, logs[i].batch(cri("out", "F", fmt.Sprintf("%d/%d/%d", w, i, 2*b)), cri("err", "F", fmt.Sprintf("%d/%d/%d", w, i, 2*b+1))))
				}
			}
		})
	}
	wg.Wait()
	last := map[string]int{}
	for _, body := range next.bodies() {
		i := strings.LastIndexByte(body, '/')
		var n int
		_, err := fmt.Sscan(body[i+1:], &n)
		require.NoError(t, err)
		require.Equal(t, last[body[:i]], n, body)
		last[body[:i]] = n + 1
	}
	assert.Len(t, last, workers*files)
	for key, n := range last {
		assert.Equal(t, 2*batches, n, key)
	}
}

// Batches of the same files in opposite orders do not wait for each other for ever.
func TestOppositeOrders(t *testing.T) {
	next := &sink{}
	p := start(t, next, options{})
	const rounds = 2000
	var wg sync.WaitGroup
	for _, order := range [][2]int{{1, 2}, {2, 1}} {
		wg.Go(func() {
			for range rounds {
				ld := plog.NewLogs()
				records := ld.ResourceLogs().AppendEmpty().ScopeLogs().AppendEmpty().LogRecords()
				for _, i := range order {
					file := logFile{path: podFile(i)}
					file.append(records, cri("out", "F", fmt.Sprint(order)))
				}
				assert.NoError(t, p.ConsumeLogs(t.Context(), ld))
			}
		})
	}
	wg.Wait()
	assert.NotEmpty(t, next.all())
}

// A file that is evicted between a batch's look-up and its lock is looked up again: what the batch holds must not be out of sight.
func TestEvictedBeforeTheLock(t *testing.T) {
	p := start(t, &sink{}, options{})
	file := logFile{path: podPath}
	b := &batch{p: p.containerlog, now: time.Now(), logs: file.batch(cri("out", "P", "a"))}
	b.split()
	b.wait(t.Context())
	p.evict(t.Context(), p.files.sweep(time.Now().Add(time.Second)))
	b.lock(t.Context())
	defer b.unlock()
	assert.Same(t, p.files.peek(podPath), b.runs[0].file)
	assert.False(t, b.containers[0].gone)
}

// A container whose batch is on its way stays; another goes.
func TestBusyContainersStay(t *testing.T) {
	p := start(t, &sink{}, options{cfg: func(c *Config) { c.MaxFiles = 2 }})
	for i := range 2 {
		file := logFile{path: podFile(i)}
		send(t, p, file.batch(cri("out", "F", "a")))
	}
	oldest := p.files.peek(podFile(0)).container
	require.True(t, oldest.tryLock())
	defer oldest.unlock()
	file := logFile{path: podFile(2)}
	send(t, p, file.batch(cri("out", "F", "a")))
	assert.Equal(t, 2, p.files.len())
	assert.NotNil(t, p.files.peek(podFile(0)))
	assert.Nil(t, p.files.peek(podFile(1)))
}

// A storage that has more than the cache, made smaller since, has room for: the rest comes out.
func TestRestoreMoreThanFits(t *testing.T) {
	next, dir := &sink{}, t.TempDir()
	p := start(t, next, options{dir: dir})
	for i := range 5 {
		file := logFile{path: podFile(i)}
		send(t, p, file.batch(cri("out", "P", strconv.Itoa(i))))
	}
	p.kill(t)
	p = start(t, next, options{dir: dir, cfg: func(c *Config) { c.MaxFiles = 2 }})
	within(t, "the rest is sent", func() bool { return len(next.all()) == 3 })
	assert.ElementsMatch(t, []string{"0|evicted", "1|evicted", "2|evicted"}, next.bodies())
	assert.Equal(t, int64(2), p.heldRecords.Load())
}

// What Docker says about a container is read once, beside its log.
func TestDockerIdentity(t *testing.T) {
	id := strings.Repeat("7a", 32)
	dir := filepath.Join(t.TempDir(), id)
	require.NoError(t, os.MkdirAll(dir, 0o755))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "config.v2.json"), []byte(`{"ID":"`+id+`","Name":"/web","Config":{"Image":"registry:5000/shop/web:1.2",
		"Env":["PASSWORD=secret"],"Labels":{"io.kubernetes.pod.namespace":"shop","io.kubernetes.pod.name":"web-0",
		"io.kubernetes.pod.uid":"0b6e1c5e-6a3c-4a55-9d0e-6f5b3f1f0a01","io.kubernetes.container.name":"web"}}}`), 0o600))
	next := &sink{}
	p := start(t, next, options{})
	file := logFile{path: filepath.Join(dir, id+"-json.log")}
	send(t, p, file.batch(`{"log":"a\n","stream":"stdout","time":"`+stamp+`"}`))
	assert.Equal(t, map[string]any{
		"container.runtime.name": "docker", "container.id": id, "container.name": "web",
		"container.image.name": "registry:5000/shop/web", "container.image.tags": []any{"1.2"},
		"k8s.namespace.name": "shop", "k8s.pod.name": "web-0", "k8s.pod.uid": "0b6e1c5e-6a3c-4a55-9d0e-6f5b3f1f0a01", "k8s.container.name": "web",
	}, next.all()[0].Resource)
}
