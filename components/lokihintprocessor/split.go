package lokihintprocessor

import (
	"slices"
	"strings"

	"github.com/zeebo/xxh3"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"
)

// groups are the records of a resource by the labels that they get.
type groups struct {
	choices []*choice // kept over resources
	n       int       // in use
	byHash  map[uint64]int
	of      []int // group of each record, in order
	// The record before this one had these values, and went to this group.
	values []string
	last   int
}

func newGroups() groups {
	return groups{byHash: map[uint64]int{}}
}

func (g *groups) start() {
	clear(g.byHash)
	g.n, g.of, g.last = 0, g.of[:0], -1
}

func (g *groups) reset() {
	for _, c := range g.choices {
		c.reset()
	}
	clear(g.values)
}

// split is for labels in which the records of a resource may differ: those that get the same labels stay together, others get a copy of the resource.
func (w *walker) split(all plog.ResourceLogsSlice, i int) {
	rl, g := all.At(i), &w.groups
	g.start()
	for _, sl := range rl.ScopeLogs().All() {
		for _, lr := range sl.LogRecords().All() {
			g.of = append(g.of, w.group(lr))
		}
	}
	parts := make([]plog.ResourceLogs, 1, g.n)
	parts[0] = rl
	first := all.Len() - 1 // the part before those that are appended
	for len(parts) < g.n {
		part := all.AppendEmpty()
		rl.Resource().CopyTo(part.Resource())
		part.SetSchemaUrl(rl.SchemaUrl())
		parts = append(parts, part)
		if len(w.tenants) > 0 {
			w.tenants = append(w.tenants, w.tenant)
		}
	}
	if len(parts) > 1 {
		w.move(parts)
	}
	for n, part := range parts {
		w.read(part.Resource().Attributes())
		w.choice.copyFrom(g.choices[n])
		w.finish(part)
		if n > 0 {
			i = first + n
		}
		w.costs.done(i)
	}
}

// move takes the records that are not of the first group to the resource of theirs.
func (w *walker) move(parts []plog.ResourceLogs) {
	i := 0
	for _, sl := range parts[0].ScopeLogs().All() {
		into := map[int]plog.LogRecordSlice{}
		sl.LogRecords().RemoveIf(func(lr plog.LogRecord) bool {
			group := w.groups.of[i]
			i++
			if group == 0 {
				return false
			}
			records, ok := into[group]
			if !ok {
				scope := parts[group].ScopeLogs().AppendEmpty()
				sl.Scope().CopyTo(scope.Scope())
				scope.SetSchemaUrl(sl.SchemaUrl())
				records = scope.LogRecords()
				into[group] = records
			}
			lr.MoveTo(records.AppendEmpty())
			return true
		})
	}
}

// group finds the labels of a record, and who else has them.
func (w *walker) group(lr plog.LogRecord) int {
	w.readRecord(lr)
	g := &w.groups
	if g.last < 0 || !slices.Equal(g.values, w.slots) || len(w.asks) > 0 {
		w.choose()
		g.values = append(g.values[:0], w.slots...)
		g.last = g.find(w.choice, w.layout)
	}
	w.counts.demote(w.choice, 1)
	w.keepOnRecord(lr)
	return g.last
}

// find gives the number of the group with these labels.
func (g *groups) find(c *choice, l *layout) int {
	hash := uint64(0)
	for i := range c.values {
		hash = hash*31 + xxh3.HashString(c.sent(i))
	}
	if first, ok := g.byHash[hash]; ok {
		for i := first; i < g.n; i++ { // where two have one hash
			if g.choices[i].same(c, l) {
				return i
			}
		}
	} else {
		g.byHash[hash] = g.n
	}
	if g.n == len(g.choices) {
		g.choices = append(g.choices, newChoice(len(c.values)))
	}
	g.choices[g.n].copyFrom(c)
	g.n++
	return g.n - 1
}

// same says whether two choices are written alike: what a record keeps for itself may differ.
func (c *choice) same(other *choice, l *layout) bool {
	for i := range c.values {
		if c.sent(i) != other.sent(i) || c.values[i] != other.values[i] && !l.labels[i].ofRecord {
			return false
		}
	}
	return true
}

// readRecord finds the sources among a record's attributes.
func (w *walker) readRecord(lr plog.LogRecord) {
	for _, i := range w.layout.recordSlots {
		w.slots[i], w.settled[i] = "", false
	}
	clear(w.spelled)
	copy(w.asks, w.asked)
	i := 0
	for raw, v := range lr.Attributes().All() {
		k := w.keys.at(&w.guess, i, raw)
		i++
		// The first that is spelled as the configuration has it, else the first.
		if at := k.record; at >= 0 && !w.settled[at] {
			exact := raw == w.layout.slotKeys[at]
			if value := scalar(v); value != "" && (exact || w.slots[at] == "") {
				w.slots[at], w.settled[at] = labelValue(value), exact
			}
		}
		if k.label >= 0 {
			w.spelled[k.label] = true
		}
		if k.hint {
			w.readHint(w.asks, k, v)
		}
	}
	if i := w.layout.severity; i >= 0 {
		w.slots[i] = labelValue(severity(lr))
	}
}

func labelValue(s string) string {
	if sound(s) {
		return s
	}
	return valid(s)
}

// keepOnRecord puts the values that are no labels where they can be asked for by the label's name; what else has the name gives way.
func (w *walker) keepOnRecord(lr plog.LogRecord) {
	attrs := lr.Attributes()
	for i := range w.layout.labels {
		l, value := &w.layout.labels[i], w.choice.values[i]
		if !l.ofRecord || w.choice.reasons[i] == admitted || w.spelled[i] && w.says(attrs, i, value) {
			continue
		}
		attrs.PutStr(l.name, value)
	}
}

// says returns true when an attribute has the name of a label and its value. Those that have another value get another name; if they are several, one together.
func (w *walker) says(attrs pcommon.Map, label int, value string) (said bool) {
	others := pcommon.NewValueSlice()
	attrs.RemoveIf(func(raw string, v pcommon.Value) bool {
		switch {
		case w.keys.get(raw).label != label:
			return false
		case !said && labelValue(scalar(v)) == value:
			said = true
			return false
		}
		v.CopyTo(others.Slice().AppendEmpty())
		return true
	})
	if others.Slice().Len() == 1 {
		others = others.Slice().At(0)
	} else if others.Slice().Len() == 0 {
		return said
	}
	better := ofRecord.prefix() + w.layout.labels[label].name
	for _, there := attrs.Get(better); there; _, there = attrs.Get(better) {
		better += "_"
	}
	others.CopyTo(attrs.PutEmpty(better))
	return said
}

// severity is the level as people write it.
func severity(lr plog.LogRecord) string {
	switch n := lr.SeverityNumber(); {
	case n == plog.SeverityNumberUnspecified:
		return strings.ToLower(lr.SeverityText())
	case n <= plog.SeverityNumberTrace4:
		return "trace"
	case n <= plog.SeverityNumberDebug4:
		return "debug"
	case n <= plog.SeverityNumberInfo4:
		return "info"
	case n <= plog.SeverityNumberWarn4:
		return "warn"
	case n <= plog.SeverityNumberError4:
		return "error"
	default:
		return "fatal"
	}
}
