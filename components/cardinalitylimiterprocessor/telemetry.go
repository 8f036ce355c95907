package cardinalitylimiterprocessor

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"time"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
	"go.uber.org/zap"

	"github.com/sluice-otel/sluice/components/cardinalitylimiterprocessor/internal/fold"
	"github.com/sluice-otel/sluice/components/cardinalitylimiterprocessor/internal/limit"
	"github.com/sluice-otel/sluice/components/cardinalitylimiterprocessor/internal/metadata"
)

// outcome is what became of a point; metadata.yaml says what each means.
type outcome uint8

const (
	passed outcome = iota
	observed
	replaced
	overflow
	dropped
	outcomes
	// ended is no outcome: a series that ends gives its place back once its end has been delivered.
	ended
)

func (o outcome) String() string {
	return [...]string{"passed", "observed", "replaced", "overflow", "dropped"}[o]
}

// The reasons for drops that are not the fold engine's.
type reason string

const (
	byRule    reason = "rule"
	memory    reason = "memory"
	refused   reason = "refused"
	stale            = reason("stale")
	noStream  reason = "overflow_streams"
	malformed reason = "malformed"
)

// counts are those of one batch: added up in it, handed to the metrics once.
type counts struct {
	outcomes  [outcomes]int
	observed  int
	drops     map[reason]int
	rules     map[ruleOutcome]int
	baselines int
}

type ruleOutcome struct {
	rule    int
	outcome outcome
}

func newCounts() counts { return counts{drops: map[reason]int{}, rules: map[ruleOutcome]int{}} }

func (c *counts) drop(why reason, rule int) {
	c.outcomes[dropped]++
	c.drops[why]++
	c.byRule(rule, dropped, 1)
}

func (c *counts) byRule(rule int, o outcome, n int) {
	if rule >= 0 {
		c.rules[ruleOutcome{rule, o}] += n
	}
}

func (c *counts) reset() {
	clear(c.drops)
	clear(c.rules)
	*c = counts{drops: c.drops, rules: c.rules}
}

type telemetry struct {
	logger  *zap.Logger
	builder *metadata.TelemetryBuilder

	outcomes [outcomes]metric.AddOption

	mu     sync.Mutex
	silent map[string]time.Time
	// For the page: what was counted since the start.
	points map[string]int64
	drops  map[string]int64
}

func newTelemetry(set component.TelemetrySettings) (*telemetry, error) {
	builder, err := metadata.NewTelemetryBuilder(set)
	if err != nil {
		return nil, err
	}
	t := &telemetry{logger: set.Logger, builder: builder, silent: map[string]time.Time{}, points: map[string]int64{}, drops: map[string]int64{}}
	for o := range outcomes {
		t.outcomes[o] = with("outcome", o.String())
	}
	return t, nil
}

func with(pairs ...string) metric.MeasurementOption {
	attrs := make([]attribute.KeyValue, 0, len(pairs)/2)
	for i := 0; i < len(pairs); i += 2 {
		attrs = append(attrs, attribute.String(pairs[i], pairs[i+1]))
	}
	return metric.WithAttributeSet(attribute.NewSet(attrs...))
}

// add hands a batch's counts on. rule names a rule by its index.
func (t *telemetry) add(c *counts, rule func(int) string) {
	ctx := context.Background()
	c.outcomes[observed] += c.observed
	c.outcomes[passed] -= c.observed
	t.mu.Lock()
	for o, n := range c.outcomes {
		if n != 0 {
			t.points[outcome(o).String()] += int64(n) //nolint:gosec // a small enum
		}
	}
	for why, n := range c.drops {
		t.drops[string(why)] += int64(n)
	}
	t.mu.Unlock()
	for o, n := range c.outcomes {
		if n > 0 {
			t.builder.ProcessorCardinalityLimiterPoints.Add(ctx, int64(n), t.outcomes[o])
		}
	}
	for why, n := range c.drops {
		t.builder.ProcessorCardinalityLimiterDropped.Add(ctx, int64(n), with("reason", string(why)))
	}
	for k, n := range c.rules {
		t.builder.ProcessorCardinalityLimiterRulePoints.Add(ctx, int64(n), with("rule", rule(k.rule), "outcome", k.outcome.String()))
	}
	if c.baselines > 0 {
		t.builder.ProcessorCardinalityLimiterBaselines.Add(ctx, int64(c.baselines))
	}
}

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

func labels(list []string) []string {
	short := make([]string, 0, len(list))
	for _, s := range list {
		short = append(short, label(s))
	}
	return short
}

func (t *telemetry) dropFolded(n int, why reason) {
	t.mu.Lock()
	t.drops[string(why)] += int64(n)
	t.mu.Unlock()
	t.builder.ProcessorCardinalityLimiterDropped.Add(context.Background(), int64(n), with("reason", string(why)))
}

// tell logs changes of state: names of metrics, attributes and services, never values of attributes of points.
func (t *telemetry) tell(events []limit.Event) {
	for i := range events {
		e := &events[i]
		t.builder.ProcessorCardinalityLimiterStateChanges.Add(context.Background(), 1, with("rule", e.Rule, "state", e.To.String()))
		if t.quiet("state " + e.Rule + e.To.String()) {
			continue
		}
		fields := []zap.Field{
			zap.String("rule", e.Rule), zap.Strings("budget", labels(e.Budget)), zap.Stringer("from", e.From), zap.Stringer("to", e.To),
			zap.Int("active", e.Active), zap.Int("limit", e.Max),
		}
		if e.Place != nil {
			fields = append(fields, zap.String("metric", label(e.Place.Metric)), zap.String("service", label(e.Service)))
		}
		if e.Attribute != "" {
			fields = append(fields, zap.String("attribute", label(e.Attribute)))
		}
		switch e.To {
		case limit.Limited:
			t.logger.Warn("a cardinality budget is used up: new series are folded or dropped, as the rule says; lower the number of values "+
				"of the attribute in the service, or raise the limit (told once a minute for each rule)", fields...)
		case limit.Warned:
			t.logger.Warn("a cardinality budget is more than 80 % used (told once a minute for each rule)", fields...)
		case limit.Calm:
			t.logger.Info("a cardinality budget has room again (told once a minute for each rule)", fields...)
		}
	}
}

func (t *telemetry) storageError(what string, err error) {
	t.builder.ProcessorCardinalityLimiterStorageErrors.Add(context.Background(), 1)
	if t.quiet("storage") {
		return
	}
	t.logger.Error("the admitted series cannot be kept over a restart: "+what+"; see whether the storage extension's directory is writable and the disk has room "+
		"(told once a minute)", zap.Error(err))
}

func (t *telemetry) reloaded(file string, err error) {
	result := "success"
	if err != nil {
		result = "failure"
	}
	t.builder.ProcessorCardinalityLimiterLimitsReloads.Add(context.Background(), 1, with("result", result))
	if err != nil {
		t.logger.Error("the limits file has changed and cannot be used; the limits before it stay in force", zap.String("limits_file", file), zap.Error(err))
		return
	}
	t.logger.Info("limits read", zap.String("limits_file", file))
}

func (t *telemetry) flushRefused(err error) {
	t.builder.ProcessorCardinalityLimiterFlushRefusals.Add(context.Background(), 1)
	if !t.quiet("flush") {
		t.logger.Warn("the next component refuses folded points; they are kept and sent with the next flush (told once a minute)", zap.Error(err))
	}
}

func (t *telemetry) outOfMemory() {
	if !t.quiet("memory") {
		t.logger.Warn("max_memory_mib is reached: new series are folded, or dropped where there is no stream for them; raise it, or lower the limits " +
			"(told once a minute)")
	}
}

// quiet tells whether the topic, one of a bounded set, has been logged within the last minute.
func (t *telemetry) quiet(topic string) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	now := time.Now()
	if now.Before(t.silent[topic]) {
		return true
	}
	t.silent[topic] = now.Add(time.Minute)
	return false
}

// totals are those since the start, for the page.
func (t *telemetry) totals() (points, drops map[string]int64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	points, drops = map[string]int64{}, map[string]int64{}
	for k, n := range t.points {
		points[k] = n
	}
	for k, n := range t.drops {
		drops[k] = n
	}
	return points, drops
}

func reasonOf(o fold.Outcome) reason { return reason(o.String()) }
