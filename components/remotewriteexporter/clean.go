package remotewriteexporter

import (
	"strings"
	"unicode/utf8"

	"github.com/prometheus/otlptranslator"
	translate "github.com/prometheus/prometheus/storage/remote/otlptranslator/prometheusremotewrite"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/pmetric"

	prometheustranslator "github.com/open-telemetry/opentelemetry-collector-contrib/pkg/translator/prometheus"
)

// unsent is why remote write cannot express a point; the names are those of the metric's attribute.
type unsent int

const (
	wrongTemporality unsent = iota
	noName
	coarseScale
	noValue
	otherUnsent
	numUnsent
)

var unsentNames = [...]string{"temporality", "name", "scale", "no_value", "other"}

func (u unsent) String() string { return unsentNames[u] }

// mend is what was wrong with an attribute.
type mend int

const (
	mendKey mend = iota
	mendUTF8
	numMends
)

var mendNames = [...]string{"key", "utf8"}

func (m mend) String() string { return mendNames[m] }

// findings are what clean left out or changed.
type findings struct {
	points [numUnsent]int
	mended [numMends]int
	metric string // one of those left out, for the log
}

// minScale is the coarsest exponential histogram that Prometheus has.
const minScale = -4

func labelNamer() *otlptranslator.LabelNamer {
	//nolint:staticcheck // the translator does so, and the names have to be its names
	return &otlptranslator.LabelNamer{UnderscoreLabelSanitization: !prometheustranslator.DropSanitizationGate.IsEnabled()}
}

// cleaner takes out what the translator would leave out without a count, and mends what a backend drops without a word.
type cleaner struct {
	names  otlptranslator.MetricNamer
	labels *otlptranslator.LabelNamer
}

func newCleaner(suffixes bool) *cleaner {
	return &cleaner{names: otlptranslator.MetricNamer{WithMetricSuffixes: suffixes}, labels: labelNamer()}
}

// clean returns the metrics that can be sent: md itself when nothing is wrong with it, which is nearly always, otherwise a copy.
func (c *cleaner) clean(md pmetric.Metrics) (pmetric.Metrics, findings) {
	if c.fine(md) {
		return md, findings{}
	}
	var f findings
	out := pmetric.NewMetrics()
	md.CopyTo(out)
	for _, rm := range out.ResourceMetrics().All() {
		c.mend(rm.Resource().Attributes(), &f)
		for _, sm := range rm.ScopeMetrics().All() {
			sm.Metrics().RemoveIf(func(m pmetric.Metric) bool { return c.strip(m, &f) })
		}
	}
	return out, f
}

func (c *cleaner) fine(md pmetric.Metrics) bool {
	for _, rm := range md.ResourceMetrics().All() {
		if !c.fineAttributes(rm.Resource().Attributes()) {
			return false
		}
		for _, sm := range rm.ScopeMetrics().All() {
			for _, m := range sm.Metrics().All() {
				if _, bad := c.fault(m); bad || !c.finePoints(m) {
					return false
				}
			}
		}
	}
	return true
}

// fault is what is wrong with all points of a metric.
func (c *cleaner) fault(m pmetric.Metric) (unsent, bool) {
	temporality := pmetric.AggregationTemporalityCumulative
	//exhaustive:enforce
	switch m.Type() {
	case pmetric.MetricTypeSum:
		temporality = m.Sum().AggregationTemporality()
	case pmetric.MetricTypeHistogram:
		temporality = m.Histogram().AggregationTemporality()
	case pmetric.MetricTypeExponentialHistogram:
		temporality = m.ExponentialHistogram().AggregationTemporality()
	case pmetric.MetricTypeEmpty, pmetric.MetricTypeGauge, pmetric.MetricTypeSummary:
	}
	if temporality != pmetric.AggregationTemporalityCumulative {
		return wrongTemporality, true
	}
	if _, err := c.names.Build(translate.TranslatorMetricFromOtelMetric(m)); err != nil {
		return noName, true
	}
	return 0, false
}

// finePoints says that a metric has points, and that each can be sent.
func (c *cleaner) finePoints(m pmetric.Metric) bool {
	points := 0
	fine := func(bad bool, attributes pcommon.Map) bool {
		points++
		return !bad && c.fineAttributes(attributes)
	}
	//exhaustive:enforce
	switch m.Type() {
	case pmetric.MetricTypeGauge:
		return all(m.Gauge().DataPoints(), func(p pmetric.NumberDataPoint) bool { return fine(valueless(p), p.Attributes()) }) && points > 0
	case pmetric.MetricTypeSum:
		return all(m.Sum().DataPoints(), func(p pmetric.NumberDataPoint) bool { return fine(valueless(p), p.Attributes()) }) && points > 0
	case pmetric.MetricTypeHistogram:
		return all(m.Histogram().DataPoints(), func(p pmetric.HistogramDataPoint) bool { return fine(false, p.Attributes()) }) && points > 0
	case pmetric.MetricTypeExponentialHistogram:
		return all(m.ExponentialHistogram().DataPoints(), func(p pmetric.ExponentialHistogramDataPoint) bool { return fine(coarse(p), p.Attributes()) }) && points > 0
	case pmetric.MetricTypeSummary:
		return all(m.Summary().DataPoints(), func(p pmetric.SummaryDataPoint) bool { return fine(false, p.Attributes()) }) && points > 0
	case pmetric.MetricTypeEmpty:
	}
	return false
}

// strip takes out points that cannot be sent and mends attributes of the others; true means that none is left.
func (c *cleaner) strip(m pmetric.Metric, f *findings) (gone bool) {
	if why, bad := c.fault(m); bad {
		f.leave(m, why, pointsOf(m))
		return true
	}
	number := func(p pmetric.NumberDataPoint) bool {
		if valueless(p) {
			f.leave(m, noValue, 1)
			return true
		}
		c.mend(p.Attributes(), f)
		return false
	}
	//exhaustive:enforce
	switch m.Type() {
	case pmetric.MetricTypeGauge:
		m.Gauge().DataPoints().RemoveIf(number)
	case pmetric.MetricTypeSum:
		m.Sum().DataPoints().RemoveIf(number)
	case pmetric.MetricTypeHistogram:
		for _, p := range m.Histogram().DataPoints().All() {
			c.mend(p.Attributes(), f)
		}
	case pmetric.MetricTypeExponentialHistogram:
		m.ExponentialHistogram().DataPoints().RemoveIf(func(p pmetric.ExponentialHistogramDataPoint) bool {
			if coarse(p) {
				f.leave(m, coarseScale, 1)
				return true
			}
			c.mend(p.Attributes(), f)
			return false
		})
	case pmetric.MetricTypeSummary:
		for _, p := range m.Summary().DataPoints().All() {
			c.mend(p.Attributes(), f)
		}
	case pmetric.MetricTypeEmpty:
	}
	return pointsOf(m) == 0
}

func (f *findings) leave(m pmetric.Metric, why unsent, points int) {
	f.points[why] += points
	if points > 0 && f.metric == "" {
		f.metric = m.Name()
	}
}

func valueless(p pmetric.NumberDataPoint) bool {
	return p.ValueType() == pmetric.NumberDataPointValueTypeEmpty && !p.Flags().NoRecordedValue()
}

func coarse(p pmetric.ExponentialHistogramDataPoint) bool { return p.Scale() < minScale }

func (c *cleaner) fineAttributes(attributes pcommon.Map) bool {
	for key, value := range attributes.All() {
		if c.badKey(key) || badValue(value) {
			return false
		}
	}
	return true
}

func (c *cleaner) mend(attributes pcommon.Map, f *findings) {
	attributes.RemoveIf(func(key string, value pcommon.Value) bool {
		if c.badKey(key) {
			f.mended[mendKey]++
			return true
		}
		if badValue(value) {
			f.mended[mendUTF8]++
			value.SetStr(strings.ToValidUTF8(value.Str(), "\uFFFD"))
		}
		return false
	})
}

// badKey says that a key makes no label name. Those that begin with a letter do, and nearly all begin so.
func (c *cleaner) badKey(key string) bool {
	if key != "" && (key[0]|0x20 >= 'a' && key[0]|0x20 <= 'z') {
		return false
	}
	_, err := c.labels.Build(key)
	return err != nil
}

func badValue(value pcommon.Value) bool {
	return value.Type() == pcommon.ValueTypeStr && !utf8.ValidString(value.Str())
}
