package line

import "strings"

// parseCRI reads `<time> <stream> <tag>[:<tag>…][ <content>]`. Exactly one space separates; all behind the last one is content.
func parseCRI(raw string, l *Line) Reason {
	nanos, n := parseTime(raw)
	if n == 0 || n == len(raw) || raw[n] != ' ' {
		return fieldFault(raw, BadTime)
	}
	rest := raw[n+1:]

	var stream Stream
	switch {
	case strings.HasPrefix(rest, "stdout "):
		stream = Stdout
	case strings.HasPrefix(rest, "stderr "):
		stream = Stderr
	default:
		return fieldFault(rest, BadStream)
	}
	rest = rest[len("stdout "):]

	if rest == "" {
		return Truncated
	}
	if rest[0] != 'F' && rest[0] != 'P' {
		return BadTag
	}
	partial := rest[0] == 'P'
	rest = rest[1:]
	// Only the first tag has a meaning so far; the rest is room that the CRI left for later ones.
	if rest != "" && rest[0] == ':' {
		rest = rest[tagEnd(rest):]
	}
	// CRI-O ends the last, empty line of a container without the separator.
	if rest != "" {
		if rest[0] != ' ' {
			return BadTag
		}
		rest = rest[1:]
	}
	l.Time, l.Stream, l.Partial, l.Content = nanos, stream, partial, rest
	return Readable
}

// fieldFault is why the field at the start of s is not readable: one that no space closes was cut off.
func fieldFault(s string, fault Reason) Reason {
	if strings.IndexByte(s, ' ') < 0 {
		return Truncated
	}
	return fault
}

func tagEnd(s string) int {
	if i := strings.IndexByte(s, ' '); i >= 0 {
		return i
	}
	return len(s)
}
