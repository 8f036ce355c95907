package series

import (
	"math/bits"
	"slices"
	"sync/atomic"
)

// A word is 56 bits of fingerprint, 7 bits of age, 1 bit of mark. A key is a word without age and mark. 0 is an empty place.
const (
	lowBits = 1<<8 - 1
	markBit = 1
	ages    = 128
	// A reader may be held up between looking at the clock and here: an age so little ahead of now is new, not very old.
	ahead = 24
)

// A bucket is a cache line: looking a series up costs one or two of them.
type bucket [8]atomic.Uint64

const (
	slots        = len(bucket{})
	bucketBytes  = 64
	pointerBytes = 8
)

// table is a cuckoo hash table: a word is in one of two buckets that follow from its key alone, so that growth needs no hashes.
// The slices never change and hold no pointers, so the garbage collector has nothing to scan.
type table struct {
	buckets []bucket
	// For words whose two buckets are full of words with the same two: hashes do not do this, crafted snapshots can.
	spill []bucket
	used  int
}

// keyOf mixes because the table uses some bits more than others, and drops the lowest bits only then. Snapshots hold keys: it must not change.
func keyOf(h uint64) uint64 {
	h ^= h >> 32
	h *= 0x9fb21c651e98df25
	return max(h&^lowBits, lowBits+1)
}

func wordOf(key uint64, marked bool, age Step) uint64 {
	word := key&^lowBits | uint64(age%ages)<<1
	if marked {
		word |= markBit
	}
	return word
}

func same(word, key uint64) bool { return word^key <= lowBits }

// since is how many steps ago the word was seen, modulo ages.
func since(word uint64, now Step) Step { return (now - Step(word>>1)) % ages }

func current(word uint64, now Step) bool {
	d := since(word, now)
	return d == 0 || d >= ages-ahead
}

// partOf uses the bits that count least in the choice of buckets.
func partOf(key uint64) uint64 { return key >> 8 % parts }

// home is a key's first bucket. It grows with the key, whatever the number of buckets, so growth copies from front to back.
func (t *table) home(key uint64) uint64 {
	i, _ := bits.Mul64(key&^lowBits, uint64(len(t.buckets)))
	return i
}

// second is a key's other bucket, which can be the same one.
func (t *table) second(key uint64) uint64 {
	i, _ := bits.Mul64(key&^lowBits*0xd6e8feb86659fd93, uint64(len(t.buckets)))
	return i
}

func newTable(n int) *table {
	return &table{buckets: newBuckets(n)}
}

// newBuckets makes at least n: all that fit into what the allocator would hand out anyway. Its sizes are multiples of a cache line here.
func newBuckets(n int) []bucket {
	b := slices.Grow([]bucket(nil), n)
	b = b[:cap(b)]
	clear(b)
	return b
}

// bucketsFor leaves room for some more than n words.
func bucketsFor(n int) int { return max(1, (n*10+slots*7-1)/(slots*7)) }

func tableBytes(n int) int { return 64 + n*bucketBytes }

func (t *table) bytes() int {
	if t == nil {
		return 0
	}
	return tableBytes(t.len())
}

// full is a load of 0.88: up to there room is found in a few moves.
func (t *table) full() bool { return t.used*100 >= len(t.buckets)*slots*88 }

// sparse is a load at which more buckets do not make room.
func (t *table) sparse() bool { return t.used*4 < len(t.buckets)*slots }

func (t *table) next() int { return (len(t.buckets)*5 + 3) / 4 }

// len and at count the spill as buckets behind the others.
func (t *table) len() int { return len(t.buckets) + len(t.spill) }

func (t *table) at(i int) *bucket {
	if i < len(t.buckets) {
		return &t.buckets[i]
	}
	return &t.spill[i-len(t.buckets)]
}

// find is a key's place and the word that was seen there.
func (t *table) find(key uint64) (*atomic.Uint64, uint64) {
	if at, w := t.buckets[t.home(key)].find(key); at != nil {
		return at, w
	}
	if at, w := t.buckets[t.second(key)].find(key); at != nil {
		return at, w
	}
	for i := range t.spill {
		if at, w := t.spill[i].find(key); at != nil {
			return at, w
		}
	}
	return nil, 0
}

func (b *bucket) find(key uint64) (*atomic.Uint64, uint64) {
	for i := range b {
		if w := b[i].Load(); same(w, key) {
			return &b[i], w
		}
	}
	return nil, 0
}

func (b *bucket) free() *atomic.Uint64 {
	for i := range b {
		if b[i].Load() == 0 {
			return &b[i]
		}
	}
	return nil
}

// insert finds a place for a word, if need be by moving others. It does not count it.
func (t *table) insert(word uint64) bool {
	for _, i := range [...]uint64{t.home(word), t.second(word)} {
		if at := t.buckets[i].free(); at != nil {
			at.Store(word)
			return true
		}
	}
	return t.makeRoom(word)
}

// A visit is a full bucket that makeRoom came to, from slot of the bucket of an earlier visit.
type visit struct {
	bucket uint64
	from   int16
	slot   int16
}

// makeRoom looks for the shortest chain of moves that ends in a free place, breadth first, and comes to no bucket twice.
func (t *table) makeRoom(word uint64) bool {
	var queue [128]visit
	queue[0] = visit{bucket: t.home(word), from: -1}
	queue[1] = visit{bucket: t.second(word), from: -1}
	end := 2
	for i := 0; i < end; i++ {
		for slot := range slots {
			from := &t.buckets[queue[i].bucket][slot]
			other := t.other(from.Load(), queue[i].bucket)
			if at := t.buckets[other].free(); at != nil {
				move(from, at)
				at = from
				for v := queue[i]; v.from >= 0; v = queue[v.from] {
					from = &t.buckets[queue[v.from].bucket][v.slot]
					move(from, at)
					at = from
				}
				at.Store(word)
				return true
			}
			known := slices.ContainsFunc(queue[:end], func(v visit) bool { return v.bucket == other })
			if end < len(queue) && !known {
				queue[end] = visit{bucket: other, from: int16(i), slot: int16(slot)}
				end++
			}
		}
	}
	return false
}

func (t *table) other(word, bucket uint64) uint64 {
	if home := t.home(word); home != bucket {
		return home
	}
	return t.second(word)
}

// move writes first and clears then, and takes along an age that a reader stores in between.
func move(from, to *atomic.Uint64) {
	for {
		w := from.Load()
		to.Store(w)
		if from.CompareAndSwap(w, 0) {
			return
		}
	}
}

// words calls yield with every word until it says no, stride buckets further each time.
func (t *table) words(stride int, yield func(uint64) bool) bool {
	n := t.len()
	for i, at := 0, 0; i < n; i, at = i+1, (at+stride)%n {
		b := t.at(at)
		for j := range b {
			if w := b[j].Load(); w != 0 && !yield(w) {
				return false
			}
		}
	}
	return true
}

// scatter is a stride near the golden ratio: any number of words in a row comes from all over the table. Loading words in the order of
// their buckets takes several times as long, since those that come together all want the same few buckets of a table that is still small.
func (t *table) scatter() int {
	stride := max(1, t.len()*618/1000)
	for gcd(stride, t.len()) != 1 {
		stride++
	}
	return stride
}

func gcd(a, b int) int {
	for b != 0 {
		a, b = b, a%b
	}
	return a
}

// rebuilt is a copy with n buckets.
func (t *table) rebuilt(n int) *table {
	c := newTable(n)
	t.words(1, func(w uint64) bool {
		c = c.forced(w)
		return true
	})
	return c
}

// forced adds a word to the table or, if there is no room, to a copy with spill.
func (t *table) forced(word uint64) *table {
	if !t.insert(word) {
		return t.spilled(word)
	}
	t.used++
	return t
}

// spilled adds a word to the spill: of the table if it has room, else of a table that shares the buckets.
func (t *table) spilled(word uint64) *table {
	for i := range t.spill {
		if at := t.spill[i].free(); at != nil {
			at.Store(word)
			t.used++
			return t
		}
	}
	larger := newBuckets(2*len(t.spill) + 1)
	for i := range t.spill {
		for j := range t.spill[i] {
			larger[i][j].Store(t.spill[i][j].Load())
		}
	}
	larger[len(t.spill)][0].Store(word)
	return &table{buckets: t.buckets, spill: larger, used: t.used + 1}
}
