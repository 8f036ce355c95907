package limit

import (
	"encoding/binary"
	"errors"
	"slices"

	"github.com/sluice-otel/sluice/components/cardinalitylimiterprocessor/internal/series"
)

// errSnapshot says that a snapshot is not one. Whoever stores it adds a checksum: this only keeps us from a panic.
var errSnapshot = errors.New("the snapshot is cut short or damaged")

// ErrTooLarge is for a snapshot of a run that was allowed more memory.
var ErrTooLarge = errors.New("the snapshot is larger than three quarters of max_memory_mib: raise it, or delete the stored state to begin anew")

// AppendBinary writes the leaves and their series, for the rules' dimensions and for those of earlier rules, the attributes that are
// replaced, and the values. Budgets are counted anew.
func (l *Limiter) AppendBinary(b []byte) []byte {
	b = binary.AppendUvarint(b, uint64(1+len(l.old)))
	b = appendSection(b, l.dims.Load(), &l.leaves)
	for _, old := range l.old {
		b = appendSection(b, &dims{resource: old.Resource, scope: old.Scope}, &old.leaves)
	}
	return l.appendValues(b)
}

func (l *Limiter) appendValues(b []byte) []byte {
	count := 0
	for _, budget := range l.budgets {
		count += len(budget.values)
	}
	b = binary.AppendUvarint(b, uint64(count))
	for _, budget := range l.budgets {
		for _, v := range budget.values {
			b = binary.LittleEndian.AppendUint64(b, budget.key)
			b = binary.LittleEndian.AppendUint64(b, v.key)
			b = appendString(b, v.name)
			b = appendWords(b, &v.set)
		}
	}
	return b
}

func appendWords(b []byte, set *series.Set) []byte {
	b = binary.AppendUvarint(b, uint64(set.Len()))
	for word := range set.Words() {
		b = binary.LittleEndian.AppendUint64(b, word)
	}
	return b
}

func appendSection(b []byte, d *dims, leaves *leafTable) []byte {
	b = binary.AppendUvarint(b, uint64(len(d.resource)))
	for _, name := range d.resource {
		b = appendString(b, name)
	}
	b = appendBool(b, d.scope)
	b = binary.AppendUvarint(b, uint64(leaves.len()))
	for leaf := range leaves.all {
		b = binary.LittleEndian.AppendUint64(b, leaf.key)
		b = appendString(b, leaf.Place.Metric)
		b = appendString(b, leaf.Place.Scope)
		for _, value := range leaf.Place.Resource {
			b = appendString(b, value)
		}
		var hot []uint64
		if leaf.hot != nil {
			hot = leaf.hot.found
		}
		b = binary.AppendUvarint(b, uint64(len(hot)))
		for _, key := range hot {
			b = binary.LittleEndian.AppendUint64(b, key)
		}
		b = appendWords(b, &leaf.Series)
	}
	return b
}

type section struct {
	dims   dims
	leaves []*Leaf
}

type storedValues struct {
	budget uint64
	values *values
}

// UnmarshalBinary restores what AppendBinary wrote, into a limiter whose rules are set. The series count as seen now.
func (l *Limiter) UnmarshalBinary(b []byte, now series.Step) error {
	r := reader{rest: b}
	var sections []section
	size := 0
	for range r.count(3) {
		s := r.section(now)
		if !slices.IsSorted(s.dims.resource) {
			return errSnapshot
		}
		for _, leaf := range s.leaves {
			size += leaf.bytes()
		}
		sections = append(sections, s)
	}
	var stored []storedValues
	for range r.count(17) {
		v := r.values(now)
		size += v.values.bytes()
		stored = append(stored, v)
	}
	if r.failed || len(r.rest) > 0 {
		return errSnapshot
	}
	if size > l.opts.MaxBytes {
		return ErrTooLarge
	}
	for i := range sections {
		l.take(&sections[i], i == 0)
	}
	for _, v := range stored {
		b := l.budgets[v.budget]
		if b == nil || b.values == nil || b.values[v.values.key] != nil {
			continue // of a rule that is gone
		}
		b.values[v.values.key] = v.values
		b.publish()
		l.bytes += v.values.bytes()
	}
	for leaf := range l.leaves.all {
		if leaf.valuesKnown() {
			leaf.until.Store(0)
		}
	}
	return nil
}

func (r *reader) values(now series.Step) storedValues {
	v := storedValues{r.uint64(), &values{key: r.uint64(), name: r.string()}}
	for range r.count(8) {
		v.values.set.Load(r.uint64(), now)
	}
	return v
}

// take puts a section's leaves where they belong by the rules of today. Only the first section was of the rules of its day: others may have
// leaves of the same places.
func (l *Limiter) take(s *section, first bool) {
	leaves := &l.leaves
	if !first || !s.dims.equal(*l.dims.Load()) {
		old := newOld(&s.dims, newLeafSlots(len(s.leaves)))
		l.old = append(l.old, old)
		leaves = &old.leaves
	}
	for _, leaf := range s.leaves {
		if leaves.find(leaf.key) == nil {
			leaves.add(leaf)
			l.attach(leaf)
			l.bytes += leaf.bytes()
			if leaf.hot != nil {
				l.takeExtra(leaf.hot.bytes())
			}
		}
	}
}

func (r *reader) section(now series.Step) (s section) {
	for range r.count(1) {
		s.dims.resource = append(s.dims.resource, r.string())
	}
	s.dims.scope = r.bool()
	d := s.dims
	for range r.count(8) {
		leaf := &Leaf{key: r.uint64(), dims: &d, touched: now, Place: &Place{Metric: r.string(), Scope: r.string()}}
		for range d.resource {
			leaf.Place.Resource = append(leaf.Place.Resource, r.string())
		}
		for range r.count(8) {
			if leaf.hot == nil {
				leaf.hot = &hotKeys{keys: map[uint64]*hotKey{}}
			}
			leaf.hot.found = append(leaf.hot.found, r.uint64())
		}
		for range r.count(8) {
			word, before := r.uint64(), leaf.Series.Len()
			leaf.Series.Load(word, now)
			if leaf.Series.Len() > before && series.Marked(word) {
				leaf.marked++
			}
		}
		s.leaves = append(s.leaves, leaf)
	}
	return s
}

func appendString(b []byte, s string) []byte {
	return append(binary.AppendUvarint(b, uint64(len(s))), s...)
}

func appendBool(b []byte, v bool) []byte {
	if v {
		return append(b, 1)
	}
	return append(b, 0)
}

// reader reads until something is not there.
type reader struct {
	rest   []byte
	failed bool
}

func (r *reader) fail() { r.rest, r.failed = nil, true }

func (r *reader) uvarint() uint64 {
	v, n := binary.Uvarint(r.rest)
	if n <= 0 {
		r.fail()
		return 0
	}
	r.rest = r.rest[n:]
	return v
}

// count is a number of items of at least size bytes each: more than fit into the rest are no count.
func (r *reader) count(size int) int {
	n := r.uvarint()
	if n > uint64(len(r.rest)/size) {
		r.fail()
		return 0
	}
	return int(n) //nolint:gosec // at most the length of the rest
}

func (r *reader) string() string {
	n := r.count(1)
	s := string(r.rest[:n])
	r.rest = r.rest[n:]
	return s
}

func (r *reader) uint64() uint64 {
	if len(r.rest) < 8 {
		r.fail()
		return 0
	}
	v := binary.LittleEndian.Uint64(r.rest)
	r.rest = r.rest[8:]
	return v
}

func (r *reader) bool() bool {
	if len(r.rest) < 1 {
		r.fail()
		return false
	}
	v := r.rest[0] == 1
	r.rest = r.rest[1:]
	return v
}
