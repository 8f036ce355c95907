package podlogs

import (
	"fmt"
	"math/rand/v2"
	"regexp"
	"strconv"
	"strings"
	"unicode/utf8"
)

// words fill records. None of them is a level, a secret or a person's: the agent must have no reason to drop or mask one.
// There is no carriage return: filelog takes the one before a newline for the line's end, also when a runtime cut there.
var words = []string{
	"alpha", "bravo", "charlie", "delta", "echo", "über", "naïve", "Straße", "漢字", "かな", "🚀", "👩‍🚀", "…", "a", "  ", "\t",
	"<tag>", "&amp;", `"quoted"`, `back\slash`, "{", "}", "[1]", "x:y", "stdout", "F", "P", "\u2028", "\x1b[0m",
}

// filler is text from which records take their share. It is long enough that cuts at any size fall everywhere.
var filler = func() string {
	pick := newRand(1, 1)
	var b strings.Builder
	for b.Len() < 128<<10 {
		b.WriteString(words[pick.IntN(len(words))])
		b.WriteByte(' ')
	}
	return b.String()
}()

// maxRecord is below where the agent cuts a record, and below half of the filler.
const maxRecord = 48 << 10

// idPattern is how a record names itself: container, stream, number, length of the whole in bytes.
var idPattern = regexp.MustCompile(`<<c(\d+) (stdout|stderr) n(\d+) of (\d+) bytes>>`)

// ID is what a record says of itself.
type ID struct{ Container, Stream, Number, Bytes int }

// FindID finds the first ID in a text.
func FindID(text string) (ID, bool) {
	if ids := FindIDs(text); len(ids) > 0 {
		return ids[0], true
	}
	return ID{}, false
}

// FindIDs finds every ID in a text: more than one when records were joined that are not one.
func FindIDs(text string) (ids []ID) {
	for _, m := range idPattern.FindAllStringSubmatch(text, -1) {
		id := ID{Container: number(m[1]), Number: number(m[3]), Bytes: number(m[4])}
		if m[2] == Streams[1] {
			id.Stream = 1
		}
		ids = append(ids, id)
	}
	return ids
}

func number(digits string) int {
	n, _ := strconv.Atoi(digits) // the pattern saw to it
	return n
}

// Text is what the application printed as a record, always the same for the same numbers. It never holds a newline.
func Text(seed uint64, longPercent, container, stream, number int) string {
	pick := newRand(seed, 1<<63|uint64(container)<<40|uint64(stream)<<32|uint64(number))
	size := 40 + pick.IntN(300)
	if pick.IntN(100) < longPercent {
		size = longSize(pick)
	}
	before, after := dress(pick)
	// The length is part of the text, and its digits part of the length.
	digits := len(strconv.Itoa(size))
	id := func(bytes int) string {
		return fmt.Sprintf("<<c%d %s n%d of %d bytes>>", container, Streams[stream], number, bytes)
	}
	least := len(before) + len(id(size)) + len(after)
	body := fill(pick, max(size-least, 0))
	whole := least + len(body)
	if len(strconv.Itoa(whole)) != digits {
		whole += len(strconv.Itoa(whole)) - digits
	}
	return before + id(whole) + body + after
}

// longSize prefers where runtimes cut: 8 KiB and 16 KiB, and one byte beside.
func longSize(pick *rand.Rand) int {
	switch pick.IntN(3) {
	case 0:
		return (1+pick.IntN(4))*8<<10 + pick.IntN(5) - 2
	case 1:
		return 8<<10 + pick.IntN(12<<10)
	default:
		return 16<<10 + pick.IntN(maxRecord-16<<10)
	}
}

// dress puts a record between blanks, or makes it look like what it is not.
func dress(pick *rand.Rand) (before, after string) {
	switch pick.IntN(12) {
	case 0:
		return "   \t ", "  \t"
	case 1:
		return "2026-01-02T03:04:05.678901234Z stdout P ", " 2026-01-02T03:04:05Z stderr F x"
	case 2:
		return `{"log":"`, `\n","stream":"stderr","time":"2026-01-02T03:04:05.6Z"}`
	case 3:
		return `{"msg": broken `, ""
	case 4:
		return "漢字 ", " 🚀"
	}
	return "", "|"
}

// fill is n bytes of filler, whole characters only: what does not fit is made up with dots.
func fill(pick *rand.Rand, n int) string {
	start := pick.IntN(len(filler) - maxRecord)
	for !utf8.RuneStart(filler[start]) {
		start++
	}
	end := start + n
	for end > start && !utf8.RuneStart(filler[end]) {
		end--
	}
	return filler[start:end] + strings.Repeat(".", start+n-end)
}
