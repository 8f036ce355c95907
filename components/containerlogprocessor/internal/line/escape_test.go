package line

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
)

func TestEscapeInvalid(t *testing.T) {
	f := func(s, want string, wantInvalid int) {
		t.Helper()
		out, invalid := EscapeInvalid(s)
		assert.Equal(t, want, out)
		assert.Equal(t, wantInvalid, invalid)
	}
	f("", "", 0)
	f("grün 😀 \x00\x7f", "grün 😀 \x00\x7f", 0)
	f("\uFFFD is a valid character", "\uFFFD is a valid character", 0)
	f(`\xff as text`, `\xff as text`, 0)

	f("\xff", `\xff`, 1)
	f("a\x80\uFFFDz", `a\x80`+"\uFFFDz", 1)
	f("half a euro: \xe2\x82.", `half a euro: \xe2\x82.`, 2)
	f("\xf0\x9f\x98", `\xf0\x9f\x98`, 3)
	f("surrogate \xed\xa0\x80", `surrogate \xed\xa0\x80`, 3)
	f("overlong \xc0\xaf", `overlong \xc0\xaf`, 2)
	f("€\xff😀\xfe€", `€\xff😀\xfe€`, 2)
	f("\\\xff", `\\xff`, 1)
}

func TestUnescapeRefuses(t *testing.T) {
	for _, s := range []string{`\`, `a\`, `\\\`, `\x41`, `\u`, `\u004`, `\u 041`, `\ud83d\`} {
		_, ok := unescape(s)
		assert.False(t, ok, s)
	}
}

// special looks at eight bytes at a time: every byte at every place of two words, beside every neighbor that could lend or borrow a bit.
func TestSpecial(t *testing.T) {
	for _, filler := range []byte{'!', '#', '[', ']', ' ', 'a', 0x7f, 0x80, 0xa2, 0xdc, 0xff} {
		text := strings.Repeat(string([]byte{filler}), 19)
		assert.Equal(t, len(text), special(text, 0), "%#x", filler)
		for c := range 256 {
			hit := c < ' ' || c == '"' || c == '\\'
			for at := range len(text) {
				s := text[:at] + string([]byte{byte(c)}) + text[at+1:]
				want := len(s)
				if hit {
					want = at
				}
				if got := special(s, 0); got != want {
					t.Fatalf("special(%q) = %d, want %d", s, got, want)
				}
				if got := special(s, at+1); got != len(s) {
					t.Fatalf("special(%q, %d) = %d, want %d", s, at+1, got, len(s))
				}
			}
		}
	}
	assert.Equal(t, 3, special("abc", 5), "a start behind the end")
}
