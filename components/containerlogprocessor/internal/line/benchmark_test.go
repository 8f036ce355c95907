package line

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
)

var (
	text200 = strings.Repeat("0123456789 abcdefghijklmnopqrstuvwxyz, ", 6)[:200]
	// An application's own JSON inside of Docker's: 22 escapes in 200 bytes.
	nested = strings.ReplaceAll(`{"level":"info","time":"10:20:30","caller":"cart/store.go:42","msg":"item added","user":"6f1c","n":3}`, `"`, `\"`) +
		strings.Repeat("x", 76)
	costs = []struct {
		name   string
		raw    string
		allocs int
	}{
		{"cri", stamp + " stdout F " + text200, 0},
		{"cri_partial", stamp + " stderr P " + text200, 0},
		{"cri_zone", "2026-03-01T10:20:30.123456789+02:00 stdout F " + text200, 0},
		{"cri_2KiB", stamp + " stdout F " + strings.Repeat("x", 2048), 0},
		{"cri_bad", stamp[:20] + "x stdout F " + text200, 0},
		{"plain_text", "plain " + text200, 0},
		{"docker", docker(`"` + text200 + `\n"`), 0},
		{"docker_partial_16KiB", docker(`"` + strings.Repeat("x", 16384) + `"`), 0},
		{"docker_escapes", docker(`"` + nested + `\n"`), 1},
		// The list, and the name of each.
		{"docker_attrs", strings.Replace(docker(`"`+text200+`\n"`), `"time"`, `"attrs":{"app":"web"},"time"`, 1), 2},
	}
)

func TestAllocations(t *testing.T) {
	var l Line
	for _, c := range costs {
		assert.Equal(t, c.allocs, int(testing.AllocsPerRun(100, func() { Parse(c.raw, &l) })), c.name)
	}
	broken := text200 + strings.Repeat("\xff", 100)
	assert.Equal(t, 0, int(testing.AllocsPerRun(100, func() { EscapeInvalid(text200) })))
	assert.Equal(t, 1, int(testing.AllocsPerRun(100, func() { EscapeInvalid(broken) })))
}

func BenchmarkParse(b *testing.B) {
	for _, c := range costs {
		b.Run(c.name, func(b *testing.B) {
			b.ReportAllocs()
			b.SetBytes(int64(len(c.raw)))
			var l Line
			for b.Loop() {
				Parse(c.raw, &l)
			}
		})
	}
	b.Run("docker_any", func(b *testing.B) {
		b.ReportAllocs()
		raw := surprising(`"` + text200 + `\n"`)
		var l Line
		for b.Loop() {
			Parse(raw, &l)
		}
	})
}

func BenchmarkEscapeInvalid(b *testing.B) {
	for name, s := range map[string]string{"valid": text200, "invalid": text200 + "\xe2\x82"} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				EscapeInvalid(s)
			}
		})
	}
}
