//go:build !race

package lokihintprocessor

import (
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/consumer/consumertest"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/processor/processortest"

	"github.com/sluice-otel/sluice/components/lokihintprocessor/internal/config"
)

// TestRecordsTakeNoMemory: a thousand records of a resource take as much as one. What they cost in time, beside upstream's processors, is in e2e/bench/loki.
func TestRecordsTakeNoMemory(t *testing.T) {
	f := NewFactory()
	cfg := f.CreateDefaultConfig().(*Config)
	cfg.Labels = []config.LabelConfig{{From: []string{"resource.k8s.namespace.name"}}, {From: []string{"resource.k8s.container.name"}}}
	p, err := f.CreateLogs(t.Context(), processortest.NewNopSettings(f.Type()), cfg, consumertest.NewNop())
	require.NoError(t, err)
	require.NoError(t, p.Start(t.Context(), componenttest.NewNopHost()))
	t.Cleanup(func() { require.NoError(t, p.Shutdown(t.Context())) })

	const runs = 20
	allocations := func(records int) float64 {
		var batches []plog.Logs // each is changed, so each is taken once
		for range runs + 1 {
			batches = append(batches, ofOneResource(records))
		}
		return testing.AllocsPerRun(runs, func() {
			require.NoError(t, p.ConsumeLogs(t.Context(), batches[0]))
			batches = batches[1:]
		})
	}
	allocations(1000) // keys are known after it
	one, many := allocations(1), allocations(1000)
	assert.InDelta(t, one, many, 0)
}

func ofOneResource(records int) plog.Logs {
	ld := plog.NewLogs()
	rl := ld.ResourceLogs().AppendEmpty()
	all := rl.ScopeLogs().AppendEmpty().LogRecords()
	for _, key := range []string{"k8s.cluster.name", "k8s.namespace.name", "k8s.pod.name", "k8s.container.name", "k8s.replicaset.name", "service.name", "service.instance.id"} {
		rl.Resource().Attributes().PutStr(key, "shop")
	}
	for i := range records {
		lr := all.AppendEmpty()
		lr.SetTimestamp(pcommon.NewTimestampFromTime(time.Now()))
		lr.SetSeverityNumber(plog.SeverityNumberInfo)
		lr.SetTraceID([16]byte{1})
		lr.Body().SetStr("a line")
		lr.Attributes().PutStr("log.iostream", "stdout")
		lr.Attributes().PutStr("http.route", "/orders/"+strconv.Itoa(i))
		lr.Attributes().PutInt("http.response.status_code", 200)
	}
	return ld
}
