package remotewriteexporter

import "sync"

// growAfter is how many requests near the limit a backend has to take before larger ones are tried: one refused attempt in so many
// is what it costs to find out that nothing has changed.
const growAfter = 100

// limit is how large requests may be: max_request_bytes, or less for a while once the backend, or a proxy, has refused that much.
type limit struct {
	most int64

	mu    sync.Mutex
	now   int64
	taken int // requests near the limit since it was last changed
}

func newLimit(most int) *limit { return &limit{most: int64(most), now: int64(most)} }

func (l *limit) bytes() int64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.now
}

// lower halves what was refused. It says whether the limit is a new one, and whether what was refused is above it, so that it
// will not be sent as it is again.
func (l *limit) lower(refused int) (is int64, changed, below bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if lower := int64(max(refused/2, minRequestBytes)); lower < l.now {
		l.now, changed = lower, true
	}
	l.taken = 0
	return l.now, changed, l.now < int64(refused)
}

// took lets the limit grow again. Small requests say nothing about large ones.
func (l *limit) took(size int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.now == l.most || int64(size) <= l.now/2 {
		return
	}
	if l.taken++; l.taken >= growAfter {
		l.now, l.taken = min(2*l.now, l.most), 0
	}
}
