package limit

import (
	"encoding/binary"
	"errors"
	"slices"

	"github.com/sluice-otel/sluice/components/cardinalitylimiterprocessor/internal/series"
)

// errSnapshot says that a snapshot is not one. Whoever stores it adds a checksum: this only keeps us from a panic.
var errSnapshot = errors.New("the snapshot is cut short or damaged")

// AppendBinary writes the dimensions, the leaves and their series. Budgets are counted anew, values are seen anew.
func (l *Limiter) AppendBinary(b []byte) []byte {
	d := l.dims.Load()
	b = binary.AppendUvarint(b, uint64(len(d.resource)))
	for _, name := range d.resource {
		b = appendString(b, name)
	}
	b = appendBool(b, d.scope)
	b = binary.AppendUvarint(b, uint64(l.leaves.len()))
	for leaf := range l.leaves.all {
		b = binary.LittleEndian.AppendUint64(b, leaf.key)
		b = appendString(b, leaf.Place.Metric)
		b = appendString(b, leaf.Place.Scope)
		for _, value := range leaf.Place.Resource {
			b = appendString(b, value)
		}
		b = binary.AppendUvarint(b, uint64(leaf.Series.Len()))
		for word := range leaf.Series.Words() {
			b = binary.LittleEndian.AppendUint64(b, word)
		}
	}
	return b
}

// UnmarshalBinary restores what AppendBinary wrote, into a limiter whose rules are set. The series count as seen now.
func (l *Limiter) UnmarshalBinary(b []byte, now series.Step) error {
	r := reader{rest: b}
	before := dims{resource: make([]string, 0, 8)}
	for range r.count(1) {
		before.resource = append(before.resource, r.string())
	}
	before.scope = r.bool()
	if !slices.IsSorted(before.resource) {
		return errSnapshot
	}
	var leaves []*Leaf
	size := 0
	for range r.count(8) {
		leaf := &Leaf{key: r.uint64(), touched: now, Place: &Place{Metric: r.string(), Scope: r.string()}}
		for range before.resource {
			leaf.Place.Resource = append(leaf.Place.Resource, r.string())
		}
		for range r.count(8) {
			word := r.uint64()
			before := leaf.Series.Len()
			leaf.Series.Load(word, now)
			if leaf.Series.Len() > before && series.Marked(word) {
				leaf.marked++
			}
		}
		size += leafBytes + leaf.Place.size() + leaf.Series.Bytes()
		leaves = append(leaves, leaf)
	}
	if r.failed || len(r.rest) > 0 {
		return errSnapshot
	}
	if size > l.opts.MaxBytes {
		return errors.New("the snapshot is larger than max_memory_mib allows")
	}
	if !before.equal(*l.dims.Load()) {
		old := &Old{Resource: before.resource, Scope: before.scope}
		old.leaves.slots.Store(newLeafSlots(len(leaves)))
		for _, leaf := range leaves {
			old.leaves.add(leaf)
		}
		l.old = append(l.old, old)
	} else {
		for _, leaf := range leaves {
			if l.leaves.find(leaf.key) != nil {
				continue
			}
			l.attach(leaf)
			l.leaves.add(leaf)
		}
	}
	l.bytes += size
	return nil
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
