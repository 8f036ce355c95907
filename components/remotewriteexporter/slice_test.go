package remotewriteexporter

import (
	"slices"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pmetric"
)

// texts lists every point with all that is around it, in order.
func texts(t *testing.T, md pmetric.Metrics) (all []string) {
	t.Helper()
	for i := range md.DataPointCount() {
		text, err := (&pmetric.JSONMarshaler{}).MarshalMetrics(between(md, i, i+1))
		require.NoError(t, err)
		all = append(all, string(text))
	}
	return all
}

// Pieces have every point once, in order, with its metric, scope and resource.
func TestParts(t *testing.T) {
	md := every(7)
	rm := md.ResourceMetrics().At(1)
	rm.SetSchemaUrl("a")
	rm.Resource().Attributes().PutStr("r", "1")
	rm.ScopeMetrics().At(0).Scope().SetName("s")
	rm.ScopeMetrics().At(0).SetSchemaUrl("b")
	m := rm.ScopeMetrics().At(0).Metrics().At(0)
	m.SetUnit("s")
	m.SetDescription("d")
	m.Metadata().PutStr("k", "v")
	m.CopyTo(rm.ScopeMetrics().AppendEmpty().Metrics().AppendEmpty())
	want := texts(t, md)
	assert.Len(t, want, 42)
	md.MarkReadOnly()
	for n := range 50 {
		pieces := parts(md, n)
		var got []string
		for _, piece := range pieces {
			assert.NotZero(t, piece.DataPointCount())
			got = append(got, texts(t, piece)...)
		}
		assert.Len(t, pieces, max(1, min(n, 42)))
		require.Equal(t, want, got)
		assert.Equal(t, want, texts(t, join(pieces)))
		slices.SortFunc(pieces, func(a, b pmetric.Metrics) int { return a.DataPointCount() - b.DataPointCount() })
		assert.LessOrEqual(t, pieces[len(pieces)-1].DataPointCount()-pieces[0].DataPointCount(), 1)
	}
}
