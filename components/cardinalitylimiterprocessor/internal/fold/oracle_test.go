package fold

import (
	"maps"
	"math/big"
	"strconv"
	"testing"

	"github.com/stretchr/testify/assert"
)

const second = 1_000_000_000

// content is what a point says, in parts that add up: a number, or the count below each bound down to the next, or single observations.
type content map[string]*big.Rat

func (c content) add(o content, sign int64) content {
	sum := maps.Clone(c)
	if sum == nil {
		sum = content{}
	}
	for k, v := range o {
		old := sum[k]
		if old == nil {
			old = new(big.Rat)
		}
		sum[k] = new(big.Rat).Add(old, new(big.Rat).Mul(v, big.NewRat(sign, 1)))
	}
	return sum
}

// shrank tells whether a part that only grows is less than in o.
func (c content) shrank(o content) bool {
	for k, v := range o {
		if k != "sum" && (c[k] == nil || c[k].Cmp(v) < 0) {
			return true
		}
	}
	return false
}

func (c content) equal(o content) bool {
	for _, v := range c.add(o, -1) {
		if v.Sign() != 0 {
			return false
		}
	}
	return len(c) == len(o)
}

func (c content) get(k string) *big.Rat {
	if c[k] == nil {
		return new(big.Rat)
	}
	return c[k]
}

type last struct {
	start, time uint64
	said        content
}

// oracle is one stream, slow and obvious: it keeps every part of everything as a fraction.
type oracle struct {
	kind          Kind
	members       map[int]*last
	total, flight content
	start, forgot uint64
	fixed         bool
}

func (o *oracle) fold(id int, p *Point, said content) Outcome {
	m := o.members[id]
	switch {
	case p.NoValue:
		o.forget(id)
		return Stale
	case !o.kind.cumulative():
		o.members[id] = &last{}
		o.total = o.total.add(said, 1)
		return Folded
	case m != nil && p.Time <= m.time:
		if p.Time == m.time && said.equal(m.said) {
			return Folded
		}
		return DroppedOrder
	case o.kind == CumulativeUpDown:
		if m != nil {
			o.total = o.total.add(m.said, -1)
		}
		o.total = o.total.add(said, 1)
	case m == nil:
		if old := p.Start == 0 || p.Start <= o.forgot || o.fixed && p.Start < o.start; old && (o.fixed || o.forgot > 0) {
			o.members[id] = &last{p.Start, p.Time, said}
			return Baseline
		}
		o.total = o.total.add(said, 1)
	case said.shrank(m.said) || o.kind == CumulativeHistogram && len(said) != len(m.said) || m.start != 0 && p.Start > m.start || m.start == 0 && p.Start > m.time:
		o.total = o.total.add(said, 1)
	default:
		o.total = o.total.add(said, 1).add(m.said, -1)
	}
	if p.Start > 0 && !o.fixed {
		o.start = min(o.start, p.Start)
	}
	start := p.Start
	if m != nil {
		start = max(m.start, start)
	}
	o.members[id] = &last{start, p.Time, said}
	return Folded
}

func (o *oracle) forget(id int) {
	m := o.members[id]
	if m == nil {
		return
	}
	delete(o.members, id)
	if o.kind == CumulativeUpDown {
		o.total = o.total.add(m.said, -1)
	}
	if o.kind.cumulative() {
		o.forgot = max(o.forgot, m.start, 1)
	}
}

// check holds a point that came out to what the oracle has.
func (o *oracle) check(t *testing.T, p *Point) {
	t.Helper()
	float := func(r *big.Rat) float64 { f, _ := r.Float64(); return f }
	switch o.kind {
	case DeltaSum, CumulativeSum, CumulativeUpDown:
		if p.IsInt {
			assert.Equal(t, o.total.get("value").RatString(), strconv.FormatInt(p.Int, 10))
			return
		}
		exactly(t, float(o.total.get("value")), p.Float)
		return
	case DeltaHistogram, CumulativeHistogram:
		var sum uint64
		for i, b := range p.Bounds {
			sum += p.Buckets[i]
			want := new(big.Rat)
			for k, n := range o.total {
				if bound, err := strconv.ParseFloat(k, 64); err == nil && bound <= b {
					want.Add(want, n)
				}
			}
			assert.Zero(t, rat(sum).Cmp(want), "at or below %v", b)
		}
		assert.Len(t, p.Buckets, len(p.Bounds)+1)
		assert.Equal(t, p.Count, sum+p.Buckets[len(p.Bounds)])
	case DeltaExponential, CumulativeExponential:
		want := Point{ZeroCount: o.total.get("zero").Num().Uint64()}
		for k, n := range o.total {
			x, err := strconv.ParseInt(k, 10, 64)
			if err != nil || n.Sign() == 0 {
				continue
			}
			to := &want.Positive
			if x > 1<<19 {
				x, to = x-1<<20, &want.Negative
			}
			if observation(x) <= p.ZeroThreshold {
				want.ZeroCount += n.Num().Uint64()
				continue
			}
			to.count(x>>(8-p.Scale), n.Num().Uint64())
		}
		assert.Equal(t, want.ZeroCount, p.ZeroCount, "zero")
		for _, side := range [][2]Exponents{{want.Positive, p.Positive}, {want.Negative, p.Negative}} {
			assert.Equal(t, append([]uint64{}, side[0].Counts...), append([]uint64{}, side[1].Counts...))
			assert.LessOrEqual(t, len(side[1].Counts), 160)
			if len(side[0].Counts) > 0 {
				assert.Equal(t, side[0].Offset, side[1].Offset)
			}
		}
	}
	assert.Zero(t, rat(p.Count).Cmp(o.total.get("count")))
	assert.True(t, p.HasSum)
	exactly(t, float(o.total.get("sum")), p.Sum)
}

// exactly asks for the last bit.
func exactly(t *testing.T, want, got float64) {
	t.Helper()
	if want != got {
		t.Errorf("want %v, got %v", want, got)
	}
}
