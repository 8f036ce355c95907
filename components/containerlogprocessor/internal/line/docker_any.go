package line

import (
	"encoding/json"
	"errors"
	"io"
	"slices"
	"strings"
)

const (
	keyPrefix   = "docker."
	attrsPrefix = keyPrefix + "attrs."
)

// anyDocker reads every JSON object that says the time and the stream, in any order and layout. Of a key that comes twice the last one wins;
// null is absent.
func anyDocker(raw string, l *Line) Reason {
	var object map[string]json.RawMessage
	dec := json.NewDecoder(strings.NewReader(raw))
	if err := dec.Decode(&object); errors.Is(err, io.ErrUnexpectedEOF) {
		return Truncated
	} else if err != nil {
		return BadJSON
	}
	if strings.Trim(raw[dec.InputOffset():], " \t\r\n") != "" {
		return BadJSON
	}

	text, reason := stringOf(object["time"], MissingTime, BadTime)
	if reason != Readable {
		return reason
	}
	nanos, n := parseTime(text)
	if n == 0 || n != len(text) {
		return BadTime
	}

	text, reason = stringOf(object["stream"], MissingStream, BadStream)
	if reason != Readable {
		return reason
	}
	stream := Stdout
	if text == "stderr" {
		stream = Stderr
	} else if text != "stdout" {
		return BadStream
	}

	// Docker leaves an empty log out.
	content, partial := "", false
	if log := object["log"]; !absent(log) {
		if text, reason = stringOf(log, BadLog, BadLog); reason != Readable {
			return reason
		}
		content, partial = logText(text)
	}
	l.Time, l.Stream, l.Partial, l.Content, l.Attrs = nanos, stream, partial, content, attrsOf(object)
	return Readable
}

// stringOf undoes the escapes of a value itself: encoding/json would replace bytes of a character that Docker cut in two.
func stringOf(value json.RawMessage, missing, wrong Reason) (string, Reason) {
	if absent(value) {
		return "", missing
	}
	if value[0] != '"' {
		return "", wrong
	}
	text, _ := unescape(string(value[1 : len(value)-1])) // the decoder has checked the escapes
	return text, Readable
}

func absent(value json.RawMessage) bool { return len(value) == 0 || string(value) == "null" }

// attrsOf lists the members of attrs and what else is in the object, so that nothing of the line is lost.
func attrsOf(object map[string]json.RawMessage) []Attr {
	var attrs []Attr
	for key, value := range object {
		switch {
		case key == "log" || key == "stream" || key == "time":
		case key == "attrs" && absent(value):
		case key == "attrs" && value[0] == '{':
			var members map[string]json.RawMessage
			_ = json.Unmarshal(value, &members) // it is an object, and every member fits a RawMessage
			for member, v := range members {
				attrs = append(attrs, Attr{attrsPrefix + member, attrValue(v)})
			}
		default:
			attrs = append(attrs, Attr{keyPrefix + key, attrValue(value)})
		}
	}
	// An unknown key "attrs.x" is called like the member x of attrs: both stay, in an order that does not change.
	slices.SortFunc(attrs, func(a, b Attr) int {
		if c := strings.Compare(a.Key, b.Key); c != 0 {
			return c
		}
		return strings.Compare(a.Value, b.Value)
	})
	return attrs
}

// attrValue is a string, or the JSON text of another value. Unlike the content it is valid UTF-8, as an attribute has to be.
func attrValue(value json.RawMessage) string {
	var text string
	if value[0] != '"' || json.Unmarshal(value, &text) != nil {
		text = strings.ToValidUTF8(string(value), "\uFFFD")
	}
	return text
}
