package cardinalitylimiterprocessor

import (
	"math/rand/v2"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/pmetric"

	"github.com/sluice-otel/sluice/components/cardinalitylimiterprocessor/internal/fold"
)

const (
	// maxExemplars is how many a folded point has at most.
	maxExemplars = 8
	// maxExemplarSize bounds the attributes of one, and
	maxExemplarSize = 1 << 10
	// maxReservoirs the streams that have any in an interval.
	maxReservoirs = 1000
)

// fits tells whether there is room for one more attribute.
func fits(key string, value pcommon.Value, size *int) bool {
	n := len(key) + 8
	if value.Type() == pcommon.ValueTypeStr {
		n += len(value.Str())
	} else if value.Type() > pcommon.ValueTypeBool {
		return false // maps, lists and bytes
	}
	if *size+n > maxExemplarSize {
		return false
	}
	*size += n
	return true
}

// reservoir keeps a fair choice of all exemplars that a stream got in an interval.
type reservoir struct {
	kept []pmetric.Exemplar
	seen int
}

func (r *reservoir) add(e pmetric.Exemplar) {
	r.seen++
	if len(r.kept) < maxExemplars {
		r.kept = append(r.kept, e)
	} else if i := rand.IntN(r.seen); i < maxExemplars { //nolint:gosec // a choice, not a secret
		r.kept[i] = e
	}
}

// exemplarsOf is false for summaries, which have none.
func exemplarsOf[P point](p P) (pmetric.ExemplarSlice, bool) {
	switch p := any(p).(type) { // by type and not by method: that would allocate
	case pmetric.NumberDataPoint:
		return p.Exemplars(), true
	case pmetric.HistogramDataPoint:
		return p.Exemplars(), true
	case pmetric.ExponentialHistogramDataPoint:
		return p.Exemplars(), true
	default:
		return pmetric.ExemplarSlice{}, false
	}
}

// takeExemplars copies at most as many as a stream keeps, with the point's attributes.
func takeExemplars[P point](p P) []pmetric.Exemplar {
	from, ok := exemplarsOf(p)
	if !ok || from.Len() == 0 {
		return nil
	}
	taken := make([]pmetric.Exemplar, 0, min(from.Len(), maxExemplars))
	for i := max(0, from.Len()-maxExemplars); i < from.Len(); i++ {
		e := pmetric.NewExemplar()
		from.At(i).CopyTo(e)
		size := 0
		e.FilteredAttributes().RemoveIf(func(key string, value pcommon.Value) bool { return !fits(key, value, &size) })
		for key, value := range p.Attributes().All() {
			if _, has := e.FilteredAttributes().Get(key); !has && fits(key, value, &size) {
				value.CopyTo(e.FilteredAttributes().PutEmpty(key))
			}
		}
		taken = append(taken, e)
	}
	return taken
}

func (p *limiter) keepExemplars(stream fold.Key, exemplars []pmetric.Exemplar) {
	if len(exemplars) == 0 {
		return
	}
	r := p.exemplars[stream]
	if r == nil && len(p.exemplars) >= maxReservoirs {
		return
	}
	if r == nil {
		r = &reservoir{}
		p.exemplars[stream] = r
	}
	for _, e := range exemplars {
		r.add(e)
	}
}

func putExemplars[P point](exemplars []pmetric.Exemplar, p P) {
	to, ok := exemplarsOf(p)
	if !ok {
		return
	}
	attrs := p.Attributes()
	for _, e := range exemplars {
		// Left are those that the stream does not have.
		e.FilteredAttributes().RemoveIf(func(key string, value pcommon.Value) bool {
			same, ok := attrs.Get(key)
			return ok && same.Equal(value)
		})
		e.CopyTo(to.AppendEmpty())
	}
}
