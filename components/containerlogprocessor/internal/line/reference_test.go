package line

import (
	"encoding/json"
	"errors"
	"math"
	"regexp"
	"slices"
	"strings"
	"time"
	"unicode/utf8"
)

// reference is Parse again, slow and obvious.
func reference(raw string) (Line, Reason) {
	rest := strings.TrimLeft(raw, "\x00")
	failed := Line{NULs: len(raw) - len(rest)}
	read := func(string) (Line, Reason) { return Line{}, UnknownFormat }
	switch {
	case strings.HasPrefix(rest, "{"):
		failed.Format, read = Docker, referenceDocker
	case strings.IndexAny(rest, "0123456789") == 0:
		failed.Format, read = CRI, referenceCRI
	}
	l, reason := read(rest)
	if reason != Readable {
		return failed, reason
	}
	l.NULs, l.Format = failed.NULs, failed.Format
	return l, Readable
}

func referenceCRI(raw string) (l Line, reason Reason) {
	fields := strings.SplitN(raw, " ", 4)
	if len(fields) < 2 {
		return l, Truncated
	}
	nanos, ok := referenceTime(fields[0])
	if !ok {
		return l, BadTime
	}
	if len(fields) < 3 {
		return l, Truncated
	}
	stream := slices.Index([]string{"", "stdout", "stderr"}, fields[1])
	if stream <= 0 {
		return l, BadStream
	}
	if len(fields) == 3 && fields[2] == "" {
		return l, Truncated
	}
	tag := strings.Split(fields[2], ":")[0]
	if tag != "P" && tag != "F" {
		return l, BadTag
	}
	l = Line{Time: nanos, Stream: Stream(stream), Partial: tag == "P"}
	if len(fields) == 4 {
		l.Content = fields[3]
	}
	return l, Readable
}

var rfc3339 = regexp.MustCompile(`^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,9})?(Z|[+-]([01]\d|2[0-3]):[0-5]\d)$`)

func referenceTime(s string) (int64, bool) {
	t, err := time.Parse(time.RFC3339Nano, s)
	if err != nil || !rfc3339.MatchString(s) || t.Before(time.Unix(0, math.MinInt64)) || t.After(time.Unix(0, math.MaxInt64)) {
		return 0, false
	}
	return t.UnixNano(), true
}

func referenceDocker(raw string) (l Line, reason Reason) {
	var object map[string]json.RawMessage
	if err := json.Unmarshal([]byte(raw), &object); err != nil {
		// No JSON has this byte anywhere: when it is the first fault, all before it could have become an object.
		var syntax *json.SyntaxError
		if err := json.Unmarshal([]byte(raw+"\x01"), &object); errors.As(err, &syntax) && syntax.Offset == int64(len(raw)+1) {
			return l, Truncated
		}
		return l, BadJSON
	}
	for key, value := range object {
		if string(value) == "null" && slices.Contains([]string{"log", "stream", "time", "attrs"}, key) {
			delete(object, key)
		}
	}

	var text string
	if object["time"] == nil {
		return l, MissingTime
	}
	if json.Unmarshal(object["time"], &text) != nil {
		return l, BadTime
	}
	nanos, ok := referenceTime(text)
	if !ok {
		return l, BadTime
	}
	if object["stream"] == nil {
		return l, MissingStream
	}
	if json.Unmarshal(object["stream"], &text) != nil {
		return l, BadStream
	}
	stream := slices.Index([]string{"", "stdout", "stderr"}, text)
	if stream <= 0 {
		return l, BadStream
	}
	if log := object["log"]; log != nil {
		if json.Unmarshal(log, &text) != nil {
			return l, BadLog
		}
		text = referenceBytes(string(log))
		l.Content = strings.TrimSuffix(text, "\n")
		l.Partial = !strings.HasSuffix(text, "\n")
	}
	l.Time, l.Stream, l.Attrs = nanos, Stream(stream), referenceAttrs(object)
	return l, Readable
}

// referenceBytes has encoding/json undo the escapes of a valid JSON string, but keep invalid UTF-8: it sees only what lies between.
func referenceBytes(quoted string) string {
	var out, run strings.Builder
	flush := func() {
		var text string
		if err := json.Unmarshal([]byte(`"`+run.String()+`"`), &text); err != nil {
			panic(err)
		}
		out.WriteString(text)
		run.Reset()
	}
	body := quoted[1 : len(quoted)-1]
	for body != "" {
		_, size := utf8.DecodeRuneInString(body)
		if utf8.ValidString(body[:size]) {
			run.WriteString(body[:size])
		} else {
			flush()
			out.WriteString(body[:size])
		}
		body = body[size:]
	}
	flush()
	return out.String()
}

func referenceAttrs(object map[string]json.RawMessage) (attrs []Attr) {
	add := func(prefix string, members map[string]json.RawMessage) {
		for key, value := range members {
			var text any
			if err := json.Unmarshal(value, &text); err == nil {
				if s, ok := text.(string); ok {
					attrs = append(attrs, Attr{prefix + key, s})
					continue
				}
			}
			attrs = append(attrs, Attr{prefix + key, strings.ToValidUTF8(string(value), "\uFFFD")})
		}
	}
	var members map[string]json.RawMessage
	if json.Unmarshal(object["attrs"], &members) == nil {
		delete(object, "attrs")
		add("docker.attrs.", members)
	}
	for _, known := range []string{"log", "stream", "time"} {
		delete(object, known)
	}
	add("docker.", object)
	slices.SortFunc(attrs, func(a, b Attr) int {
		return strings.Compare(a.Key+"\x00"+a.Value, b.Key+"\x00"+b.Value)
	})
	return attrs
}
