package fold

import (
	"testing"

	"github.com/stretchr/testify/assert"
)

var bounds15 = []float64{5, 10, 25, 50, 75, 100, 250, 500, 750, 1000, 2500, 5000, 7500, 10000}

var costs = []struct {
	name string
	kind Kind
	next func(p *Point, i uint64)
}{
	{"delta_sum", DeltaSum, func(p *Point, i uint64) { p.IsInt, p.Int = true, int64(i) }},
	{"delta_sum_float", DeltaSum, func(p *Point, i uint64) { p.Float = float64(i) }},
	{"cumulative_sum", CumulativeSum, func(p *Point, i uint64) { p.IsInt, p.Int = true, int64(i) }},
	{"cumulative_sum_float", CumulativeSum, func(p *Point, i uint64) { p.Float = float64(i) }},
	{"up_down", CumulativeUpDown, func(p *Point, i uint64) { p.IsInt, p.Int = true, int64(i) }},
	{"gauge", Gauge, func(p *Point, i uint64) { p.Float = float64(i) }},
	{"delta_histogram", DeltaHistogram, histogramOf},
	{"cumulative_histogram", CumulativeHistogram, histogramOf},
	{"delta_exponential", DeltaExponential, exponentialOf},
	{"cumulative_exponential", CumulativeExponential, exponentialOf},
	{"summary", Summary, func(p *Point, i uint64) { p.Count, p.Sum = i, float64(i) }},
}

func histogramOf(p *Point, i uint64) {
	p.Bounds = bounds15
	if p.Buckets == nil {
		p.Buckets = make([]uint64, 15)
	}
	for b := range p.Buckets {
		p.Buckets[b] = i
	}
	p.Count, p.Sum, p.HasSum = 15*i, float64(i), true
	p.HasMin, p.HasMax, p.Min, p.Max = true, true, 1, 2
}

// exponentialOf has 40 buckets, about what a latency from 1 to 10 ms has at scale 4 and a half.
func exponentialOf(p *Point, i uint64) {
	if p.Positive.Counts == nil {
		p.Positive.Counts = make([]uint64, 40)
	}
	for b := range p.Positive.Counts {
		p.Positive.Counts[b] = i
	}
	p.Scale, p.Positive.Offset = 4, -160
	p.Count, p.Sum, p.HasSum = 40*i, float64(i), true
}

func run(c func(p *Point, i uint64), kind Kind, members int) func() {
	table := NewTable(Config{Gauge: GaugeSum})
	s := table.AddStream(output, kind, nil, t0)
	var p Point
	keys := make([]Key, members)
	for i := range keys {
		keys[i] = Key{uint64(i) * 0x9e3779b97f4a7c15, uint64(i) * 0xd1b54a32d192ed03}
	}
	var round uint64
	i := len(keys)
	fold := func() {
		if i == len(keys) {
			i = 0
			round++
			c(&p, round)
			p.Time = t0 + round
		}
		table.Member(keys[i])
		table.Fold(s, keys[i], &p, t0+round)
		i++
	}
	for range keys {
		fold()
	}
	return fold
}

func TestAllocations(t *testing.T) {
	for _, c := range costs {
		assert.Zero(t, testing.AllocsPerRun(1000, run(c.next, c.kind, 100)), c.name)
	}
}

// BenchmarkFold folds a point of a known member, the lookup before it included.
func BenchmarkFold(b *testing.B) {
	for _, c := range costs {
		b.Run(c.name, func(b *testing.B) {
			fold := run(c.next, c.kind, 10_000)
			b.ReportAllocs()
			for b.Loop() {
				fold()
			}
		})
	}
}
