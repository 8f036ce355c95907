package line

import (
	"testing"

	"github.com/stretchr/testify/assert"
)

func TestCRI(t *testing.T) {
	f := func(header, content string, stream Stream, partial bool) {
		t.Helper()
		reads(t, stamp+header+content, Line{Time: stampNanos, Content: content, Stream: stream, Format: CRI, Partial: partial})
	}
	f(" stdout F ", "hello world", Stdout, false)
	f(" stderr F ", "hello world", Stderr, false)

	// A record of three pieces, and two records that the streams write at the same time.
	f(" stdout P ", "first, ", Stdout, true)
	f(" stdout P ", "second, ", Stdout, true)
	f(" stdout F ", "third", Stdout, false)
	f(" stderr P ", "other", Stderr, true)
	f(" stderr F ", "", Stderr, false)

	// containerd ends an empty line in the separator, CRI-O's fix for a dangling piece does not.
	f(" stdout F ", "", Stdout, false)
	f(" stdout F", "", Stdout, false)
	f(" stdout P ", "", Stdout, true)
	f(" stdout P", "", Stdout, true)

	// Only the first tag counts.
	f(" stdout P:x ", "a", Stdout, true)
	f(" stdout F:x:y ", "a", Stdout, false)
	f(" stdout F:P ", "a", Stdout, false)
	f(" stdout P:F ", "a", Stdout, true)
	f(" stdout F:", "", Stdout, false)
	f(" stdout F: ", "a", Stdout, false)
	f(" stdout P:x", "", Stdout, true)

	// Every byte of the content stays.
	f(" stdout F ", "  two blanks, \t tab, blanks  ", Stdout, false)
	f(" stdout P ", "\t", Stdout, true)
	f(" stdout F ", " ", Stdout, false)
	f(" stdout F ", "progress 10%\rprogress 20%\r", Stdout, false)
	f(" stdout F ", "\xff\x00\xfe garbage", Stdout, false)

	// Text that looks like another line.
	f(" stdout F ", stamp+" stderr P nested", Stdout, false)
	f(" stdout F ", `{"log":"x\n","stream":"stderr","time":"2020-01-01T00:00:00Z"}`, Stdout, false)
	f(" stdout F ", "F P stdout", Stdout, false)
}

// containerd cuts pieces by byte, and a character has up to four.
func TestCRIKeepsCutCharacters(t *testing.T) {
	for _, char := range []string{"€", "😀"} {
		for cut := 1; cut < len(char); cut++ {
			head, _ := parse(stamp + " stdout P a" + char[:cut])
			tail, _ := parse(stamp + " stdout F " + char[cut:] + "z")
			assert.Equal(t, "a"+char+"z", head.Content+tail.Content)
		}
	}
}

func TestCRIRefuses(t *testing.T) {
	f := func(raw string, want Reason) {
		t.Helper()
		refuses(t, raw, CRI, want)
	}
	f(stamp+" stdin F x", BadStream)
	f(stamp+" stdoutx F x", BadStream)
	f(stamp+" STDOUT F x", BadStream)
	f(stamp+"  stdout F x", BadStream)
	f(stamp+" stdout\tF x", BadStream)
	f(stamp+" stdout X x", BadTag)
	f(stamp+" stdout f x", BadTag)
	f(stamp+" stdout FF x", BadTag)
	f(stamp+" stdout Px:F x", BadTag)
	f(stamp+" stdout :F x", BadTag)
	f(stamp+" stdout x:F x", BadTag)
	f(stamp+" stdout  F x", BadTag)
	f(stamp+" stdout F\tx", BadTag)
	f(stamp+" stdout F\r", BadTag)
	f(stamp+"\tstdout F x", BadTime)
	f(stamp+"x stdout F x", BadTime)
	f("12 monkeys", BadTime)
	f("12", Truncated)
	f(stamp+" stdin", Truncated)
}

func TestCRIHeaderTruncated(t *testing.T) {
	header := stamp + " stdout F"
	for n := 1; n < len(header); n++ {
		refuses(t, header[:n], CRI, Truncated)
	}
}
