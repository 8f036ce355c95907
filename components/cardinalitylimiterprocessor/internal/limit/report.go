package limit

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// Report is what the limiter knows, for metrics and people.
type Report struct {
	Series   int
	Leaves   int
	Bytes    int
	MaxBytes int
	Budgets  []BudgetReport // the fullest, and those that turned most away
	Metrics  []MetricReport // those with most series and demand
	Rules    []RuleReport
	Counts   Counts
}

// RuleReport sums a rule's budgets up.
type RuleReport struct {
	Name        string
	Per         []string
	Max         int
	Action      string
	Observe     bool
	Values      bool
	Budgets     int
	Limited     int     // budgets that turn series away
	Active      int     // series, or values of the attribute that has most, in all budgets
	Utilization float64 // of the fullest budget
	Demand      int     // about so many series would be there without the limit, in the budget that wants most
}

// BudgetReport is one budget.
type BudgetReport struct {
	Rule       string
	Keys       []string // what the rule's budgets are kept per, without attribute
	Per        []string // the budget's values of them
	Active     int      // series, or values of the attribute that has most
	Max        int
	Demand     int   // about so many different series, or values, were turned away
	TurnedAway int64 // so many times
	State      string
	Values     []ValuesReport // of a rule on values
}

// Metric is the budget's metric, "" when it is for several.
func (b *BudgetReport) Metric() string {
	if i := slices.Index(b.Keys, PerMetric); i >= 0 {
		return b.Per[i]
	}
	return ""
}

// ValuesReport is one attribute in a budget of a rule on values.
type ValuesReport struct {
	Attribute string
	Values    int
}

// MetricReport is one leaf.
type MetricReport struct {
	Metric     string
	Scope      string
	Resource   map[string]string
	Series     int
	Demand     int            // about so many different series were turned away
	TurnedAway int64          // points, of series that were not members of a stream as yet
	Attributes []ValuesReport // estimates, where a rule wanted to know which attribute explodes
}

// Service is the place's service.name.
func (m *MetricReport) Service() string { return m.Resource[serviceName] }

// Report looks at everything; it has the top ones of each list.
func (l *Limiter) Report(top int) Report {
	r := Report{Leaves: l.leaves.len(), Bytes: l.Bytes(), MaxBytes: l.opts.MaxBytes, Counts: l.counts, Rules: make([]RuleReport, len(l.rules))}
	for i, rule := range l.rules {
		r.Rules[i] = RuleReport{Name: rule.Name, Per: rule.Per, Max: rule.Max, Action: rule.Action.String(), Observe: rule.Observe, Values: rule.Values()}
	}
	for _, b := range l.budgets {
		rule := &r.Rules[b.rule]
		report := l.budgetReport(b)
		rule.Budgets++
		rule.Active += report.Active
		rule.Utilization = max(rule.Utilization, float64(report.Active)/float64(rule.Max))
		wanted := report.Active + report.Demand
		if rule.Observe && !rule.Values {
			wanted = report.Active // they passed
		}
		rule.Demand = max(rule.Demand, wanted)
		if b.state == Limited {
			rule.Limited++
		}
		r.Budgets = keepTop(r.Budgets, report, top, func(b *BudgetReport) int { return (b.Active + b.Demand) * 1000 / b.Max })
	}
	for leaf := range l.leaves.all {
		r.Series += leaf.Series.Len()
		weight := leaf.Series.Len() + leaf.demand.estimate()
		if n := len(r.Metrics); n == top && n > 0 && weight <= r.Metrics[n-1].Series+r.Metrics[n-1].Demand {
			continue
		}
		r.Metrics = keepTop(r.Metrics, l.metricReport(leaf), top, func(m *MetricReport) int { return m.Series + m.Demand })
	}
	for _, old := range l.old {
		for leaf := range old.leaves.all {
			r.Series += leaf.Series.Len()
		}
	}
	return r
}

// keepTop puts an item into a list that is sorted by weight, heaviest first.
func keepTop[T any](list []T, item T, top int, weight func(*T) int) []T {
	w := weight(&item)
	i, _ := slices.BinarySearchFunc(list, w, func(other T, w int) int { return cmp.Compare(w, weight(&other)) })
	if i == top {
		return list
	}
	list = slices.Insert(list, i, item)
	return list[:min(len(list), top)]
}

func (l *Limiter) budgetReport(b *budget) BudgetReport {
	rule := &l.rules[b.rule]
	report := BudgetReport{Rule: rule.Name, Keys: rule.keys(), Per: b.per, Active: b.inUse(), Max: rule.Max, TurnedAway: b.folded, State: b.state.String()}
	report.Demand = b.demand.estimate()
	for _, v := range b.values {
		report.Values = keepTop(report.Values, ValuesReport{v.name, v.set.Len()}, maxHotKeys, func(v *ValuesReport) int { return v.Values })
	}
	return report
}

func (l *Limiter) metricReport(leaf *Leaf) MetricReport {
	m := MetricReport{
		Metric: leaf.Place.Metric, Scope: leaf.Place.Scope, Resource: map[string]string{},
		Series: leaf.Series.Len(), TurnedAway: leaf.folded,
	}
	for i, key := range l.dims.Load().resource {
		if value := leaf.Place.Resource[i]; value != "" {
			m.Resource[key] = value
		}
	}
	m.Demand = leaf.demand.estimate()
	if leaf.hot != nil {
		for _, key := range leaf.hot.keys {
			m.Attributes = keepTop(m.Attributes, ValuesReport{key.name, key.values.Estimate()}, maxHotKeys, func(v *ValuesReport) int { return v.Values })
		}
	}
	return m
}

// Explain gives all leaves of a metric, at most top, and the budgets they charge.
func (l *Limiter) Explain(metric string, top int) (metrics []MetricReport, budgets []BudgetReport) {
	seen := map[uint64]bool{}
	for leaf := range l.leaves.all {
		if leaf.Place.Metric != metric {
			continue
		}
		metrics = keepTop(metrics, l.metricReport(leaf), top, func(m *MetricReport) int { return m.Series + m.Demand })
		for _, b := range slices.Concat(leaf.budgets, leaf.values) {
			if !seen[b.key] {
				seen[b.key] = true
				budgets = keepTop(budgets, l.budgetReport(b), top, func(b *BudgetReport) int { return (b.Active + b.Demand) * 1000 / b.Max })
			}
		}
	}
	return metrics, budgets
}

// Simulation is what a rule would find if it held now.
type Simulation struct {
	Rule    string
	Budgets int
	Over    int // budgets with more series than the rule allows
	Series  int // series beyond the limits: they would be turned away once they are idle and come back
	Fullest []BudgetReport
	Unknown string // why it cannot be told
}

// Simulate counts the series that are there now by other rules. What was turned away already is not counted.
func (l *Limiter) Simulate(rules []Rule, top int) []Simulation {
	have := l.dims.Load()
	out := make([]Simulation, 0, len(rules))
	for _, rule := range rules {
		s := Simulation{Rule: rule.Name}
		if s.Unknown = unknown(&rule, have); s.Unknown == "" {
			l.simulate(&s, &rule, have, top)
		}
		out = append(out, s)
	}
	return out
}

func unknown(r *Rule, have *dims) string {
	if r.Values() {
		return "values are counted only once a rule limits them: try it with mode: observe"
	}
	if !have.know(r) {
		return fmt.Sprintf("series are not told apart by all of %s yet: try it with mode: observe", strings.Join(r.Per, ", "))
	}
	return ""
}

func (l *Limiter) simulate(s *Simulation, rule *Rule, have *dims, top int) {
	counts := map[string]*BudgetReport{}
	for leaf := range l.leaves.all {
		if !rule.matches(leaf.Place.Metric) {
			continue
		}
		if leaf.Free() {
			s.Unknown = "series of some of its metrics are not counted, because no rule is for them yet: try it with mode: observe"
		}
		var per []string
		for _, p := range rule.Per {
			per = append(per, leaf.Place.value(p, have))
		}
		key := strings.Join(per, "\x00")
		if counts[key] == nil {
			counts[key] = &BudgetReport{Rule: rule.Name, Keys: rule.Per, Per: per, Max: rule.Max, State: Calm.String()}
		}
		counts[key].Active += leaf.Series.Len()
	}
	for _, b := range counts {
		s.Budgets++
		if b.Active > rule.Max {
			s.Over++
			s.Series += b.Active - rule.Max
			b.State = Limited.String()
		}
		s.Fullest = keepTop(s.Fullest, *b, top, func(b *BudgetReport) int { return b.Active })
	}
}
