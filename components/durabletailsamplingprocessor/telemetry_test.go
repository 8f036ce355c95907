package durabletailsamplingprocessor

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/consumer/consumererror"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	"go.opentelemetry.io/otel/sdk/metric/metricdata/metricdatatest"

	"github.com/sluice-otel/sluice/components/durabletailsamplingprocessor/internal/metadatatest"
)

func points(n int64, pairs ...string) []metricdata.DataPoint[int64] {
	var attrs []attribute.KeyValue
	for i := 0; i < len(pairs); i += 2 {
		attrs = append(attrs, attribute.String(pairs[i], pairs[i+1]))
	}
	return []metricdata.DataPoint[int64]{{Value: n, Attributes: attribute.NewSet(attrs...)}}
}

// A journal that is full or broken refuses, so that the sender keeps the spans, and is counted.
func TestRefuses(t *testing.T) {
	tel := componenttest.NewTelemetry()
	defer func() { require.NoError(t, tel.Shutdown(t.Context())) }()
	d, b := newDisk(), &backend{spans: map[span]int{}}
	s := startWith(t, tel.NewTelemetrySettings(), d, b, func(c *Config) { c.Journal.MaxBytes = 120 })
	require.NoError(t, s.ConsumeTraces(t.Context(), traces(span{1, 1})))
	err := s.ConsumeTraces(t.Context(), traces(span{2, 1}, span{2, 2}, span{2, 3}, span{2, 4}))
	require.ErrorIs(t, err, errFull)
	assert.False(t, consumererror.IsPermanent(err), "the sender would drop it")
	d.fail(errors.New("no space left on device"))
	err = s.ConsumeTraces(t.Context(), traces(span{3, 1}))
	require.ErrorContains(t, err, "no space left on device")
	assert.False(t, consumererror.IsPermanent(err), "the sender would drop it")
	d.fail(nil)
	require.NoError(t, s.ConsumeTraces(t.Context(), traces(span{4, 1})))

	same := metricdatatest.IgnoreTimestamp()
	metadatatest.AssertEqualProcessorDurableTailSamplingRefusedSpans(t, tel, append(points(4, "reason", "full"), points(1, "reason", "storage")...), same)
	metadatatest.AssertEqualProcessorDurableTailSamplingStorageErrors(t, tel, points(1, "operation", "store"), same)
	metadatatest.AssertEqualProcessorDurableTailSamplingJournaledSpans(t, tel, points(2), same)
	metadatatest.AssertEqualProcessorDurableTailSamplingJournalBatches(t, tel, points(2), same)
	_, bytes := s.journal.stats()
	metadatatest.AssertEqualProcessorDurableTailSamplingJournalBytes(t, tel, points(bytes), same)
	assert.Positive(t, bytes)
	assert.Less(t, bytes, int64(120))
	require.NoError(t, s.Shutdown(t.Context()))
}

// What cannot be read is counted, and is no reason not to start.
func TestUnreadable(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tel := componenttest.NewTelemetry()
		defer func() { require.NoError(t, tel.Shutdown(t.Context())) }()
		d, b := newDisk(), &backend{spans: map[span]int{}}
		s := start(t, d, b, nil)
		require.NoError(t, s.ConsumeTraces(t.Context(), traces(span{1, failed})))
		require.NoError(t, s.ConsumeTraces(t.Context(), traces(span{2, failed})))
		dead := d.copy()
		require.NoError(t, s.Shutdown(t.Context()))
		dead.data["b0"] = []byte("no spans")
		b = &backend{spans: map[span]int{}}
		b.set(nil, consumererror.NewPermanent(errors.New("never")))
		s = startWith(t, tel.NewTelemetrySettings(), dead, b, nil)
		time.Sleep(10 * time.Second)
		same := metricdatatest.IgnoreTimestamp()
		metadatatest.AssertEqualProcessorDurableTailSamplingStorageErrors(t, tel, points(1, "operation", "load"), same)
		metadatatest.AssertEqualProcessorDurableTailSamplingReplayedSpans(t, tel, points(1), same)
		metadatatest.AssertEqualProcessorDurableTailSamplingLostSpans(t, tel, points(1), same)
		require.NoError(t, s.Shutdown(t.Context()))
	})
}
