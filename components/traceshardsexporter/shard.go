package traceshardsexporter

import "github.com/zeebo/xxh3"

// shardOf says which of n shards owns a trace: the one whose mixture with the trace's hash is highest. With one shard more, only the traces
// that the new one wins move; with one less, only those that it had. Every gateway must agree, those of other versions, too: this function
// never changes.
func shardOf(id [16]byte, n int) int {
	if n == 1 {
		return 0
	}
	h := xxh3.Hash(id[:])
	best, highest := 0, uint64(0)
	for i := range n {
		if score := mix(h + uint64(i+1)*0x9e3779b97f4a7c15); score >= highest {
			best, highest = i, score
		}
	}
	return best
}

// mix spreads each bit of x over all of them; no two x give the same.
func mix(x uint64) uint64 {
	x ^= x >> 32
	x *= 0xd6e8feb86659fd93
	x ^= x >> 32
	x *= 0xd6e8feb86659fd93
	x ^= x >> 32
	return x
}
