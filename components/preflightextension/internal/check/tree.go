package check

import (
	"encoding"
	"fmt"
	"reflect"
	"strconv"
	"strings"
	"time"
)

// Values come from YAML or from the collector's own encoding of its configuration: the same setting may be a string, a number or a type
// of its own. What cannot be read is like what is not there; no value may make a check fail.

// asMap is the value as a map; nil when it is none.
func asMap(v any) map[string]any {
	switch m := v.(type) {
	case map[string]any:
		return m
	case map[any]any:
		out := make(map[string]any, len(m))
		for k, v := range m {
			out[fmt.Sprint(k)] = v
		}
		return out
	}
	return nil
}

// at walks nested maps; nil when a step is missing.
func at(v any, path ...string) any {
	for _, key := range path {
		v = asMap(v)[key]
	}
	return v
}

// texts is a list of strings.
func texts(v any) []string {
	switch list := v.(type) {
	case []string:
		return list
	case []any:
		out := make([]string, 0, len(list))
		for _, e := range list {
			if s := text(e); s != "" {
				out = append(out, s)
			}
		}
		return out
	}
	return nil
}

// text is the value as a string; empty when it has none.
func text(v any) string {
	switch s := v.(type) {
	case nil:
		return ""
	case string:
		return s
	case encoding.TextMarshaler:
		if r := reflect.ValueOf(v); r.Kind() == reflect.Pointer && r.IsNil() {
			return ""
		}
		if b, err := s.MarshalText(); err == nil {
			return string(b)
		}
	}
	return ""
}

// number is a whole number.
func number(v any) (n int64, ok bool) {
	r := reflect.ValueOf(v)
	switch {
	case !r.IsValid():
		return 0, false
	case r.CanInt():
		return r.Int(), true
	case r.CanUint():
		return int64(min(r.Uint(), 1<<62)), true
	case r.CanFloat():
		return int64(r.Float()), true
	case r.Kind() == reflect.String:
		n, err := strconv.ParseInt(strings.ReplaceAll(r.String(), "_", ""), 0, 64)
		return n, err == nil
	}
	return 0, false
}

// duration also takes a bare number, of nanoseconds.
func duration(v any) (d time.Duration, ok bool) {
	if s, isText := v.(string); isText {
		if d, err := time.ParseDuration(s); err == nil {
			return d, true
		}
	}
	n, ok := number(v)
	return time.Duration(n), ok
}

// truth is a boolean; ok is false when there is none.
func truth(v any) (b, ok bool) {
	switch b := v.(type) {
	case bool:
		return b, true
	case string:
		t, err := strconv.ParseBool(b)
		return t, err == nil
	}
	return false, false
}

// size is the number of elements of a list or map.
func size(v any) int {
	r := reflect.ValueOf(v)
	if r.IsValid() && (r.Kind() == reflect.Slice || r.Kind() == reflect.Map) {
		return r.Len()
	}
	return 0
}

// typeOf is a component's type: what stands before the slash.
func typeOf(id string) string {
	kind, _, _ := strings.Cut(id, "/")
	return kind
}

// nameOf is what stands after it.
func nameOf(id string) string {
	_, name, _ := strings.Cut(id, "/")
	return name
}
