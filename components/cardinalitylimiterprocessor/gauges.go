package cardinalitylimiterprocessor

import (
	"context"
	"errors"
	"slices"
	"strings"

	"go.opentelemetry.io/otel/metric"

	"github.com/sluice-otel/sluice/components/cardinalitylimiterprocessor/internal/limit"
)

// observeAll registers what is read when somebody looks.
func (t *telemetry) observeAll(p *limiter) error {
	b := t.builder
	report := p.cachedReport
	perRule := func(value func(*limit.RuleReport) int) metric.Int64Callback {
		return func(_ context.Context, o metric.Int64Observer) error {
			r := report()
			for i := range r.Rules {
				o.Observe(int64(value(&r.Rules[i])), with("rule", r.Rules[i].Name))
			}
			return nil
		}
	}
	single := func(value func() int) metric.Int64Callback {
		return func(_ context.Context, o metric.Int64Observer) error {
			o.Observe(int64(value()))
			return nil
		}
	}
	top := func(value func(*limit.MetricReport) int) metric.Int64Callback {
		return func(_ context.Context, o metric.Int64Observer) error {
			// Several leaves may be of one metric and service.
			sums := map[[2]string]int{}
			r := report()
			for i := range r.Metrics {
				m := &r.Metrics[i]
				sums[[2]string{m.Metric, m.Service()}] += value(m)
			}
			for k, n := range sums {
				o.Observe(int64(n), with("metric", label(k[0]), "service", label(k[1])))
			}
			return nil
		}
	}
	return errors.Join(
		b.RegisterProcessorCardinalityLimiterRuleDemandCallback(perRule(func(r *limit.RuleReport) int { return r.Demand })),
		b.RegisterProcessorCardinalityLimiterRuleLimitCallback(perRule(func(r *limit.RuleReport) int { return r.Max })),
		b.RegisterProcessorCardinalityLimiterRuleLimitedBudgetsCallback(perRule(func(r *limit.RuleReport) int { return r.Limited })),
		b.RegisterProcessorCardinalityLimiterRuleUtilizationCallback(func(_ context.Context, o metric.Float64Observer) error {
			for _, r := range report().Rules {
				o.Observe(r.Utilization, with("rule", r.Name))
			}
			return nil
		}),
		b.RegisterProcessorCardinalityLimiterSeriesActiveCallback(single(func() int { return report().Series })),
		b.RegisterProcessorCardinalityLimiterSeriesAdmittedCallback(single(func() int { return int(report().Counts.Admitted) })),
		b.RegisterProcessorCardinalityLimiterSeriesExpiredCallback(single(func() int { return int(report().Counts.Expired) })),
		b.RegisterProcessorCardinalityLimiterTopSeriesCallback(top(func(m *limit.MetricReport) int { return m.Series })),
		b.RegisterProcessorCardinalityLimiterTopDemandCallback(top(func(m *limit.MetricReport) int { return m.Demand })),
		b.RegisterProcessorCardinalityLimiterTopAttributeValuesCallback(func(_ context.Context, o metric.Int64Observer) error {
			for k, n := range topAttributes(report(), p.cfg.Top) {
				o.Observe(int64(n), with("metric", label(k[0]), "attribute", label(k[1])))
			}
			return nil
		}),
		b.RegisterProcessorCardinalityLimiterFoldedStreamsCallback(single(func() int { return p.foldCounts().Streams })),
		b.RegisterProcessorCardinalityLimiterFoldedMembersCallback(single(func() int { return p.foldCounts().Members })),
		b.RegisterProcessorCardinalityLimiterMemoryCallback(func(_ context.Context, o metric.Int64Observer) error {
			o.Observe(int64(report().Bytes), with("part", "series"))
			o.Observe(int64(p.foldCounts().Bytes), with("part", "folded"))
			return nil
		}),
		b.RegisterProcessorCardinalityLimiterMemoryLimitCallback(func(_ context.Context, o metric.Int64Observer) error {
			o.Observe(int64(report().MaxBytes), with("part", "series"))
			o.Observe(int64(p.foldCounts().MaxBytes), with("part", "folded"))
			return nil
		}),
		b.RegisterProcessorCardinalityLimiterLearningCallback(single(func() int {
			if p.foldCounts().Learning {
				return 1
			}
			return 0
		})),
		b.RegisterProcessorCardinalityLimiterSnapshotAgeCallback(func(_ context.Context, o metric.Float64Observer) error {
			if at := p.foldCounts().Snapshot; !at.IsZero() {
				o.Observe(p.now().Sub(at).Seconds())
			}
			return nil
		}),
	)
}

// topAttributes are the attributes with most values, at most so many.
func topAttributes(r *limit.Report, top int) map[[2]string]int {
	type entry struct {
		key    [2]string
		values int
	}
	var all []entry
	for _, m := range r.Metrics {
		for _, a := range m.Attributes {
			all = append(all, entry{[2]string{m.Metric, a.Attribute}, a.Values})
		}
	}
	for _, b := range r.Budgets {
		for _, a := range b.Values {
			all = append(all, entry{[2]string{b.Metric(), a.Attribute}, a.Values})
		}
	}
	slices.SortStableFunc(all, func(a, b entry) int { return b.values - a.values })
	most := map[[2]string]int{}
	for _, e := range all {
		if len(most) == top {
			break
		}
		most[e.key] = max(most[e.key], e.values)
	}
	return most
}

// label bounds what somebody else chose: it goes into a metric of ours.
func label(s string) string {
	const most = 200
	if len(s) > most {
		s = s[:most] + "…"
	}
	return strings.ToValidUTF8(s, "?")
}
