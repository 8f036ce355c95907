package remotewriteexporter

import "go.opentelemetry.io/collector/pdata/pmetric"

type point[P any] interface{ CopyTo(dest P) }

type points[P any] interface {
	Len() int
	At(i int) P
	AppendEmpty() P
	EnsureCapacity(n int)
}

// all says that f holds for every point.
func all[P any, S points[P]](slice S, f func(P) bool) bool {
	for i := range slice.Len() {
		if !f(slice.At(i)) {
			return false
		}
	}
	return true
}

// parts cuts metrics into n pieces of about as many points each, in order; the pieces are copies. There are as many pieces as points
// at most.
func parts(md pmetric.Metrics, n int) []pmetric.Metrics {
	total := md.DataPointCount()
	n = min(n, total)
	if n < 2 {
		return []pmetric.Metrics{md}
	}
	pieces := make([]pmetric.Metrics, n)
	for i := range pieces {
		pieces[i] = between(md, i*total/n, (i+1)*total/n)
	}
	return pieces
}

// join puts pieces together again, in order. A single piece is returned as it is.
func join(pieces []pmetric.Metrics) pmetric.Metrics {
	if len(pieces) == 1 {
		return pieces[0]
	}
	out := pmetric.NewMetrics()
	for _, piece := range pieces {
		for _, rm := range piece.ResourceMetrics().All() {
			rm.CopyTo(out.ResourceMetrics().AppendEmpty())
		}
	}
	return out
}

// between copies the points from (included) to (excluded), counted through all of md, with their metrics, scopes and resources.
func between(md pmetric.Metrics, from, to int) pmetric.Metrics {
	out := pmetric.NewMetrics()
	at := 0
	for _, rm := range md.ResourceMetrics().All() {
		var intoResource pmetric.ResourceMetrics
		hasResource := false
		for _, sm := range rm.ScopeMetrics().All() {
			var intoScope pmetric.ScopeMetrics
			hasScope := false
			for _, m := range sm.Metrics().All() {
				n := pointsOf(m)
				first, last := max(from-at, 0), min(to-at, n)
				at += n
				if first >= last {
					continue
				}
				if !hasResource {
					intoResource, hasResource = out.ResourceMetrics().AppendEmpty(), true
					rm.Resource().CopyTo(intoResource.Resource())
					intoResource.SetSchemaUrl(rm.SchemaUrl())
				}
				if !hasScope {
					intoScope, hasScope = intoResource.ScopeMetrics().AppendEmpty(), true
					sm.Scope().CopyTo(intoScope.Scope())
					intoScope.SetSchemaUrl(sm.SchemaUrl())
				}
				copyPart(m, intoScope.Metrics().AppendEmpty(), first, last)
			}
			if at >= to {
				return out
			}
		}
	}
	return out
}

// copyPart copies a metric with some of its points.
func copyPart(m, into pmetric.Metric, first, last int) {
	if first == 0 && last == pointsOf(m) {
		m.CopyTo(into)
		return
	}
	into.SetName(m.Name())
	into.SetDescription(m.Description())
	into.SetUnit(m.Unit())
	m.Metadata().CopyTo(into.Metadata())
	//exhaustive:enforce
	switch m.Type() {
	case pmetric.MetricTypeGauge:
		copyRange(m.Gauge().DataPoints(), into.SetEmptyGauge().DataPoints(), first, last)
	case pmetric.MetricTypeSum:
		sum := into.SetEmptySum()
		sum.SetAggregationTemporality(m.Sum().AggregationTemporality())
		sum.SetIsMonotonic(m.Sum().IsMonotonic())
		copyRange(m.Sum().DataPoints(), sum.DataPoints(), first, last)
	case pmetric.MetricTypeHistogram:
		histogram := into.SetEmptyHistogram()
		histogram.SetAggregationTemporality(m.Histogram().AggregationTemporality())
		copyRange(m.Histogram().DataPoints(), histogram.DataPoints(), first, last)
	case pmetric.MetricTypeExponentialHistogram:
		histogram := into.SetEmptyExponentialHistogram()
		histogram.SetAggregationTemporality(m.ExponentialHistogram().AggregationTemporality())
		copyRange(m.ExponentialHistogram().DataPoints(), histogram.DataPoints(), first, last)
	case pmetric.MetricTypeSummary:
		copyRange(m.Summary().DataPoints(), into.SetEmptySummary().DataPoints(), first, last)
	case pmetric.MetricTypeEmpty:
	}
}

func copyRange[P point[P], S points[P]](from, into S, first, last int) {
	into.EnsureCapacity(last - first)
	for i := first; i < last; i++ {
		from.At(i).CopyTo(into.AppendEmpty())
	}
}

func pointsOf(m pmetric.Metric) int {
	//exhaustive:enforce
	switch m.Type() {
	case pmetric.MetricTypeGauge:
		return m.Gauge().DataPoints().Len()
	case pmetric.MetricTypeSum:
		return m.Sum().DataPoints().Len()
	case pmetric.MetricTypeHistogram:
		return m.Histogram().DataPoints().Len()
	case pmetric.MetricTypeExponentialHistogram:
		return m.ExponentialHistogram().DataPoints().Len()
	case pmetric.MetricTypeSummary:
		return m.Summary().DataPoints().Len()
	case pmetric.MetricTypeEmpty:
	}
	return 0
}
