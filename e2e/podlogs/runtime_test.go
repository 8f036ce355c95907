package podlogs

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
)

func TestCutFull(t *testing.T) {
	f := func(text string, eager bool, want ...string) {
		t.Helper()
		var got []string
		for i, read := range cutFull(text, 4, eager) {
			assert.Len(t, read, 1)
			assert.Equal(t, i == 0, read[0].first)
			assert.Equal(t, i == len(want)-1, read[0].last)
			got = append(got, read[0].text)
		}
		assert.Equal(t, want, got)
	}
	f("abc", false, "abc")
	f("abcd", false, "abcd")
	f("abcde", false, "abcd", "e")
	f("abcdefgh", false, "abcd", "efgh")
	f("ab漢", false, "ab\xe6\xbc", "\xa2")
	f("abc", true, "abc")
	f("abcd", true, "abcd", "")
	f("abcdefgh", true, "abcd", "efgh", "")
}

func TestCutReadsKeepsAllAndEndsALineWithEveryRead(t *testing.T) {
	texts := []string{"one", "", "a longer one", "four", strings.Repeat("x", 40)}
	for seed := range uint64(50) {
		var got []string
		open := false
		for _, read := range cutReads(texts, 8, newRand(seed, 0)) {
			size := 0
			for i, p := range read {
				assert.Equal(t, !open, p.first)
				assert.True(t, p.last || i == len(read)-1, "only a read's end cuts a record")
				if p.first {
					got = append(got, "")
				}
				got[len(got)-1] += p.text
				size += len(p.text)
				if p.last {
					size++
				}
				open = !p.last
			}
			assert.LessOrEqual(t, size, 8)
		}
		assert.Equal(t, texts, got)
		assert.False(t, open)
	}
}

func TestLines(t *testing.T) {
	at := time.Date(2026, 3, 1, 10, 20, 30, 120000000, time.UTC)
	f := func(c *Container, p piece, wantLine, wantText string) {
		t.Helper()
		line, text := c.line(at, "stderr", p)
		assert.Equal(t, wantLine, line)
		assert.Equal(t, wantText, text)
	}
	containerd := &Container{Runtime: Containerd}
	f(containerd, piece{text: "x ", last: true}, "2026-03-01T10:20:30.12Z stderr F x \n", "x ")
	f(containerd, piece{text: "\xe6\xbc"}, "2026-03-01T10:20:30.12Z stderr P \xe6\xbc\n", "\xe6\xbc")
	crio := &Container{Runtime: CRIO, zone: time.FixedZone("", -(3*3600 + 1800))}
	f(crio, piece{text: "x"}, "2026-03-01T06:50:30.120000000-03:30 stderr P x\n", "x")
	f(crio, piece{last: true}, "2026-03-01T06:50:30.120000000-03:30 stderr F \n", "")
	docker := &Container{Runtime: Docker}
	f(docker, piece{text: `<"`, last: true}, `{"log":"\u003c\"\n","stream":"stderr","time":"2026-03-01T10:20:30.12Z"}`+"\n", `<"`)
	f(docker, piece{text: "a\xe6\xbc"}, `{"log":"a\ufffd\ufffd","stream":"stderr","time":"2026-03-01T10:20:30.12Z"}`+"\n", "a\ufffd\ufffd")
}
