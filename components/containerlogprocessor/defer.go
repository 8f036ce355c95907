package containerlogprocessor

import (
	"context"
	"time"

	"go.opentelemetry.io/collector/pdata/plog"

	"github.com/sluice-otel/sluice/components/containerlogprocessor/internal/join"
	"github.com/sluice-otel/sluice/components/containerlogprocessor/internal/logpath"
)

// firstRead is how long lines that were set aside wait at most until filelog reads for the first time.
const firstRead = 5 * time.Second

// deferredLines are raw lines that were set aside: the collector stopped while they waited for older ones. filelog will not read them
// again, so they are stored as they are, and take their turn after the next start.
type deferredLines struct {
	number int
	logs   plog.Logs
	path   string
	first  join.Position // the file may have another name by now
	done   chan struct{}
}

// setAside stores lines whose turn has not come.
func (p *containerlog) setAside(ld plog.Logs, runs []run) error {
	if err := p.journal.park(ld, nil); err != nil {
		p.tel.dropped(ld.LogRecordCount(), "lines that waited for older ones could not be stored at shutdown: "+
			"give the processor a storage extension", err)
		return err
	}
	for i := range runs {
		if c := runs[i].file.container; c != nil {
			c.aside.Store(true)
		}
	}
	return nil
}

// remember notes lines of the run before this one, until restored is closed.
func (p *containerlog) remember(number int, ld plog.Logs) (raw bool) {
	path := pathOf(ld)
	if path == "" {
		return false
	}
	id, ok := logpath.Parse(path)
	if !ok {
		id.Current = path
	}
	first, text := firstLine(ld.ResourceLogs().At(0))
	lines := &deferredLines{number: number, logs: ld, path: path, first: join.At(first, text), done: make(chan struct{})}
	p.deferred[id.Key()] = append(p.deferred[id.Key()], lines)
	p.order = append(p.order, lines)
	return true
}

// takeDeferred reads them, when filelog reads what was left of the files before theirs.
func (p *containerlog) takeDeferred(ctx context.Context) {
	if len(p.order) == 0 {
		return
	}
	select {
	case <-p.first:
	case <-time.After(firstRead):
	case <-ctx.Done():
		return
	}
	// Side by side, as filelog reads: lines of a new file wait for those of the rotated one, whichever were set aside first.
	for _, lines := range p.order {
		p.running.Go(func() {
			if p.takeOneDeferred(ctx, lines) { // else they stay stored
				lines.logs = plog.Logs{}
				close(lines.done)
			}
		})
	}
}

func (p *containerlog) takeOneDeferred(ctx context.Context, l *deferredLines) bool {
	b := &batch{p: p, now: p.now(), logs: l.logs, before: l.number}
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

// awaitDeferred lets lines that were set aside go first, those of the same file (under a lower number) and of files before it; false
// when the context ended before. Those of a newer file wait for this one.
func (p *containerlog) awaitDeferred(ctx context.Context, f *file, first join.Position, before int) bool {
	select {
	case <-p.restored: // they are known from here on
	case <-ctx.Done():
		return false
	}
	for _, lines := range p.deferred[f.container.key] {
		select {
		case <-lines.done:
			continue
		default:
		}
		if lines.isOf(f.path, first) {
			if lines.number >= before {
				continue
			}
		} else if !lines.areBefore(f.path, first, before) {
			continue
		}
		select {
		case <-lines.done:
		case <-ctx.Done():
			return false
		}
	}
	return true
}

// isDeferred tells whether lines of the container still wait for their turn.
func (p *containerlog) isDeferred(c *container) bool {
	for _, lines := range p.deferred[c.key] {
		select {
		case <-lines.done:
		default:
			return true
		}
	}
	return false
}

// isOf tells whether the lines are of the file whose batch begins with first; of one that is gone the name must do.
func (l *deferredLines) isOf(path string, first join.Position) bool {
	f := locate(path, first)
	if f == nil {
		if f = locate(l.path, l.first); f == nil {
			return path == l.path
		}
		_ = f.Close()
		return false
	}
	defer f.Close()
	return holds(f, l.first)
}

// areBefore tells whether the lines are of a file that was rotated before the one at path, whose batch begins with first. One that is
// gone is older than any that is there.
func (l *deferredLines) areBefore(path string, first join.Position, before int) bool {
	newer, older := locate(path, first), locate(l.path, l.first)
	if newer != nil {
		defer newer.Close()
	}
	if older == nil {
		return newer != nil || l.number < before
	}
	defer older.Close()
	if newer == nil {
		return false
	}
	names := siblings(newer.Name())
	for at := logpath.Predecessor(newer.Name(), names); at != ""; at = logpath.Predecessor(at, names) {
		if at == older.Name() {
			return true
		}
	}
	return false
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
