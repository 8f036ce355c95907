package line

import (
	"strings"
	"unicode/utf8"
)

// usualDocker reads a line as Docker's encoder writes it: the known keys in one order, without blanks. It says false on any surprise,
// also on one that is an error, and leaves l alone then: anyDocker decides.
func usualDocker(raw string, l *Line) bool {
	var (
		content string
		partial bool
	)
	rest, ok := strings.CutPrefix(raw, `{"log":"`)
	if ok {
		if content, partial, rest, ok = cutLog(rest); !ok {
			return false
		}
		rest, ok = strings.CutPrefix(rest, `,"stream":"`)
	} else {
		rest, ok = strings.CutPrefix(raw, `{"stream":"`)
	}
	if !ok {
		return false
	}

	var stream Stream
	switch {
	case strings.HasPrefix(rest, `stdout"`):
		stream = Stdout
	case strings.HasPrefix(rest, `stderr"`):
		stream = Stderr
	default:
		return false
	}
	rest = rest[len(`stdout"`):]

	// Only a container with log options such as "labels" has attrs.
	var attrs []Attr
	if members, found := strings.CutPrefix(rest, `,"attrs":{`); found {
		if attrs, rest, ok = cutAttrs(members); !ok {
			return false
		}
	}
	if rest, ok = strings.CutPrefix(rest, `,"time":"`); !ok {
		return false
	}
	nanos, n := parseTime(rest)
	if n == 0 || rest[n:] != `"}` {
		return false
	}
	l.Time, l.Stream, l.Partial, l.Content, l.Attrs = nanos, stream, partial, content, attrs
	return true
}

// cutLog reads the log text at the start of s, behind its opening quote, and returns what follows the closing one.
func cutLog(s string) (content string, partial bool, rest string, ok bool) {
	first := firstSpecial(s)
	if strings.HasPrefix(s[first:], `\n"`) {
		return s[:first], false, s[first+len(`\n"`):], true
	}
	end := first
	for end < len(s) && s[end] == '\\' {
		end = special(s, end+2)
	}
	if end >= len(s) || s[end] != '"' {
		return "", false, "", false
	}
	text := s[:end]
	if first < end {
		if text, ok = unescape(text); !ok {
			return "", false, "", false
		}
	}
	content, partial = logText(text)
	return content, partial, s[end+1:], true
}

// logText is what the application wrote. Docker cuts a long line into pieces, of which only the last has the line break.
func logText(text string) (content string, partial bool) {
	content, complete := strings.CutSuffix(text, "\n")
	return content, !complete
}

// cutAttrs reads the members of attrs, behind the opening brace, and returns what follows the closing one.
// Docker sorts the keys; rising keys are also proof that none comes twice. An empty one is left to anyDocker.
func cutAttrs(s string) (attrs []Attr, rest string, ok bool) {
	last := ""
	for {
		key, value := "", ""
		if key, s, ok = cutPlain(s); !ok || key <= last {
			return nil, "", false
		}
		if s, ok = strings.CutPrefix(s, ":"); !ok {
			return nil, "", false
		}
		if value, s, ok = cutPlain(s); !ok || s == "" {
			return nil, "", false
		}
		attrs = append(attrs, Attr{attrsPrefix + key, value})
		last = key
		if s[0] == '}' {
			return attrs, s[1:], true
		}
		if s[0] != ',' {
			return nil, "", false
		}
		s = s[1:]
	}
}

// cutPlain reads a JSON string of ASCII without escapes: neither is there anything to undo nor UTF-8 to check.
func cutPlain(s string) (text, rest string, ok bool) {
	if s == "" || s[0] != '"' {
		return "", "", false
	}
	end := special(s, 1)
	if end == len(s) || s[end] != '"' {
		return "", "", false
	}
	for i := 1; i < end; i++ {
		if s[i] >= utf8.RuneSelf {
			return "", "", false
		}
	}
	return s[1:end], s[end+1:], true
}
