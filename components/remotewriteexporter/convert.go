package remotewriteexporter

import (
	"cmp"
	"slices"
	"sync"

	"github.com/golang/snappy"
	"github.com/prometheus/prometheus/prompb"
	writev2 "github.com/prometheus/prometheus/prompb/io/prometheus/write/v2"
	"go.opentelemetry.io/collector/pdata/pmetric"
	"go.uber.org/multierr"

	"github.com/open-telemetry/opentelemetry-collector-contrib/pkg/translator/prometheusremotewrite"

	"github.com/sluice-otel/sluice/components/remotewriteexporter/internal/answer"
)

// message is a request of either protocol.
type message interface {
	Size() int
	MarshalToSizedBuffer([]byte) (int, error)
}

// converter makes requests of metrics; the work is the translator's.
type converter struct {
	settings prometheusremotewrite.Settings
	v2       bool
}

// convert returns a request, what is in it, and what the translator could not do.
func (c *converter) convert(md pmetric.Metrics) (message, answer.Stats, []error) {
	if c.v2 {
		return c.convertV2(md)
	}
	series, err := prometheusremotewrite.FromMetrics(md, c.settings)
	req := &prompb.WriteRequest{Timeseries: make([]prompb.TimeSeries, 0, len(series))}
	var stats answer.Stats
	for _, s := range series {
		if len(s.Samples)+len(s.Histograms) == 0 {
			continue // backends refuse a request for one
		}
		// Points of several collections may be in one batch, and their resources in any order.
		ordered(s.Samples, func(x *prompb.Sample) int64 { return x.Timestamp })
		ordered(s.Histograms, func(x *prompb.Histogram) int64 { return x.Timestamp })
		ordered(s.Exemplars, func(x *prompb.Exemplar) int64 { return x.Timestamp })
		stats.Samples += len(s.Samples)
		stats.Histograms += len(s.Histograms)
		stats.Exemplars += len(s.Exemplars)
		req.Timeseries = append(req.Timeseries, *s)
	}
	return req, stats, multierr.Errors(err)
}

func (c *converter) convertV2(md pmetric.Metrics) (message, answer.Stats, []error) {
	series, symbols, err := prometheusremotewrite.FromMetricsV2(md, c.settings)
	req := &writev2.Request{Timeseries: make([]writev2.TimeSeries, 0, len(series)), Symbols: symbols.Symbols()}
	var stats answer.Stats
	for _, s := range series {
		if len(s.Samples)+len(s.Histograms) == 0 {
			continue
		}
		ordered(s.Samples, func(x *writev2.Sample) int64 { return x.Timestamp })
		ordered(s.Histograms, func(x *writev2.Histogram) int64 { return x.Timestamp })
		ordered(s.Exemplars, func(x *writev2.Exemplar) int64 { return x.Timestamp })
		stats.Samples += len(s.Samples)
		stats.Histograms += len(s.Histograms)
		stats.Exemplars += len(s.Exemplars)
		req.Timeseries = append(req.Timeseries, *s)
	}
	return req, stats, multierr.Errors(err)
}

// ordered sorts by time; what is of one time stays as it came.
func ordered[T any](items []T, at func(*T) int64) {
	for i := 1; i < len(items); i++ {
		if at(&items[i-1]) > at(&items[i]) {
			slices.SortStableFunc(items, func(a, b T) int { return cmp.Compare(at(&a), at(&b)) })
			return
		}
	}
}

var buffers = sync.Pool{New: func() any { return new([]byte) }}

// encode marshals and compresses. The result is never reused: net/http may still read a body after it has returned the answer.
func encode(m message, size int) ([]byte, error) {
	buf := buffers.Get().(*[]byte)
	defer buffers.Put(buf)
	if cap(*buf) < size {
		*buf = make([]byte, size)
	}
	raw := (*buf)[:size]
	if _, err := m.MarshalToSizedBuffer(raw); err != nil {
		return nil, err
	}
	return snappy.Encode(nil, raw), nil
}

// exemplarsIn counts what the translator leaves out for 2.0.
func exemplarsIn(md pmetric.Metrics) (n int) {
	for _, rm := range md.ResourceMetrics().All() {
		for _, sm := range rm.ScopeMetrics().All() {
			for _, m := range sm.Metrics().All() {
				//exhaustive:enforce
				switch m.Type() {
				case pmetric.MetricTypeSum:
					for _, p := range m.Sum().DataPoints().All() {
						n += p.Exemplars().Len()
					}
				case pmetric.MetricTypeHistogram:
					for _, p := range m.Histogram().DataPoints().All() {
						n += p.Exemplars().Len()
					}
				case pmetric.MetricTypeExponentialHistogram:
					for _, p := range m.ExponentialHistogram().DataPoints().All() {
						n += p.Exemplars().Len()
					}
				case pmetric.MetricTypeGauge:
					for _, p := range m.Gauge().DataPoints().All() {
						n += p.Exemplars().Len()
					}
				case pmetric.MetricTypeEmpty, pmetric.MetricTypeSummary:
				}
			}
		}
	}
	return n
}
