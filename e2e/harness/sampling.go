package harness

import (
	"hash/fnv"
	"math"
)

// SamplingShare places a trace between 0 and 1, as every replica of the sampling tier does: FNV-1a over the profile's salt and the trace ID.
func SamplingShare(id [16]byte) float64 {
	h := fnv.New64a()
	_, _ = h.Write([]byte("sluice"))
	_, _ = h.Write(id[:])
	return float64(h.Sum64()) / math.MaxUint64
}
