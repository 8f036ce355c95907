package harness

import (
	"encoding/binary"
	"fmt"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/pmetric"
	"go.opentelemetry.io/collector/pdata/ptrace"
)

// scopeName is the scope of everything built here.
const scopeName = "sluice/e2e"

// mix is the finalizer of splitmix64: adjacent seeds get ids that a sampler or a hash ring tells apart.
func mix(x uint64) uint64 {
	x += 0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

// TraceID is the same for the same seed, and otherwise as good as random.
func TraceID(seed uint64) (id pcommon.TraceID) {
	binary.BigEndian.PutUint64(id[:8], mix(2*seed))
	binary.BigEndian.PutUint64(id[8:], mix(2*seed+1))
	return id
}

// SpanID is the same for the same seed, and otherwise as good as random.
func SpanID(seed uint64) (id pcommon.SpanID) {
	binary.BigEndian.PutUint64(id[:], mix(seed))
	return id
}

// Span is a span to send.
type Span struct {
	TraceID       pcommon.TraceID
	SpanID        pcommon.SpanID // a fresh one when empty
	Parent        pcommon.SpanID
	Service, Name string
	Kind          ptrace.SpanKind // internal when unspecified
	Start         time.Time       // Duration ago when zero
	Duration      time.Duration
	Error         bool
	TraceState    string
	Attrs         map[string]any
	ResourceAttrs map[string]any
}

var freshID atomic.Uint64

func (s Span) withDefaults() Span {
	if s.SpanID.IsEmpty() {
		s.SpanID = SpanID(1<<63 | freshID.Add(1)) // away from the small seeds that tests choose
	}
	if s.Kind == ptrace.SpanKindUnspecified {
		s.Kind = ptrace.SpanKindInternal
	}
	if s.Start.IsZero() {
		s.Start = time.Now().Add(-s.Duration)
	}
	return s
}

// Traces builds what an exporter would send: the spans grouped by resource.
func Traces(spans ...Span) ptrace.Traces {
	data := ptrace.NewTraces()
	groups := map[string]ptrace.SpanSlice{}
	for _, s := range spans {
		s = s.withDefaults()
		key := resourceKey(s.Service, s.ResourceAttrs)
		group, ok := groups[key]
		if !ok {
			rs := data.ResourceSpans().AppendEmpty()
			setResource(rs.Resource(), s.Service, s.ResourceAttrs)
			ss := rs.ScopeSpans().AppendEmpty()
			ss.Scope().SetName(scopeName)
			group = ss.Spans()
			groups[key] = group
		}
		span := group.AppendEmpty()
		span.SetTraceID(s.TraceID)
		span.SetSpanID(s.SpanID)
		span.SetParentSpanID(s.Parent)
		span.TraceState().FromRaw(s.TraceState)
		span.SetName(s.Name)
		span.SetKind(s.Kind)
		span.SetStartTimestamp(pcommon.NewTimestampFromTime(s.Start))
		span.SetEndTimestamp(pcommon.NewTimestampFromTime(s.Start.Add(s.Duration)))
		setAttrs(span.Attributes(), s.Attrs)
		if s.Error {
			span.Status().SetCode(ptrace.StatusCodeError)
		}
	}
	return data
}

// Log is a log record to send.
type Log struct {
	Service       string
	Body          any // string, map[string]any, …
	Severity      plog.SeverityNumber
	SeverityText  string
	Time          time.Time // now when zero
	TraceID       pcommon.TraceID
	SpanID        pcommon.SpanID
	Attrs         map[string]any
	ResourceAttrs map[string]any
}

// Logs builds what an exporter would send: the records grouped by resource.
func Logs(logs ...Log) plog.Logs {
	data := plog.NewLogs()
	groups := map[string]plog.LogRecordSlice{}
	for _, l := range logs {
		key := resourceKey(l.Service, l.ResourceAttrs)
		group, ok := groups[key]
		if !ok {
			rl := data.ResourceLogs().AppendEmpty()
			setResource(rl.Resource(), l.Service, l.ResourceAttrs)
			sl := rl.ScopeLogs().AppendEmpty()
			sl.Scope().SetName(scopeName)
			group = sl.LogRecords()
			groups[key] = group
		}
		if l.Time.IsZero() {
			l.Time = time.Now()
		}
		r := group.AppendEmpty()
		must(r.Body().FromRaw(l.Body))
		r.SetSeverityNumber(l.Severity)
		r.SetSeverityText(l.SeverityText)
		r.SetTimestamp(pcommon.NewTimestampFromTime(l.Time))
		r.SetObservedTimestamp(pcommon.NewTimestampFromTime(l.Time))
		r.SetTraceID(l.TraceID)
		r.SetSpanID(l.SpanID)
		setAttrs(r.Attributes(), l.Attrs)
	}
	return data
}

// Sample is a value of a gauge, or of a cumulative counter, to send.
type Sample struct {
	Service, Name, Unit string
	Counter             bool
	Value               float64
	Start, Time         time.Time // Time is now when zero; Start stays unset
	Attrs               map[string]any
	ResourceAttrs       map[string]any
}

// Metrics builds what an exporter would send: the samples grouped by resource; samples of one name share a metric.
func Metrics(samples ...Sample) pmetric.Metrics {
	data := pmetric.NewMetrics()
	groups := map[string]pmetric.MetricSlice{}
	points := map[string]pmetric.NumberDataPointSlice{}
	for _, s := range samples {
		key := resourceKey(s.Service, s.ResourceAttrs)
		group, ok := groups[key]
		if !ok {
			rm := data.ResourceMetrics().AppendEmpty()
			setResource(rm.Resource(), s.Service, s.ResourceAttrs)
			sm := rm.ScopeMetrics().AppendEmpty()
			sm.Scope().SetName(scopeName)
			group = sm.Metrics()
			groups[key] = group
		}
		metricKey := fmt.Sprint(key, "\x00", s.Name, "\x00", s.Unit, s.Counter)
		if _, ok := points[metricKey]; !ok {
			points[metricKey] = newMetric(group.AppendEmpty(), s)
		}
		if s.Time.IsZero() {
			s.Time = time.Now()
		}
		dp := points[metricKey].AppendEmpty()
		dp.SetDoubleValue(s.Value)
		dp.SetTimestamp(pcommon.NewTimestampFromTime(s.Time))
		if !s.Start.IsZero() {
			dp.SetStartTimestamp(pcommon.NewTimestampFromTime(s.Start))
		}
		setAttrs(dp.Attributes(), s.Attrs)
	}
	return data
}

func newMetric(m pmetric.Metric, s Sample) pmetric.NumberDataPointSlice {
	m.SetName(s.Name)
	m.SetUnit(s.Unit)
	if !s.Counter {
		return m.SetEmptyGauge().DataPoints()
	}
	m.SetEmptySum().SetIsMonotonic(true)
	m.Sum().SetAggregationTemporality(pmetric.AggregationTemporalityCumulative)
	return m.Sum().DataPoints()
}

// resourceKey tells resources apart: fmt prints maps in the order of their keys.
func resourceKey(service string, attrs map[string]any) string {
	return fmt.Sprintf("%q %#v", service, attrs)
}

func setResource(r pcommon.Resource, service string, attrs map[string]any) {
	setAttrs(r.Attributes(), attrs)
	if service != "" {
		r.Attributes().PutStr("service.name", service)
	}
}

func setAttrs(m pcommon.Map, attrs map[string]any) {
	if len(attrs) > 0 {
		must(m.FromRaw(attrs))
	}
}

// must is for values that a test wrote: one of a type that OTLP does not have is a mistake in the test.
func must(err error) {
	if err != nil {
		panic(err)
	}
}
