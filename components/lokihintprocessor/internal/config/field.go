package config

import "slices"

// Field is what Loki adds to the structured metadata of a record that has it.
type Field int

// The fields.
const (
	FieldObserved Field = iota
	FieldSeverityNumber
	FieldSeverityText
	FieldTraceID
	FieldSpanID
	FieldFlags
	FieldDropped
	FieldScopeName
	FieldScopeVersion
	FieldScopeDropped
	NumFields
)

var fieldNames = [NumFields]string{
	"observed_timestamp", "severity_number", "severity_text", "trace_id", "span_id", "flags", "dropped_attributes_count",
	"scope_name", "scope_version", "scope_dropped_attributes_count",
}

// String is the field's name in LogQL.
func (f Field) String() string { return fieldNames[f] }

// IsField says whether Loki gives a name to a field.
func IsField(name string) bool {
	return slices.Contains(fieldNames[:], name)
}
