package lokihintprocessor

import (
	"encoding/hex"
	"unicode/utf8"

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
	w.alike = -1
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
	if own, ok := w.asBefore(lr); ok {
		w.refusable(lr, own)
		return
	}
	w.enterRecord(lr)
	own, i, ok, plain, names := w.sizes[ofRecord], 0, true, true, 0
	for raw, v := range attrs.All() {
		k := w.keys.at(&w.guess, i, raw)
		i++
		ok = ok && !k.hint && w.fits(k, v, ofRecord)
		plain = plain && !k.field && v.Type() != pcommon.ValueTypeMap
		names += len(k.name)
		own.add(k.name, v)
	}
	w.alike = -1
	switch {
	case !ok:
		w.rebuildRecord(rl, sl, lr)
	case plain && i <= len(w.guess):
		w.alike, w.alikeBytes = i, names
	}
	w.refusable(lr, own)
}

// asBefore says whether a record has the keys of one before it in its scope that needed no mending, and values that need none: then its names are as free.
// What Loki adds of its own cannot hide them, for none is called so.
func (w *walker) asBefore(lr plog.LogRecord) (own size, ok bool) {
	attrs := lr.Attributes()
	if attrs.Len() != w.alike {
		return own, false
	}
	own = w.sizes[ofScope]
	own.entries += w.alike
	own.bytes += w.alikeBytes
	i := 0
	for raw, v := range attrs.All() {
		if w.guess[i].raw != raw {
			return own, false
		}
		i++
		switch v.Type() {
		case pcommon.ValueTypeStr:
			if !utf8.ValidString(v.Str()) {
				return own, false
			}
			own.bytes += len(v.Str())
		case pcommon.ValueTypeMap:
			return own, false
		default:
			own.bytes += textLength(v)
		}
	}
	eachField(lr, func(f config.Field, length int) { own.addText(fieldNames[f], length) })
	return own, true
}

var fieldNames = func() (names [config.NumFields]string) {
	for f := range config.NumFields {
		names[f] = f.String()
	}
	return names
}()

// eachField visits what Loki adds of a record's own, with the length of the text.
func eachField(lr plog.LogRecord, visit func(f config.Field, length int)) {
	if lr.Timestamp() != 0 && lr.ObservedTimestamp() != 0 {
		visit(config.FieldObserved, longNumber)
	}
	if lr.SeverityNumber() != 0 {
		visit(config.FieldSeverityNumber, shortNumber)
	}
	if text := lr.SeverityText(); text != "" {
		visit(config.FieldSeverityText, len(text))
	}
	if !lr.TraceID().IsEmpty() {
		visit(config.FieldTraceID, 2*len(pcommon.TraceID{}))
	}
	if !lr.SpanID().IsEmpty() {
		visit(config.FieldSpanID, 2*len(pcommon.SpanID{}))
	}
	if lr.Flags() != 0 {
		visit(config.FieldFlags, shortNumber)
	}
	if lr.DroppedAttributesCount() != 0 {
		visit(config.FieldDropped, shortNumber)
	}
}

func (w *walker) enterRecord(lr plog.LogRecord) {
	w.names.enter(ofRecord)
	w.sizes[ofRecord] = w.sizes[ofScope]
	eachField(lr, func(f config.Field, length int) { w.takeField(ofRecord, f, true, length) })
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
