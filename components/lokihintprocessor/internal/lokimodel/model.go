// Package lokimodel is what Loki 3.7 makes of OTLP logs, without a Loki: the oracle of the processor's tests, and what the command shows.
// An end-to-end test holds it against a running Loki. It leaves out what Loki adds by itself (detected_level) and what depends on earlier
// requests (rates, the number of streams, entries too far behind their stream).
package lokimodel

import (
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"
)

// Settings are Loki's.
type Settings struct {
	// Index are the resource attributes that become labels: exact keys.
	Index []string
	// Drop are attributes of resources and records that Loki throws away before anything else.
	Drop []string
	// DiscoverServiceName are labels that stand in for a missing service_name.
	DiscoverServiceName []string
	// MaxLabels bounds the labels of a stream, without service_name.
	MaxLabels int
	// MaxLabelNameBytes and MaxLabelValueBytes bound a label.
	MaxLabelNameBytes, MaxLabelValueBytes int
	// MaxLineBytes bounds a line.
	MaxLineBytes int
	// MaxMetadataBytes and MaxMetadataPairs bound the structured metadata of an entry.
	MaxMetadataBytes, MaxMetadataPairs int
	// MaxAge and MaxFuture bound an entry's time, as seen from Now.
	MaxAge, MaxFuture time.Duration
	// Now is the time of entries without one. Zero: no entry is too old or too new.
	Now time.Time
}

// Defaults are Loki's own limits with an index.
func Defaults(index []string) Settings {
	return Settings{
		Index: index,
		DiscoverServiceName: []string{
			"service", "app", "application", "app_name", "name", "app_kubernetes_io_name", "container", "container_name", "k8s_container_name",
			"component", "workload", "job", "k8s_job_name",
		},
		MaxLabels: 15, MaxLabelNameBytes: 1024, MaxLabelValueBytes: 2048, MaxLineBytes: 256 << 10, MaxMetadataBytes: 64 << 10, MaxMetadataPairs: 128,
		MaxAge: 7 * 24 * time.Hour, MaxFuture: 10 * time.Minute,
	}
}

// Reason is why Loki does not store an entry; mostly what loki_discarded_samples_total calls it.
type Reason string

// The reasons. All but InvalidUTF8 are answered with 400, which makes an exporter report the whole batch as lost.
const (
	// InvalidUTF8 is a label's value that is not UTF-8: the resource is skipped, and nobody is told.
	InvalidUTF8 Reason = "invalid_utf8"
	// InvalidLabels is a label's value with U+FFFD in it, which Loki cannot read back.
	InvalidLabels     Reason = "invalid_labels"
	NoLabels          Reason = "missing_labels"
	TooManyLabels     Reason = "max_label_names_per_series"
	LabelNameTooLong  Reason = "label_name_too_long"
	LabelValueTooLong Reason = "label_value_too_long"
	TooOld            Reason = "greater_than_max_sample_age"
	TooNew            Reason = "too_far_in_future"
	LineTooLong       Reason = "line_too_long"
	MetadataTooLarge  Reason = "structured_metadata_too_large"
	MetadataTooMany   Reason = "structured_metadata_too_many"
)

// Result is what becomes of a request.
type Result struct {
	// Refused says why Loki stores nothing of the request; empty when it does.
	Refused string
	// Entries has one for each log record, in their order. None when the request is refused.
	Entries []Entry
}

// Entry is what becomes of a record.
type Entry struct {
	// Labels are the stream's; entries of a resource share the map.
	Labels map[string]string
	// Metadata is sorted by name; values of the same name are in the order record, resource, scope. Queries do not show empty ones.
	Metadata []Pair
	// Line is the body.
	Line string
	// Time is the record's.
	Time time.Time
	// Refused says why the entry is not stored; empty when it is.
	Refused Reason
}

// Pair is a name with a value.
type Pair struct{ Name, Value string }

// Store says what Loki makes of a request.
func (s Settings) Store(ld plog.Logs) Result {
	var r Result
	streams := false
	for _, rl := range ld.ResourceLogs().All() {
		known, err := s.storeResource(&r, rl)
		if err != nil {
			return Result{Refused: err.Error()}
		}
		streams = streams || known
	}
	if !streams || len(r.Entries) == 0 {
		return Result{Refused: "error at least one valid stream is required for ingestion"}
	}
	return r
}

// storeResource says whether Loki knows of a stream then: none comes of a resource that it skips.
func (s Settings) storeResource(r *Result, rl plog.ResourceLogs) (bool, error) {
	labels, metadata, err := s.resource(rl.Resource().Attributes())
	if err != nil {
		return false, err
	}
	known := len(labels) > 0
	reason := s.refuseLabels(labels)
	maps.DeleteFunc(labels, func(_, value string) bool { return value == "" })
	for _, sl := range rl.ScopeLogs().All() {
		var ofScope []Pair
		if reason != InvalidUTF8 {
			if ofScope, err = s.scope(sl.Scope()); err != nil {
				return false, err
			}
		}
		for _, lr := range sl.LogRecords().All() {
			e := Entry{Labels: labels, Line: lr.Body().AsString(), Time: s.time(lr), Refused: reason}
			if reason != InvalidUTF8 {
				own, err := s.record(lr)
				if err != nil {
					return false, err
				}
				e.Metadata = slices.Concat(own, metadata, ofScope)
				known = true
			}
			if e.Refused == "" {
				e.Refused = s.refuseEntry(&e)
			}
			tidy(e.Metadata)
			r.Entries = append(r.Entries, e)
		}
	}
	return known && reason != InvalidUTF8, nil
}

// resource tells labels from metadata. The label service_name is guessed when the attribute is missing or empty.
func (s Settings) resource(attrs pcommon.Map) (map[string]string, []Pair, error) {
	labels := map[string]string{}
	var metadata []Pair
	service, known := attrs.Get("service.name")
	known = known && service.AsString() != ""
	for key, value := range attrs.All() {
		if slices.Contains(s.Drop, key) {
			continue
		}
		pairs, err := flatten(nil, key, value)
		if err != nil {
			return nil, nil, err
		}
		if !slices.Contains(s.Index, key) {
			metadata = append(metadata, pairs...)
			continue
		}
		for _, p := range pairs {
			labels[p.Name] = p.Value
			if !known && slices.Contains(s.DiscoverServiceName, p.Name) {
				known = true
				labels[serviceName] = p.Value
			}
		}
	}
	if !known && len(s.DiscoverServiceName) > 0 {
		labels[serviceName] = "unknown_service"
	}
	return labels, metadata, nil
}

const serviceName = "service_name"

func (s Settings) scope(scope pcommon.InstrumentationScope) ([]Pair, error) {
	var pairs []Pair
	for key, value := range scope.Attributes().All() {
		var err error
		if pairs, err = flatten(pairs, key, value); err != nil {
			return nil, err
		}
	}
	pairs = appendSet(pairs, "scope_name", scope.Name())
	pairs = appendSet(pairs, "scope_version", scope.Version())
	return appendCount(pairs, "scope_dropped_attributes_count", uint64(scope.DroppedAttributesCount())), nil
}

func (s Settings) record(lr plog.LogRecord) ([]Pair, error) {
	var pairs []Pair
	for key, value := range lr.Attributes().All() {
		if slices.Contains(s.Drop, key) {
			continue
		}
		var err error
		if pairs, err = flatten(pairs, key, value); err != nil {
			return nil, err
		}
	}
	if lr.Timestamp() != 0 {
		pairs = appendCount(pairs, "observed_timestamp", uint64(lr.ObservedTimestamp()))
	}
	if n := lr.SeverityNumber(); n != plog.SeverityNumberUnspecified {
		pairs = append(pairs, Pair{"severity_number", strconv.Itoa(int(n))})
	}
	pairs = appendSet(pairs, "severity_text", lr.SeverityText())
	pairs = appendCount(pairs, "dropped_attributes_count", uint64(lr.DroppedAttributesCount()))
	pairs = appendCount(pairs, "flags", uint64(lr.Flags()))
	pairs = appendSet(pairs, "trace_id", lr.TraceID().String())
	return appendSet(pairs, "span_id", lr.SpanID().String()), nil
}

func (s Settings) time(lr plog.LogRecord) time.Time {
	switch {
	case lr.Timestamp() != 0:
		return lr.Timestamp().AsTime()
	case lr.ObservedTimestamp() != 0:
		return lr.ObservedTimestamp().AsTime()
	}
	return s.Now
}

// Selector is the stream in LogQL.
func (e *Entry) Selector() string {
	var b strings.Builder
	for i, name := range slices.Sorted(maps.Keys(e.Labels)) {
		if i > 0 {
			b.WriteString(", ")
		}
		b.WriteString(name + "=" + strconv.Quote(e.Labels[name]))
	}
	return "{" + b.String() + "}"
}
