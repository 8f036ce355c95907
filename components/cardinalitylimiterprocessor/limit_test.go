package cardinalitylimiterprocessor

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestAMillionSeriesBecomeAHundredAndOne(t *testing.T) {
	out := &sink{}
	p, c := start(t, out, perMetric(100, "overflow"))
	const n = 1_000_000
	require.NoError(t, p.ConsumeMetrics(context.Background(), batch("shop", counter("requests", 0, n, epoch))))
	c.advance(time.Second)
	require.NoError(t, p.flush(context.Background()))
	got := seriesOf(out.batches)
	assert.Len(t, got, 101)
	assert.EqualValues(t, n, total(got))
}

func TestDegradeReplacesOnlyWhatExplodes(t *testing.T) {
	out := &sink{}
	p, c := start(t, out, perMetric(20, "degrade"))
	require.NoError(t, p.ConsumeMetrics(context.Background(), batch("shop", counter("requests", 0, 200, epoch))))
	c.advance(time.Second)
	require.NoError(t, p.flush(context.Background()))
	got := seriesOf(out.batches)
	methods := map[string]int64{}
	for series, n := range got {
		for _, method := range []string{"GET", "POST"} {
			if strings.Contains(series, method) {
				methods[method] += n
			}
		}
	}
	assert.Equal(t, map[string]int64{"GET": 100, "POST": 100}, methods, "a query over the kept attribute is exact")
	assert.Len(t, got, 22, "20, and one for each method")
}
