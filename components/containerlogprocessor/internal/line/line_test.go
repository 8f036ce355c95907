package line

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
)

const (
	stamp      = "2026-03-01T10:20:30.123456789Z"
	stampNanos = 1772360430123456789
)

// dirtyLine is one that was used before: Parse must leave nothing of it.
func dirtyLine() Line {
	return Line{Time: 7, Content: "old", Attrs: []Attr{{"old", "old"}}, NULs: 9, Stream: Stderr, Format: Docker, Partial: true}
}

func parse(raw string) (Line, Reason) {
	l := dirtyLine()
	reason := Parse(raw, &l)
	return l, reason
}

// reads expects a readable line.
func reads(t *testing.T, raw string, want Line) {
	t.Helper()
	got, reason := parse(raw)
	assert.Equal(t, "readable", reason.String(), "%q", raw)
	assert.Equal(t, want, got, "%q", raw)
}

// refuses expects a line that is not readable, of which no more than the format is known.
func refuses(t *testing.T, raw string, format Format, want Reason) {
	t.Helper()
	got, reason := parse(raw)
	assert.Equal(t, want.String(), reason.String(), "%q", raw)
	assert.Equal(t, Line{Format: format}, got, "%q", raw)
}

func TestUnknownFormat(t *testing.T) {
	f := func(raw string) {
		t.Helper()
		refuses(t, raw, NoFormat, UnknownFormat)
	}
	f("")
	f("panic: runtime error")
	f(" " + stamp + " stdout F x")
	f("-0001-01-01T00:00:00Z stdout F x")
	f("+2026-03-01T10:20:30Z stdout F x")
	f("\ufeff" + stamp + " stdout F x")
	f("[1]")
	f(" {}")
	f("\r")
	f("\xff\xff")
	f("/")
	f(":")
}

// A power loss leaves a run of NULs where the file had grown but its data was not yet written.
func TestNULs(t *testing.T) {
	run := strings.Repeat("\x00", 4096)
	reads(t, run+stamp+" stdout F x", Line{Time: stampNanos, Content: "x", NULs: 4096, Stream: Stdout, Format: CRI})
	reads(t, run+`{"log":"x\n","stream":"stdout","time":"`+stamp+`"}`,
		Line{Time: stampNanos, Content: "x", NULs: 4096, Stream: Stdout, Format: Docker})
	// Inside of the content they are content.
	reads(t, stamp+" stdout F \x00a\x00", Line{Time: stampNanos, Content: "\x00a\x00", Stream: Stdout, Format: CRI})

	f := func(raw string, format Format, want Reason) {
		t.Helper()
		got, reason := parse(raw)
		assert.Equal(t, want.String(), reason.String())
		assert.Equal(t, Line{NULs: 2, Format: format}, got)
	}
	f("\x00\x00", NoFormat, UnknownFormat)
	f("\x00\x00x", NoFormat, UnknownFormat)
	f("\x00\x00{", Docker, Truncated)
	f("\x00\x002026", CRI, Truncated)
	f("\x00\x002026-03-01T10:20\x00:30Z stdout F x", CRI, BadTime)
}

func TestNames(t *testing.T) {
	assert.Equal(t, []string{"", "stdout", "stderr"}, []string{NoStream.String(), Stdout.String(), Stderr.String()})
	assert.Equal(t, []string{"unknown", "cri", "docker"}, []string{NoFormat.String(), CRI.String(), Docker.String()})
	assert.Equal(t, "readable", Readable.String())
	names := []string{}
	for _, r := range Reasons() {
		names = append(names, r.String())
	}
	assert.Equal(t, []string{
		"unknown_format", "truncated", "bad_time", "bad_stream", "bad_tag", "bad_json", "bad_log", "missing_time", "missing_stream",
	}, names)
}
