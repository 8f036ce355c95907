package durabletailsamplingprocessor

import (
	"context"
	"time"

	"github.com/open-telemetry/opentelemetry-collector-contrib/processor/tailsamplingprocessor/cache"
	"go.opentelemetry.io/collector/consumer/consumererror"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.uber.org/zap"
)

// remember gives upstream the decisions of the process before, for spans that come late.
func (s *sampler) remember(known map[half]decision) {
	for h, d := range known {
		var id pcommon.TraceID
		copy(id[8:], h[:])
		decisions := s.caches[0]
		if d.sampled {
			decisions = s.caches[1]
		}
		decisions.Cache.Put(id, cache.DecisionMetadata{})
	}
}

// replay hands upstream the batches that the process before has left, but for spans on which its decisions have been carried out. It says
// whether it came to the end.
func (s *sampler) replay(from, to uint64, known map[half]decision) bool {
	ctx := context.Background()
	total := 0
	for number := from; number < to; number++ {
		select {
		case <-s.stop:
			return false
		default:
		}
		data, err := s.journal.read(ctx, number)
		if err != nil {
			// It may be a matter of time; a batch that is never read stays in the storage, and is counted at each start.
			s.tel.storageError("load", "a batch of the journal cannot be read: it stays there for the next start", err)
			continue
		}
		if data == nil { // settled before
			s.journal.settle(number)
			continue
		}
		td, err := (&ptrace.ProtoUnmarshaler{}).UnmarshalTraces(data)
		if err != nil {
			s.tel.storageError("load", "a batch of the journal is no spans and is dropped", err)
			s.journal.settle(number)
			continue
		}
		if td = undecided(td, number, known); td.SpanCount() == 0 {
			s.journal.settle(number)
			continue
		}
		total += td.SpanCount()
		s.tel.builder.ProcessorDurableTailSamplingReplayedSpans.Add(ctx, int64(td.SpanCount()))
		s.hand(td, number)
	}
	if total > 0 {
		s.tel.logger.Info("spans that waited when the process before ended wait again", zap.Int("spans", total))
	}
	return true
}

// undecided takes out of a batch what has been dealt with.
func undecided(td ptrace.Traces, number uint64, known map[half]decision) ptrace.Traces {
	td.ResourceSpans().RemoveIf(func(rs ptrace.ResourceSpans) bool {
		rs.ScopeSpans().RemoveIf(func(ss ptrace.ScopeSpans) bool {
			ss.Spans().RemoveIf(func(span ptrace.Span) bool {
				d, ok := known[halfOf(span.TraceID())]
				return ok && number < d.below
			})
			return ss.Spans().Len() == 0
		})
		return rs.ScopeSpans().Len() == 0
	})
	return td
}

// decisions is one of upstream's caches: what it is given is a decision.
type decisions struct {
	cache.Cache
	sampled bool
	decided func(id pcommon.TraceID, sampled bool)
	marks   marks
	marked  func(mark uint64)
}

// Put is called by upstream's loop, before it hands a kept trace on.
func (d *decisions) Put(id pcommon.TraceID, metadata cache.DecisionMetadata) {
	d.Cache.Put(id, metadata)
	d.decided(id, d.sampled)
}

func (s *sampler) decided(id pcommon.TraceID, sampled bool) {
	if sampled {
		s.handingOn = &id
	} else {
		s.journal.carriedOut(id, false)
	}
	if settled := s.ledger.Decided(id, time.Now()); len(settled) > 0 {
		s.journal.settle(settled...)
	}
}

func (s *sampler) marked(mark uint64) { s.journal.taken(s.ledger.Marked(mark)) }

// deliver hands a kept trace on, or spans of one that came late. Upstream would forget it after one attempt. Upstream's context never ends.
func (s *sampler) deliver(_ context.Context, td ptrace.Traces) error {
	spans := td.SpanCount() // the next component may own td
	for {
		err := s.next.ConsumeTraces(s.patience, td)
		if err == nil || consumererror.IsPermanent(err) {
			if err != nil {
				s.tel.lost(spans, err)
			}
			if s.handingOn != nil {
				s.journal.carriedOut(*s.handingOn, true)
				s.handingOn = nil
			}
			return err
		}
		s.tel.deliveryFailed(err)
		select {
		case <-s.stop:
			s.undelivered, s.handingOn = true, nil
			s.journal.freeze()
			return err
		case <-time.After(retryDelay):
		}
	}
}

// traceIDs are those of a batch, most of them once.
func traceIDs(td ptrace.Traces) func(yield func([16]byte) bool) {
	return func(yield func([16]byte) bool) {
		var last pcommon.TraceID
		for _, rs := range td.ResourceSpans().All() {
			for _, ss := range rs.ScopeSpans().All() {
				for _, span := range ss.Spans().All() {
					if id := span.TraceID(); id != last {
						if last = id; !yield(id) {
							return
						}
					}
				}
			}
		}
	}
}
