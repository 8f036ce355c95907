package lokihintprocessor

import (
	"encoding/binary"
	"fmt"
	"math"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"
)

// kv is a key and a value, key and value …, in their order. A key may come twice, as it may over the wire.
type kv []any

// attributes are written as they come over the wire: pdata has no other way to give two attributes one key, and does not look at what text is made of.
func attributes(pairs kv) pcommon.Map {
	ld, err := (&plog.ProtoUnmarshaler{}).UnmarshalLogs(sized(nil, 1, sized(nil, 1, keyValues(nil, 1, pairs))))
	if err != nil {
		panic(err)
	}
	return ld.ResourceLogs().At(0).Resource().Attributes()
}

func keyValues(b []byte, number byte, pairs kv) []byte {
	for i := 0; i < len(pairs); i += 2 {
		b = sized(b, number, sized(sized(nil, 1, []byte(pairs[i].(string))), 2, anyValue(pairs[i+1])))
	}
	return b
}

func anyValue(v any) []byte {
	switch v := v.(type) {
	case nil:
		return nil
	case string:
		return sized(nil, 1, []byte(v))
	case bool:
		n := byte(0)
		if v {
			n = 1
		}
		return []byte{2 << 3, n}
	case int:
		return binary.AppendUvarint([]byte{3 << 3}, uint64(v)) //nolint:gosec // as protobuf does it
	case float64:
		return binary.LittleEndian.AppendUint64([]byte{4<<3 | 1}, math.Float64bits(v))
	case []any:
		var list []byte
		for _, e := range v {
			list = sized(list, 1, anyValue(e))
		}
		return sized(nil, 5, list)
	case kv:
		return sized(nil, 6, keyValues(nil, 1, v))
	case []byte:
		return sized(nil, 7, v)
	}
	panic(fmt.Sprintf("%T", v))
}

// sized appends a field of bytes.
func sized(b []byte, number byte, data []byte) []byte {
	return append(binary.AppendUvarint(append(b, number<<3|2), uint64(len(data))), data...)
}

// resource, scope and record are what logs makes a batch of.
type (
	resource struct {
		attrs  kv
		schema string
		scopes []scope
	}
	scope struct {
		name, version string
		attrs         kv
		schema        string
		records       []record
	}
	record struct {
		body  any // x without one
		attrs kv
		level plog.SeverityNumber
		text  string // of the severity
		also  func(plog.LogRecord)
	}
)

func logs(resources ...resource) plog.Logs {
	ld := plog.NewLogs()
	for _, r := range resources {
		rl := ld.ResourceLogs().AppendEmpty()
		attributes(r.attrs).CopyTo(rl.Resource().Attributes())
		rl.SetSchemaUrl(r.schema)
		for _, s := range r.scopes {
			sl := rl.ScopeLogs().AppendEmpty()
			sl.SetSchemaUrl(s.schema)
			sl.Scope().SetName(s.name)
			sl.Scope().SetVersion(s.version)
			attributes(s.attrs).CopyTo(sl.Scope().Attributes())
			for _, lr := range s.records {
				lr.write(sl.LogRecords().AppendEmpty())
			}
		}
	}
	return ld
}

func (r record) write(lr plog.LogRecord) {
	attributes(r.attrs).CopyTo(lr.Attributes())
	lr.SetSeverityNumber(r.level)
	lr.SetSeverityText(r.text)
	if r.body == nil {
		r.body = "x"
	}
	body, _ := attributes(kv{"", r.body}).Get("")
	body.CopyTo(lr.Body())
	if r.also != nil {
		r.also(lr)
	}
}

// one is a resource with one scope with one record, of which the body is x.
func one(ofResource, ofScope, ofRecord kv) plog.Logs {
	return logs(resource{attrs: ofResource, scopes: []scope{{attrs: ofScope, records: []record{{attrs: ofRecord}}}}})
}

// many is a resource with records of one scope.
func many(ofResource kv, records ...record) plog.Logs {
	return logs(resource{attrs: ofResource, scopes: []scope{{records: records}}})
}

func join(batches ...plog.Logs) plog.Logs {
	all := plog.NewLogs()
	for _, ld := range batches {
		ld.ResourceLogs().MoveAndAppendTo(all.ResourceLogs())
	}
	return all
}
