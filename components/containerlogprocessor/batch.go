package containerlogprocessor

import (
	"time"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"

	"github.com/sluice-otel/sluice/components/containerlogprocessor/internal/join"
	"github.com/sluice-otel/sluice/components/containerlogprocessor/internal/line"
	"github.com/sluice-otel/sluice/components/containerlogprocessor/internal/metadata"
)

// What filelog gives, and what becomes of it.
const (
	filePath     = "log.file.path"
	recordOffset = "log.file.record_offset"
	iostream     = "log.iostream"
	parseError   = "containerlog.parse_error"
	partial      = "containerlog.partial"
)

// The values of containerlog.partial. Those that name a limit are also causes of forced flushes.
const (
	partialSize     = "size"
	partialTimeout  = "timeout"
	partialShutdown = "shutdown"
	partialEvicted  = "evicted"
	partialLast     = "last"
)

// batch is one call of ConsumeLogs. With the synchronous emitter it has lines of one file.
type batch struct {
	p          *containerlog
	now        time.Time
	logs       plog.Logs
	runs       []run
	containers []*container // locked, in the order of their ids
	counts     counts
	line       line.Line
	before     int // lines that were set aside under a lower number come first, see defer.go
}

// run is one ResourceLogs, all of whose raw records are from one file.
type run struct {
	file     *file
	resource plog.ResourceLogs
	newest   int64
	// The last line, when lines have offsets.
	lastRaw    string
	lastOffset int64
	sig        signature
	busy       bool // counted in file.busy
}

// split puts records of different files into different ResourceLogs. With one file, the usual case, it moves nothing.
func (b *batch) split() {
	all := b.logs.ResourceLogs()
	for i, n := 0, all.Len(); i < n; i++ {
		b.splitResource(all, all.At(i))
	}
}

func (b *batch) splitResource(all plog.ResourceLogsSlice, rl plog.ResourceLogs) {
	main, seen := "", false
	var others map[string]plog.LogRecordSlice
	for _, sl := range rl.ScopeLogs().All() {
		sl.LogRecords().RemoveIf(func(lr plog.LogRecord) bool {
			path := rawPath(sl, lr)
			if !seen {
				main, seen = path, true
			}
			if path == main {
				return false
			}
			records, ok := others[path]
			if !ok {
				other := all.AppendEmpty()
				rl.Resource().CopyTo(other.Resource())
				records = other.ScopeLogs().AppendEmpty().LogRecords()
				if others == nil {
					others = map[string]plog.LogRecordSlice{}
				}
				others[path] = records
				b.add(path, other)
			}
			lr.MoveTo(records.AppendEmpty())
			return true
		})
	}
	b.add(main, rl)
}

// rawPath is the file of a raw line, "" for records that are none: without a path, or made by this processor before.
func rawPath(sl plog.ScopeLogs, lr plog.LogRecord) string {
	if sl.Scope().Name() == metadata.ScopeName {
		return ""
	}
	if v, ok := lr.Attributes().Get(filePath); ok && v.Type() == pcommon.ValueTypeStr && lr.Body().Type() == pcommon.ValueTypeStr {
		return v.Str()
	}
	return ""
}

func (b *batch) add(path string, rl plog.ResourceLogs) {
	if path != "" {
		b.runs = append(b.runs, run{file: &file{path: path}, resource: rl})
	}
}

// read makes records of a run's lines.
func (b *batch) read(r *run) {
	f, c := r.file, r.file.container
	r.sig = signatureOf(r.resource)
	if r.sig.count > 0 && r.sig == f.last {
		// The same batch again: a sibling pipeline refused it, and the receiver tries all of them once more.
		b.counts.duplicates[retried] += r.sig.count
		r.resource.ScopeLogs().RemoveIf(func(sl plog.ScopeLogs) bool { return sl.Scope().Name() != metadata.ScopeName })
		return
	}
	b.p.checkReplay(f, r.resource)
	attrs := r.resource.Resource().Attributes()
	if attrs.Len() == 0 {
		c.resource.CopyTo(attrs)
	} else {
		for k, v := range c.resource.All() {
			v.CopyTo(attrs.PutEmpty(k))
		}
	}
	for _, sl := range r.resource.ScopeLogs().All() {
		if sl.Scope().Name() == metadata.ScopeName {
			continue
		}
		sl.Scope().SetName(metadata.ScopeName)
		sl.LogRecords().RemoveIf(func(lr plog.LogRecord) bool { return !b.take(r, lr) })
	}
}

// take reads one line; false when the record has nothing to say (yet).
func (b *batch) take(r *run, lr plog.LogRecord) bool {
	f := r.file
	raw := lr.Body().Str()
	offset := int64(-1)
	if v, ok := lr.Attributes().Get(recordOffset); ok {
		offset = v.Int()
		lr.Attributes().Remove(recordOffset)
		r.lastRaw, r.lastOffset = raw, offset
	} else {
		b.p.tel.warn("offset", "lines come without their offset, so those read again after a crash are not known: "+
			"set include_file_record_offset in filelog", f.path, nil)
	}
	l := &b.line
	reason := line.Parse(raw, l)
	b.counts.nuls += l.NULs
	if reason == line.Readable {
		if n := f.replay[l.Stream-1].skip(offset, raw); n == len(raw) {
			b.counts.duplicates[replayed]++
			return false
		} else if n > 0 {
			raw = raw[n:]
			reason = line.Parse(raw, l)
		}
	}
	if reason != line.Readable {
		b.malformed(f, lr, raw, reason, offset)
		return true
	}
	f.lastTime = l.Time
	s := &f.container.streams[l.Stream-1]
	s.taken, s.lastRaw, s.lastOffset, s.lastSource = true, raw, offset, f.source
	s.due = nil
	text, at, attrs, out, mark := l.Content, l.Time, l.Attrs, complete, ""
	if l.Partial || s.Held() {
		b.counts.fragments++
		s.Add(l, b.now)
		if l.Partial && s.Size() < b.p.cfg.MaxRecordSize && b.p.heldBytes.Load() < int64(b.p.cfg.MaxHeldSize) {
			return false
		}
		text, at, attrs, out = s.Text(), s.Time, s.Attrs, joined
		if l.Partial {
			text = s.Piece()
			s.Sent(text)
		} else {
			s.Drop()
		}
	}
	switch {
	case l.Partial:
		mark, out, s.Continued = partialSize, piece, true
		b.counts.sizeCuts++
	case s.Continued:
		mark, out, s.Continued = partialLast, piece, false
	}
	b.counts.records[recordKind{l.Format, l.Stream, out}.index()]++
	r.newest = l.Time
	b.counts.invalid += write(lr, text, at, l.Stream, attrs, mark)
	return true
}

// write fills a record; invalid is how many bytes of the text were not UTF-8.
func write(lr plog.LogRecord, text string, at int64, s line.Stream, attrs []line.Attr, mark string) (invalid int) {
	// After the join, never before: a character may be cut in two.
	text, invalid = line.EscapeInvalid(text)
	lr.Body().SetStr(text)
	lr.SetTimestamp(pcommon.Timestamp(at))
	lr.Attributes().PutStr(iostream, s.String())
	for _, a := range attrs {
		lr.Attributes().PutStr(a.Key, a.Value)
	}
	if mark != "" {
		lr.Attributes().PutStr(partial, mark)
	}
	return invalid
}

func (b *batch) malformed(f *file, lr plog.LogRecord, raw string, reason line.Reason, offset int64) {
	text, invalid := line.EscapeInvalid(raw)
	lr.Body().SetStr(text)
	b.counts.invalid += invalid
	lr.SetTimestamp(pcommon.Timestamp(f.lastTime)) // 0, unknown, when the file had no readable line yet
	lr.Attributes().PutStr(parseError, reason.String())
	b.counts.records[recordKind{b.line.Format, line.NoStream, malformed}.index()]++
	b.counts.malformed[reason]++
	b.p.tel.warnMalformed(reason, f.path, offset)
}

// prune drops what has become empty.
func (b *batch) prune() {
	b.logs.ResourceLogs().RemoveIf(func(rl plog.ResourceLogs) bool {
		rl.ScopeLogs().RemoveIf(func(sl plog.ScopeLogs) bool { return sl.LogRecords().Len() == 0 })
		return rl.ScopeLogs().Len() == 0
	})
}

// finish remembers how far the files have been taken.
func (b *batch) finish() {
	for i := range b.runs {
		r := &b.runs[i]
		r.file.last = r.sig
		if r.lastRaw != "" {
			tail := join.At(r.lastOffset, r.lastRaw)
			r.file.tail.Store(&tail)
			r.file.container.file = r.file
		}
		if r.newest > 0 {
			b.p.tel.lag(b.p.now().Sub(time.Unix(0, r.newest)))
		}
	}
}

// firstLine is a batch's first line and its offset, -1 when lines have none.
func firstLine(rl plog.ResourceLogs) (offset int64, raw string) {
	for _, sl := range rl.ScopeLogs().All() {
		if sl.Scope().Name() == metadata.ScopeName || sl.LogRecords().Len() == 0 {
			continue
		}
		lr := sl.LogRecords().At(0)
		if v, ok := lr.Attributes().Get(recordOffset); ok {
			return v.Int(), lr.Body().Str()
		}
	}
	return -1, ""
}

// signatureOf is the zero value when the batch cannot be told from another: without offsets, or with an unreadable line at its ends,
// which may be the same line written twice.
func signatureOf(rl plog.ResourceLogs) (sig signature) {
	for _, sl := range rl.ScopeLogs().All() {
		if sl.Scope().Name() == metadata.ScopeName || sl.LogRecords().Len() == 0 {
			continue
		}
		records := sl.LogRecords()
		first, ok1 := position(records.At(0))
		last, ok2 := position(records.At(records.Len() - 1))
		if !ok1 || !ok2 {
			return signature{}
		}
		return signature{first: first, last: last, count: records.Len()}
	}
	return sig
}

func position(lr plog.LogRecord) (join.Position, bool) {
	v, ok := lr.Attributes().Get(recordOffset)
	if !ok {
		return join.Position{}, false
	}
	var l line.Line
	raw := lr.Body().Str()
	if line.Parse(raw, &l) != line.Readable {
		return join.Position{}, false
	}
	return join.At(v.Int(), raw), true
}
