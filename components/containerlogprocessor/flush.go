package containerlogprocessor

import (
	"context"
	"time"
	"unicode/utf8"

	"go.opentelemetry.io/collector/consumer/consumererror"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"

	"github.com/sluice-otel/sluice/components/containerlogprocessor/internal/line"
	"github.com/sluice-otel/sluice/components/containerlogprocessor/internal/metadata"
)

// attempt bounds how long a container's lock is held for a flush: a batch may wait for it.
const attempt = time.Second

// restore takes up what the run before this one held; evicted is what the cache, made smaller since, has no room for.
func (p *containerlog) restore(stored []storedContainer) (evicted []*container) {
	now := p.now()
	for slot, from := range stored {
		if from.Key == "" {
			p.journal.free = append(p.journal.free, slot)
			continue
		}
		f, gone := p.files.get(from.Key, now)
		evicted = append(evicted, gone...)
		c := f.container
		c.slot = slot
		for i := range c.streams {
			s, was := &c.streams[i], &from.Streams[i]
			s.Continued = was.Continued
			for _, m := range was.Marks {
				if m.Length >= 0 && m.Length <= maxMark && m.Offset >= 0 {
					s.marks = append(s.marks, m)
				}
			}
			if was.Held {
				s.Restore(string(was.Text), was.Time, was.Attrs, now)
			}
			s.stored = s.unfinished()
		}
		p.account([]*container{c})
	}
	return evicted
}

// flushInTime sends records whose end does not come, and forgets files that are gone.
func (p *containerlog) flushInTime(ctx context.Context) {
	ticker := time.NewTicker(min(max(p.cfg.PartialTimeout/5, pause), time.Second))
	defer ticker.Stop()
	var ready, swept time.Time // before ready no line could come
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		select {
		case <-p.restored:
		default:
			continue // older records first
		}
		now := p.now()
		if ready.IsZero() {
			ready, swept = now, now
		}
		if now.Sub(ready) >= p.cfg.PartialTimeout {
			p.flushExpired(ctx, now.Add(-p.cfg.PartialTimeout))
		}
		if now.Sub(swept) > time.Minute {
			swept = now
			p.evict(ctx, p.files.sweep(now.Add(-idleTimeout)))
		}
	}
}

// flushExpired sends what has been held since before without another line. Refused, it stays held until the next time.
func (p *containerlog) flushExpired(ctx context.Context, before time.Time) {
	p.holders.Range(func(key, _ any) bool {
		c := key.(*container)
		if !c.tryLock() {
			return true // a batch is on its way
		}
		defer c.unlock()
		if c.aside.Load() || p.isDeferred(c) {
			return true // its next line is in the storage
		}
		over := map[*stream]bool{}
		for i := range c.streams {
			if s := &c.streams[i]; s.Held() && s.Touched.Before(before) && !s.remainder() {
				over[s] = p.heldBytes.Load() >= int64(p.cfg.MaxHeldSize) || !c.behind(s)
			}
		}
		ctx, cancel := context.WithTimeout(ctx, attempt)
		defer cancel()
		return p.flush(ctx, c, partialTimeout, func(s *stream) bool { return over[s] }) == nil
	})
}

// behind tells whether the next line of the stream may be there, and filelog has not got to it: it reads files in rounds, and a round may be long in
// an outage and after it. Once filelog has read on in the container's files it is not behind. The container is locked.
func (c *container) behind(s *stream) bool {
	if c.file == nil { // nothing was read since the start
		return false
	}
	last := c.file.tail.Load()
	if s.due == nil {
		s.due = last
	}
	return s.due == last && unread(c.file.path, *last)
}

// flushAll sends, at shutdown, what the storage does not have, if it is taken soon.
func (p *containerlog) flushAll(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, 2*attempt)
	defer cancel()
	p.holders.Range(func(key, _ any) bool {
		c := key.(*container)
		c.lock <- struct{}{}
		defer c.unlock()
		if err := p.flush(ctx, c, partialShutdown, func(s *stream) bool { return !s.stored || c.dirty }); err != nil {
			_, records := c.held()
			p.tel.dropped(records, "unfinished records could neither be stored nor delivered at shutdown", err)
		}
		return true
	})
}

// evict sends what containers still hold that the cache has no room for. They come locked.
func (p *containerlog) evict(ctx context.Context, containers []*container) {
	for _, c := range containers {
		p.evictOne(ctx, c)
		c.unlock()
	}
}

func (p *containerlog) evictOne(ctx context.Context, c *container) {
	if ld := p.pieces(c, partialEvicted, all); ld.LogRecordCount() > 0 {
		if err := p.deliver(ctx, ld, nil); err != nil && !consumererror.IsPermanent(err) {
			return // stopping: what the storage has of it stays there
		}
		p.flushed(c, partialEvicted, all)
	}
	if !p.files.removed(c) { // it has come back; lines to come continue what was sent
		if err := p.journal.save([]*container{c}); err != nil {
			p.tel.storageError("store", err)
		}
		return
	}
	p.tel.evictions(1)
	if err := p.journal.forget(c); err != nil {
		p.tel.storageError("store", err)
	}
}

func all(*stream) bool { return true }

// flush sends what the chosen streams hold, once, and forgets it when it is accepted, or refused for good.
func (p *containerlog) flush(ctx context.Context, c *container, cause string, chosen func(*stream) bool) error {
	ld := p.pieces(c, cause, chosen)
	n := ld.LogRecordCount()
	if n == 0 {
		return nil
	}
	err := verdict(p.next.ConsumeLogs(ctx, ld))
	switch {
	case consumererror.IsPermanent(err):
		p.tel.dropped(n, "the next component refuses pieces of records for good", err)
	case err != nil:
		p.tel.refused(err)
		return err
	}
	p.flushed(c, cause, chosen)
	if err := p.journal.save([]*container{c}); err != nil {
		p.tel.storageError("store", err) // sent once more after a restart
	}
	return nil
}

// pieces makes records of what the chosen streams hold.
func (p *containerlog) pieces(c *container, cause string, chosen func(*stream) bool) plog.Logs {
	ld := plog.NewLogs()
	var records plog.LogRecordSlice
	now := pcommon.NewTimestampFromTime(p.now())
	for i := range c.streams {
		s := &c.streams[i]
		if !s.Held() || !chosen(s) {
			continue
		}
		if ld.ResourceLogs().Len() == 0 {
			rl := ld.ResourceLogs().AppendEmpty()
			c.resource.CopyTo(rl.Resource().Attributes())
			sl := rl.ScopeLogs().AppendEmpty()
			sl.Scope().SetName(metadata.ScopeName)
			records = sl.LogRecords()
		}
		lr := records.AppendEmpty()
		lr.SetObservedTimestamp(now)
		lr.Attributes().PutStr(filePath, c.key)
		write(lr, s.cut(cause), s.Time, line.Stream(i+1), s.Attrs, cause)
	}
	return ld
}

// remainder tells whether all that is held is the beginning of a character, left over from a piece: text would have it torn.
func (s *stream) remainder() bool {
	text := s.Text()
	return s.Continued && len(text) < utf8.UTFMax && !utf8.FullRuneInString(text)
}

// cut is what of the held record a piece gets: all of it, when what would stay held would not be kept.
func (s *stream) cut(cause string) string {
	if cause == partialTimeout {
		return s.Piece()
	}
	return s.Text()
}

// flushed forgets what the chosen streams held; lines to come continue those records.
func (p *containerlog) flushed(c *container, cause string, chosen func(*stream) bool) {
	var n counts
	for i := range c.streams {
		s := &c.streams[i]
		if !s.Held() || !chosen(s) {
			continue
		}
		n.records[recordKind{s.Format, line.Stream(i + 1), piece}.index()]++
		p.tel.forced(cause, 1)
		s.Sent(s.cut(cause))
		s.Touched, s.Continued, c.dirty = p.now(), true, true
	}
	p.tel.add(&n)
	p.account([]*container{c})
}

// awaitRoom lets a container that holds nothing wait while the others hold too much. Those go on, so that their records end; those
// that do not end are flushed in time.
func (p *containerlog) awaitRoom(ctx context.Context, c *container) {
	for p.heldBytes.Load() >= int64(p.cfg.MaxHeldSize) {
		if _, holds := p.holders.Load(c); holds {
			return
		}
		p.tel.warn("held", "unfinished records hold max_held_size: other files wait until they end or time out", c.key, nil)
		if !sleep(ctx, pause) {
			return
		}
	}
}
