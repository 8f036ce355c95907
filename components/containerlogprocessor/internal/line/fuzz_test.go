package line

import (
	"regexp"
	"strconv"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/assert"
)

// FuzzParse holds Parse to the reference, whatever the line. Inputs that once failed are in testdata/fuzz.
func FuzzParse(f *testing.F) {
	for _, raw := range seeds {
		f.Add(raw)
	}
	f.Fuzz(func(t *testing.T, raw string) {
		got := dirtyLine()
		reason := Parse(raw, &got)
		want, wantReason := reference(raw)
		assert.Equal(t, wantReason.String(), reason.String())
		assert.Equal(t, want, got)
		for _, a := range got.Attrs {
			assert.True(t, utf8.ValidString(a.Key) && utf8.ValidString(a.Value), "attribute %q", a)
		}
	})
}

// seeds reach every branch, so that the fuzzer mutates from there; most are also named cases of the tables.
var seeds = []string{
	"", "\x00\x00", "plain text", "{", "{}", "{} {}", "1", "-0001-01-01T00:00:00Z stdout F x",
	"2026-03-01T10:20:30.123456789Z stdout F hello world",
	"2026-03-01T10:20:30.12+02:00 stderr P:x:y  tab\tand blanks \r",
	"2024-02-29T23:59:59-03:30 stdout F", "2023-02-29T23:59:59Z stdout F ", "2026-03-01T10:20:30Z stdout X x",
	"1677-09-21T00:12:43.145224192Z stderr F first", "2262-04-11T23:47:16.854775807Z stderr F last",
	"\x00\x00{\"log\":\"a\\n\",\"stream\":\"stdout\",\"time\":\"2026-03-01T10:20:30.5Z\"}",
	`{"log":"piece","stream":"stderr","time":"2026-03-01T10:20:30.5Z"}`,
	`{"log":"\u003ca\u003e \"q\" \\ \/ \b\f\r\t \ud83d\ude00 \ud83d \udc00 \u0000\n","stream":"stdout","time":"2026-03-01T10:20:30.5Z"}`,
	"{\"log\":\"\xe2\x82\",\"stream\":\"stdout\",\"time\":\"2026-03-01T10:20:30.5Z\"}",
	"{\"log\":\"\\u00e4\xff\\ud83d\xff\\ude00\\n\",\"stream\":\"stdout\",\"time\":\"2026-03-01T10:20:30.5Z\"}",
	`{"stream":"stdout","time":"2026-03-01T10:20:30.5Z"}`,
	`{"log":"a\n","stream":"stdout","attrs":{"app":"web","tier":"1"},"time":"2026-03-01T10:20:30.5Z"}`,
	`{"log":"a\n","stream":"stdout","attrs":{"b":"1","a":{"x":[1, 2]},"b":"2"},"time":"2026-03-01T10:20:30.5Z"}`,
	"{\"time\" : \"2026-03-01T10:20:30.5Z\",\t\"stream\":\"\\u0073tdout\", \"log\":\"x\", \"log\":\"y\\n\", \"new\":null, \"\xff\":\"\xff\", \"n\":[\"\xff\xfe\"]} \r",
	`{"log":1,"stream":"stdout","time":"2026-03-01T10:20:30.5Z"}`, `{"log":null,"stream":null,"time":null,"attrs":null}`,
	`{"log":"a\n","stream":"stdout","time":"2026-03-01T10:20:30.5Z"}x`, `{"log":"a\x","stream":"stdout","time":"2026-03-01T10:20:30.5Z"}`,
}

var escapedByte = regexp.MustCompile(`\\x[0-9a-f]{2}`)

func FuzzEscapeInvalid(f *testing.F) {
	for _, s := range []string{"", "plain", "grün 😀", "\xff", "a\xe2\x82", "\xe2\x82z\\", "\xed\xa0\x80", `\x41`, "\\\xff", "\uFFFD\xff"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		out, invalid := EscapeInvalid(s)
		assert.True(t, utf8.ValidString(out))
		assert.Equal(t, utf8.ValidString(s), invalid == 0)
		assert.Len(t, out, len(s)+3*invalid)
		if invalid == 0 {
			assert.Equal(t, s, out)
		}
		if strings.Contains(s, `\x`) {
			return
		}
		back := escapedByte.ReplaceAllStringFunc(out, func(code string) string {
			n, err := strconv.ParseUint(code[2:], 16, 8)
			assert.NoError(t, err)
			return string([]byte{byte(n)})
		})
		assert.Equal(t, s, back)
	})
}
