package fold

import (
	"math"
	"unsafe"
)

// member is a series that is folded. It has no pointers, so a million of them cost the garbage collector nothing.
type member struct {
	key   Key
	ref   uint32 // stream slot << 1 | the last value is an int; the next free slot of a free member
	seen  uint32 // Unix seconds
	start uint64 // the greatest start seen, 0 if none; of a gauge the interval of its last value
	time  uint64 // of the last point
	bits  uint64 // the last value; of a distribution its cell in the arena << 32 | what its bounds hash to
}

func (m *member) stream() uint32 { return m.ref >> 1 }

func (m *member) value() num {
	if m.ref&1 == 1 {
		return num{i: int64(m.bits), isInt: true}
	}
	return num{f: math.Float64frombits(m.bits)}
}

func (m *member) setValue(n num) {
	m.bits, m.ref = n.bits(), m.ref&^1
	if n.isInt {
		m.ref |= 1
	}
}

func (m *member) cell() uint32 { return uint32(m.bits >> 32) }

const (
	slabSize   = 256
	maxMembers = 1<<24 - 1 // what an index entry can name
	never      = 1<<32 - 1 // when a free slot was seen
)

// members is a hash table of them. A Go map with a slice would take 80 bytes a member where this takes less than 60. The index is open
// addressing: an entry is 8 bits of the key, so that one probe in 256 misses for nothing, and 24 bits of slot plus one.
type members struct {
	index []uint32
	slabs []*[slabSize]member
	free  uint32 // the first free slot plus one
	used  uint32 // slots that were ever given out
	live  int
}

func (t *members) at(slot uint32) *member { return &t.slabs[slot/slabSize][slot%slabSize] }

func (t *members) bytes() int {
	return 4*cap(t.index) + (int(unsafe.Sizeof(member{}))*slabSize+8)*len(t.slabs)
}

func entry(k Key, slot uint32) uint32 { return uint32(k.Hi>>56)<<24 | (slot + 1) }

// find gives the slot of a key and its place in the index.
func (t *members) find(k Key) (slot, place uint32, ok bool) {
	if t.live == 0 {
		return 0, 0, false
	}
	mask, tag := uint32(len(t.index)-1), entry(k, 0)>>24
	for i := uint32(k.Lo) & mask; t.index[i] != 0; i = (i + 1) & mask {
		if e := t.index[i]; e>>24 == tag {
			if slot := e&maxMembers - 1; t.at(slot).key == k {
				return slot, i, true
			}
		}
	}
	return 0, 0, false
}

// insert adds a key that is not there, unless that takes more than budget bytes.
func (t *members) insert(k Key, budget int) (uint32, bool) {
	if t.live >= maxMembers-1 {
		return 0, false
	}
	grow := 4*(t.live+1) > 3*len(t.index)
	if grow {
		budget -= 4 * max(len(t.index), 64)
	}
	slab := t.free == 0 && int(t.used) == len(t.slabs)*slabSize
	if slab {
		budget -= int(unsafe.Sizeof(member{})) * slabSize
	}
	if budget < 0 && (grow || slab) {
		return 0, false
	}
	if grow {
		t.rehash(max(2*len(t.index), 64))
	}
	if slab {
		t.slabs = append(t.slabs, new([slabSize]member))
	}
	slot := t.used
	if t.free > 0 {
		slot = t.free - 1
		t.free = t.at(slot).ref
	} else {
		t.used++
	}
	*t.at(slot) = member{key: k}
	t.live++
	t.place(k, slot)
	return slot, true
}

func (t *members) place(k Key, slot uint32) {
	mask := uint32(len(t.index) - 1)
	i := uint32(k.Lo) & mask
	for t.index[i] != 0 {
		i = (i + 1) & mask
	}
	t.index[i] = entry(k, slot)
}

func (t *members) rehash(size int) {
	old := t.index
	t.index = make([]uint32, size)
	for _, e := range old {
		if e != 0 {
			slot := e&maxMembers - 1
			t.place(t.at(slot).key, slot)
		}
	}
}

// remove takes a key out and closes the gap in its run of the index, so that no tombstones are needed.
func (t *members) remove(slot, gap uint32) {
	mask := uint32(len(t.index) - 1)
	for i := (gap + 1) & mask; t.index[i] != 0; i = (i + 1) & mask {
		home := uint32(t.at(t.index[i]&maxMembers-1).key.Lo) & mask
		if (i-home)&mask >= (i-gap)&mask {
			t.index[gap] = t.index[i]
			gap = i
		}
	}
	t.index[gap] = 0
	*t.at(slot) = member{ref: t.free, seen: never}
	t.free = slot + 1
	t.live--
}
