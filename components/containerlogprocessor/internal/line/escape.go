package line

import (
	"encoding/binary"
	"math/bits"
	"strconv"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// special is the index, from i on, of the first byte that does not stand for itself in a JSON string: a quote, a backslash or a control
// character; len(s) when there is none. It looks at eight bytes at a time, as that scan is most of what reading a line costs.
func special(s string, i int) int {
	const (
		ones = 0x0101010101010101
		tops = 0x80 * ones
	)
	for ; i+8 <= len(s); i += 8 {
		w := binary.LittleEndian.Uint64([]byte(s[i : i+8]))
		quote, backslash := w^('"'*ones), w^('\\'*ones)
		// Subtracting sets the top bit of a byte that is too small. It may borrow from bytes above, so only the lowest hit is certain.
		hits := (w-' '*ones)&^w | (quote-ones)&^quote | (backslash-ones)&^backslash
		if hits &= tops; hits != 0 {
			return i + bits.TrailingZeros64(hits)/8
		}
	}
	for ; i < len(s); i++ {
		if c := s[i]; c < ' ' || c == '"' || c == '\\' {
			return i
		}
	}
	return len(s)
}

// firstSpecial is special(s, 0), faster when that is far away: the two searches of the standard library look at 32 bytes at a time. Not
// for a walk from escape to escape, which would search for the far quote each time.
func firstSpecial(s string) int {
	end := len(s)
	if quote := strings.IndexByte(s, '"'); quote >= 0 {
		end = quote
	}
	if backslash := strings.IndexByte(s[:end], '\\'); backslash >= 0 {
		end = backslash
	}
	const (
		ones  = 0x0101010101010101
		tops  = 0x80 * ones
		blank = ' ' * ones
	)
	for i := 0; i+16 <= end; i += 16 {
		b := []byte(s[i : i+16])
		v, w := binary.LittleEndian.Uint64(b), binary.LittleEndian.Uint64(b[8:])
		if ((v-blank)&^v|(w-blank)&^w)&tops != 0 {
			return special(s[:end], i)
		}
	}
	return special(s[:end], end&^15)
}

var escapes = [256]byte{'"': '"', '\\': '\\', '/': '/', 'b': '\b', 'f': '\f', 'n': '\n', 'r': '\r', 't': '\t'}

// unescape undoes the escapes of a JSON string; false when one is not valid. All other bytes stay, valid UTF-8 or not.
func unescape(s string) (string, bool) {
	var b strings.Builder
	b.Grow(len(s)) // no escape is shorter than what it stands for
	for {
		i := strings.IndexByte(s, '\\')
		if i < 0 {
			b.WriteString(s)
			return b.String(), true
		}
		b.WriteString(s[:i])
		if s = s[i+1:]; s == "" {
			return "", false
		}
		if s[0] != 'u' {
			if escapes[s[0]] == 0 {
				return "", false
			}
			b.WriteByte(escapes[s[0]])
			s = s[1:]
			continue
		}
		r, ok := codeUnit(s)
		if !ok {
			return "", false
		}
		s = s[len("u0000"):]
		if utf16.IsSurrogate(r) {
			pair := rune(utf8.RuneError)
			if next, found := strings.CutPrefix(s, `\`); found {
				if low, ok := codeUnit(next); ok {
					pair = utf16.DecodeRune(r, low)
				}
			}
			if r = pair; r != utf8.RuneError {
				s = s[len(`\u0000`):]
			}
		}
		b.WriteRune(r)
	}
}

// codeUnit reads "uXXXX", behind the backslash.
func codeUnit(s string) (rune, bool) {
	if len(s) < len("u0000") || s[0] != 'u' {
		return 0, false
	}
	n, err := strconv.ParseUint(s[1:len("u0000")], 16, 16)
	return rune(n), err == nil
}

// EscapeInvalid writes every byte of s that is not valid UTF-8 as \xNN and counts them: an OTLP string must be valid, and nothing
// may be lost. Text that is valid stays as it is, also when it contains \x.
func EscapeInvalid(s string) (out string, invalid int) {
	if utf8.ValidString(s) {
		return s, 0
	}
	for i, r := range s {
		if isInvalid(s, i, r) {
			invalid++
		}
	}
	const hex = "0123456789abcdef"
	var b strings.Builder
	b.Grow(len(s) + invalid*(len(`\x00`)-1))
	done := 0
	for i, r := range s {
		if isInvalid(s, i, r) {
			b.WriteString(s[done:i])
			b.Write([]byte{'\\', 'x', hex[s[i]>>4], hex[s[i]&0xf]})
			done = i + 1
		}
	}
	b.WriteString(s[done:])
	return b.String(), invalid
}

// isInvalid tells a byte that range could not decode from a U+FFFD in the text.
func isInvalid(s string, i int, r rune) bool {
	return r == utf8.RuneError && !strings.HasPrefix(s[i:], string(utf8.RuneError))
}
