// Package series remembers which series are admitted, in 9 to 12 bytes for each, so that the hot path can ask without a lock.
package series

import (
	"iter"
	"sync/atomic"
)

// Step is a point on the clock of ages: idle_timeout/64 long. Only its low 7 bits are stored; differences are modulo 128.
type Step uint32

const (
	// A table that has to grow beyond this is split, so that later growth copies one part of it only.
	splitAt = 1 << 16
	// Far enough below splitAt that a set does not go back and forth.
	mergeAt = splitAt / 8
	// As many as there are values of the lowest fingerprint bits that choose the part.
	parts = 64
)

// Set holds 56-bit fingerprints of series, each with the step it was last seen in and one mark, in 8 bytes. The zero value is empty.
//
// Hit takes no lock and allocates nothing. Every other method needs the caller's lock; Hit may run beside them. What a race can do to it:
//   - Hit may miss a series while it is moved. Under the lock it is exact, so a caller asks again there, with Has, or with Hit to
//     store the age as well.
//   - Hit may store the age in a table that has just been copied. That one age is lost, so a series has to be seen twice
//     in the idle time to be safe from it; the series itself is never lost.
//   - A Hit that comes more than 24 steps after its now was read can turn the age back.
type Set struct {
	// Not split: whole is the only table. Split: whole is nil. In between readers may see neither, never a wrong one.
	whole atomic.Pointer[table]
	split atomic.Pointer[[parts]atomic.Pointer[table]]
	n     int
	bytes int
}

// Hit looks a series up and notes that it was seen. age is how many steps ago that was the last time; 0 when it was in this step, and
// when the age could not be stored.
func (s *Set) Hit(h uint64, now Step) (found, marked bool, age Step) {
	key := keyOf(h)
	t := s.slot(key).Load()
	if t == nil {
		return false, false, 0
	}
	at, w := t.find(key)
	if at == nil {
		return false, false, 0
	}
	for !current(w, now) {
		if at.CompareAndSwap(w, wordOf(key, w&markBit != 0, now)) {
			return true, w&markBit != 0, since(w, now)
		}
		// Another reader was first, or the word is gone: then it must not count as found, its place may be given to another series already.
		if w = at.Load(); !same(w, key) {
			return false, false, 0
		}
	}
	return true, w&markBit != 0, 0
}

// Touch begins to load the memory that Hit will read. Many in a row wait for it together; in turns with other work they would wait one by one.
func (s *Set) Touch(h uint64) {
	key := keyOf(h)
	if t := s.slot(key).Load(); t != nil {
		t.buckets[t.home(key)][0].Load()
	}
}

// Add puts a series in that the caller knows is not there. It grows as needed.
func (s *Set) Add(h uint64, marked bool, now Step) {
	s.add(wordOf(keyOf(h), marked, now))
}

// AddKey is Add for a key.
func (s *Set) AddKey(key uint64, now Step) { s.add(wordOf(key, false, now)) }

// Has tells whether the series is there.
func (s *Set) Has(h uint64) bool { return s.has(keyOf(h)) }

// Key is what the set keeps of a hash: 56 mixed bits. Words of a snapshot have it, too, see KeyOfWord.
func Key(h uint64) uint64 { return keyOf(h) }

// KeyOfWord is the key in a word of Words.
func KeyOfWord(word uint64) uint64 { return word &^ lowBits }

// HasKey tells whether the series with a key is there.
func (s *Set) HasKey(key uint64) bool { return s.has(key) }

// Remove takes a series out.
func (s *Set) Remove(h uint64) (found, marked bool) { return s.RemoveKey(keyOf(h)) }

// RemoveKey takes the series with a key out.
func (s *Set) RemoveKey(key uint64) (found, marked bool) {
	t := s.slot(key).Load()
	if t == nil {
		return false, false
	}
	at, _ := t.find(key)
	if at == nil {
		return false, false
	}
	w := at.Swap(0)
	t.used--
	s.n--
	return true, w&markBit != 0
}

// Len is the number of series.
func (s *Set) Len() int { return s.n }

// Bytes is the heap that the set holds, without the Set itself.
func (s *Set) Bytes() int { return s.bytes }

// GrowthBytes is the most that the next Add may have to allocate while what Bytes counts is still held; 0 if there is room.
// Very unlucky hashes can make a table grow before it says so.
func (s *Set) GrowthBytes() int {
	if s.split.Load() == nil {
		switch t := s.whole.Load(); {
		case t == nil:
			return tableBytes(1)
		case !t.full():
			return 0
		case t.used >= splitAt:
			return parts*(pointerBytes+tableBytes(0)) + bucketBytes*splitBuckets(t.used)
		default:
			return tableBytes(t.next())
		}
	}
	most := 0
	for i := range s.tables() {
		switch t := s.table(i).Load(); {
		case t == nil:
			most = max(most, tableBytes(1))
		case t.full():
			most = max(most, tableBytes(t.next()))
		}
	}
	return most
}

// Words are the stored words, for Load, in an order that makes it fast.
func (s *Set) Words() iter.Seq[uint64] {
	return func(yield func(uint64) bool) {
		for i := range s.tables() {
			if t := s.table(i).Load(); t != nil && !t.words(t.scatter(), yield) {
				return
			}
		}
	}
}

// Load puts a word of a snapshot in: its fingerprint and mark, seen at age. A word that is not one, or is there already, changes nothing.
func (s *Set) Load(word uint64, age Step) {
	key := word &^ lowBits
	if key == 0 || s.has(key) {
		return
	}
	s.add(wordOf(key, word&markBit != 0, age))
}

func (s *Set) has(key uint64) bool {
	t := s.slot(key).Load()
	if t == nil {
		return false
	}
	at, _ := t.find(key)
	return at != nil
}

// slot is where the table of a key is.
func (s *Set) slot(key uint64) *atomic.Pointer[table] {
	if p := s.split.Load(); p != nil {
		return &p[partOf(key)]
	}
	return &s.whole
}

func (s *Set) tables() int {
	if s.split.Load() != nil {
		return parts
	}
	return 1
}

func (s *Set) table(i int) *atomic.Pointer[table] {
	if p := s.split.Load(); p != nil {
		return &p[i]
	}
	return &s.whole
}

func (s *Set) add(word uint64) {
	if t := s.whole.Load(); t != nil && t.full() && t.used >= splitAt {
		s.divide(t)
	}
	s.place(s.slot(word), word)
	s.n++
}

// place adds a word to the table in slot, which it replaces by a larger one when that helps.
func (s *Set) place(slot *atomic.Pointer[table], word uint64) {
	t := slot.Load()
	if t == nil {
		t = newTable(1)
		s.publish(slot, t)
	}
	for {
		if !t.full() && t.insert(word) {
			t.used++
			return
		}
		if !t.full() && t.sparse() {
			s.publish(slot, t.spilled(word))
			return
		}
		t = t.rebuilt(t.next())
		s.publish(slot, t)
	}
}

func (s *Set) publish(slot *atomic.Pointer[table], t *table) {
	s.bytes += t.bytes() - slot.Load().bytes()
	slot.Store(t)
}

// divide replaces the whole table by its parts.
func (s *Set) divide(t *table) {
	p := new([parts]atomic.Pointer[table])
	for i := range p {
		s.publish(&p[i], newTable(partBuckets(t.used, i)))
	}
	t.words(1, func(w uint64) bool {
		s.place(&p[partOf(w)], w)
		return true
	})
	s.bytes += parts * pointerBytes
	s.split.Store(p)
	s.publish(&s.whole, nil)
}

// partBuckets staggers the sizes of the parts, so that they do not all grow at the same time.
func partBuckets(used, part int) int {
	n := bucketsFor(used / parts)
	return n + n*part/(4*parts)
}

func splitBuckets(used int) int { return parts * partBuckets(used, parts) }

// merge is the way back.
func (s *Set) merge() {
	whole := newTable(bucketsFor(s.n))
	for w := range s.Words() {
		whole = whole.forced(w)
	}
	for i := range parts {
		s.publish(s.table(i), nil)
	}
	s.publish(&s.whole, whole)
	s.bytes -= parts * pointerBytes
	s.split.Store(nil)
}

// Marked tells whether a word of a snapshot has the mark.
func Marked(word uint64) bool { return word&markBit != 0 }
