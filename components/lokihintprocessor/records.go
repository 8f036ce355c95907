package lokihintprocessor

import (
	"encoding/hex"
	"time"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"

	"github.com/sluice-otel/sluice/components/lokihintprocessor/internal/config"
)

// scope makes a scope's attributes fit beside those of its resource.
func (w *walker) scope(rl plog.ResourceLogs, sl plog.ScopeLogs) {
	attrs := sl.Scope().Attributes()
	w.enterScope(sl)
	sizes, ok := w.sizes[ofScope], true
	for raw, v := range attrs.All() {
		k := w.keys.get(raw)
		ok = ok && !k.hint && w.fits(k, v, ofScope)
		sizes.add(k.name, v)
	}
	if !ok {
		w.enterScope(sl)
		w.rebuild(attrs, ofScope, func(id int, text string) bool { return w.onResource(rl, id, text) })
	}
	for _, m := range w.moved {
		m.value.CopyTo(attrs.PutEmpty(m.key.name))
		sizes.add(m.key.name, m.value)
	}
	w.sizes[ofScope] = sizes
}

func (w *walker) enterScope(sl plog.ScopeLogs) {
	w.names.enter(ofScope)
	w.above[ofScope] = nil
	w.sizes[ofScope] = w.sizes[ofResource]
	w.takeField(ofScope, config.FieldScopeName, sl.Scope().Name() != "", len(sl.Scope().Name()))
	w.takeField(ofScope, config.FieldScopeVersion, sl.Scope().Version() != "", len(sl.Scope().Version()))
	w.takeField(ofScope, config.FieldScopeDropped, sl.Scope().DroppedAttributesCount() != 0, shortNumber)
}

// The text of numbers, about.
const (
	shortNumber = 2
	longNumber  = 19
)

// takeField takes the name of what Loki adds when it is there, and counts it.
func (w *walker) takeField(l level, f config.Field, there bool, length int) {
	if there {
		w.names.take(l, w.keys.fields[f])
		w.sizes[l].addText(f.String(), length)
	}
}

// onResource says whether a label or an attribute of the resource says the same under the same name.
func (w *walker) onResource(rl plog.ResourceLogs, id int, text string) bool {
	if w.above[ofResource] == nil {
		w.above[ofResource] = w.textsOf(rl.Resource().Attributes())
		for _, m := range w.moved {
			w.above[ofResource][m.key.id] = m.value.AsString()
		}
	}
	if id < len(w.layout.labels) {
		if sent := w.choice.sent(id); sent != "" {
			return sent == text
		}
	}
	return w.above[ofResource].say(id, text)
}

// onScope says it of an attribute of the scope.
func (w *walker) onScope(sl plog.ScopeLogs, id int, text string) bool {
	if w.above[ofScope] == nil {
		w.above[ofScope] = w.textsOf(sl.Scope().Attributes())
	}
	return w.above[ofScope].say(id, text)
}

// record makes a record's attributes fit beside those of its scope and resource.
func (w *walker) record(rl plog.ResourceLogs, sl plog.ScopeLogs, lr plog.LogRecord) {
	attrs := lr.Attributes()
	w.enterRecord(lr)
	own, i, ok := w.sizes[ofRecord], 0, true
	for raw, v := range attrs.All() {
		k := w.keys.at(&w.guess, i, raw)
		i++
		ok = ok && !k.hint && w.fits(k, v, ofRecord)
		own.add(k.name, v)
	}
	if !ok {
		w.rebuildRecord(rl, sl, lr)
	}
	w.refusable(lr, own)
}

func (w *walker) enterRecord(lr plog.LogRecord) {
	w.names.enter(ofRecord)
	w.sizes[ofRecord] = w.sizes[ofScope]
	w.takeField(ofRecord, config.FieldObserved, lr.Timestamp() != 0 && lr.ObservedTimestamp() != 0, longNumber)
	w.takeField(ofRecord, config.FieldSeverityNumber, lr.SeverityNumber() != 0, shortNumber)
	w.takeField(ofRecord, config.FieldSeverityText, lr.SeverityText() != "", len(lr.SeverityText()))
	w.takeField(ofRecord, config.FieldTraceID, !lr.TraceID().IsEmpty(), 2*len(pcommon.TraceID{}))
	w.takeField(ofRecord, config.FieldSpanID, !lr.SpanID().IsEmpty(), 2*len(pcommon.SpanID{}))
	w.takeField(ofRecord, config.FieldFlags, lr.Flags() != 0, shortNumber)
	w.takeField(ofRecord, config.FieldDropped, lr.DroppedAttributesCount() != 0, shortNumber)
}

func (w *walker) rebuildRecord(rl plog.ResourceLogs, sl plog.ScopeLogs, lr plog.LogRecord) {
	w.enterRecord(lr)
	w.rebuild(lr.Attributes(), ofRecord, func(id int, text string) bool {
		traceID, spanID := lr.TraceID(), lr.SpanID()
		switch id {
		case w.keys.fields[config.FieldSeverityText]:
			return text == lr.SeverityText()
		case w.keys.fields[config.FieldTraceID]:
			return text == hex.EncodeToString(traceID[:])
		case w.keys.fields[config.FieldSpanID]:
			return text == hex.EncodeToString(spanID[:])
		}
		return w.onResource(rl, id, text) || w.onScope(sl, id, text)
	})
}

// What Loki refuses by default: limits_config max_line_size, max_structured_metadata_size, max_structured_metadata_entries_count,
// reject_old_samples_max_age and creation_grace_period.
const (
	maxLine     = 256 << 10
	maxMetadata = 64 << 10
	maxEntries  = 128
	maxAge      = 7 * 24 * time.Hour
	maxAhead    = 10 * time.Minute
)

// size is that of structured metadata: names and values, and how many. Values that are no text count for a little.
type size struct{ bytes, entries int }

func (s *size) add(name string, v pcommon.Value) {
	switch v.Type() {
	case pcommon.ValueTypeStr:
		s.addText(name, len(v.Str()))
	case pcommon.ValueTypeMap:
		for raw, inner := range v.Map().All() {
			s.addLeaf(len(name)+1+len(raw), inner)
		}
	default:
		s.addText(name, 8)
	}
}

func (s *size) addLeaf(name int, v pcommon.Value) {
	if v.Type() == pcommon.ValueTypeMap {
		for raw, inner := range v.Map().All() {
			s.addLeaf(name+1+len(raw), inner)
		}
		return
	}
	s.entries++
	s.bytes += name
	if v.Type() == pcommon.ValueTypeStr {
		s.bytes += len(v.Str())
	}
}

func (s *size) addText(name string, length int) {
	s.entries++
	s.bytes += len(name) + length
}

// lineLength is that of the body as Loki makes a line of it.
func lineLength(body pcommon.Value) int {
	switch body.Type() {
	case pcommon.ValueTypeStr:
		return len(body.Str())
	case pcommon.ValueTypeMap, pcommon.ValueTypeSlice, pcommon.ValueTypeBytes:
		return len(body.AsString())
	default:
		return longNumber
	}
}

// refusable counts what Loki refuses unless its limits were raised: nobody else tells.
func (w *walker) refusable(lr plog.LogRecord, s size) {
	c, line := &w.counts.refusable, lineLength(lr.Body())
	w.costs.records = append(w.costs.records, recordCost+line+s.bytes+s.entries*pairCost)
	if line > maxLine {
		c[limitLine]++
	}
	if s.bytes > maxMetadata {
		c[limitMetadataBytes]++
	}
	if s.entries > maxEntries {
		c[limitMetadataEntries]++
	}
	at := lr.Timestamp()
	if at == 0 {
		at = lr.ObservedTimestamp()
	}
	if at == 0 {
		return
	}
	switch age := w.now.Sub(at.AsTime()); {
	case age > maxAge:
		c[limitTooOld]++
	case age < -maxAhead:
		c[limitFuture]++
	}
}
