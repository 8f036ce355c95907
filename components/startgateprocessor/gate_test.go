package startgateprocessor

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/consumer/consumererror"
	"go.opentelemetry.io/collector/consumer/consumertest"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/pmetric"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.opentelemetry.io/collector/processor/processortest"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	"go.opentelemetry.io/otel/sdk/metric/metricdata/metricdatatest"

	"github.com/sluice-otel/sluice/components/startgateprocessor/internal/metadata"
	"github.com/sluice-otel/sluice/components/startgateprocessor/internal/metadatatest"
)

func TestGate(t *testing.T) {
	tel := componenttest.NewTelemetry()
	set := processortest.NewNopSettings(metadata.Type)
	set.TelemetrySettings = tel.NewTelemetrySettings()
	f, sink := NewFactory(), new(consumertest.TracesSink)
	logSink, metricSink := new(consumertest.LogsSink), new(consumertest.MetricsSink)
	tp, err := f.CreateTraces(t.Context(), set, f.CreateDefaultConfig(), sink)
	require.NoError(t, err)
	lp, err := f.CreateLogs(t.Context(), set, f.CreateDefaultConfig(), logSink)
	require.NoError(t, err)
	mp, err := f.CreateMetrics(t.Context(), set, f.CreateDefaultConfig(), metricSink)
	require.NoError(t, err)
	send := func() []error {
		return []error{
			tp.ConsumeTraces(t.Context(), ptrace.NewTraces()), lp.ConsumeLogs(t.Context(), plog.NewLogs()), mp.ConsumeMetrics(t.Context(), pmetric.NewMetrics()),
		}
	}
	for _, err := range send() {
		require.ErrorIs(t, err, errStarting)
		assert.False(t, consumererror.IsPermanent(err), "senders must try again")
	}
	metadatatest.AssertEqualProcessorStartGateRefusedRequests(t, tel, []metricdata.DataPoint[int64]{{Value: 3}}, metricdatatest.IgnoreTimestamp())
	for _, c := range []component.Component{tp, lp, mp} {
		require.NoError(t, c.Start(t.Context(), componenttest.NewNopHost()))
	}
	for _, err := range send() {
		require.NoError(t, err)
	}
	assert.Len(t, sink.AllTraces(), 1)
	assert.Len(t, logSink.AllLogs(), 1)
	assert.Len(t, metricSink.AllMetrics(), 1)
}
