package series

import (
	"strconv"
	"testing"
)

var benchmarkSizes = []int{1000, 10_000, 65_536, 1_000_000, 10_000_000}

// hash is cheap and as good as a hash function here.
func hash(i int) uint64 { return keyOf(uint64(i)*0xd1342543de82ef95) ^ uint64(i) }

func perSize(b *testing.B, run func(b *testing.B, n int)) {
	for _, n := range benchmarkSizes {
		b.Run(strconv.Itoa(n), func(b *testing.B) {
			if n == 10_000_000 && testing.Short() {
				b.Skip("it holds 100 MB, the map 300 MB")
			}
			b.ReportAllocs()
			run(b, n)
		})
	}
}

func hashed(n int) *Set {
	s := new(Set)
	for i := range n {
		s.Add(hash(i), false, 0)
	}
	return s
}

func mapped(n int) map[uint64]uint32 {
	m := map[uint64]uint32{}
	for i := range n {
		m[hash(i)] = 0
	}
	return m
}

// scattered visits all of n in an order that caches cannot guess.
func scattered(i, n int) int { return int(uint64(i) * 0x9e3779b97f4a7c15 >> 32 * uint64(n) >> 32) }

func BenchmarkHit(b *testing.B) {
	perSize(b, func(b *testing.B, n int) {
		s := hashed(n)
		i := 0
		for b.Loop() {
			i++
			if found, _, _ := s.Hit(hash(scattered(i, n)), 0); !found {
				b.Fatal("lost")
			}
		}
		b.ReportMetric(float64(s.Bytes())/float64(n), "B/series")
	})
}

func BenchmarkHitMap(b *testing.B) {
	perSize(b, func(b *testing.B, n int) {
		m := mapped(n)
		i := 0
		for b.Loop() {
			i++
			if _, found := m[hash(scattered(i, n))]; !found {
				b.Fatal("lost")
			}
		}
	})
}

func BenchmarkMiss(b *testing.B) {
	perSize(b, func(b *testing.B, n int) {
		s := hashed(n)
		i := 0
		for b.Loop() {
			i++
			if found, _, _ := s.Hit(hash(scattered(i, n)+n), 0); found {
				b.Fatal("found")
			}
		}
	})
}

func BenchmarkHitParallel(b *testing.B) {
	perSize(b, func(b *testing.B, n int) {
		s := hashed(n)
		b.ResetTimer()
		b.RunParallel(func(pb *testing.PB) {
			for i := 0; pb.Next(); i++ {
				s.Hit(hash(scattered(i, n)), 0)
			}
		})
	})
}

// One operation is a whole set.
func BenchmarkAdd(b *testing.B) {
	perSize(b, func(b *testing.B, n int) {
		for b.Loop() {
			hashed(n)
		}
		b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(n), "ns/series")
	})
}

func BenchmarkAddMap(b *testing.B) {
	perSize(b, func(b *testing.B, n int) {
		for b.Loop() {
			mapped(n)
		}
		b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(n), "ns/series")
	})
}

// One operation is a snapshot of a whole set, and a set made from it.
func BenchmarkSnapshot(b *testing.B) {
	perSize(b, func(b *testing.B, n int) {
		s := hashed(n)
		for b.Loop() {
			var loaded Set
			for w := range s.Words() {
				loaded.Load(w, 0)
			}
		}
		b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(n), "ns/series")
	})
}
