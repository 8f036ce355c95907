package loki

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/plog"

	"github.com/sluice-otel/sluice/e2e/bench/lokiload"
)

// load is a stream of batches: a row of the benchmark's table.
type load struct {
	name      string
	resources int  // in a batch
	records   int  // of a resource
	fresh     bool // every resource is a new pod
	broken    bool // every resource and record has something to mend
}

// feed makes a load's batches. As a receiver does, it reads each from bytes right before it is used: nothing has been looked at yet, and
// nothing of one batch is in another.
type feed struct {
	load
	bodies      [][]byte
	round, pods int
}

func newFeed(tb testing.TB, l load) *feed {
	tb.Helper()
	f := &feed{load: l}
	var m plog.ProtoMarshaler
	for i := range min(10, lokiload.Pods/l.resources) {
		body, err := m.MarshalLogs(lokiload.Batch(i*l.resources, l.resources, l.records, l.broken))
		require.NoError(tb, err)
		f.bodies = append(f.bodies, body)
	}
	return f
}

// batch is the next one.
func (f *feed) batch(tb testing.TB) plog.Logs {
	tb.Helper()
	var u plog.ProtoUnmarshaler
	ld, err := u.UnmarshalLogs(f.bodies[f.round%len(f.bodies)])
	require.NoError(tb, err)
	f.round++
	if f.fresh {
		for _, rl := range ld.ResourceLogs().All() {
			f.pods++
			rl.Resource().Attributes().PutStr("k8s.pod.name", fmt.Sprintf("cart-7d4b9c6f5-%07d", f.pods))
		}
	}
	return ld
}
