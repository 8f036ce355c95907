package fold

import (
	"math"
	"math/bits"
)

// exact is a sum of floats without any rounding: a fixed-point number whose lowest bit is the smallest float64, in two's complement.
// What was added can be taken away again without a trace, and the order of additions does not matter; a float64 gives neither, and an
// up-down sum that lives for months would drift. The 78 bits above the greatest float64 take more terms than can ever come.
type exact [34]uint64

// one is the place of 2^0.
const one = 1074

// add adds m·2^(at-one), or takes it away.
func (e *exact) add(m uint64, at uint, neg bool) {
	i, s := at>>6, at&63
	lo, hi := m<<s, m>>(64-s)
	var c uint64
	if neg {
		e[i], c = bits.Sub64(e[i], lo, 0)
		e[i+1], c = bits.Sub64(e[i+1], hi, c)
		for j := i + 2; c != 0 && j < uint(len(e)); j++ {
			e[j], c = bits.Sub64(e[j], 0, c)
		}
		return
	}
	e[i], c = bits.Add64(e[i], lo, 0)
	e[i+1], c = bits.Add64(e[i+1], hi, c)
	for j := i + 2; c != 0 && j < uint(len(e)); j++ {
		e[j], c = bits.Add64(e[j], 0, c)
	}
}

func (e *exact) addFloat(f float64, neg bool) {
	b := math.Float64bits(f)
	m, at := b&(1<<52-1), uint(b>>52&0x7ff)
	if at > 0 { // not subnormal
		m |= 1 << 52
		at--
	}
	e.add(m, at, neg != (b>>63 == 1))
}

func (e *exact) addInt(i int64, neg bool) {
	if i < 0 {
		e.add(-uint64(i), one, !neg)
		return
	}
	e.add(uint64(i), one, neg)
}

func (e *exact) addExact(o *exact) {
	var c uint64
	for i := range e {
		e[i], c = bits.Add64(e[i], o[i], c)
	}
}

// float rounds to the nearest float64; what is too great for one becomes the greatest there is, since an infinite total is no use to anyone.
func (e *exact) float() float64 {
	c, neg := *e, e[len(e)-1]>>63 == 1
	if neg {
		carry := uint64(1)
		for i := range c {
			c[i], carry = bits.Add64(^c[i], 0, carry)
		}
	}
	h := len(c) - 1
	for h > 0 && c[h] == 0 {
		h--
	}
	if c[h] == 0 {
		return 0
	}
	lz := bits.LeadingZeros64(c[h])
	m := c[h] << lz
	if h > 0 {
		m |= c[h-1] >> (64 - lz)
		rest := c[h-1] << lz
		for _, w := range c[:h-1] {
			rest |= w
		}
		if rest != 0 {
			m |= 1 // far below the 53 bits that stay: only breaks a tie
		}
	}
	f := min(math.Ldexp(float64(m), h*64-lz-one), math.MaxFloat64)
	if neg {
		return -f
	}
	return f
}

// num is a value of a number point. A negative zero is made a positive one, so that equal values have equal bits.
type num struct {
	i     int64
	f     float64
	isInt bool
}

func number(p *Point) num {
	if p.IsInt {
		return num{i: p.Int, isInt: true}
	}
	return num{f: p.Float + 0}
}

func (n num) finite() bool { return n.isInt || finite(n.f) }

func (n num) negative() bool { return n.i < 0 || n.f < 0 }

func (n num) bits() uint64 {
	if n.isInt {
		return uint64(n.i)
	}
	return math.Float64bits(n.f)
}

// compare orders by value, an int before the same float, so that no two different ones are equal.
func (n num) compare(o num) int {
	switch {
	case n.isInt && o.isInt:
		return order(n.i, o.i)
	case !n.isInt && !o.isInt:
		return order(n.f, o.f)
	case o.isInt:
		return -o.compare(n)
	}
	if c := order(float64(n.i), o.f); c != 0 {
		return c
	}
	// Equal as floats; beyond 2^53 an int may have been rounded. 2^63 is the only such float that is no int64.
	if o.f >= 1<<63 {
		return -1
	}
	if c := order(n.i, int64(o.f)); c != 0 {
		return c
	}
	return -1
}

func order[T int64 | float64](a, b T) int {
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	default:
		return 0
	}
}

func finite(f float64) bool { return math.Abs(f) <= math.MaxFloat64 }

// total is a sum of numbers: an int as long as all of them are and it fits, else a double, and that for good: a type that goes to and
// fro helps no backend.
type total struct {
	int   int64
	wide  *exact // what int cannot hold
	float bool
}

func (t *total) add(n num, neg bool) {
	if !n.isInt {
		t.addFloat(n.f, neg)
		return
	}
	sum := t.int + n.i
	over := (t.int^sum)&(n.i^sum) < 0
	if neg {
		sum = t.int - n.i
		over = (t.int^n.i)&(t.int^sum) < 0
	}
	if over {
		t.widen()
		t.wide.addInt(n.i, neg)
		return
	}
	t.int = sum
}

func (t *total) addFloat(f float64, neg bool) {
	t.widen()
	t.wide.addFloat(f, neg)
}

func (t *total) widen() {
	t.float = true
	if t.wide == nil {
		t.wide = new(exact)
	}
}

func (t *total) addTotal(o *total) {
	t.add(num{i: o.int, isInt: true}, false)
	if o.float {
		t.widen()
	}
	if o.wide != nil {
		t.wide.addExact(o.wide)
	}
}

func (t *total) value() float64 {
	if t.wide == nil {
		return float64(t.int)
	}
	w := *t.wide
	w.addInt(t.int, false)
	return w.float()
}

// put writes the total into a number point.
func (t *total) put(p *Point) {
	if t.float {
		p.Float = t.value()
		return
	}
	p.IsInt, p.Int = true, t.int
}

// clear sets it to zero and keeps its type and its memory.
func (t *total) clear() {
	t.int = 0
	if t.wide != nil {
		*t.wide = exact{}
	}
}
