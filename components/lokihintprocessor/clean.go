package lokihintprocessor

import (
	"strconv"
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
	w.infos, w.shared = w.infos[:0], size{}
	clear(w.slots)
	w.original = ""
	for raw, v := range attrs.All() {
		k := w.keys.get(raw)
		if k.hint || !w.fits(k, v, ofResource) {
			return false
		}
		w.infos = append(w.infos, k)
		w.shared.add(k, v)
		if k.resource >= 0 {
			w.slots[k.resource] = scalar(v)
		}
		if k.raw == trueService {
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
	if *at == unknownService {
		*at = ""
	}
	for _, s := range service.slots {
		if *at == "" {
			*at = w.slots[s]
		}
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
		if !w.collect(k.name, v.Map()) {
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

// collect finds the names of a map's leaves, or returns false when there is something to repair.
func (w *walker) collect(prefix string, m pcommon.Map) bool {
	for raw, v := range m.All() {
		if !utf8.ValidString(raw) {
			return false
		}
		name, _ := config.Name(prefix + "_" + raw) // what has a prefix can be named
		if v.Type() == pcommon.ValueTypeMap {
			if !w.collect(name, v.Map()) {
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

// entry is an attribute, one that has to wait until those that keep their names have them.
type entry struct {
	key   *key
	value pcommon.Value
}

// rebuild writes attributes anew on a level that was just entered: without hints, repaired, and each with names of its own. An attribute that would take the
// name of another one with the same value is left out; above says whether that is so with what is not in this map.
func (w *walker) rebuild(attrs pcommon.Map, l level, above func(k *key, v pcommon.Value) bool) {
	old := pcommon.NewMap()
	attrs.MoveTo(old)
	attrs.EnsureCapacity(old.Len())
	var late []entry
	// Of two with one name that one keeps it which the configuration or Loki knows.
	for _, spelled := range []bool{true, false} {
		for raw, v := range old.All() {
			switch k := w.keys.get(raw); {
			case k.spelled != spelled:
			case k.hint:
				w.takeHint(l, k, v)
			default:
				k = w.repair(k, v)
				if w.fits(k, v, l) {
					v.CopyTo(attrs.PutEmpty(k.raw))
				} else {
					late = append(late, entry{k, v})
				}
			}
		}
	}
	for _, a := range late {
		w.counts.mended[mendClash]++
		if !has(w.keys, attrs, a.key, a.value) && (above == nil || !above(a.key, a.value)) {
			a.value.CopyTo(attrs.PutEmpty(w.rename(a.key, a.value, l)))
		}
	}
}

// repair makes key and value valid; it returns the key that is to be used.
func (w *walker) repair(k *key, v pcommon.Value) *key {
	if repairValue(v) {
		w.counts.mended[mendUTF8]++
	}
	if k.better != "" {
		if utf8.ValidString(k.raw) {
			w.counts.mended[mendKey]++
		} else {
			w.counts.mended[mendUTF8]++
		}
		k = w.keys.get(k.better)
	}
	if v.Type() == pcommon.ValueTypeMap {
		w.counts.mended[mendClash] += separate(k.name, v.Map(), map[string]bool{})
	}
	return k
}

// separate renames leaves of a map that have the name of another leaf; it returns how many.
func separate(prefix string, m pcommon.Map, taken map[string]bool) (renamed int) {
	old := pcommon.NewMap()
	m.MoveTo(old)
	for raw, v := range old.All() {
		better, name := raw, ""
		for n := 2; ; n++ {
			name, _ = config.Name(prefix + "_" + better)
			// Of two with one key the second is another one, and so is a leaf with another's name.
			if _, there := m.Get(better); !there && !taken[name] {
				break
			}
			better = raw + "_" + strconv.Itoa(n)
		}
		if better != raw {
			renamed++
		}
		if v.Type() == pcommon.ValueTypeMap {
			renamed += separate(name, v.Map(), taken)
		} else {
			taken[name] = true
		}
		v.CopyTo(m.PutEmpty(better))
	}
	return renamed
}

// repairValue replaces what is no valid UTF-8, also within maps; within lists Loki's own text of them is valid.
func repairValue(v pcommon.Value) (repaired bool) {
	switch v.Type() {
	case pcommon.ValueTypeStr:
		if !sound(v.Str()) {
			v.SetStr(valid(v.Str()))
			return true
		}
	case pcommon.ValueTypeMap:
		old := pcommon.NewMap()
		v.Map().MoveTo(old)
		for raw, inner := range old.All() {
			repaired = repairValue(inner) || !utf8.ValidString(raw) || repaired
			raw = valid(raw)
			for _, there := v.Map().Get(raw); there; _, there = v.Map().Get(raw) {
				raw += "_"
			}
			inner.CopyTo(v.Map().PutEmpty(raw))
		}
	default:
	}
	return repaired
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

// rename finds a key whose names are free. A map that does not fit under any is written as text.
func (w *walker) rename(k *key, v pcommon.Value, l level) string {
	name := l.prefix() + k.name
	for n := 2; ; n++ {
		if better := w.keys.get(name); !better.indexed && w.fits(better, v, l) {
			return better.raw
		}
		if n == maxTries && v.Type() == pcommon.ValueTypeMap {
			v.SetStr(v.AsString())
		}
		name = l.prefix() + k.name + "_" + strconv.Itoa(n)
	}
}

// maxTries bounds those for a map: names between two __ are spelled by rules of their own, so it may fit nowhere.
const maxTries = 8

// has says whether one of the attributes says the same under the same name.
func has(keys *keys, attrs pcommon.Map, k *key, v pcommon.Value) bool {
	for raw, other := range attrs.All() {
		if keys.get(raw).id == k.id && v.Type() != pcommon.ValueTypeMap && other.Type() != pcommon.ValueTypeMap && other.AsString() == v.AsString() {
			return true
		}
	}
	return false
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
