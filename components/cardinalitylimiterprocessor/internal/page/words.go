package page

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// problem is something that is wrong (bad), will be (warn) or is as configured and still worth knowing (note).
type problem struct {
	Level  string `json:"level"`
	Text   string `json:"text"`
	Advice string `json:"advice"`
}

// problems lists the worst first.
func problems(s *status) []problem {
	out := []problem{}
	add := func(level, advice, text string, args ...any) {
		out = append(out, problem{level, fmt.Sprintf(text, args...), advice})
	}
	if s.Limits.Error != "" {
		add("bad", "What was loaded before still holds. Correct the file; it is read again when it changes. /simulate tells whether a new one is good.",
			"The limits file %s is refused: %s", s.Limits.Path, s.Limits.Error)
	}
	for _, r := range s.Rules {
		switch {
		case r.Limited > 0 && !r.Observe:
			add("bad", "They are "+fate(r.Action)+". Find the attribute that explodes (below, or explain the metric) and take it out where the metric is "+
				"made; or raise the rule's limit.",
				"Rule %s turns new %s away in %s of %s.", shorten(r.Name), r.Unit, num(r.Limited), count(r.Budgets, "budget"))
		case r.Limited > 0:
			add("note", "Nothing is changed while it observes. Take its mode: observe out when it finds what it should.",
				"Rule %s only observes: it would turn new %s away in %s of %s.", shorten(r.Name), r.Unit, num(r.Limited), count(r.Budgets, "budget"))
		case r.Utilization >= 0.8:
			add("warn", "Look at the fullest budgets before it turns anything away.",
				"Rule %s: its fullest budget is %s full.", shorten(r.Name), percent(r.Utilization))
		}
	}
	if s.Overflow.MaxStreams > 0 && s.Overflow.Streams >= s.Overflow.MaxStreams {
		add("bad", "What needs a new one is dropped. Raise overflow max_streams, or use rules that are kept per fewer things.",
			"All %s are in use.", count(s.Overflow.MaxStreams, "overflow stream"))
	}
	if n := s.Overflow; n.MaxStreams > 0 && n.Streams*2 >= n.MaxStreams && n.Streams < n.MaxStreams {
		add("warn", "What needs a new stream with a placeholder goes into overflow streams, for which the other half is kept. Raise overflow max_streams, or use rules "+
			"that are kept per fewer things.", "Half of the %s are in use.", count(n.MaxStreams, "overflow stream"))
	}
	if s.MaxBytes > 0 && s.Bytes*10 >= s.MaxBytes*9 {
		add("bad", "Raise max_memory_mib, or lower the limits: new series are folded or dropped now, whatever room their budgets have.",
			"The memory for series is %s full.", percent(float64(s.Bytes)/float64(s.MaxBytes)))
	}
	if s.Overflow.MaxBytes > 0 && s.Overflow.Bytes*10 >= s.Overflow.MaxBytes*9 {
		add("warn", "When it is full, cumulative points of new series are dropped. Raise max_memory_mib, or send delta temporality.",
			"The memory for overflow streams is %s full.", percent(float64(s.Overflow.Bytes)/float64(s.Overflow.MaxBytes)))
	}
	if n := lost(s.Dropped); n > 0 {
		add("warn", "Below is why, and what to do about it.", "%s dropped since the start.", were(n, "point"))
	}
	if s.Snapshot.Error != "" {
		add("warn", "Without it a restart has to learn which series are the usual ones. See whether the storage extension's directory is writable and has room.",
			"The snapshot failed: %s", s.Snapshot.Error)
	}
	if s.Learning {
		add("note", "It ends by itself after startup_grace.", "The limiter is learning: it began without a snapshot, so every limit is twice what the rules say.")
	}
	order := []string{"bad", "warn", "note"}
	slices.SortStableFunc(out, func(a, b problem) int {
		return cmp.Compare(slices.Index(order, a.Level), slices.Index(order, b.Level))
	})
	return out
}

// fate is what an action does to what is turned away.
func fate(action string) string {
	switch action {
	case "drop":
		return "dropped"
	case "overflow":
		return "added up in an overflow stream"
	case "replace":
		return "kept with a placeholder in place of the value that explodes, or dropped where that does not help"
	case "degrade":
		return "kept with a placeholder in place of the value that explodes; where that does not help, added up in an overflow stream"
	}
	return "treated by action " + action
}

// findings explains what a metric is like, as one would tell it a colleague.
func findings(e *explanation, top int) []string {
	out := []string{}
	if len(e.Places) == 0 {
		return append(out, unknownMetric)
	}
	series, demand, hot := 0, 0, values{}
	for _, b := range e.Budgets { // of rules on values
		for _, v := range b.Attributes {
			if v.Values > hot.Values {
				hot = v
			}
		}
	}
	for _, m := range e.Places {
		series += m.Series
		demand += m.Demand
		for _, v := range m.Attributes {
			if v.Values > hot.Values {
				hot = v
			}
		}
	}
	where := count(len(e.Places), "place")
	if len(e.Places) == top {
		where = "the " + num(top) + " places that have most"
	}
	out = append(out, fmt.Sprintf("It has %s in %s.", num(series)+" series", where))
	if demand > 0 {
		out = append(out, fmt.Sprintf("About %s more series were turned away.", num(demand)))
	}
	if hot.Values > 0 {
		out = append(out, fmt.Sprintf("The attribute of most values is %s: about %s in one place. If they have no bound (an ID, a path, a message), "+
			"take it out where the metric is made, or limit it by a rule per [metric, attribute].", shorten(hot.Attribute), num(hot.Values)))
	}
	if len(e.Budgets) == 0 {
		return append(out, "No rule is for it: nothing is turned away.")
	}
	limited := 0
	for _, b := range e.Budgets {
		if b.State != "limited" {
			continue
		}
		limited++
		text := fmt.Sprintf("Rule %s has no room for %s: %s of %s %s. New ones are %s.", shorten(b.Rule), who(b.Per), num(b.Active), num(b.Max), b.Unit, fate(b.action))
		if b.Observe {
			text = fmt.Sprintf("Rule %s would have no room for %s (%s of %s %s), but only observes.", shorten(b.Rule), who(b.Per), num(b.Active), num(b.Max), b.Unit)
		}
		out = append(out, text)
	}
	if limited == 0 {
		out = append(out, "No rule turns it away.")
	}
	return out
}

func who(per []dimension) string {
	if len(per) == 0 {
		return "everything together"
	}
	var out []string
	for _, d := range per {
		out = append(out, shorten(cmp.Or(d.Value, "(none)")))
	}
	return strings.Join(out, ", ")
}

// sum is one line of what became of the points.
type sum struct {
	Name    string
	Points  int64
	Meaning string
	Advice  string
}

var outcomes = map[string]sum{
	"passed":   {Meaning: "Points of admitted series, sent on as they came."},
	"observed": {Meaning: "Sent on as they came; an observing rule would have turned the series away.", Advice: "Nothing, until the rule enforces."},
	"replaced": {
		Meaning: "Added up in a stream that has a placeholder in place of the value that explodes. Queries on other attributes are still right.",
		Advice:  "Take the attribute out where the metric is made.",
	},
	"overflow": {
		Meaning: "Added up in an overflow stream (otel.metric.overflow). Totals are still right, their parts are not told apart.",
		Advice:  "Explain the metric to see which attribute explodes, or raise the limit.",
	},
	"dropped": {Meaning: "Not sent on, and in no total.", Advice: "The next table has the reasons."},
}

var reasons = map[string]sum{
	"rule": {
		Meaning: "The rule that had no room says action: drop.",
		Advice:  "Use action: degrade or overflow to keep the totals.",
	},
	"gauge": {
		Meaning: "A gauge has no sum: adding many up would invent a value.",
		Advice:  "Set gauge under overflow to another fold where one makes sense.",
	},
	"overflow_streams": {
		Meaning: "There are as many overflow streams as there may be.",
		Advice:  "Raise max_streams under overflow, or use rules that are kept per fewer things.",
	},
	"member_state": {
		Meaning: "No memory was left to remember a cumulative series, without which a point could count twice.",
		Advice:  "Raise max_memory_mib, or send delta temporality.",
	},
	"memory": {
		Meaning: "No memory was left to remember a new series.",
		Advice:  "Raise max_memory_mib, or lower the limits.",
	},
	"out_of_order": {
		Meaning: "The point is older than the last one of its series.",
		Advice:  "Look for two senders of one series, or for batches that overtake each other.",
	},
	"not_finite": {
		Meaning: "The value is NaN or infinite: it would spoil the sum.",
		Advice:  "Correct the instrument.",
	},
	"malformed": {
		Meaning: "The point contradicts itself: buckets and bounds do not fit, or a monotonic value is negative.",
		Advice:  "Correct the sender.",
	},
	"count_overflow": {
		Meaning: "A total would pass 64 bits.",
		Advice:  "Look for a sender with absurd counts.",
	},
	"stale": {
		Meaning: "The end of a series that did not pass. No value is lost.",
	},
	"refused": {
		Meaning: "The next component refused folded points for good, or was gone at shutdown.",
		Advice:  "Look at the errors of the exporter behind it.",
	},
}

// sums says what the counts mean, most points first.
func sums(counts map[string]int64, meanings map[string]sum) []sum {
	out := []sum{}
	for _, name := range slices.Sorted(maps.Keys(counts)) {
		if counts[name] == 0 {
			continue
		}
		line, ok := meanings[name]
		if !ok {
			line.Meaning = "See the processor's README."
		}
		line.Name, line.Points = name, counts[name]
		out = append(out, line)
	}
	slices.SortStableFunc(out, func(a, b sum) int { return cmp.Compare(b.Points, a.Points) })
	return out
}

// lost counts the points that were dropped; a series' end is none of them.
func lost(dropped map[string]int64) (n int64) {
	for reason, c := range dropped {
		if reason != "stale" {
			n += c
		}
	}
	return n
}

func count(n int, noun string) string {
	if n != 1 {
		noun += "s"
	}
	return num(n) + " " + noun
}

func were(n int64, noun string) string {
	if n == 1 {
		return "1 " + noun + " was"
	}
	return num(n) + " " + noun + "s were"
}
