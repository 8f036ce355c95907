// Package budget bounds the values of labels and the streams of tenants: what is known passes, what is new passes while there is room.
// It knows nothing of logs; the clock is an argument.
package budget

import (
	"sync"
	"time"

	"github.com/zeebo/xxh3"
)

// Limits are the bounds.
type Limits struct {
	// Window is how long something is known after it was seen last; it is forgotten at the latest after twice that.
	Window time.Duration
	// Labels are bounded one by one; the first is the one that every stream has.
	Labels []Label
	// MaxStreams bounds the streams of a tenant. A quarter of them is kept for streams that do without some labels, one for what fits nowhere.
	MaxStreams int
	// MaxTenants bounds the tenants with a budget of their own.
	MaxTenants int
}

// Label is one label's bound.
type Label struct {
	Name      string
	MaxValues int
}

// Verdict is what becomes of a label of one stream.
type Verdict uint8

// The verdicts. For the first label, which every stream has, all but Admitted mean that it gets a fixed value.
const (
	Admitted Verdict = iota
	// OverValues: the value is new, and the label has as many as it may have.
	OverValues
	// OverStreams: the stream is new, and the tenant has as many as it may have.
	OverStreams
)

// Budgets are those of all tenants. They may be used concurrently.
type Budgets struct {
	limits Limits
	names  []uint64 // of the labels, hashed

	mu      sync.Mutex
	seed    uint64
	tenants map[string]*tenant
	shared  *tenant // of those beyond MaxTenants
	cleaned time.Time
	dirty   bool
}

// New makes empty budgets. The seed is a secret: who knows it could make values that pass for known ones.
func New(limits Limits, seed uint64) *Budgets {
	b := &Budgets{limits: limits, seed: seed, tenants: map[string]*tenant{}}
	for _, l := range limits.Labels {
		b.names = append(b.names, xxh3.HashString(l.Name))
	}
	b.shared = b.newTenant()
	return b
}

func (b *Budgets) newTenant() *tenant {
	return &tenant{values: make([]set, len(b.limits.Labels))}
}

// Stream asks whether a tenant may have a stream with these values, one for each label and empty for those that it does not have. It writes what
// becomes of each label to verdicts, and returns true when the stream that is left is a new one.
func (b *Budgets) Stream(now time.Time, tenantID string, values []string, verdicts []Verdict) (isNew bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	t, sum := b.tenant(now, tenantID)
	b.rotate(t, now)
	q := query{b: b, t: t, sum: sum, verdicts: verdicts, hashes: t.hashes[:0]}
	for i, v := range values {
		h := uint64(0)
		if v != "" {
			h = b.hash(i, v)
		}
		q.hashes = append(q.hashes, h)
		verdicts[i] = Admitted
		q.sum += h
	}
	t.hashes = q.hashes
	return q.answer()
}

func (b *Budgets) hash(label int, value string) uint64 {
	return max(1, xxh3.HashStringSeed(value, b.seed^b.names[label])) // 0 stands for none
}

// tenant finds a tenant's budget, and what tells its streams apart from those of others that share it.
func (b *Budgets) tenant(now time.Time, id string) (t *tenant, sum uint64) {
	if t := b.tenants[id]; t != nil {
		return t, 0
	}
	if len(b.tenants) >= b.limits.MaxTenants && now.Sub(b.cleaned) >= b.limits.Window/4 {
		b.cleaned = now
		b.forget(now)
	}
	if len(b.tenants) >= b.limits.MaxTenants {
		return b.shared, xxh3.HashStringSeed(id, b.seed)
	}
	t = b.newTenant()
	b.tenants[id] = t
	return t, 0
}

// forget lets go of what was not seen for a window, and of tenants that have nothing left.
func (b *Budgets) forget(now time.Time) {
	b.rotate(b.shared, now)
	for id, t := range b.tenants {
		if b.rotate(t, now); t.streams.len() == 0 {
			delete(b.tenants, id)
		}
	}
}

func (b *Budgets) rotate(t *tenant, now time.Time) {
	before := t.streams.len()
	t.rotate(now, b.limits.Window)
	b.dirty = b.dirty || t.streams.len() < before
}

// Stats are what the budgets hold: of values and streams the fullest tenant's.
type Stats struct {
	Tenants int
	Streams int
	Values  []int
}

// Stats counts.
func (b *Budgets) Stats(now time.Time) Stats {
	b.mu.Lock()
	defer b.mu.Unlock()
	s := Stats{Tenants: len(b.tenants), Values: make([]int, len(b.limits.Labels))}
	count := func(t *tenant) {
		b.rotate(t, now)
		s.Streams = max(s.Streams, t.streams.len())
		for i := range t.values {
			s.Values[i] = max(s.Values[i], t.values[i].len())
		}
	}
	count(b.shared)
	for _, t := range b.tenants {
		count(t)
	}
	return s
}

// tenant is the budget of one tenant.
type tenant struct {
	streams set
	values  []set
	until   time.Time // when the present half ends
	hashes  []uint64  // scratch
}

// rotate forgets what was not seen for a window.
func (t *tenant) rotate(now time.Time, window time.Duration) {
	switch {
	case now.Before(t.until):
		return
	case now.Before(t.until.Add(window)):
		t.until = t.until.Add(window)
		t.streams.rotate()
		for i := range t.values {
			t.values[i].rotate()
		}
	default: // the first time, or after a long rest
		t.until = now.Add(window)
		t.streams = set{}
		clear(t.values)
	}
}

// query is one question about a stream.
type query struct {
	b        *Budgets
	t        *tenant
	hashes   []uint64 // of the values; 0: none
	sum      uint64   // of those that are admitted: the stream
	verdicts []Verdict
}

func (q *query) answer() (isNew bool) {
	if q.t.streams.now.has(q.sum) {
		return false // so are its values
	}
	if !q.t.streams.has(q.sum) {
		for i, h := range q.hashes {
			if v := &q.t.values[i]; h != 0 && !v.has(h) && v.len() >= q.b.limits.Labels[i].MaxValues {
				q.demote(i, OverValues)
			}
		}
		for all, gone := q.labels(), 0; !q.t.streams.has(q.sum) && q.t.streams.len() >= q.room(gone, all); gone++ {
			i := q.worst()
			if i < 0 {
				return false // nothing but the fixed value is left
			}
			q.demote(i, OverStreams)
		}
	}
	isNew = q.t.streams.add(q.sum)
	for i, h := range q.hashes {
		if h != 0 && q.verdicts[i] == Admitted {
			q.t.values[i].add(h)
		}
	}
	q.b.dirty = q.b.dirty || isNew
	return isNew
}

// room is how many streams there may be for a new one that does without some of its labels. Whole ones get three quarters, and the more labels a stream does
// without, the more of the last quarter it may use: so one label that explodes leaves room for those that come later without it.
func (q *query) room(gone, all int) int {
	most := q.b.limits.MaxStreams - 1
	if gone >= all {
		return most
	}
	return most - most/4 + most/4*gone/all
}

// labels counts those that the stream has beside the first.
func (q *query) labels() (n int) {
	for i, h := range q.hashes[1:] {
		if h != 0 && q.verdicts[i+1] == Admitted {
			n++
		}
	}
	return n
}

// demote takes a label's value out of the stream; the first label has the fixed value then, which is in no sum.
func (q *query) demote(i int, why Verdict) {
	q.verdicts[i] = why
	q.sum -= q.hashes[i]
}

// worst finds the label to do without: the one with most values, of equals the least important; the first label comes last.
func (q *query) worst() int {
	worst, most := -1, -1
	for i, h := range q.hashes {
		if i == 0 || h == 0 || q.verdicts[i] != Admitted {
			continue
		}
		if n := q.t.values[i].len(); n >= most {
			worst, most = i, n
		}
	}
	if worst < 0 && q.hashes[0] != 0 && q.verdicts[0] == Admitted {
		return 0
	}
	return worst
}

// set is what was seen in this half of the window, and in the one before.
type set struct {
	now, before hashes
}

type hashes map[uint64]struct{}

func (h hashes) has(x uint64) bool {
	_, ok := h[x]
	return ok
}

func (s *set) len() int          { return len(s.now) + len(s.before) }
func (s *set) has(x uint64) bool { return s.now.has(x) || s.before.has(x) }

// add returns true when it was not there.
func (s *set) add(x uint64) (isNew bool) {
	if s.now == nil {
		s.now = hashes{}
	}
	before := len(s.before)
	delete(s.before, x)
	isNew = len(s.before) == before && !s.now.has(x)
	s.now[x] = struct{}{}
	return isNew
}

func (s *set) rotate() {
	s.now, s.before = nil, s.now
}
