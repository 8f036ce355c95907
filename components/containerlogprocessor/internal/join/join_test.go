package join

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/sluice-otel/sluice/components/containerlogprocessor/internal/line"
)

func TestStream(t *testing.T) {
	var s Stream
	assert.False(t, s.Held())
	add := func(content string, at int64) {
		s.Add(&line.Line{Content: content, Time: at, Format: line.CRI}, time.Unix(at, 0))
	}
	for range 2 { // used again
		add("", 1)
		assert.True(t, s.Held(), "an empty beginning is one")
		add("ab", 2)
		add("c", 3)
		assert.Equal(t, "abc", s.Text())
		assert.Equal(t, 3, s.Size())
		assert.Equal(t, int64(1), s.Time)
		assert.Equal(t, time.Unix(3, 0), s.Touched)
		s.Drop()
		assert.False(t, s.Held())
		assert.Zero(t, s.Size())
	}
}

func TestPiece(t *testing.T) {
	f := func(text, piece, rest string) {
		t.Helper()
		var s Stream
		s.Add(&line.Line{Content: text[:len(text)/2]}, time.Time{})
		s.Add(&line.Line{Content: text[len(text)/2:]}, time.Time{})
		got := s.Piece()
		assert.Equal(t, piece, got)
		s.Sent(got)
		assert.Equal(t, rest, s.Text())
		assert.Equal(t, rest != "", s.Held())
		s.Add(&line.Line{Content: "z"}, time.Time{})
		assert.Equal(t, rest+"z", s.Text())
	}
	f("abc", "abc", "")
	f("ab漢", "ab漢", "")
	f("ab\xe6", "ab", "\xe6")
	f("ab\xe6\xbc", "ab", "\xe6\xbc")
	f("ab\xf0\x9f\x9a", "ab", "\xf0\x9f\x9a")
	f("ab🚀", "ab🚀", "")
	f("ab\xff", "ab\xff", "") // begins no character
	f("ab\xbc\xbc\xbc\xbc", "ab\xbc\xbc\xbc\xbc", "")
	f("\xe6\xbc", "\xe6\xbc", "") // nothing else to send
}

func TestPosition(t *testing.T) {
	p := At(7, "line")
	assert.Equal(t, int64(7), p.Offset)
	assert.True(t, p.Is([]byte("line")))
	assert.False(t, p.Is([]byte("lime")))
	assert.False(t, p.Is([]byte("lines")))
}
