package cardinalitylimiterprocessor

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	"go.opentelemetry.io/otel/sdk/metric/metricdata/metricdatatest"

	"github.com/sluice-otel/sluice/components/cardinalitylimiterprocessor/internal/metadatatest"
)

func counted(n int64, pairs ...string) metricdata.DataPoint[int64] {
	var attrs []attribute.KeyValue
	for i := 0; i < len(pairs); i += 2 {
		attrs = append(attrs, attribute.String(pairs[i], pairs[i+1]))
	}
	return metricdata.DataPoint[int64]{Value: n, Attributes: attribute.NewSet(attrs...)}
}

func TestMetrics(t *testing.T) {
	r := newRig(t, perMetric(20, "degrade"))
	r.send(batch("shop", counter("requests", 0, 200)))
	r.out.take()
	_ = r.folded()
	no := metricdatatest.IgnoreTimestamp()
	type points = []metricdata.DataPoint[int64]
	metadatatest.AssertEqualProcessorCardinalityLimiterPoints(t, r.read, points{counted(20, "outcome", "passed"), counted(180, "outcome", "replaced")}, no)
	metadatatest.AssertEqualProcessorCardinalityLimiterRulePoints(t, r.read, points{counted(180, "rule", "metric", "outcome", "replaced")}, no)
	metadatatest.AssertEqualProcessorCardinalityLimiterRuleLimit(t, r.read, points{counted(20, "rule", "metric")}, no)
	metadatatest.AssertEqualProcessorCardinalityLimiterRuleLimitedBudgets(t, r.read, points{counted(1, "rule", "metric")}, no)
	metadatatest.AssertEqualProcessorCardinalityLimiterSeriesActive(t, r.read, points{counted(20)}, no)
	metadatatest.AssertEqualProcessorCardinalityLimiterSeriesAdmitted(t, r.read, points{counted(20)}, no)
	metadatatest.AssertEqualProcessorCardinalityLimiterSeriesExpired(t, r.read, points{counted(0)}, no)
	metadatatest.AssertEqualProcessorCardinalityLimiterTopSeries(t, r.read, points{counted(20, "metric", "requests", "service", "shop")}, no)
	metadatatest.AssertEqualProcessorCardinalityLimiterFoldedStreams(t, r.read, points{counted(2)}, no)
	metadatatest.AssertEqualProcessorCardinalityLimiterFoldedMembers(t, r.read, points{counted(180)}, no)
	metadatatest.AssertEqualProcessorCardinalityLimiterLearning(t, r.read, points{counted(0)}, no)
	metadatatest.AssertEqualProcessorCardinalityLimiterStateChanges(t, r.read,
		points{counted(1, "rule", "metric", "state", "warn"), counted(1, "rule", "metric", "state", "limited")}, no)
	metadatatest.AssertEqualProcessorCardinalityLimiterRuleUtilization(t, r.read,
		[]metricdata.DataPoint[float64]{{Value: 1, Attributes: attribute.NewSet(attribute.String("rule", "metric"))}}, no)
	demand := r.counted("top_demand", "metric")["requests"]
	assert.InDelta(t, 180, demand, 30)
	assert.InDelta(t, 200, r.counted("rule_demand", "rule")["metric"], 30)
	values := r.counted("top_attribute_values", "attribute")
	assert.Greater(t, values["user"], 100*values["method"]/3)
	assert.Positive(t, r.counted("memory", "part")["series"])
	assert.Positive(t, r.counted("memory", "part")["folded"])

	r.pass(2 * r.cfg.IdleTimeout)
	metadatatest.AssertEqualProcessorCardinalityLimiterSeriesActive(t, r.read, points{counted(0)}, no)
	metadatatest.AssertEqualProcessorCardinalityLimiterSeriesExpired(t, r.read, points{counted(20)}, no)
}

// The limiter must not become what it is there against.
func TestOurOwnMetricsAreBounded(t *testing.T) {
	r := newRig(t, func(c *Config) {
		c.Rules = []RuleConfig{
			{Name: "metric", Per: []string{"metric", "resource.service.name"}, MaxSeries: 10, Action: "degrade"},
			{Name: "values", Per: []string{"metric", "attribute"}, MaxValues: 20, Mode: modeObserve},
		}
		c.Top = 7
	})
	for i := range 300 {
		r.send(batch(fmt.Sprint("service", i%60), counter(fmt.Sprint("metric", i), 0, 40)))
	}
	_ = r.folded()
	for _, name := range []string{"top_series", "top_demand", "top_attribute_values"} {
		m, err := r.read.GetMetric("otelcol_processor_cardinality_limiter_" + name)
		require.NoError(t, err)
		assert.Len(t, m.Data.(metricdata.Gauge[int64]).DataPoints, 7, name)
	}
	all := 0
	for _, name := range []string{
		"points", "dropped", "rule_points", "rule_limit", "rule_demand", "rule_limited_budgets", "state_changes", "memory",
		"top_series", "top_demand", "top_attribute_values",
	} {
		m, err := r.read.GetMetric("otelcol_processor_cardinality_limiter_" + name)
		if err != nil {
			continue
		}
		switch data := m.Data.(type) {
		case metricdata.Sum[int64]:
			all += len(data.DataPoints)
		case metricdata.Gauge[int64]:
			all += len(data.DataPoints)
		}
	}
	assert.LessOrEqual(t, all, 60)
}

func TestTopMayBeZero(t *testing.T) {
	r := newRig(t, func(c *Config) {
		perMetric(10, "overflow")(c)
		c.Top = 0
	})
	r.send(batch("shop", counter("m", 0, 20)))
	assert.Equal(t, map[string]int64{"": 10}, r.counted("series_active", "none"))
	assert.Empty(t, r.counted("top_series", "metric"))
}

// Logs name the metric, the attribute that explodes and the service, and never a value, which may be a secret.
func TestLogsNameTheOffenderAndNoValue(t *testing.T) {
	r := newRig(t, rules(
		RuleConfig{Name: "metric", Per: []string{"metric"}, MaxSeries: 20, Action: "degrade"},
		RuleConfig{Name: "values", Per: []string{"metric", "attribute"}, MaxValues: 30},
	))
	for i := range 200 {
		r.send(batch("shop", one("logins", map[string]any{"token": fmt.Sprint("secret", i), "method": "GET"})))
	}
	for range 20 { // one goes on, the others do not
		r.pass(r.cfg.IdleTimeout / 16)
		r.send(batch("shop", one("logins", map[string]any{"token": "secret0", "method": "GET"})))
	}
	told := r.logs.FilterMessageSnippet("budget is used up").All()
	require.NotEmpty(t, told)
	fields := told[0].ContextMap()
	assert.Equal(t, "logins", fields["metric"])
	assert.Equal(t, "shop", fields["service"])
	assert.Equal(t, "token", fields["attribute"])
	assert.Equal(t, "metric", fields["rule"])
	assert.NotEmpty(t, r.logs.FilterMessageSnippet("has room again").All())
	for _, e := range r.logs.All() {
		assert.NotContains(t, fmt.Sprint(e.Message, e.ContextMap()), "secret")
	}
	assert.Less(t, r.logs.Len(), 12, "told once a minute for each rule")
}

func TestNamesInLogsAndMetricsAreBounded(t *testing.T) {
	r := newRig(t, perMetric(2, "drop"))
	r.send(batch(strings.Repeat("é", 1<<19), counter(strings.Repeat("x", 1<<20), 0, 10)))
	for _, e := range r.logs.All() {
		for k, v := range e.ContextMap() {
			assert.Less(t, len(fmt.Sprint(v)), 1000, k)
		}
	}
	for _, key := range []string{"metric", "service"} {
		for name := range r.counted("top_series", key) {
			assert.Less(t, len(name), 300)
			assert.True(t, utf8.ValidString(name))
		}
	}
}

func TestShutdownWithoutStart(t *testing.T) {
	r := newRig(t, perMetric(2, "drop"))
	p, err := newProcessor(metadatatest.NewSettings(r.read), r.cfg, r.out)
	require.NoError(t, err)
	require.NoError(t, p.Shutdown(context.Background()))
}
