// Package ident makes identities of series: seeded hashes that do not depend on the order of attributes.
package ident

import "github.com/zeebo/xxh3"

// Hasher hashes with a secret seed: without it nobody can make series that collide.
type Hasher struct{ seed uint64 }

// New makes a hasher. The same seed gives the same hashes after a restart.
func New(seed uint64) Hasher { return Hasher{seed} }

// Seed is the hasher's seed, for a snapshot.
func (h Hasher) Seed() uint64 { return h.seed }

// Second is a hasher whose hashes are independent of h's; both together make 128 bits.
func (h Hasher) Second() Hasher { return Hasher{Mix(h.seed, 0x2545f4914f6cdd1d)} }

// String hashes a name.
func (h Hasher) String(s string) uint64 { return xxh3.HashStringSeed(s, h.seed) }

// What a value is: "1", 1 and true are three values.
const (
	kindInt    = 0x9ae16a3b2f90404f
	kindDouble = 0xc949c7defebcd5a3
	kindBool   = 0xb492b66fbe98f273
	kindOther  = 0x8ebc6af09c88c6e3
)

// Str hashes a string under a key's hash. Sums of such hashes stand for sets of attributes.
func Str(key uint64, value string) uint64 { return xxh3.HashStringSeed(value, key) }

// Int hashes an integer under a key's hash.
func Int(key uint64, value int64) uint64 { return Mix(key^kindInt, uint64(value)) } //nolint:gosec // bits, not a number

// Double hashes a double, given as its bits, under a key's hash.
func Double(key, bits uint64) uint64 { return Mix(key^kindDouble, bits) }

// Bool hashes a boolean under a key's hash.
func Bool(key uint64, value bool) uint64 {
	if value {
		return Mix(key^kindBool, 1)
	}
	return Mix(key^kindBool, 0)
}

// Other hashes a value that is none of these, given as text, under a key's hash.
func Other(key uint64, text string) uint64 { return Mix(key^kindOther, xxh3.HashStringSeed(text, key)) }

// Mix makes one hash of two; the order matters.
func Mix(a, b uint64) uint64 {
	x := a ^ (b * 0x9e3779b97f4a7c15)
	x ^= x >> 32
	x *= 0xd6e8feb86659fd93
	x ^= x >> 32
	x *= 0xd6e8feb86659fd93
	return x ^ x>>32
}
