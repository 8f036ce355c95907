package lokihintprocessor

import (
	"slices"
	"unicode/utf8"

	"github.com/sluice-otel/sluice/components/lokihintprocessor/internal/budget"
	"github.com/sluice-otel/sluice/components/lokihintprocessor/internal/config"
)

// reason says why a label's value is not one; see metadata.yaml.
type reason uint8

const (
	admitted reason = iota
	overValues
	overStreams
	tooLong
	notInVocabulary
	tooMany
	numReasons
)

func (r reason) String() string {
	return [numReasons]string{"", "value", "stream", "length", "vocabulary", "count"}[r]
}

// choice is the labels of a stream: the value of each, empty without one, and why it is not sent.
type choice struct {
	values   []string
	reasons  []reason
	verdicts []budget.Verdict
}

func newChoice(n int) *choice {
	return &choice{values: make([]string, n), reasons: make([]reason, n), verdicts: make([]budget.Verdict, n)}
}

// sent is the value that Loki gets for a label; empty when it gets none.
func (c *choice) sent(i int) string {
	switch {
	case c.reasons[i] == admitted:
		return c.values[i]
	case i == 0:
		return overflow
	default:
		return ""
	}
}

func (c *choice) reset() {
	clear(c.values)
}

func (c *choice) copyFrom(other *choice) {
	copy(c.values, other.values)
	copy(c.reasons, other.reasons)
}

// choose finds the labels of the resource at hand, or of its record at hand, and asks the budget.
func (w *walker) choose() {
	c, kept := w.choice, 0
	for i := range w.layout.labels {
		l := &w.layout.labels[i]
		v := ""
		if l.onHint < 0 || w.asks[l.onHint] {
			v = w.value(l)
		}
		if i == 0 && v == "" {
			v = unknownService
		}
		long := len(v) > w.p.cfg.MaxValueBytes
		if long && w.p.cfg.LongValue == config.LongTruncate {
			v, long = truncate(v, w.p.cfg.MaxValueBytes), false
		}
		c.values[i], c.reasons[i] = v, admitted
		switch {
		case v == "":
		case long:
			c.reasons[i] = tooLong
		case l.values != nil && !slices.Contains(l.values, v):
			c.reasons[i] = notInVocabulary
		case i > 0 && kept == w.p.cfg.MaxLabels:
			c.reasons[i] = tooMany
		case i > 0:
			kept++
		}
		w.asking[i] = ""
		if c.reasons[i] == admitted {
			w.asking[i] = v
		}
	}
	if w.p.budgets.Stream(w.now, w.tenant, w.asking, c.verdicts) {
		w.counts.newStreams++
	}
	for i, v := range c.verdicts {
		switch v {
		case budget.OverValues:
			c.reasons[i] = overValues
		case budget.OverStreams:
			c.reasons[i] = overStreams
		default:
		}
	}
}

// truncate cuts a value between two characters. The whole one stays, as an attribute that gives way to the label.
func truncate(v string, most int) string {
	for most > 0 && !utf8.RuneStart(v[most]) {
		most--
	}
	return v[:most]
}

// value is what a label would have: that of its first source that has one, or of all that it joins.
func (w *walker) value(l *label) string {
	if len(l.join) > 0 {
		joined := ""
		for n, i := range l.join {
			v := w.choice.values[i] // labels above this one
			if v == "" {
				joined = ""
				break
			}
			if n > 0 {
				joined += "/"
			}
			joined += v
		}
		if joined != "" {
			return joined
		}
	}
	for _, s := range l.slots {
		if w.slots[s] != "" {
			return w.slots[s]
		}
	}
	return ""
}
