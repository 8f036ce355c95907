package page

import (
	"cmp"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/sluice-otel/sluice/components/cardinalitylimiterprocessor/internal/limit"
)

// status is the overview, for people and for tools.
type status struct {
	Time       time.Time        `json:"time"`
	Started    time.Time        `json:"started,omitzero"`
	Learning   bool             `json:"learning"`
	Problems   []problem        `json:"problems"`
	Series     int              `json:"series"`
	Leaves     int              `json:"leaves"`
	Bytes      int              `json:"bytes"`
	MaxBytes   int              `json:"max_bytes"`
	Admitted   int64            `json:"admitted"`
	Expired    int64            `json:"expired"`
	Rules      []rule           `json:"rules"`
	Budgets    []budget         `json:"budgets"`
	Metrics    []metric         `json:"metrics"`
	Attributes []attribute      `json:"attributes"`
	Points     map[string]int64 `json:"points"`
	Dropped    map[string]int64 `json:"dropped"`
	Overflow   overflow         `json:"overflow"`
	Limits     limits           `json:"limits_file"`
	Snapshot   snapshot         `json:"snapshot"`
}

type rule struct {
	Name        string   `json:"name"`
	Per         []string `json:"per"`
	Unit        string   `json:"unit"`
	Max         int      `json:"max"`
	Action      string   `json:"action"`
	Observe     bool     `json:"observe"`
	Budgets     int      `json:"budgets"`
	Limited     int      `json:"limited"`
	Active      int      `json:"active"`
	Utilization float64  `json:"utilization"`
	Demand      int      `json:"demand"`
}

// dimension is one of those that a budget is kept per, or a resource attribute of a place.
type dimension struct {
	Key   string `json:"key,omitempty"`
	Value string `json:"value"`
}

type budget struct {
	Rule        string      `json:"rule"`
	Per         []dimension `json:"per"`
	Unit        string      `json:"unit"`
	Active      int         `json:"active"`
	Max         int         `json:"max"`
	Utilization float64     `json:"utilization"`
	Demand      int         `json:"demand"`
	TurnedAway  int64       `json:"turned_away"`
	State       string      `json:"state"`
	Observe     bool        `json:"observe"`
	Attributes  []values    `json:"attributes,omitempty"`

	action string
}

type values struct {
	Attribute string `json:"attribute"`
	Values    int    `json:"values"`
}

type metric struct {
	Metric     string      `json:"metric"`
	Scope      string      `json:"scope,omitempty"`
	Resource   []dimension `json:"resource"`
	Series     int         `json:"series"`
	Demand     int         `json:"demand"`
	TurnedAway int64       `json:"turned_away"`
	Attributes []values    `json:"attributes,omitempty"`
}

// attribute is one of many values, in a metric (then Values is an estimate) or in the budget of a rule on values.
type attribute struct {
	Attribute string      `json:"attribute"`
	Values    int         `json:"values"`
	Max       int         `json:"max,omitempty"`
	Rule      string      `json:"rule,omitempty"`
	Metric    string      `json:"metric,omitempty"`
	Of        []dimension `json:"of"`
}

type overflow struct {
	Streams    int `json:"streams"`
	MaxStreams int `json:"max_streams"`
	Members    int `json:"members"`
	Bytes      int `json:"bytes"`
	MaxBytes   int `json:"max_bytes"`
}

type limits struct {
	Path   string    `json:"path,omitempty"`
	Error  string    `json:"error,omitempty"`
	Loaded time.Time `json:"loaded,omitzero"`
}

type snapshot struct {
	Time  time.Time `json:"time,omitzero"`
	Error string    `json:"error,omitempty"`
}

type explanation struct {
	Metric   string   `json:"metric"`
	Findings []string `json:"findings"`
	Places   []metric `json:"places"`
	Budgets  []budget `json:"budgets"`
}

type simulatedRule struct {
	Rule    string   `json:"rule"`
	Budgets int      `json:"budgets"`
	Over    int      `json:"over"`
	Series  int      `json:"series_over"`
	Fullest []budget `json:"fullest"`
	Unknown string   `json:"unknown,omitempty"`
}

// simulationPage is for people only: with the form and what was typed into it.
type simulationPage struct {
	File  string
	Error string
	Done  bool
	Rules []simulatedRule
}

func (s *server) status(top int) status {
	r, f := s.src.Report(top), s.src.Folds()
	rules := rulesOf(&r)
	out := status{
		Time: s.now(), Started: f.Started, Learning: f.Learning,
		Series: r.Series, Leaves: r.Leaves, Bytes: r.Bytes, MaxBytes: r.MaxBytes,
		Admitted: r.Counts.Admitted, Expired: r.Counts.Expired,
		Rules: rules, Budgets: budgetsOf(r.Budgets, rules), Metrics: metricsOf(r.Metrics),
		Points: orEmpty(f.Points), Dropped: orEmpty(f.Dropped),
		Overflow: overflow{f.Streams, f.MaxStreams, f.Members, f.Bytes, f.MaxBytes},
		Limits:   limits{f.LimitsFile, f.LimitsError, f.LimitsLoaded},
		Snapshot: snapshot{f.Snapshot, f.SnapshotError},
	}
	out.Attributes = attributesOf(out.Metrics, out.Budgets, top)
	out.Problems = problems(&out)
	return out
}

func (s *server) explanation(name string, top int) explanation {
	places, budgets := s.src.Explain(name, top)
	r := s.src.Report(1) // for the rules
	e := explanation{Metric: name, Places: metricsOf(places), Budgets: budgetsOf(budgets, rulesOf(&r))}
	e.Findings = findings(&e, top)
	return e
}

func simulated(found []limit.Simulation) []simulatedRule {
	out := []simulatedRule{}
	for _, f := range found {
		out = append(out, simulatedRule{f.Rule, f.Budgets, f.Over, f.Series, budgetsOf(f.Fullest, nil), f.Unknown})
	}
	return out
}

func rulesOf(r *limit.Report) []rule {
	out := []rule{}
	for _, f := range r.Rules {
		unit := "series"
		if f.Values {
			unit = "values"
		}
		per := f.Per
		if per == nil {
			per = []string{}
		}
		out = append(out, rule{f.Name, per, unit, f.Max, f.Action, f.Observe, f.Budgets, f.Limited, f.Active, f.Utilization, f.Demand})
	}
	return out
}

// budgetsOf names what each budget is kept per, where its rule is known.
func budgetsOf(found []limit.BudgetReport, rules []rule) []budget {
	out := []budget{}
	for _, f := range found {
		b := budget{
			Rule: f.Rule, Per: []dimension{}, Unit: "series", Active: f.Active, Max: f.Max,
			Demand: f.Demand, TurnedAway: f.TurnedAway, State: f.State, Attributes: valuesOf(f.Values),
		}
		if f.Max > 0 {
			b.Utilization = float64(f.Active) / float64(f.Max)
		}
		var keys []string
		if i := slices.IndexFunc(rules, func(r rule) bool { return r.Name == f.Rule }); i >= 0 {
			b.Unit, b.action, b.Observe = rules[i].Unit, rules[i].Action, rules[i].Observe
			keys = slices.DeleteFunc(slices.Clone(rules[i].Per), func(per string) bool { return per == limit.PerAttribute })
		}
		for i, value := range f.Per {
			d := dimension{Value: value}
			if len(keys) == len(f.Per) {
				d.Key = keys[i]
			}
			b.Per = append(b.Per, d)
		}
		out = append(out, b)
	}
	return out
}

func metricsOf(found []limit.MetricReport) []metric {
	out := []metric{}
	for _, f := range found {
		m := metric{
			Metric: f.Metric, Scope: f.Scope, Resource: []dimension{}, Series: f.Series, Demand: f.Demand,
			TurnedAway: f.TurnedAway, Attributes: valuesOf(f.Attributes),
		}
		for _, key := range slices.Sorted(maps.Keys(f.Resource)) {
			m.Resource = append(m.Resource, dimension{limit.ResourcePrefix + key, f.Resource[key]})
		}
		out = append(out, m)
	}
	return out
}

func valuesOf(found []limit.ValuesReport) []values {
	var out []values
	for _, f := range found {
		out = append(out, values{f.Attribute, f.Values})
	}
	return out
}

// attributesOf lists the attributes of most values.
func attributesOf(metrics []metric, budgets []budget, top int) []attribute {
	out := []attribute{}
	for _, m := range metrics {
		for _, v := range m.Attributes {
			out = append(out, attribute{Attribute: v.Attribute, Values: v.Values, Metric: m.Metric, Of: m.Resource})
		}
	}
	for _, b := range budgets {
		for _, v := range b.Attributes {
			out = append(out, attribute{Attribute: v.Attribute, Values: v.Values, Max: b.Max, Rule: b.Rule, Of: b.Per})
		}
	}
	slices.SortStableFunc(out, func(a, b attribute) int {
		return cmp.Or(cmp.Compare(b.Values, a.Values), strings.Compare(a.Attribute, b.Attribute))
	})
	return out[:min(len(out), top)]
}

func orEmpty(m map[string]int64) map[string]int64 {
	if m == nil {
		return map[string]int64{}
	}
	return m
}
