package fold

import (
	"math"
	"slices"
)

// align leaves the stream with the bounds that it shares with the point, which makes coarsening what it has exact: no bucket is ever cut
// in two. A cumulative stream gets no new start by that: its count, its sum and the count below each bound that stays go on as before,
// whereas a new start with the same values would tell a receiver to count all of them again.
func (t *Table) align(s *Stream, h *shape) {
	a, bounds := &s.cur, h.bounds
	if h.known {
		return
	}
	if a.buckets == nil {
		if boundsCost(len(bounds)) > t.budget() {
			bounds = nil
		}
		a.bounds = slices.Clone(bounds)
		a.buckets = make([]uint64, len(bounds)+1)
		t.bytes += boundsCost(len(a.bounds))
		s.boundsHash = hashBounds(a.bounds)
		return
	}
	if subset(a.bounds, bounds) {
		return
	}
	shared := a.bounds[:0:0]
	if s.changes < maxChanges {
		shared = intersect(a.bounds, bounds)
	}
	s.changes++
	t.bytes -= boundsCost(len(a.bounds))
	old := *a
	a.bounds, a.buckets = shared, make([]uint64, len(shared)+1)
	a.addBuckets(old.bounds, old.buckets)
	t.bytes += boundsCost(len(a.bounds))
	s.boundsHash = hashBounds(a.bounds)
}

// addBuckets adds counts whose bounds include all of the accumulator's.
func (a *acc) addBuckets(bounds []float64, counts []uint64) {
	if len(counts) == len(a.buckets) {
		for i, c := range counts {
			a.buckets[i] += c
		}
		return
	}
	j := 0
	for i, c := range counts {
		for j < len(a.bounds) && (i == len(bounds) || bounds[i] > a.bounds[j]) {
			j++
		}
		a.buckets[j] += c
	}
}

// subset tells whether every bound of few is one of many; both ascend.
func subset(few, many []float64) bool {
	if len(few) == len(many) {
		return slices.Equal(few, many)
	}
	return len(few) < len(many) && len(intersect(few, many)) == len(few)
}

func intersect(a, b []float64) []float64 {
	shared := make([]float64, 0, min(len(a), len(b)))
	for i, j := 0, 0; i < len(a) && j < len(b); {
		switch {
		case a[i] < b[j]:
			i++
		case a[i] > b[j]:
			j++
		default:
			shared = append(shared, a[i])
			i++
			j++
		}
	}
	return slices.Clip(shared)
}

// hashBounds tells a member's bounds from other ones of the same number. Keeping them would double what a member takes.
func hashBounds(bounds []float64) uint32 {
	h := uint64(len(bounds))
	for _, b := range bounds {
		h = (h ^ math.Float64bits(b+0)) * 0x9e3779b97f4a7c15
		h ^= h >> 29
	}
	return uint32(h >> 32)
}
