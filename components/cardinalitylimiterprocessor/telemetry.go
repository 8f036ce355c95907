package cardinalitylimiterprocessor

import (
	"context"
	"sync"
	"time"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
	"go.uber.org/zap"

	"github.com/sluice-otel/sluice/components/cardinalitylimiterprocessor/internal/limit"
	"github.com/sluice-otel/sluice/components/cardinalitylimiterprocessor/internal/metadata"
	"github.com/sluice-otel/sluice/components/internal/seldom"
)

type telemetry struct {
	logger  *zap.Logger
	builder *metadata.TelemetryBuilder

	outcomes [outcomes]metric.AddOption

	failures *seldom.Teller[string]

	mu sync.Mutex
	// Of this minute: changes of state, by rule and state.
	told      map[string]int
	tellUntil time.Time
	// For the page: what was counted since the start.
	points map[string]int64
	drops  map[string]int64
}

func newTelemetry(set component.TelemetrySettings) (*telemetry, error) {
	builder, err := metadata.NewTelemetryBuilder(set)
	if err != nil {
		return nil, err
	}
	t := &telemetry{logger: set.Logger, builder: builder, failures: seldom.New[string](time.Minute), told: map[string]int{}, points: map[string]int64{}, drops: map[string]int64{}}
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
		if !t.mayTell(e) {
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
				"of the attribute in the service, or raise the limit", fields...)
		case limit.Warned:
			t.logger.Warn("a cardinality budget is more than 80 % used", fields...)
		case limit.Calm:
			t.logger.Info("a cardinality budget has room again", fields...)
		}
	}
}

func (t *telemetry) storageError(what string, err error) {
	t.builder.ProcessorCardinalityLimiterStorageErrors.Add(context.Background(), 1)
	if t.quiet("storage") {
		return
	}
	t.logger.Error(what+" could not be stored, and will not outlive a restart; see whether the storage extension's directory is writable and the disk "+
		"has room (told once a minute)", zap.Error(err))
}

// refusedSnapshot is for what was stored and is no snapshot.
func (t *telemetry) refusedSnapshot(what string, err error) {
	t.builder.ProcessorCardinalityLimiterStorageErrors.Add(context.Background(), 1)
	t.logger.Warn(what+"; if it comes again, see whether the disk is sound", zap.Error(err))
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

// told is how many changes of a rule's budgets to one state are logged in a minute: many services can explode at once.
const told = 5

func (t *telemetry) mayTell(e *limit.Event) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if now := time.Now(); now.After(t.tellUntil) {
		t.tellUntil = now.Add(time.Minute)
		clear(t.told)
	}
	topic := e.Rule + " " + e.To.String()
	t.told[topic]++
	return t.told[topic] <= told
}

// quiet tells whether the topic, one of a bounded set, has been logged within the last minute.
func (t *telemetry) quiet(topic string) bool { return !t.failures.Tell(topic, time.Now()) }

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
