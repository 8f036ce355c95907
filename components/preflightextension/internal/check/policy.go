package check

import (
	"slices"
	"strings"
)

// Accept names findings that are meant to be.
type Accept struct {
	Check ID
	At    string // * stands for any text
}

// Policy is what becomes of findings.
type Policy struct {
	FailOn []ID
	Accept []Accept
}

// Open are the findings that nobody has accepted.
func (p Policy) Open(list []Finding) []Finding {
	return slices.DeleteFunc(slices.Clone(list), func(f Finding) bool {
		return slices.ContainsFunc(p.Accept, func(a Accept) bool { return a.Check == f.Check && matches(a.At, f.At) })
	})
}

// Fatal are those of them that keep a collector from starting.
func (p Policy) Fatal(open []Finding) []Finding {
	return slices.DeleteFunc(slices.Clone(open), func(f Finding) bool { return !slices.Contains(p.FailOn, f.Check) })
}

// matches knows no other sign than *.
func matches(pattern, s string) bool {
	first, rest, found := strings.Cut(pattern, "*")
	if !found {
		return pattern == s
	}
	s, found = strings.CutPrefix(s, first)
	for found {
		if rest == "" {
			return true
		}
		var part string
		part, next, more := strings.Cut(rest, "*")
		if !more {
			return strings.HasSuffix(s, part)
		}
		_, s, found = strings.Cut(s, part)
		rest = next
	}
	return false
}
