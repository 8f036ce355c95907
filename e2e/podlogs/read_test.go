package podlogs

import (
	"bytes"
	"cmp"
	"compress/gzip"
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// read is a line, or a record joined from lines, as a slow and obvious reader of the files has it.
type read struct {
	time       time.Time
	stream     string
	text       string
	last       bool
	begin, end Place
}

// readAll reads all of a container's files, oldest first.
func readAll(t *testing.T, c *Container) []read {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(c.Dir, c.name) + ".*")
	require.NoError(t, err)
	slices.SortFunc(names, func(a, b string) int {
		if c.Runtime == Docker { // .10 is older than .9
			return cmp.Or(len(b)-len(a), strings.Compare(b, a))
		}
		return strings.Compare(a, b)
	})
	var lines []read
	for gen, name := range append(names, filepath.Join(c.Dir, c.name)) {
		offset := int64(0)
		for line := range bytes.Lines(content(t, name)) {
			r := parse(t, c.Runtime, string(line))
			r.begin = Place{gen, offset}
			r.end = r.begin
			offset += int64(len(line))
			lines = append(lines, r)
		}
	}
	return lines
}

func content(t *testing.T, name string) []byte {
	t.Helper()
	b, err := os.ReadFile(name)
	require.NoError(t, err)
	if !strings.HasSuffix(name, ".gz") {
		return b
	}
	zip, err := gzip.NewReader(bytes.NewReader(b))
	require.NoError(t, err)
	b, err = io.ReadAll(zip)
	require.NoError(t, err)
	return b
}

func parse(t *testing.T, runtime Runtime, line string) read {
	t.Helper()
	line, ok := strings.CutSuffix(line, "\n")
	require.True(t, ok, "a line without an end: %.80q", line)
	if runtime == Docker {
		var r struct {
			Log, Stream string
			Time        time.Time
		}
		require.NoError(t, json.Unmarshal([]byte(line), &r))
		text, last := strings.CutSuffix(r.Log, "\n")
		return read{time: r.Time, stream: r.Stream, text: text, last: last}
	}
	part := strings.SplitN(line, " ", 4)
	require.Len(t, part, 4, "%.80q", line)
	at, err := time.Parse(time.RFC3339Nano, part[0])
	require.NoError(t, err)
	require.Contains(t, []string{"P", "F"}, part[2])
	return read{time: at, stream: part[1], text: part[3], last: part[2] == "F"}
}

// join makes records of one stream's lines.
func join(lines []read, stream string) []read {
	var records []read
	open := false
	for _, l := range lines {
		if l.stream != stream {
			continue
		}
		if !open {
			records = append(records, l)
		} else {
			r := &records[len(records)-1]
			r.text += l.text
			r.end = l.end
		}
		open = !l.last
	}
	return records
}
