package durabletailsamplingprocessor

import (
	"context"
	"encoding/binary"
	"math/rand/v2"
	"time"

	"github.com/open-telemetry/opentelemetry-collector-contrib/processor/tailsamplingprocessor/cache"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"
)

// A mark is a span that follows batches into upstream's channel. The loop asks the decision caches about every span that it takes, so they
// see the mark, and answer that its trace was dropped. Without marks a sampler with little traffic would not know for long that its last
// batches are taken, and after kill -9 their kept traces would come twice.

// marks are recognized by the first half of their trace's id, which is new in each process; the second half is what the ledger wants back.
type marks struct{ prefix uint64 }

func newMarks() marks { return marks{rand.Uint64()} }

func (m marks) span(mark uint64) ptrace.Traces {
	td := ptrace.NewTraces()
	var id pcommon.TraceID
	binary.BigEndian.PutUint64(id[:8], m.prefix)
	binary.BigEndian.PutUint64(id[8:], mark)
	td.ResourceSpans().AppendEmpty().ScopeSpans().AppendEmpty().Spans().AppendEmpty().SetTraceID(id)
	return td
}

func (m marks) of(id pcommon.TraceID) (mark uint64, is bool) {
	return binary.BigEndian.Uint64(id[8:]), binary.BigEndian.Uint64(id[:8]) == m.prefix
}

// mark sends marks while there are batches that are not known to be taken. It waits with them when upstream's channel is full.
func (s *sampler) mark() {
	tick := time.NewTicker(markInterval)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			if mark, useful := s.ledger.Mark(); useful {
				_ = s.inner.ConsumeTraces(context.Background(), s.marks.span(mark)) // upstream never fails
			}
		case <-s.stop:
			return
		}
	}
}

// Get is called by upstream's loop for every span that it takes, and after each decision.
func (d *decisions) Get(id pcommon.TraceID) (cache.DecisionMetadata, bool) {
	if mark, is := d.marks.of(id); is {
		if !d.sampled {
			d.marked(mark)
		}
		return cache.DecisionMetadata{}, !d.sampled
	}
	return d.Cache.Get(id)
}
