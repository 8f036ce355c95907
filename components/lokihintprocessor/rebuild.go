package lokihintprocessor

import (
	"encoding/json"
	"slices"
	"strconv"
	"unicode/utf8"

	"go.opentelemetry.io/collector/pdata/pcommon"
)

// entry is an attribute.
type entry struct {
	key   *key
	value pcommon.Value
}

// texts are values by the id of their name; nil before somebody asks.
type texts map[int]string

func (t texts) say(id int, text string) bool {
	there, ok := t[id]
	return ok && there == text
}

// maxAttributes bounds those of one level that are mended one by one, which takes the square of their number. Loki takes 128 by default.
const maxAttributes = 128

// rebuild writes attributes anew on a level that was just entered: without hints, repaired, and each with names of its own. An attribute that would take the
// name of another one with the same value is left out; above says whether that is so with what is not in this map.
func (w *walker) rebuild(attrs pcommon.Map, l level, above func(id int, text string) bool) {
	old := pcommon.NewMap()
	attrs.MoveTo(old)
	attrs.EnsureCapacity(min(old.Len(), maxAttributes))
	own := texts{}
	var late []entry
	var rest []byte
	put := func(key string, id int, v pcommon.Value) {
		v.CopyTo(attrs.PutEmpty(key))
		if v.Type() != pcommon.ValueTypeMap {
			own[id] = v.AsString()
		}
	}
	// Of two with one name that one keeps it which the configuration or Loki knows.
	for _, spelled := range []bool{true, false} {
		for raw, v := range old.All() {
			k := w.keys.get(raw)
			if k.spelled != spelled {
				continue
			}
			if k.hint {
				w.takeHint(l, k, v)
				continue
			}
			if !spelled && attrs.Len()+len(late) >= maxAttributes {
				w.counts.mended[mendMany]++
				rest = appendMember(append(rest, ','), raw, v)
				continue
			}
			if k = w.repair(k, v); w.fits(k, v, l) {
				put(k.raw, k.id, v)
			} else {
				late = append(late, entry{k, v})
			}
		}
	}
	for _, a := range late {
		w.counts.mended[mendClash]++
		said := func(int) bool { return false }
		if a.value.Type() != pcommon.ValueTypeMap {
			text := a.value.AsString()
			if above != nil && above(a.key.id, text) {
				continue
			}
			said = func(id int) bool { return own.say(id, text) }
		}
		if better := w.rename(a.key, a.value, l, said); better != nil {
			put(better.raw, better.id, a.value)
		}
	}
	if rest != nil {
		v := pcommon.NewValueStr("{" + string(rest[1:]) + "}")
		better := w.rename(w.keys.get("attributes"), v, l, nil)
		put(better.raw, better.id, v)
	}
}

// repair makes key and value valid; it returns the key that is to be used.
func (w *walker) repair(k *key, v pcommon.Value) *key {
	if k.better != "" {
		if utf8.ValidString(k.raw) {
			w.counts.mended[mendKey]++
		} else {
			w.counts.mended[mendUTF8]++
		}
		k = w.keys.get(k.better)
	}
	switch v.Type() {
	case pcommon.ValueTypeStr:
		if !sound(v.Str()) {
			w.counts.mended[mendUTF8]++
			v.SetStr(valid(v.Str()))
		}
	case pcommon.ValueTypeMap:
		if !w.orderly(k.name, v.Map()) {
			w.counts.mended[mendClash]++
			v.SetStr(text(v))
		}
	default:
	}
	return k
}

// orderly says whether Loki can make an entry of every leaf: valid text under names that differ.
func (w *walker) orderly(prefix string, m pcommon.Map) bool {
	w.leaves = w.leaves[:0]
	if !w.collect(prefix, m, 1) {
		return false
	}
	slices.Sort(w.leaves)
	return len(slices.Compact(w.leaves)) == len(w.leaves)
}

// text is a map as JSON, with all members, also where two have one key.
func text(v pcommon.Value) string {
	return string(appendJSON(nil, v))
}

func appendJSON(b []byte, v pcommon.Value) []byte {
	switch v.Type() {
	case pcommon.ValueTypeMap:
		b = append(b, '{')
		first := len(b)
		for key, member := range v.Map().All() {
			if len(b) > first {
				b = append(b, ',')
			}
			b = appendMember(b, key, member)
		}
		return append(b, '}')
	case pcommon.ValueTypeSlice:
		b = append(b, '[')
		for i, element := range v.Slice().All() {
			if i > 0 {
				b = append(b, ',')
			}
			b = appendJSON(b, element)
		}
		return append(b, ']')
	case pcommon.ValueTypeInt, pcommon.ValueTypeBool:
		return append(b, v.AsString()...)
	case pcommon.ValueTypeEmpty:
		return append(b, "null"...)
	default:
		return appendString(b, v.AsString())
	}
}

func appendMember(b []byte, key string, v pcommon.Value) []byte {
	return appendJSON(append(appendString(b, key), ':'), v)
}

func appendString(b []byte, s string) []byte {
	quoted, _ := json.Marshal(valid(s)) // of a string it does not fail
	return append(b, quoted...)
}

// rename finds a key whose names are free. A map that does not fit under any is written as text. It returns nil when the attribute of a name that it tries says
// the same already: so an earlier collector has renamed it.
func (w *walker) rename(k *key, v pcommon.Value, l level, said func(id int) bool) *key {
	if said != nil && said(k.id) {
		return nil
	}
	name := l.prefix() + k.name
	for n := 2; ; n++ {
		better := w.keys.get(name)
		if said != nil && said(better.id) {
			return nil
		}
		if !better.indexed && w.fits(better, v, l) {
			return better
		}
		if n == maxTries && v.Type() == pcommon.ValueTypeMap {
			v.SetStr(text(v))
		}
		name = l.prefix() + k.name + "_" + strconv.Itoa(n)
	}
}

// maxTries bounds those for a map: names between two __ are spelled by rules of their own, so it may fit nowhere.
const maxTries = 8

// textsOf are those of attributes.
func (w *walker) textsOf(attrs pcommon.Map) texts {
	t := texts{}
	for raw, v := range attrs.All() {
		if v.Type() != pcommon.ValueTypeMap {
			t[w.keys.get(raw).id] = v.AsString()
		}
	}
	return t
}
