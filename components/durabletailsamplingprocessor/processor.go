package durabletailsamplingprocessor

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync"
	"time"

	"github.com/open-telemetry/opentelemetry-collector-contrib/processor/tailsamplingprocessor"
	"github.com/open-telemetry/opentelemetry-collector-contrib/processor/tailsamplingprocessor/cache"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/consumer"
	"go.opentelemetry.io/collector/consumer/consumererror"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.opentelemetry.io/collector/processor"
	"go.uber.org/zap"

	"github.com/sluice-otel/sluice/components/durabletailsamplingprocessor/internal/ledger"
	"github.com/sluice-otel/sluice/components/internal/storageclient"
)

const (
	tidyInterval = 200 * time.Millisecond
	markInterval = 500 * time.Millisecond
	retryDelay   = time.Second // between attempts to hand a kept trace on
	// shutdownPatience is how long a shutdown waits in all for a next component whose queue is full.
	shutdownPatience = 5 * time.Second
	// callPatience is how long a call waits for upstream's loop, twice at most. A receiver cannot stop while a call waits, and a processor is
	// told to stop only after the receivers.
	callPatience = 2 * time.Second
)

// sampler is upstream's tail_sampling between a journal in front, and a consumer behind that does not let go of a trace.
type sampler struct {
	cfg     *Config
	id      component.ID
	tel     *telemetry
	inner   processor.Traces
	next    consumer.Traces
	ledger  *ledger.Ledger
	journal *journal
	caches  [2]*decisions // not sampled, sampled
	marks   marks

	// slots lets few batches wait for upstream's loop.
	slots   chan struct{}
	handing sync.WaitGroup // batches that are on their way to it

	stop       chan struct{}
	background sync.WaitGroup
	started    bool
	handingOn  *pcommon.TraceID // the trace that upstream's loop is handing on for the first time; the loop's own
	// patience ends when a shutdown has waited long enough for the next component.
	patience context.Context
	lose     context.CancelFunc
	// Why the journal is not empty when everything is decided: set by a goroutine and by upstream's loop, read when they have ended.
	unread, undelivered bool
}

func newSampler(ctx context.Context, set processor.Settings, cfg *Config, next consumer.Traces) (*sampler, error) {
	tel, err := newTelemetry(set.TelemetrySettings)
	if err != nil {
		return nil, err
	}
	cpus := runtime.NumCPU() // as upstream does for its channel
	s := &sampler{
		cfg: cfg, id: set.ID, tel: tel, next: next, ledger: ledger.New(cpus),
		journal: newJournal(cfg.Journal.MaxBytes),
		slots:   make(chan struct{}, 2*cpus), stop: make(chan struct{}), marks: newMarks(),
	}
	s.patience, s.lose = context.WithCancel(context.Background())
	inner := cfg.Config
	inner.DropPendingTracesOnShutdown = cfg.Journal.KeepOnShutdown // undecided; the journal has them
	for i, size := range [2]int{cfg.DecisionCache.NonSampledCacheSize, cfg.DecisionCache.SampledCacheSize} {
		lru, err := cache.NewLRUDecisionCache(size)
		if err != nil {
			return nil, err
		}
		s.caches[i] = &decisions{Cache: lru, sampled: i == 1, decided: s.decided, marks: s.marks, marked: s.marked}
	}
	inner.Options = append(inner.Options, tailsamplingprocessor.WithNonSampledDecisionCache(s.caches[0]), tailsamplingprocessor.WithSampledDecisionCache(s.caches[1]))
	// Its own metrics keep their names and labels: those of a tail_sampling with our name.
	set.ID = component.NewIDWithName(upstream.Type(), set.ID.Name())
	deliver, err := consumer.NewTraces(s.deliver, consumer.WithCapabilities(next.Capabilities()))
	if err != nil {
		return nil, err
	}
	if s.inner, err = upstream.CreateTraces(ctx, set, &inner, deliver); err != nil {
		return nil, err
	}
	return s, nil
}

// Capabilities are upstream's.
func (s *sampler) Capabilities() consumer.Capabilities { return s.inner.Capabilities() }

// Start takes up what the process before has left.
func (s *sampler) Start(ctx context.Context, host component.Host) (err error) {
	if s.journal.client, err = storageclient.Open(ctx, host, s.cfg.Journal.Storage, s.id, s.tel.logger, ""); err != nil {
		return err
	}
	known, err := s.journal.load(ctx)
	if err != nil {
		return fmt.Errorf("journal: %w", err)
	}
	s.remember(known)
	if err := s.tel.observe(s.journal); err != nil {
		return err
	}
	if err := s.inner.Start(ctx, host); err != nil {
		return err
	}
	s.started = true
	from, to := s.journal.first, s.journal.next
	s.background.Go(func() {
		s.unread = !s.replay(from, to, known)
		s.tidy()
	})
	s.background.Go(s.mark)
	return nil
}

// Shutdown lets upstream decide on what it holds; then the journal is empty. When the next component does not take the kept traces for
// long, they stay in the journal.
func (s *sampler) Shutdown(ctx context.Context) error {
	close(s.stop)
	defer s.lose()
	if !s.started {
		return nil
	}
	defer time.AfterFunc(shutdownPatience, s.lose).Stop()
	s.background.Wait()
	s.handing.Wait()
	err := s.inner.Shutdown(ctx)
	switch {
	case s.cfg.Journal.KeepOnShutdown:
		err = errors.Join(err, s.journal.tidy(ctx))
		s.tel.logger.Info("traces that wait stay in the journal for the next start")
	case s.unread || s.undelivered:
		err = errors.Join(err, s.journal.tidy(ctx))
		s.tel.logger.Warn("the journal keeps what it has for the next start", zap.Bool("replay_ended_early", s.unread), zap.Bool("refused_by_next", s.undelivered))
	default:
		if cleared := s.journal.clear(ctx); cleared != nil {
			s.tel.storageError("store", "the journal could not be cleared: its spans come again after the next start", cleared)
		}
	}
	s.tel.builder.Shutdown()
	return errors.Join(err, s.journal.client.Close(ctx))
}

// ConsumeTraces returns when the spans are in the journal and with upstream. When upstream takes nothing for long, those that are in the
// journal are answered, for they are safe, and others are refused.
func (s *sampler) ConsumeTraces(ctx context.Context, td ptrace.Traces) error {
	spans := td.SpanCount()
	if spans == 0 {
		return nil
	}
	wait := time.NewTimer(callPatience)
	defer wait.Stop()
	select {
	case s.slots <- struct{}{}:
	case <-ctx.Done():
		return ctx.Err()
	case <-wait.C:
		s.tel.refused(spans, errBlocked)
		return errBlocked
	}
	free := func() { <-s.slots }
	data, err := (&ptrace.ProtoMarshaler{}).MarshalTraces(td)
	if err != nil {
		free()
		return consumererror.NewPermanent(err) // cannot be: it has come in this form
	}
	number, err := s.journal.write(ctx, data)
	if err != nil {
		free()
		s.tel.refused(spans, err)
		return fmt.Errorf("journal: %w", err)
	}
	s.tel.builder.ProcessorDurableTailSamplingJournaledSpans.Add(ctx, int64(spans))
	handed := make(chan struct{})
	s.handing.Go(func() {
		defer free()
		s.hand(td, number)
		close(handed)
	})
	wait.Reset(callPatience)
	select {
	case <-handed:
	case <-ctx.Done():
	case <-wait.C:
	}
	return nil
}

// hand gives upstream a batch of the journal.
func (s *sampler) hand(td ptrace.Traces, number uint64) {
	call := s.ledger.Begin(traceIDs(td))
	_ = s.inner.ConsumeTraces(context.Background(), td) // never fails
	s.journal.taken(s.ledger.End(call, number))
}

func (s *sampler) tidy() {
	tick := time.NewTicker(tidyInterval)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			if err := s.journal.tidy(context.Background()); err != nil {
				s.tel.storageError("store", "settled batches could not be deleted; tried again", err)
			}
		case <-s.stop:
			return
		}
	}
}
