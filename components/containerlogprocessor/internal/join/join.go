// Package join holds what is known of one stream of one container between two lines: the pieces of a record whose end has not been
// read yet, and how far the stream has been taken, so that lines that are read again after a crash are known.
package join

import (
	"strings"
	"time"
	"unicode/utf8"

	"github.com/cespare/xxhash/v2"

	"github.com/sluice-otel/sluice/components/containerlogprocessor/internal/line"
)

// Position is a line's place in its file, and enough of the line to know the file by.
type Position struct {
	Offset int64  `json:"offset"`
	Length int    `json:"length"`
	Hash   uint64 `json:"hash"`
}

// At is the position of a raw line.
func At(offset int64, raw string) Position {
	return Position{Offset: offset, Length: len(raw), Hash: xxhash.Sum64String(raw)}
}

// Is tells whether data, read at the position, is its line.
func (p Position) Is(data []byte) bool { return len(data) == p.Length && xxhash.Sum64(data) == p.Hash }

// Stream is stdout or stderr of one run of a container. The zero value is ready to use.
type Stream struct {
	// Time, Format and Attrs are those of the held record's first line.
	Time   int64
	Format line.Format
	Attrs  []line.Attr
	// Touched is when the last line was added.
	Touched time.Time
	// Continued: a piece of the record has been forced out, the lines up to its end belong to that.
	Continued bool

	// The first line shares memory with what was read; only a second one makes a copy of both.
	first string
	rest  strings.Builder
	held  bool
}

// Held tells whether there is a record without its end.
func (s *Stream) Held() bool { return s.held }

// Size is the length of what is held, in bytes.
func (s *Stream) Size() int {
	if s.rest.Len() > 0 {
		return s.rest.Len()
	}
	return len(s.first)
}

// Add takes a line that the next one of the stream goes on from, or the last one.
func (s *Stream) Add(l *line.Line, now time.Time) {
	s.Touched = now
	switch {
	case !s.held:
		s.held, s.Time, s.Format, s.Attrs, s.first = true, l.Time, l.Format, l.Attrs, l.Content
		return
	case s.rest.Len() == 0:
		s.rest.Grow(len(s.first) + len(l.Content))
		s.rest.WriteString(s.first)
		s.first = ""
	}
	s.rest.WriteString(l.Content)
}

// Text is what is held, joined.
func (s *Stream) Text() string {
	if s.rest.Len() > 0 {
		return s.rest.String()
	}
	return s.first
}

// Restore takes what a run of the collector before this one held.
func (s *Stream) Restore(text string, at int64, attrs []line.Attr, now time.Time) {
	s.held, s.first, s.Time, s.Attrs, s.Touched = true, text, at, attrs, now
}

// Piece is what of it can be sent before its end is known: all but a character that may be cut in two, unless there is nothing else.
func (s *Stream) Piece() string {
	text := s.Text()
	for n := 1; n < utf8.UTFMax && n < len(text); n++ {
		start := len(text) - n
		if utf8.RuneStart(text[start]) {
			if !utf8.FullRuneInString(text[start:]) {
				return text[:start]
			}
			break
		}
	}
	return text
}

// Sent drops a piece; the character that was left out is the beginning of the next one.
func (s *Stream) Sent(piece string) {
	rest := strings.Clone(s.Text()[len(piece):])
	s.rest.Reset()
	s.held, s.first = rest != "", rest
}

// Drop forgets what is held.
func (s *Stream) Drop() {
	s.held, s.first, s.Attrs = false, "", nil
	s.rest.Reset()
}
