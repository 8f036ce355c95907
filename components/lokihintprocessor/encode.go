package lokihintprocessor

import (
	"slices"
	"strings"

	"go.opentelemetry.io/collector/pdata/pcommon"

	"github.com/sluice-otel/sluice/components/lokihintprocessor/internal/config"
)

// edit is one change of a resource's attributes: from goes, to comes; with the value of from unless there is another.
type edit struct {
	from, to, value string
}

// encode writes the choice into a resource: of what Loki makes labels of there is what was chosen, and nothing else. What is not a label keeps its name in
// LogQL, as structured metadata.
func (w *walker) encode(attrs pcommon.Map) {
	w.edits, w.moved = w.edits[:0], w.moved[:0]
	w.sizes[ofResource] = size{}
	clear(w.there)
	truth := trueService
	if w.choice.reasons[0] != admitted && !w.names.take(ofResource, w.keys.truth) && !slices.ContainsFunc(w.infos, func(k *key) bool { return k.id == w.keys.truth }) {
		truth = w.rename(w.keys.get(serviceKey), pcommon.NewValueEmpty(), ofResource, nil).raw // the leaf of a map has the name
	}
	i := 0
	for _, v := range attrs.All() {
		switch k := w.infos[i]; {
		case k.id == w.keys.truth && w.choice.reasons[0] != admitted && scalar(v) != w.trueName():
			// Somebody else's: an unlabeled service's name goes there.
			w.giveWay(k, v)
		case k.label >= 0:
			w.encodeLabel(k, v)
		case k.indexed:
			w.demote(k, v)
		default:
			w.sizes[ofResource].add(k.name, v)
		}
		i++
	}
	for i := range w.layout.labels {
		w.addLabel(i)
	}
	if w.choice.reasons[0] != admitted {
		w.sizes[ofResource].addText(trueService, len(w.trueName()))
		w.edits = append(w.edits, edit{to: truth, value: w.trueName()})
	}
	if w.p.cfg.Hints.Emit {
		w.edits = append(w.edits, edit{to: config.HintResourceLabels, value: w.carriers()})
	}
	for _, e := range w.edits {
		e.apply(attrs, w.spare)
	}
}

// encodeLabel is for an attribute that has the name of a label.
func (w *walker) encodeLabel(k *key, v pcommon.Value) {
	value, sent, is := w.choice.values[k.label], w.choice.sent(k.label), scalar(v)
	carrier := k.raw == w.layout.labels[k.label].carrier
	switch {
	case sent == "" && value != "" && is != value:
		w.giveWay(k, v)
		w.names.free([]int{k.id}) // for the label's value
	case sent == "":
		w.there[k.label] = true // if there is a value, as structured metadata
		if k.indexed {
			w.demote(k, v)
		} else {
			w.sizes[ofResource].add(k.name, v)
		}
	case carrier && is == sent:
		w.there[k.label] = true
	case is == sent || is == "" && v.Type() != pcommon.ValueTypeMap && v.AsString() == "":
		w.edits = append(w.edits, edit{from: k.raw})
	case carrier && k.label == 0 && (w.choice.reasons[0] != admitted && is == w.trueName() || is == overflow && w.trueName() == w.original):
		w.edits = append(w.edits, edit{from: k.raw}) // it goes to trueService, or there is room again
	default: // another value has the name
		w.counts.mended[mendClash]++
		w.giveWay(k, v)
	}
}

// trueName is what service_name would be if there were room for everything.
func (w *walker) trueName() string {
	if name := w.slots[w.layout.labels[0].slots[0]]; name != "" {
		return name
	}
	return w.choice.values[0]
}

// giveWay gives an attribute another name.
func (w *walker) giveWay(k *key, v pcommon.Value) {
	w.sizes[ofResource].add(k.name, v)
	w.edits = append(w.edits, edit{from: k.raw, to: w.rename(k, v, ofResource, nil).raw})
}

// demote keeps Loki from making a label of an attribute: it knows the keys by their exact spelling, so the name that LogQL has for it anyway is another one.
// What is spelled like its name moves to the scopes, of which Loki makes no labels.
func (w *walker) demote(k *key, v pcommon.Value) {
	if w.layout.indexed[k.name] {
		kept := pcommon.NewValueEmpty()
		v.CopyTo(kept)
		w.moved = append(w.moved, entry{k, kept})
		w.edits = append(w.edits, edit{from: k.raw})
		return
	}
	w.sizes[ofResource].add(k.name, v)
	w.edits = append(w.edits, edit{from: k.raw, to: k.name})
}

// addLabel puts a label's value where it has to be and is not yet.
func (w *walker) addLabel(i int) {
	l, value := &w.layout.labels[i], w.choice.sent(i)
	switch {
	case value != "":
		w.names.take(ofResource, w.keys.labels[i])
		if !w.there[i] {
			w.edits = append(w.edits, edit{to: l.carrier, value: value})
		}
	case w.choice.values[i] == "" || w.there[i] || l.ofRecord || !w.names.take(ofResource, w.keys.labels[i]):
		// there is no value; or it is there; or on the record
	case w.layout.indexed[l.name]:
		w.moved = append(w.moved, entry{w.keys.get(l.name), pcommon.NewValueStr(w.choice.values[i])})
	default:
		w.sizes[ofResource].addText(l.name, len(w.choice.values[i]))
		w.edits = append(w.edits, edit{to: l.name, value: w.choice.values[i]})
	}
}

// carriers lists the attributes that are labels, as exporters read it that know hints.
func (w *walker) carriers() string {
	var list []string
	for i := range w.layout.labels {
		if w.choice.sent(i) != "" {
			list = append(list, w.layout.labels[i].carrier)
		}
	}
	return strings.Join(list, ", ")
}

func (e *edit) apply(attrs pcommon.Map, spare pcommon.Value) {
	switch {
	case e.from == "":
		attrs.PutStr(e.to, e.value)
	case e.to == "":
		attrs.Remove(e.from)
	default:
		v, _ := attrs.Get(e.from)
		v.MoveTo(spare)
		attrs.Remove(e.from)
		spare.MoveTo(attrs.PutEmpty(e.to))
	}
}
