package lokihintprocessor

import (
	"encoding/hex"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/zeebo/xxh3"

	"github.com/sluice-otel/sluice/components/lokihintprocessor/internal/config"
)

// key is what is known of an attribute's key.
type key struct {
	raw  string
	name string // in LogQL
	// better is the key to use instead: Loki cannot name this one, or it is no valid UTF-8. Empty: raw is fine.
	better string
	id     int // of the name, for marks
	hint   bool
	// field: Loki gives the name to what records have of their own; on a resource or scope it would hide that.
	field bool
	// spelled, indexed: see layout.
	spelled, indexed bool
	label            int // that has this name, or -1
	resource, record int // slot of the source that it is on that level, or -1
}

// What the keys of one walker may take before it starts again.
const (
	maxKeys     = 4096
	maxKeyBytes = 1 << 20
	maxGuess    = 128
)

// keys remembers what is known of the keys that came by. Names are numbered, so that a set of them is a slice of marks.
type keys struct {
	layout *layout
	byKey  map[string]*key
	ids    map[string]int
	bytes  int
	// The ids of what every record may have.
	labels []int
	fields [config.NumFields]int
	hint   int // loki_resource_labels
	truth  int // trueService
}

func newKeys(l *layout) *keys {
	t := &keys{layout: l, byKey: map[string]*key{}, ids: map[string]int{}}
	for i := range l.labels {
		t.labels = append(t.labels, t.id(l.labels[i].name))
	}
	for i := range config.NumFields {
		t.fields[i] = t.id(i.String())
	}
	t.hint, t.truth = t.id("loki_resource_labels"), t.id(trueService)
	return t
}

// tidy bounds what is remembered. Ids are new after it.
func (t *keys) tidy() (forgot bool) {
	if len(t.byKey) < maxKeys && t.bytes < maxKeyBytes {
		return false
	}
	*t = *newKeys(t.layout)
	return true
}

// at finds the key at position i; guess are the keys of the record before: those of one source have theirs in one order.
func (t *keys) at(guess *[]*key, i int, raw string) *key {
	if i < len(*guess) && (*guess)[i].raw == raw {
		return (*guess)[i]
	}
	k := t.get(raw)
	switch {
	case i < len(*guess):
		(*guess)[i] = k
	case i == len(*guess) && i < maxGuess:
		*guess = append(*guess, k)
	}
	return k
}

func (t *keys) get(raw string) *key {
	if k, ok := t.byKey[raw]; ok {
		return k
	}
	raw = strings.Clone(raw)
	k := t.describe(raw)
	t.byKey[raw] = k
	t.bytes += 2*len(raw) + len(k.better)
	return k
}

func (t *keys) describe(raw string) *key {
	l := t.layout
	k := &key{raw: raw, label: -1, resource: -1, record: -1, hint: slices.Contains(config.HintKeys(), raw), spelled: l.spelled[raw], indexed: l.indexed[raw]}
	k.better = betterKey(raw)
	best := raw
	if k.better != "" {
		best = k.better
	}
	k.name, _ = config.Name(best)
	k.id = t.id(k.name)
	k.field = config.IsField(k.name)
	if i, ok := l.byName[k.name]; ok {
		k.label = i
	}
	if i, ok := l.slotsOf[slot{name: k.name}]; ok {
		k.resource = i
	}
	if i, ok := l.slotsOf[slot{record: true, name: k.name}]; ok {
		k.record = i
	}
	return k
}

// id numbers a name.
func (t *keys) id(name string) int {
	id, ok := t.ids[name]
	if !ok {
		id = len(t.ids)
		t.ids[name] = id
		t.bytes += len(name)
	}
	return id
}

// longKey bounds the bytes of a key that are written out in the name it gets.
const longKey = 64

// betterKey is what an attribute has to be called for Loki to take it, or empty when its own key is fine.
func betterKey(raw string) string {
	valid := raw
	if !utf8.ValidString(raw) {
		valid = strings.ToValidUTF8(raw, "\uFFFD")
	}
	if name, err := config.Name(valid); err != nil || slices.Contains(config.ReservedNames(), name) {
		head := raw[:min(len(raw), longKey)]
		better := "attr_" + hex.EncodeToString([]byte(head))
		if len(head) < len(raw) {
			sum := xxh3.HashString128(raw).Bytes()
			better += "_" + hex.EncodeToString(sum[:])
		}
		return better
	}
	if valid != raw {
		return valid
	}
	return ""
}
