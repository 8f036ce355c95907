package containerlogprocessor

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/golang-lru/v2/simplelru"
	"go.opentelemetry.io/collector/pdata/pcommon"

	"github.com/sluice-otel/sluice/components/containerlogprocessor/internal/join"
	"github.com/sluice-otel/sluice/components/containerlogprocessor/internal/logpath"
)

// idleTimeout is when a file that nobody wrote to is forgotten, with what was stored about its container.
const idleTimeout = time.Hour

// file is what is remembered of one path.
type file struct {
	path      string
	container *container
	lastUsed  time.Time // guarded by the cache

	// tail is the last line taken, nil before the first; busy counts the batches on their way. Other files wait for them.
	tail atomic.Pointer[join.Position]
	busy atomic.Int32

	// Guarded by the container's lock.
	last     signature
	lastTime int64    // of the last readable line
	source   uint64   // what is behind the path now: a rotation or truncation changes it; 0 before the first batch
	replay   [2]taken // per stream: lines up to there had been taken before a restart
}

// taken is the last line of a stream that had been taken; the zero value is none.
type taken struct {
	offset, length int64
	known          bool
}

// skip is how much of a line had been taken before a restart: nothing, all of it, or the half that the runtime had written when
// filelog's force_flush_period ended.
func (t taken) skip(offset int64, raw string) int {
	switch {
	case !t.known || offset < 0 || offset > t.offset:
		return 0
	case offset == t.offset && int64(len(raw)) > t.length:
		return int(t.length)
	}
	return len(raw)
}

// end is where the taken lines end, -1 before the first.
func (f *file) end() int64 {
	if tail := f.tail.Load(); tail != nil {
		return tail.Offset + int64(tail.Length)
	}
	return -1
}

// container is one run of a container: its live file and the rotated ones before it. Its lock is a channel, so that waiting for it
// can end with a context, and is held from the first line of a batch to its delivery: batches of a container never overtake each other.
type container struct {
	key      string
	id       uint64
	resource pcommon.Map
	lock     chan struct{}

	gone    bool  // guarded by lock: evicted, look it up again
	file    *file // guarded by lock: the last line taken was its; nil before the first one
	streams [2]stream
	slot    int  // its place in the storage, -1 for none
	dirty   bool // the storage must learn of it
	// What it holds, as far as the totals know.
	heldBytes, heldRecords int

	aside atomic.Bool // lines of it have gone to the storage undelivered, so later ones must not be delivered before the next start

	files int // guarded by the cache
}

// stream is stdout or stderr of a container, and how much of it the storage knows.
type stream struct {
	join.Stream
	// marks are the last line that was taken from this file, and from the file before a rotation: no older one is still plain text.
	marks      []join.Position
	markSource uint64
	// The last line taken of the current batch; its text is not kept longer.
	taken      bool
	lastRaw    string
	lastOffset int64
	lastSource uint64
	// due is the last line of the container when the time of the held record was first found to be over, nil before.
	due *join.Position
	// stored: the storage says that something is held or continued.
	stored bool
}

func (s *stream) unfinished() bool { return s.Held() || s.Continued }

// signature tells a batch from the one before it; the hashes are of its first and last line.
type signature struct {
	first, last join.Position
	count       int
}

func (c *container) tryLock() bool {
	select {
	case c.lock <- struct{}{}:
		return true
	default:
		return false
	}
}

// waitLock is false when the context ended before.
func (c *container) waitLock(ctx context.Context) bool {
	select {
	case c.lock <- struct{}{}:
		return true
	default:
	}
	select {
	case c.lock <- struct{}{}:
		return true
	case <-ctx.Done():
		return false
	}
}

func (c *container) unlock() { <-c.lock }

func (c *container) held() (size int, records int) {
	for i := range c.streams {
		if s := &c.streams[i]; s.Held() {
			size += s.Size()
			records++
		}
	}
	return size, records
}

// cache remembers files and their containers, at most max files; the one used longest ago goes first.
type cache struct {
	max      int
	identify func(path string) (logpath.Identity, pcommon.Map)

	mu         sync.Mutex
	files      *simplelru.LRU[string, *file]
	containers map[string]*container
	nextID     uint64

	sources atomic.Uint64
}

func newCache(limit int, identify func(string) (logpath.Identity, pcommon.Map)) (*cache, error) {
	// Evictions are decided in get: the LRU itself must never be full.
	files, err := simplelru.NewLRU[string, *file](1<<31-1, nil)
	if err != nil {
		return nil, err
	}
	return &cache{max: limit, identify: identify, files: files, containers: map[string]*container{}}, nil
}

// get finds or makes the file. Containers that had to leave for it are returned locked, for removed to be called; they may still hold
// something.
func (c *cache) get(path string, now time.Time) (f *file, evicted []*container) {
	c.mu.Lock()
	f, ok := c.files.Get(path)
	if ok {
		f.lastUsed = now
		c.mu.Unlock()
		return f, nil
	}
	c.mu.Unlock()
	id, resource := c.identify(path) // may read a file

	c.mu.Lock()
	defer c.mu.Unlock()
	if f, ok = c.files.Get(path); ok {
		return f, nil
	}
	evicted = c.makeRoom()
	owner := c.containers[id.Key()]
	if owner == nil {
		c.nextID++
		owner = &container{key: id.Key(), id: c.nextID, resource: resource, lock: make(chan struct{}, 1), slot: -1}
		c.containers[owner.key] = owner
	}
	owner.files++
	f = &file{path: path, container: owner, lastUsed: now}
	c.files.Add(path, f)
	return f, evicted
}

// peek finds the file without counting as use.
func (c *cache) peek(path string) *file {
	c.mu.Lock()
	defer c.mu.Unlock()
	f, _ := c.files.Peek(path)
	return f
}

func (c *cache) len() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.files.Len()
}

// makeRoom forgets files until another one fits. A container with a batch on its way stays; when all that were tried are such, the
// cache grows beyond its limit by as many as there are batches on their way.
func (c *cache) makeRoom() (evicted []*container) {
	const tries = 16
	for range tries {
		if c.files.Len() < c.max {
			break
		}
		path, f, _ := c.files.GetOldest()
		gone, ok := c.forget(path, f)
		if !ok {
			c.files.Get(path) // busy means used
		} else if gone != nil {
			evicted = append(evicted, gone)
		}
	}
	return evicted
}

// sweep forgets the files that have been idle since before.
func (c *cache) sweep(before time.Time) (evicted []*container) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for {
		path, f, ok := c.files.GetOldest()
		if !ok || !f.lastUsed.Before(before) {
			return evicted
		}
		gone, ok := c.forget(path, f)
		if !ok {
			return evicted
		}
		if gone != nil {
			evicted = append(evicted, gone)
		}
	}
}

// forget removes a file. When it was the last one of its container, that is returned locked: it can still be found, so that batches
// that come meanwhile wait for what it holds to be sent.
func (c *cache) forget(path string, f *file) (gone *container, ok bool) {
	if f.busy.Load() > 0 {
		return nil, false
	}
	owner := f.container
	if owner.files > 1 {
		owner.files--
		c.files.Remove(path)
		return nil, true
	}
	if !owner.tryLock() {
		return nil, false
	}
	owner.files--
	c.files.Remove(path)
	return owner, true
}

// removed ends what forget began, unless a file of the container has come back.
func (c *cache) removed(owner *container) (ok bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if owner.files > 0 {
		return false
	}
	owner.gone = true
	delete(c.containers, owner.key)
	return true
}
