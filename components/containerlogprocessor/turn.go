package containerlogprocessor

import (
	"context"
	"slices"

	"github.com/sluice-otel/sluice/components/containerlogprocessor/internal/join"
)

// wait lets the files before these be read first, and unfinished records of others find their end when they hold too much. It is false
// when the context ended before: the lines' turn has not come.
func (b *batch) wait(ctx context.Context) bool {
	for i := range b.runs {
		b.runs[i].use(b.p.lookup(ctx, b.runs[i].file.path, b.now))
	}
	for i := range b.runs { // not busy meanwhile: lines of one file may wait for another one of this batch
		r := &b.runs[i]
		r.release()
		if !b.p.awaitDeferred(ctx, r.file, r.first(), b.before) {
			return false
		}
	}
	for i := range b.runs {
		r := &b.runs[i]
		f := b.p.lookup(ctx, r.file.path, b.now)
		r.use(f)
		first := r.first()
		// Batches of several files, as the emitter that is not synchronous makes them, could wait for each other or for themselves.
		if len(b.runs) == 1 && first.Offset == 0 && !b.p.awaitRotated(ctx, f, first) {
			return false
		}
		b.p.awaitRoom(ctx, f.container)
	}
	return true
}

// lock takes the containers' locks in the order of their ids, so that two batches cannot wait for each other. It is false, with none
// taken, when the context ended before, or when older lines of a container have gone to the storage: these must follow them.
func (b *batch) lock(ctx context.Context) bool {
	for {
		b.containers = b.containers[:0]
		for i := range b.runs {
			if c := b.runs[i].file.container; !slices.Contains(b.containers, c) {
				b.containers = append(b.containers, c)
			}
		}
		slices.SortFunc(b.containers, func(x, y *container) int { return int(x.id) - int(y.id) })
		gone, aside := false, false
		for i, c := range b.containers {
			if !c.waitLock(ctx) {
				for _, locked := range b.containers[:i] {
					locked.unlock()
				}
				b.containers = nil
				return false
			}
			gone, aside = gone || c.gone, aside || c.aside.Load()
		}
		if !gone && !aside {
			return true
		}
		for _, c := range b.containers {
			c.unlock()
		}
		if aside {
			b.containers = nil
			return false
		}
		for i := range b.runs { // evicted between wait and lock
			r := &b.runs[i]
			r.release()
			r.use(b.p.lookup(ctx, r.file.path, b.now))
		}
	}
}

func (b *batch) unlock() {
	for i := range b.runs {
		b.runs[i].release()
	}
	now := b.p.now()
	for _, c := range b.containers {
		for i := range c.streams {
			if s := &c.streams[i]; s.Touched.Equal(b.now) {
				s.Touched = now // while the batch was refused, no next line could come
			}
		}
		c.unlock()
	}
	b.p.tel.add(&b.counts)
}

// first is the place of the run's first line.
func (r *run) first() join.Position {
	offset, raw := firstLine(r.resource)
	return join.At(offset, raw)
}

func (r *run) use(f *file) {
	r.release()
	f.busy.Add(1)
	r.file, r.busy = f, true
}

func (r *run) release() {
	if r.busy {
		r.file.busy.Add(-1)
		r.busy = false
	}
}
