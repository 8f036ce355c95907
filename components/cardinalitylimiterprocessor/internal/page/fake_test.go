package page

import (
	"errors"
	"strings"
	"time"

	"github.com/sluice-otel/sluice/components/cardinalitylimiterprocessor/internal/limit"
)

// fake is a source that has what it is given, or nothing.
type fake struct {
	report limit.Report
	folds  Folds
	budget []limit.BudgetReport // of every metric
	got    string               // limits file
	asked  int                  // for how many
}

func (f *fake) Report(top int) limit.Report {
	f.asked = top
	return f.report
}

func (f *fake) Explain(metric string, top int) (places []limit.MetricReport, budgets []limit.BudgetReport) {
	for _, m := range f.report.Metrics {
		if m.Metric == metric && len(places) < top {
			places = append(places, m)
			budgets = f.budget
		}
	}
	return places, budgets
}

func (f *fake) Simulate(file []byte, _ int) ([]limit.Simulation, error) {
	f.got = string(file)
	if !strings.HasPrefix(f.got, "rules:") {
		return nil, errors.New(`rules: must be a list, got "` + f.got + `"`)
	}
	return []limit.Simulation{
		{Rule: "per-service", Budgets: 41, Over: 2, Series: 13_400, Fullest: []limit.BudgetReport{
			{Rule: "per-service", Per: []string{"checkout", "http.server.request.duration"}, Active: 11_200, Max: 2000, State: "limited"},
			{Rule: "per-service", Per: []string{"cart", "rpc.server.duration"}, Active: 900, Max: 2000, State: "ok"},
		}},
		{Rule: "values", Unknown: "values are counted only once a rule limits them: try it with mode: observe"},
	}, nil
}

func (f *fake) Folds() Folds { return f.folds }

var noon = time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)

// busy is a limiter in trouble, as one may meet it.
func busy() *fake {
	full := limit.BudgetReport{
		Rule: "per-service", Per: []string{"checkout", "http.server.request.duration"},
		Active: 5000, Max: 5000, Demand: 48_211, TurnedAway: 190_333, State: "limited",
	}
	users := limit.BudgetReport{
		Rule: "values", Per: []string{"cart.items"}, Active: 500, Max: 500, Demand: 730, TurnedAway: 910, State: "limited",
		Values: []limit.ValuesReport{{Attribute: "session.id", Values: 500}, {Attribute: "currency", Values: 12}},
	}
	service := func(name string) map[string]string { return map[string]string{"service.name": name} }
	return &fake{
		budget: []limit.BudgetReport{full},
		report: limit.Report{
			Series: 128_400, Leaves: 312, Bytes: 3_400_000, Counts: limit.Counts{Admitted: 181_020, Expired: 52_620},
			Rules: []limit.RuleReport{
				{Name: "everything", Max: 200_000, Action: "drop", Budgets: 1, Active: 128_400, Utilization: 0.642, Demand: 128_400},
				{
					Name: "per-service", Per: []string{"resource.service.name", "metric"}, Max: 5000, Action: "degrade",
					Budgets: 310, Limited: 1, Active: 127_000, Utilization: 1, Demand: 53_211,
				},
				{Name: "values", Per: []string{"metric", "attribute"}, Max: 500, Action: "replace", Values: true, Budgets: 120, Limited: 1, Active: 2100, Utilization: 1, Demand: 1230},
				{Name: "tight", Per: []string{"metric"}, Max: 1000, Action: "overflow", Observe: true, Budgets: 120, Limited: 7, Active: 128_400, Utilization: 5.1, Demand: 53_211},
				{Name: "scopes", Per: []string{"scope"}, Max: 50_000, Action: "overflow", Budgets: 9, Active: 60_000, Utilization: 0.84, Demand: 42_000},
			},
			Budgets: []limit.BudgetReport{
				full, users,
				{Rule: "scopes", Per: []string{"io.opentelemetry.tomcat-10.0"}, Active: 42_000, Max: 50_000, State: "warn"},
				{Rule: "tight", Per: []string{"db.client.operation.duration"}, Active: 5100, Max: 1000, Demand: 4100, TurnedAway: 8000, State: "limited"},
				{Rule: "everything", Active: 128_400, Max: 200_000, State: "ok"},
				{Rule: "per-service", Per: []string{"", "queue.size"}, Active: 1200, Max: 5000, State: "ok"},
			},
			Metrics: []limit.MetricReport{
				{
					Metric: "http.server.request.duration", Scope: "io.opentelemetry.tomcat-10.0", Resource: service("checkout"), Series: 5000, Demand: 48_211, TurnedAway: 190_333,
					Attributes: []limit.ValuesReport{{Attribute: "user.id", Values: 47_900}, {Attribute: "http.route", Values: 31}, {Attribute: "http.request.method", Values: 5}},
				},
				{Metric: "queue.size", Resource: map[string]string{}, Series: 1200},
				{Metric: "rpc.server.duration", Resource: service("cart"), Series: 900},
			},
		},
		folds: Folds{
			Streams: 3, MaxStreams: 1000, Members: 2210, Bytes: 1_900_000, MaxBytes: 64 << 20,
			Points:     map[string]int64{"passed": 81_002_313, "observed": 12_900, "overflow": 190_333, "replaced": 910, "dropped": 4442},
			Dropped:    map[string]int64{"gauge": 4400, "out_of_order": 11, "not_finite": 0, "stale": 31},
			LimitsFile: "/etc/sluice/limits.yaml", LimitsError: "rules[2].max_series: must be more than 0, got -1", LimitsLoaded: noon.Add(-26 * time.Hour),
			Snapshot: noon.Add(-3 * time.Minute), Started: noon.Add(-50 * time.Hour),
		},
	}
}
