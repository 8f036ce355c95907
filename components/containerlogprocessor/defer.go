package containerlogprocessor

import (
	"context"
	"time"

	"go.opentelemetry.io/collector/pdata/plog"
)

// firstRead is how long lines that were set aside wait at most until filelog reads for the first time.
const firstRead = 30 * time.Second

// deferredLines are raw lines that were set aside: the collector stopped while they waited for older ones. filelog will not read them
// again, so they are stored as they are, and take their turn after the next start.
type deferredLines struct {
	number int
	path   string
	logs   plog.Logs
}

// setAside stores lines whose turn has not come.
func (p *containerlog) setAside(ld plog.Logs) error {
	if err := p.journal.park(ld, nil); err != nil {
		p.tel.dropped(ld.LogRecordCount(), "lines that waited for older ones could not be stored at shutdown: "+
			"give the processor a storage extension", err)
		return err
	}
	return nil
}

// takeDeferred reads them, when filelog reads what was left of the files before theirs.
func (p *containerlog) takeDeferred(ctx context.Context, lines []deferredLines) {
	if len(lines) == 0 {
		return
	}
	select {
	case <-p.first:
	case <-time.After(firstRead):
	case <-ctx.Done():
		return
	}
	for i, l := range lines {
		if !p.takeOneDeferred(ctx, l) {
			return // stored, still
		}
		last := true
		for _, later := range lines[i+1:] {
			last = last && later.path != l.path
		}
		if done, ok := p.deferred.Load(l.path); ok && last {
			p.deferred.Delete(l.path)
			close(done.(chan struct{}))
		}
	}
}

func (p *containerlog) takeOneDeferred(ctx context.Context, l deferredLines) bool {
	b := &batch{p: p, now: p.now(), logs: l.logs, deferred: true}
	b.split()
	defer b.unlock()
	if !b.wait(ctx) || !b.lock(ctx) {
		return false
	}
	if err := p.take(ctx, b); err != nil && ctx.Err() != nil {
		return false
	}
	p.journal.unpark(l.number)
	return true
}

// awaitDeferred lets lines of the same file that were set aside go first; false when the context ended before.
func (p *containerlog) awaitDeferred(ctx context.Context, path string) bool {
	select {
	case <-p.restored: // known from here on
	case <-ctx.Done():
		return false
	}
	done, ok := p.deferred.Load(path)
	if !ok {
		return true
	}
	select {
	case <-done.(chan struct{}):
		return true
	case <-ctx.Done():
		return false
	}
}

// seen notes that filelog reads.
func (p *containerlog) seen() { p.firstOnce.Do(func() { close(p.first) }) }

// pathOf is the file of a batch of raw lines, "" for records.
func pathOf(ld plog.Logs) string {
	for _, rl := range ld.ResourceLogs().All() {
		for _, sl := range rl.ScopeLogs().All() {
			for _, lr := range sl.LogRecords().All() {
				return rawPath(sl, lr)
			}
		}
	}
	return ""
}
