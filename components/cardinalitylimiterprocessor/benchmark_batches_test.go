package cardinalitylimiterprocessor

import (
	"fmt"
	"strconv"
	"time"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/pmetric"
)

// shape is a metric's type and temporality.
type shape int

const (
	deltaSum shape = iota
	cumulativeSum
	gauge
	deltaHistogram
	cumulativeHistogram
	deltaExponential
	cumulativeExponential
	summary
	shapes
)

func (s shape) String() string {
	return [...]string{
		"delta_sum", "cumulative_sum", "gauge", "delta_histogram", "cumulative_histogram", "delta_exponential", "cumulative_exponential", "summary",
	}[s]
}

// empty gives a metric the shape, and n points with the value 1, or one observation.
func (s shape) empty(m pmetric.Metric, n int) {
	temporality := pmetric.AggregationTemporalityDelta
	if s == cumulativeSum || s == cumulativeHistogram || s == cumulativeExponential {
		temporality = pmetric.AggregationTemporalityCumulative
	}
	switch s {
	case deltaSum, cumulativeSum:
		m.SetEmptySum().SetIsMonotonic(true)
		m.Sum().SetAggregationTemporality(temporality)
	case gauge:
		m.SetEmptyGauge()
	case deltaHistogram, cumulativeHistogram:
		m.SetEmptyHistogram().SetAggregationTemporality(temporality)
	case deltaExponential, cumulativeExponential:
		m.SetEmptyExponentialHistogram().SetAggregationTemporality(temporality)
	default:
		m.SetEmptySummary()
	}
	for range n {
		switch s {
		case deltaSum, cumulativeSum:
			m.Sum().DataPoints().AppendEmpty()
		case gauge:
			m.Gauge().DataPoints().AppendEmpty()
		case deltaHistogram, cumulativeHistogram:
			p := m.Histogram().DataPoints().AppendEmpty()
			p.ExplicitBounds().FromRaw([]float64{5, 10, 25, 50, 75, 100, 250, 500, 750, 1000, 2500, 5000, 7500, 10000})
			p.BucketCounts().FromRaw(make([]uint64, 15))
		case deltaExponential, cumulativeExponential:
			p := m.ExponentialHistogram().DataPoints().AppendEmpty()
			p.Positive().BucketCounts().FromRaw(make([]uint64, 40))
		default:
			m.Summary().DataPoints().AppendEmpty()
		}
	}
	value(m, 1)
}

// value is what all points of a metric have: the value, or the number of observations.
func value(m pmetric.Metric, n int) {
	count := uint64(n) //nolint:gosec // positive
	switch m.Type() {
	case pmetric.MetricTypeGauge:
		for _, p := range m.Gauge().DataPoints().All() {
			p.SetIntValue(int64(n))
		}
	case pmetric.MetricTypeSum:
		for _, p := range m.Sum().DataPoints().All() {
			p.SetIntValue(int64(n))
		}
	case pmetric.MetricTypeHistogram:
		for _, p := range m.Histogram().DataPoints().All() {
			p.SetCount(count)
			p.SetSum(float64(n))
			p.BucketCounts().SetAt(7, count)
		}
	case pmetric.MetricTypeExponentialHistogram:
		for _, p := range m.ExponentialHistogram().DataPoints().All() {
			p.SetCount(count)
			p.SetSum(float64(n))
			p.Positive().BucketCounts().SetAt(7, count)
		}
	case pmetric.MetricTypeSummary:
		for _, p := range m.Summary().DataPoints().All() {
			p.SetCount(count)
			p.SetSum(float64(n))
		}
	}
}

// stamped is what all points have.
type stamped interface {
	Attributes() pcommon.Map
	SetStartTimestamp(pcommon.Timestamp)
	SetTimestamp(pcommon.Timestamp)
	Timestamp() pcommon.Timestamp
}

// eachPoint visits a metric's points.
func eachPoint(m pmetric.Metric, visit func(i int, p stamped)) {
	switch m.Type() {
	case pmetric.MetricTypeGauge:
		for i, p := range m.Gauge().DataPoints().All() {
			visit(i, p)
		}
	case pmetric.MetricTypeSum:
		for i, p := range m.Sum().DataPoints().All() {
			visit(i, p)
		}
	case pmetric.MetricTypeHistogram:
		for i, p := range m.Histogram().DataPoints().All() {
			visit(i, p)
		}
	case pmetric.MetricTypeExponentialHistogram:
		for i, p := range m.ExponentialHistogram().DataPoints().All() {
			visit(i, p)
		}
	case pmetric.MetricTypeSummary:
		for i, p := range m.Summary().DataPoints().All() {
			visit(i, p)
		}
	}
}

const batchPoints = 1000

// load is a stream of batches: a row of the benchmark's table.
type load struct {
	name      string
	shape     shape
	resources int // in a batch
	metrics   int // of a resource
	services  int // that take turns in being the resources
	series    int // that take turns in being the points of a metric
	fresh     int // percent of the points that are of a new series
	limit     int // of a metric of a service
	action    string
}

// total is how many series there are.
func (l *load) total() int { return l.services * l.metrics * l.series }

func (l *load) points() int { return batchPoints / l.resources / l.metrics }

// cycle is how many batches have all series.
func (l *load) cycle() int { return max(l.services/l.resources, (l.series+l.points()-1)/l.points()) }

// feed makes a load's batches. Every batch is written right before it is used, as a receiver would.
type feed struct {
	load
	template, md    pmetric.Metrics
	round, newcomer int
	at              time.Time
}

func newFeed(l *load) *feed {
	f := &feed{load: *l, md: pmetric.NewMetrics(), template: pmetric.NewMetrics(), at: epoch}
	for range l.resources {
		rm := f.template.ResourceMetrics().AppendEmpty()
		for k, v := range map[string]string{
			"service.name": "cart", "service.namespace": "shop", "service.version": "1.42.0-rc.7", "k8s.cluster.name": "production-1",
			"k8s.namespace.name": "shop-backend", "k8s.deployment.name": "cart-service", "k8s.node.name": "ip-10-2-33-4", "cloud.region": "eu-central-1",
		} {
			rm.Resource().Attributes().PutStr(k, v)
		}
		sm := rm.ScopeMetrics().AppendEmpty()
		sm.Scope().SetName("github.com/shop/cart")
		for i := range l.metrics {
			m := sm.Metrics().AppendEmpty()
			m.SetName("cart.operation." + strconv.Itoa(i))
			m.SetUnit("1")
			l.shape.empty(m, l.points())
			eachPoint(m, func(_ int, p stamped) {
				a := p.Attributes()
				a.PutStr("http.route", "/api/v1/cart")
				a.PutStr("server.zone", "eu-central-1")
				a.PutStr("user.id", "")
				a.PutStr("client.name", "mobile-app-7")
				a.PutStr("k8s.pod.name", "")
			})
		}
	}
	return f
}

// Names are made once: making them is not what is measured.
var userNames, podNames = names("user-%07d"), names("cart-7f9c-%d")

func names(format string) (list [1000]string) {
	for i := range list {
		list[i] = fmt.Sprintf(format, i)
	}
	return list
}

// batch is the next one. It is good until the one after it.
func (f *feed) batch() pmetric.Metrics {
	if f.md.DataPointCount() < batchPoints { // points were folded
		f.md = pmetric.NewMetrics()
		f.template.CopyTo(f.md)
	}
	f.at = f.at.Add(time.Millisecond)
	if f.round%f.cycle() == 0 { // every series is seen for the first time in a step of the clock of ages
		f.at = f.at.Add(15 * time.Second)
	}
	start, end := pcommon.NewTimestampFromTime(epoch.Add(time.Millisecond)), pcommon.NewTimestampFromTime(f.at)
	for r, rm := range f.md.ResourceMetrics().All() {
		if f.services > 1 {
			rm.Resource().Attributes().PutStr("service.name", "cart-"+strconv.Itoa((f.round*f.resources+r)%f.services))
		}
		for _, m := range rm.ScopeMetrics().At(0).Metrics().All() {
			if f.shape == deltaSum { // upstream's processor changes it
				m.Sum().SetAggregationTemporality(pmetric.AggregationTemporalityDelta)
			}
			eachPoint(m, func(i int, p stamped) {
				s := (f.round*f.points() + i) % f.series
				if i%100 < f.fresh {
					s = f.series + f.newcomer
					f.newcomer++
				}
				p.Attributes().PutStr("user.id", userNames[s%1000])
				p.Attributes().PutStr("k8s.pod.name", podNames[s/1000%1000])
				p.SetStartTimestamp(start)
				p.SetTimestamp(end)
			})
			value(m, f.round+1)
		}
	}
	f.round++
	return f.md
}
