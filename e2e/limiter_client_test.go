//go:build e2e

package e2e

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/exporters/otlp/otlpmetric/otlpmetricgrpc"
	"go.opentelemetry.io/otel/metric"
	sdk "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	"go.opentelemetry.io/otel/sdk/resource"
	"google.golang.org/grpc"

	"github.com/sluice-otel/sluice/e2e/backends"
	"github.com/sluice-otel/sluice/e2e/harness"
	"github.com/sluice-otel/sluice/e2e/proc"
)

const (
	sales    = "orders_total"
	duration = "checkout_duration_seconds"
	cart     = "cart_items"

	placeholder = "__overflow__"
)

var (
	methods  = []string{"DELETE", "GET", "POST"}
	counters = []string{sales, duration + "_count", duration + "_sum", duration + "_bucket"}
	bounds   = []float64{1, 5, 20}
)

// shopper is an application with the OpenTelemetry SDK for Go whose mistake is an attribute with the user's name. It knows what
// a query must find.
type shopper struct {
	name     string
	rounds   int
	provider *sdk.MeterProvider
	orders   metric.Int64Counter
	took     metric.Float64Histogram
	items    metric.Int64Gauge

	totals map[string]float64 // of counters, by name and the labels that stay
	carts  map[string]float64 // of the gauge, by series
}

func startShopper(t *testing.T, name, endpoint string, temporality sdk.TemporalitySelector) *shopper {
	t.Helper()
	exporter, err := otlpmetricgrpc.New(t.Context(),
		otlpmetricgrpc.WithEndpoint(endpoint), otlpmetricgrpc.WithInsecure(), otlpmetricgrpc.WithDialOption(grpc.WithNoProxy()),
		otlpmetricgrpc.WithTemporalitySelector(temporality),
	)
	require.NoError(t, err)
	s := &shopper{name: name, totals: map[string]float64{}, carts: map[string]float64{}}
	s.provider = sdk.NewMeterProvider(
		// Sent by ForceFlush only, so that what was sent is known.
		sdk.WithReader(sdk.NewPeriodicReader(exporter, sdk.WithInterval(time.Hour))),
		sdk.WithResource(resource.NewSchemaless(attribute.String("service.name", name), attribute.String("k8s.namespace.name", "prod"))),
	)
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second) // the gateway is gone: nobody waits for the last points
		defer cancel()
		_ = s.provider.Shutdown(ctx)
	})
	meter := s.provider.Meter("shop")
	var errs [3]error
	s.orders, errs[0] = meter.Int64Counter("orders")
	s.took, errs[1] = meter.Float64Histogram("checkout.duration", metric.WithUnit("s"), metric.WithExplicitBucketBoundaries(bounds...))
	s.items, errs[2] = meter.Int64Gauge("cart.items")
	require.NoError(t, errors.Join(errs[:]...))
	return s
}

// serve counts, times and measures one request of every method by each of so many users, and sends.
func (s *shopper) serve(t *testing.T, users int) {
	t.Helper()
	s.rounds++
	for i := range users {
		user := fmt.Sprintf("user-%04d", i)
		for m, method := range methods {
			attrs := metric.WithAttributeSet(attribute.NewSet(attribute.String("http.request.method", method), attribute.String("user.id", user)))
			orders, took, items := int64(1+(i+m)%3), float64((i+s.rounds)%100)/4, int64(i+s.rounds) // sums of quarters are exact
			s.orders.Add(t.Context(), orders, attrs)
			s.took.Record(t.Context(), took, attrs)
			s.items.Record(t.Context(), items, attrs)
			s.totals[sales+" "+method] += float64(orders)
			s.totals[duration+"_count "+method]++
			s.totals[duration+"_sum "+method] += took
			for _, le := range bounds {
				if took <= le {
					s.totals[fmt.Sprintf("%s_bucket %s %g", duration, method, le)]++
				}
			}
			s.totals[duration+"_bucket "+method+" +Inf"]++
			s.carts[user+" "+method] = float64(items)
		}
	}
	require.NoError(t, s.provider.ForceFlush(t.Context()), "what the gateway says to %s", s.name)
}

// waitStored waits until queries over the attribute that stays give the client's own totals, to the last unit.
func (s *shopper) waitStored(t *testing.T, p *backends.Prometheus, c *harness.Collector) {
	t.Helper()
	proc.Eventually(t, 30*time.Second, func() error {
		got := map[string]float64{}
		for _, name := range counters {
			for _, sum := range p.Query(t, fmt.Sprintf("sum by (http_request_method, le) (%s{job=%q})", name, s.name)) {
				key := name + " " + sum.Labels["http_request_method"]
				if le, ok := sum.Labels["le"]; ok {
					key += " " + le
				}
				got[key] = sum.Value
			}
		}
		if maps.Equal(got, s.totals) {
			return nil
		}
		err := fmt.Errorf("totals of %s after round %d", s.name, s.rounds)
		for _, key := range slices.Sorted(maps.Keys(s.totals)) {
			if got[key] != s.totals[key] {
				err = fmt.Errorf("%w\n%s: %v, want %v", err, key, got[key], s.totals[key])
			}
		}
		return err
	}, c.Proc, p.Process)
}

// series are those of a metric that have a user, by user and method, and how many have the placeholder instead.
func (s *shopper) series(t *testing.T, p *backends.Prometheus, name string) (users map[string]float64, folded int) {
	t.Helper()
	users = map[string]float64{}
	for _, series := range p.Query(t, fmt.Sprintf("%s{job=%q}", name, s.name)) {
		if user := series.Labels["user_id"]; user != placeholder {
			users[user+" "+series.Labels["http_request_method"]] = series.Value
		} else {
			folded++
		}
	}
	return users, folded
}

// delta is for counters and histograms what some vendors' agents ask for.
func delta(sdk.InstrumentKind) metricdata.Temporality { return metricdata.DeltaTemporality }
