package containerlogprocessor

import (
	"context"
	"fmt"
	"math"
	"sync"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/consumer"
	"go.opentelemetry.io/collector/consumer/consumererror"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/processor"
)

// containerlog makes records of raw lines. The engine is in internal/; here are the walk through a batch (batch.go), whose turn it is
// (turn.go, rotation.go, defer.go), the memory of files and containers (files.go), the way out (deliver.go), the storage (journal.go) and
// the clock (flush.go).
type containerlog struct {
	cfg  *Config
	id   component.ID
	next consumer.Logs
	tel  *telemetry
	now  func() time.Time

	files   *cache
	journal *journal

	// What all unfinished records hold.
	heldBytes   atomic.Int64
	heldRecords atomic.Int64
	holders     sync.Map // *container that hold something: struct{}

	// restored is closed when the records that a run before this one had to leave behind have been delivered; deferred are the lines it
	// left behind, by container, not written any more from then on, and order the same in their order; first is closed when filelog reads.
	restored  chan struct{}
	deferred  map[string][]*deferredLines
	order     []*deferredLines
	first     chan struct{}
	firstOnce sync.Once
	stop      context.CancelFunc
	running   sync.WaitGroup
}

func newProcessor(set processor.Settings, cfg *Config, next consumer.Logs) (*containerlog, error) {
	p := &containerlog{cfg: cfg, id: set.ID, next: next, now: time.Now, restored: make(chan struct{}), first: make(chan struct{}), deferred: map[string][]*deferredLines{}, stop: func() {}}
	var err error
	if p.files, err = newCache(cfg.MaxFiles, p.identify); err != nil {
		return nil, err
	}
	if p.tel, err = newTelemetry(set.TelemetrySettings, p); err != nil {
		return nil, err
	}
	p.journal = &journal{tel: p.tel}
	return p, nil
}

func (*containerlog) Capabilities() consumer.Capabilities {
	return consumer.Capabilities{MutatesData: true}
}

// Start takes up what the run before this one held and starts the clock for records that never end.
func (p *containerlog) Start(ctx context.Context, host component.Host) error {
	reportGate(p.tel.logger)
	if err := p.journal.open(ctx, host, p.cfg.Storage, p.id); err != nil {
		return err
	}
	stored, err := p.journal.load(ctx)
	if err != nil {
		return fmt.Errorf("storage %s: read what was held before the restart: %w", p.cfg.Storage, err)
	}
	homeless := p.restore(stored)

	background, cancel := context.WithCancel(context.Background())
	p.stop = cancel
	p.running.Go(func() { p.deliverStored(background, homeless) })
	p.running.Go(func() { p.flushInTime(background) })
	return nil
}

// Shutdown hands on what is held in memory only. The receivers have stopped by now, the next components have not.
func (p *containerlog) Shutdown(ctx context.Context) error {
	p.stop()
	p.running.Wait()
	p.flushAll(ctx)
	p.tel.shutdown()
	return p.journal.close(ctx)
}

// ConsumeLogs returns nil when the records have been accepted downstream, or are in the storage, and what is held back of them is in
// the storage: then the receiver may move the files' offsets.
func (p *containerlog) ConsumeLogs(ctx context.Context, ld plog.Logs) error {
	b := &batch{p: p, now: p.now(), logs: ld, before: math.MaxInt}
	b.split()
	if len(b.runs) == 0 { // no raw lines: whoever sent them keeps them until they are accepted
		return p.next.ConsumeLogs(ctx, ld)
	}
	defer b.unlock()
	p.seen()
	if !b.wait(ctx) && p.journal.client != nil || !b.lock(ctx) {
		return p.setAside(ld, b.runs)
	}
	return p.take(ctx, b)
}

// take makes records of a batch whose turn has come, and hands them on.
func (p *containerlog) take(ctx context.Context, b *batch) error {
	for i := range b.runs {
		b.read(&b.runs[i])
	}
	b.prune()
	p.account(b.containers)
	err := p.deliver(ctx, b.logs, b.containers)
	if err == nil || consumererror.IsPermanent(err) {
		b.finish()
	}
	return err
}

// lookup finds a file, and sends what containers held that had to be forgotten for it.
func (p *containerlog) lookup(ctx context.Context, path string, now time.Time) *file {
	f, evicted := p.files.get(path, now)
	p.evict(ctx, evicted)
	return f
}

// account brings the totals up to date with what the locked containers hold.
func (p *containerlog) account(containers []*container) {
	for _, c := range containers {
		size, records := c.held()
		if records == c.heldRecords && size == c.heldBytes {
			continue
		}
		p.heldBytes.Add(int64(size - c.heldBytes))
		p.heldRecords.Add(int64(records - c.heldRecords))
		c.heldBytes, c.heldRecords = size, records
		if records > 0 {
			p.holders.Store(c, struct{}{})
		} else {
			p.holders.Delete(c)
		}
	}
}
