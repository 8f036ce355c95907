package harness

import (
	"time"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/ptrace"
)

// Origin is what a record, span or point shares with those around it.
type Origin struct {
	Resource     map[string]any
	Scope        string
	ScopeVersion string
	ScopeAttrs   map[string]any
}

// LogRecord is a log record with what surrounds it. Ids are in hex, and empty when unset; so are times that are zero.
type LogRecord struct {
	Origin
	Attrs          map[string]any
	Body           string // BodyValue as text; JSON for maps and lists
	BodyValue      any
	SeverityText   string
	SeverityNumber int
	EventName      string
	Time, Observed time.Time
	TraceID        string
	SpanID         string
}

// SpanRecord is a span with what surrounds it.
type SpanRecord struct {
	Origin
	Attrs         map[string]any
	Name          string
	Kind          string // "Server", "Client", "Internal", "Producer", "Consumer", "Unspecified"
	TraceID       string
	SpanID        string
	Parent        string
	TraceState    string
	Start, End    time.Time
	Status        string // "Unset", "Ok", "Error"
	StatusMessage string
	Events        []SpanEvent
	Links         []SpanLink
}

// SpanEvent is an event of a span.
type SpanEvent struct {
	Name  string
	Time  time.Time
	Attrs map[string]any
}

// SpanLink is a link of a span to another one.
type SpanLink struct {
	TraceID, SpanID string
	Attrs           map[string]any
}

func origin(r pcommon.Resource, s pcommon.InstrumentationScope) Origin {
	return Origin{
		Resource: r.Attributes().AsRaw(), Scope: s.Name(), ScopeVersion: s.Version(), ScopeAttrs: s.Attributes().AsRaw(),
	}
}

// moment keeps the zero timestamp a zero time; AsTime would make it 1970.
func moment(ts pcommon.Timestamp) time.Time {
	if ts == 0 {
		return time.Time{}
	}
	return ts.AsTime()
}

func flattenLogs(data plog.Logs) []LogRecord {
	var list []LogRecord
	for _, rl := range data.ResourceLogs().All() {
		for _, sl := range rl.ScopeLogs().All() {
			from := origin(rl.Resource(), sl.Scope())
			for _, r := range sl.LogRecords().All() {
				list = append(list, LogRecord{
					Origin:         from,
					Attrs:          r.Attributes().AsRaw(),
					Body:           r.Body().AsString(),
					BodyValue:      r.Body().AsRaw(),
					SeverityText:   r.SeverityText(),
					SeverityNumber: int(r.SeverityNumber()),
					EventName:      r.EventName(),
					Time:           moment(r.Timestamp()),
					Observed:       moment(r.ObservedTimestamp()),
					TraceID:        r.TraceID().String(),
					SpanID:         r.SpanID().String(),
				})
			}
		}
	}
	return list
}

func flattenTraces(data ptrace.Traces) []SpanRecord {
	var list []SpanRecord
	for _, rs := range data.ResourceSpans().All() {
		for _, ss := range rs.ScopeSpans().All() {
			from := origin(rs.Resource(), ss.Scope())
			for _, s := range ss.Spans().All() {
				list = append(list, flattenSpan(from, s))
			}
		}
	}
	return list
}

func flattenSpan(from Origin, s ptrace.Span) SpanRecord {
	r := SpanRecord{
		Origin:        from,
		Attrs:         s.Attributes().AsRaw(),
		Name:          s.Name(),
		Kind:          s.Kind().String(),
		TraceID:       s.TraceID().String(),
		SpanID:        s.SpanID().String(),
		Parent:        s.ParentSpanID().String(),
		TraceState:    s.TraceState().AsRaw(),
		Start:         moment(s.StartTimestamp()),
		End:           moment(s.EndTimestamp()),
		Status:        s.Status().Code().String(),
		StatusMessage: s.Status().Message(),
	}
	for _, e := range s.Events().All() {
		r.Events = append(r.Events, SpanEvent{Name: e.Name(), Time: moment(e.Timestamp()), Attrs: e.Attributes().AsRaw()})
	}
	for _, l := range s.Links().All() {
		r.Links = append(r.Links, SpanLink{
			TraceID: l.TraceID().String(), SpanID: l.SpanID().String(), Attrs: l.Attributes().AsRaw(),
		})
	}
	return r
}
