package lokihintprocessor

import (
	"strings"
	"unicode/utf8"

	"go.opentelemetry.io/collector/pdata/pcommon"

	"github.com/sluice-otel/sluice/components/lokihintprocessor/internal/config"
)

// clean makes a resource's attributes such that Loki can name each, and each by a name of its own. It reads hints and sources.
func (w *walker) clean(attrs pcommon.Map) {
	if !w.read(attrs) {
		w.enterResource()
		w.rebuild(attrs, ofResource, nil)
		w.read(attrs)
	}
}

// read finds the sources among a resource's attributes. It returns false when something has to be mended first.
func (w *walker) read(attrs pcommon.Map) bool {
	w.enterResource()
	w.infos = w.infos[:0]
	clear(w.slots)
	w.original = ""
	i := 0
	for raw, v := range attrs.All() {
		k := w.keys.at(&w.order, i, raw)
		i++
		if k.hint || !w.fits(k, v, ofResource) {
			return false
		}
		w.infos = append(w.infos, k)
		if k.resource >= 0 {
			w.slots[k.resource] = scalar(v)
		}
		if k.id == w.keys.truth {
			w.original = scalar(v)
		}
	}
	w.findService()
	return true
}

func (w *walker) enterResource() {
	w.names.enter(ofResource)
	if w.p.cfg.Hints.Emit {
		w.names.take(ofResource, w.keys.hint)
	}
}

// findService fills in service.name, for service_name and for whatever else has it as a source. What a collector before this one put there for want of a
// better one does not count.
func (w *walker) findService() {
	service := &w.layout.labels[0]
	at := &w.slots[service.slots[0]]
	if *at == overflow && w.original != "" {
		*at = w.original
	}
	given := ""
	if *at == unknownService || strings.HasPrefix(*at, unknownService+":") {
		given, *at = *at, ""
	}
	for _, s := range service.slots {
		if *at == "" {
			*at = w.slots[s]
		}
	}
	if *at == "" && given != unknownService {
		*at = given
	}
}

// fits says whether an attribute can stay as it is; then it takes its names.
func (w *walker) fits(k *key, v pcommon.Value, l level) bool {
	if k.better != "" || k.field && l != ofRecord {
		return false
	}
	switch v.Type() {
	case pcommon.ValueTypeStr:
		if l == ofResource && !sound(v.Str()) || !utf8.ValidString(v.Str()) {
			return false
		}
	case pcommon.ValueTypeMap:
		// Loki makes an entry of every leaf.
		w.leaves = append(w.leaves[:0], k.id)
		if !w.collect(k.name, v.Map(), 1) {
			return false
		}
		for i, id := range w.leaves {
			// On a resource a label's name is not for leaves: a label is put beside them.
			if i > 0 && l == ofResource && id < len(w.layout.labels) || !w.names.take(l, id) {
				w.names.free(w.leaves[:i])
				return false
			}
		}
		return true
	default:
	}
	return w.names.take(l, k.id)
}

// maxDepth bounds maps in maps; the names of leaves grow with the depth.
const maxDepth = 32

// collect finds the names of a map's leaves, or returns false when there is something to repair.
func (w *walker) collect(prefix string, m pcommon.Map, depth int) bool {
	if depth > maxDepth {
		return false
	}
	for raw, v := range m.All() {
		if !utf8.ValidString(raw) {
			return false
		}
		name, _ := config.Name(prefix + "_" + raw) // what has a prefix can be named
		if v.Type() == pcommon.ValueTypeMap {
			if !w.collect(name, v.Map(), depth+1) {
				return false
			}
			continue
		}
		if v.Type() == pcommon.ValueTypeStr && !utf8.ValidString(v.Str()) {
			return false
		}
		w.leaves = append(w.leaves, w.keys.id(name))
	}
	return true
}

// valid puts a space where the text is broken, as Loki itself does in structured metadata. Of a label's value Loki refuses U+FFFD, too, which is what others
// put there.
func valid(s string) string {
	return strings.ReplaceAll(strings.ToValidUTF8(s, " "), "\uFFFD", " ")
}

// sound says whether a label may have a value.
func sound(s string) bool {
	return utf8.ValidString(s) && !strings.Contains(s, "\uFFFD")
}

// scalar is a value as a label has it; empty for what cannot be one.
func scalar(v pcommon.Value) string {
	switch v.Type() {
	case pcommon.ValueTypeStr:
		return v.Str()
	case pcommon.ValueTypeInt, pcommon.ValueTypeDouble, pcommon.ValueTypeBool:
		return v.AsString()
	default:
		return ""
	}
}
