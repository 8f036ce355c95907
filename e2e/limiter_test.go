//go:build e2e

package e2e

import (
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	sdk "go.opentelemetry.io/otel/sdk/metric"

	"github.com/sluice-otel/sluice/e2e/backends"
	"github.com/sluice-otel/sluice/e2e/harness"
	"github.com/sluice-otel/sluice/e2e/proc"
	"github.com/sluice-otel/sluice/e2e/tiers"
)

const (
	seriesLimit = 100 // of a metric
	valuesLimit = 50  // of an attribute of it

	// Before the mistake is made, and after: a series for each method and user.
	fewUsers, manyUsers = 20, 2000

	// What is folded is sent soon, and nothing is learnt: the limits hold from the first point on. One consumer keeps the queue in order,
	// so that whatever is out of order is the limiter's doing.
	limiterOverride = `
processors:
  cardinality_limiter:
    startup_grace: 0s
    overflow: {flush_interval: 1s}
exporters:
`
	limiterMetric = "otelcol_processor_cardinality_limiter_"
)

// oneConsumer is what the metrics exporter of a backend file needs to keep the order; that of victoria.yaml has it.
var oneConsumer = map[string]string{
	"lgtm":     "  otlp_http/prometheus: {sending_queue: {num_consumers: 1}}\n",
	"victoria": "  nop: {}\n",
}

// lateLetIn counts what is out of order by less than the window.
const lateLetIn = "prometheus_tsdb_head_out_of_order_samples_appended_total"

func startLimiter(t *testing.T, k *backends.Kubernetes, p *backends.Prometheus, backend string, env map[string]string) *harness.Collector {
	t.Helper()
	return tiers.Start(t, k, tiers.Tier{
		Profile: "gateway", Backends: []string{"backends/" + backend}, Override: limiterOverride + oneConsumer[backend],
		Env: tiers.With(map[string]string{
			"PROMETHEUS_URL": p.URL, "VICTORIAMETRICS_URL": p.URL,
			"MAX_SERIES_PER_METRIC": strconv.Itoa(seriesLimit), "MAX_VALUES": strconv.Itoa(valuesLimit),
		}, env),
	})
}

// An attribute explodes in a counter, a histogram and a gauge. What was there before stays, the number of series has its bound,
// and sums over the attribute that matters are those of the application: by both ways into a Prometheus.
func TestLimiterKeepsTotals(t *testing.T) {
	k := tiers.StartKubernetes(t)
	for backend, temporalities := range map[string]map[string]sdk.TemporalitySelector{
		"lgtm": {"shop": sdk.DefaultTemporalitySelector, "depot": delta},
		// The exporter for remote write takes no deltas.
		"victoria": {"shop": sdk.DefaultTemporalitySelector},
	} {
		t.Run(backend, func(t *testing.T) {
			p := startJudge(t)
			c := startLimiter(t, k, p, backend, nil)
			n := float64(len(temporalities))
			for name, temporality := range temporalities {
				s := startShopper(t, name, c.OTLPGRPC, temporality)
				s.serve(t, fewUsers)
				s.waitStored(t, p, c)
				for range 2 {
					s.serve(t, manyUsers)
					s.waitStored(t, p, c)
				}
				assertBounded(t, p, s, seriesLimit)
			}
			assertNothingRefused(t, p, c)
			if backend == "victoria" {
				page, err := harness.ReadMetrics(p.URL + "/metrics")
				require.NoError(t, err)
				assert.True(t, page.Has(lateLetIn))
				assert.Zero(t, page.Sum(lateLetIn, nil))
			}

			const turnedAway = 2 * (manyUsers*3 - seriesLimit) // points, in the two rounds
			waitMetrics(t, c, metricsWanted{
				{"points", map[string]string{"outcome": "replaced"}, n * 2 * turnedAway},
				{"points", map[string]string{"outcome": "dropped"}, n * turnedAway},
				{"dropped", map[string]string{"reason": "gauge"}, n * turnedAway},
				{"rule_utilization", map[string]string{"rule": "metric"}, 1},
				{"rule_utilization", map[string]string{"rule": "values"}, 1},
				{"rule_limited_budgets", map[string]string{"rule": "metric"}, n * 3},
				{"rule_limited_budgets", map[string]string{"rule": "values"}, n},
				{"rule_limited_budgets", map[string]string{"rule": "total"}, 0},
				{"state_changes", map[string]string{"rule": "metric", "state": "limited"}, n * 3},
				{"state_changes", map[string]string{"rule": "values", "state": "limited"}, n},
				{"top_series", map[string]string{"metric": "orders", "service": "shop"}, seriesLimit},
				{"folded_streams", nil, n * 2 * 3},
				{"folded_members", nil, n * turnedAway},
			})
			told := strings.Join(linesOf(c, "a cardinality budget is used up"), "")
			for _, rule := range []string{"metric", "values"} {
				assert.Regexp(t, `"rule": "`+rule+`".*"metric": "(orders|checkout.duration|cart.items)", "service": "(shop|depot)", "attribute": "user.id"`, told)
			}
			assert.NotRegexp(t, `user-\d`, c.Proc.Output(), "a value in the log")
		})
	}
}

// assertBounded looks at the single series.
func assertBounded(t *testing.T, p *backends.Prometheus, s *shopper, series int) {
	t.Helper()
	for _, name := range []string{sales, duration + "_count", cart} {
		users, folded := s.series(t, p, name)
		if len(users) != series {
			t.Errorf("%s of %s: %d series pass, want %d", name, s.name, len(users), series)
		}
		for i := range fewUsers {
			for _, method := range methods {
				if _, ok := users[fmt.Sprintf("user-%04d %s", i, method)]; !ok {
					t.Errorf("%s of %s: %s by user %d was there first, and is gone", name, s.name, method, i)
				}
			}
		}
		if name != cart {
			assert.Equal(t, len(methods), folded, "%s of %s: streams of what was turned away", name, s.name)
			continue
		}
		assert.Zero(t, folded, "a gauge's value was made up")
		for series, value := range users {
			assert.InDelta(t, s.carts[series], value, 0, "%s of %s", series, s.name)
		}
	}
	for _, name := range counters {
		assert.Equal(t, []backends.Sample{{Labels: map[string]string{}}}, p.Query(t, fmt.Sprintf("max(resets(%s{job=%q}[1h]))", name, s.name)),
			"%s of %s went back", name, s.name)
	}
}

// startJudge starts a Prometheus as the header of the backend file asks for it. It takes deltas, too, but none of a stream
// that is not newer than the one before.
func startJudge(t *testing.T) *backends.Prometheus {
	t.Helper()
	return backends.StartPrometheus(t, recommended(t), "--enable-feature=otlp-deltatocumulative")
}

// assertNothingRefused asks both sides.
func assertNothingRefused(t *testing.T, p *backends.Prometheus, c *harness.Collector) {
	t.Helper()
	page, err := harness.ReadMetrics(p.URL + "/metrics")
	require.NoError(t, err)
	for _, name := range []string{
		"prometheus_tsdb_out_of_order_samples_total", "prometheus_tsdb_out_of_bound_samples_total", "prometheus_tsdb_too_old_samples_total",
	} {
		assert.Zero(t, page.Sum(name, nil), name)
		assert.True(t, page.Has(name), name)
	}
	for _, s := range page {
		if s.Name == "prometheus_http_requests_total" && s.Labels["handler"] != "/-/ready" {
			assert.Regexp(t, "^2", s.Labels["code"], "%v", s.Labels)
		}
	}
	assert.NotRegexp(t, `(?i)out.of.order|duplicate|level=(WARN|ERROR)`, p.Process.Output())
	assert.Zero(t, c.Metric(t, "otelcol_exporter_send_failed_metric_points", nil))
}

// metricsWanted are names, without their prefix, labels and values.
type metricsWanted []struct {
	name   string
	labels map[string]string
	value  float64
}

// waitMetrics waits until the limiter's own metrics are these; some of them are a few seconds old when they are read.
func waitMetrics(t *testing.T, c *harness.Collector, want metricsWanted) {
	t.Helper()
	proc.Eventually(t, 20*time.Second, func() error {
		page := c.Metrics(t)
		for _, w := range want {
			if got := page.Sum(limiterMetric+w.name, w.labels); got != w.value || !page.Has(limiterMetric+w.name) {
				return fmt.Errorf("%s%v: %v, want %v", w.name, w.labels, got, w.value)
			}
		}
		return nil
	}, c.Proc)
}
