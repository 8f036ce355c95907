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
	w.scopeSize = w.shared
	w.enterScope(sl)
	ok := true
	for raw, v := range attrs.All() {
		k := w.keys.get(raw)
		ok = ok && !k.hint && w.fits(k, v, ofScope)
		w.scopeSize.add(k, v)
	}
	if !ok {
		w.enterScope(sl)
		w.rebuild(attrs, ofScope, func(k *key, v pcommon.Value) bool { return w.onResource(rl, k, v) })
	}
	for _, m := range w.moved {
		m.value.CopyTo(attrs.PutEmpty(m.key.name))
		w.scopeSize.add(m.key, m.value)
	}
}

func (w *walker) enterScope(sl plog.ScopeLogs) {
	w.names.enter(ofScope)
	w.takeField(ofScope, config.FieldScopeName, sl.Scope().Name() != "")
	w.takeField(ofScope, config.FieldScopeVersion, sl.Scope().Version() != "")
	w.takeField(ofScope, config.FieldScopeDropped, sl.Scope().DroppedAttributesCount() != 0)
}

// takeField takes the name of what Loki adds when it is there.
func (w *walker) takeField(l level, f config.Field, there bool) {
	if there {
		w.names.take(l, w.keys.fields[f])
	}
}

// onResource says whether a label or an attribute of the resource says the same under the same name.
func (w *walker) onResource(rl plog.ResourceLogs, k *key, v pcommon.Value) bool {
	if k.label >= 0 && w.choice.sent(k.label) != "" {
		return v.Type() != pcommon.ValueTypeMap && v.AsString() == w.choice.sent(k.label)
	}
	for _, m := range w.moved {
		if m.key.id == k.id {
			return v.Type() != pcommon.ValueTypeMap && v.AsString() == m.value.AsString()
		}
	}
	return has(w.keys, rl.Resource().Attributes(), k, v)
}

// record makes a record's attributes fit beside those of its scope and resource.
func (w *walker) record(rl plog.ResourceLogs, sl plog.ScopeLogs, lr plog.LogRecord) {
	attrs := lr.Attributes()
	w.enterRecord(lr)
	own, i, ok := w.scopeSize, 0, true
	for raw, v := range attrs.All() {
		k := w.keys.at(&w.guess, i, raw)
		i++
		ok = ok && !k.hint && w.fits(k, v, ofRecord)
		own.add(k, v)
	}
	if !ok {
		w.rebuildRecord(rl, sl, lr)
	}
	w.refusable(lr, own)
}

func (w *walker) enterRecord(lr plog.LogRecord) {
	w.names.enter(ofRecord)
	w.takeField(ofRecord, config.FieldObserved, lr.Timestamp() != 0 && lr.ObservedTimestamp() != 0)
	w.takeField(ofRecord, config.FieldSeverityNumber, lr.SeverityNumber() != 0)
	w.takeField(ofRecord, config.FieldSeverityText, lr.SeverityText() != "")
	w.takeField(ofRecord, config.FieldTraceID, !lr.TraceID().IsEmpty())
	w.takeField(ofRecord, config.FieldSpanID, !lr.SpanID().IsEmpty())
	w.takeField(ofRecord, config.FieldFlags, lr.Flags() != 0)
	w.takeField(ofRecord, config.FieldDropped, lr.DroppedAttributesCount() != 0)
}

func (w *walker) rebuildRecord(rl plog.ResourceLogs, sl plog.ScopeLogs, lr plog.LogRecord) {
	w.enterRecord(lr)
	w.rebuild(lr.Attributes(), ofRecord, func(k *key, v pcommon.Value) bool {
		traceID, spanID := lr.TraceID(), lr.SpanID()
		switch k.id {
		case w.keys.fields[config.FieldSeverityText]:
			return v.AsString() == lr.SeverityText()
		case w.keys.fields[config.FieldTraceID]:
			return v.AsString() == hex.EncodeToString(traceID[:])
		case w.keys.fields[config.FieldSpanID]:
			return v.AsString() == hex.EncodeToString(spanID[:])
		}
		return w.onResource(rl, k, v) || has(w.keys, sl.Scope().Attributes(), k, v)
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

// size is that of structured metadata, roughly: values that are no text count for a little.
type size struct{ bytes, entries int }

func (s *size) add(k *key, v pcommon.Value) {
	s.entries++
	s.bytes += len(k.name)
	switch v.Type() {
	case pcommon.ValueTypeStr:
		s.bytes += len(v.Str())
	case pcommon.ValueTypeMap:
		s.entries--
		for raw, inner := range v.Map().All() {
			s.entries++
			s.bytes += len(k.name) + len(raw)
			if inner.Type() == pcommon.ValueTypeStr {
				s.bytes += len(inner.Str())
			}
		}
	default:
		s.bytes += 8
	}
}

// refusable counts what Loki refuses unless its limits were raised: nobody else tells.
func (w *walker) refusable(lr plog.LogRecord, s size) {
	c := &w.counts.refusable
	if body := lr.Body(); body.Type() == pcommon.ValueTypeStr && len(body.Str()) > maxLine {
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
