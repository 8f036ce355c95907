package containerlogprocessor

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sluice-otel/sluice/components/containerlogprocessor/internal/line"
)

// slowJoin is the obvious way: every stream for itself, a record from its first line to the one tagged F.
func slowJoin(lines []string) (records [2][]string) {
	var open [2]string
	for _, raw := range lines {
		fields := strings.SplitN(raw, " ", 4)
		s := 0
		if fields[1] == "stderr" {
			s = 1
		}
		open[s] += fields[3]
		if fields[2] == "F" {
			text, _ := line.EscapeInvalid(open[s])
			records[s], open[s] = append(records[s], text), ""
		}
	}
	return records
}

// FuzzJoin cuts text into lines, streams, batches and pieces, and puts it together again: the bytes are those that were written.
func FuzzJoin(f *testing.F) {
	f.Add([]byte("\x00\x05hello\x01\x05world\x02\x03end\x03\x03end"), uint8(1), uint8(0))
	f.Add([]byte("\x00\x02a\xe6\x00\x01\xbc\x02\x02\xa2b"), uint8(2), uint8(3))
	f.Fuzz(func(t *testing.T, script []byte, batch, repeat uint8) {
		var lines []string
		for len(script) >= 2 && len(lines) < 200 {
			op, n := script[0], min(int(script[1]), len(script)-2)
			text := strings.NewReplacer("\n", "", "\x00", "").Replace(string(script[2 : 2+n]))
			script = script[2+n:]
			lines = append(lines, cri([]string{"out", "err"}[op&1], []string{"P", "F"}[op>>1&1], strings.Repeat(text, 1+int(repeat%32))))
		}
		lines = append(lines, cri("out", "F", ""), cri("err", "F", ""))
		next := &sink{}
		p := start(t, next, options{cfg: func(c *Config) { c.MaxRecordSize = 1024 }})
		file := logFile{path: podPath}
		for size := 1 + int(batch%100); len(lines) > 0; lines = lines[min(size, len(lines)):] {
			send(t, p, file.batch(lines[:min(size, len(lines))]...))
		}
		p.stopOnce(t)
		require.Equal(t, slowJoin(file.lines), recordsOfPieces(t, next.all()))
	})
}

// recordsOfPieces puts the pieces of records that were too long together.
func recordsOfPieces(t *testing.T, all []record) (records [2][]string) {
	var open [2]string
	for _, r := range all {
		require.Empty(t, r.Error)
		s := 0
		if r.Stream == "stderr" {
			s = 1
		}
		open[s] += r.Body
		if r.Partial == "" || r.Partial == partialLast {
			records[s], open[s] = append(records[s], open[s]), ""
		}
	}
	require.Equal(t, [2]string{}, open)
	return records
}
