package containerlogprocessor

import (
	"flag"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

var update = flag.Bool("update", false, "write testdata/golden/*/want.txt anew")

// Each folder in testdata/golden is a node's file system and the records that must come of it, whatever the batches.
func TestGolden(t *testing.T) {
	cases, err := filepath.Glob("testdata/golden/*")
	require.NoError(t, err)
	require.NotEmpty(t, cases)
	for _, dir := range cases {
		t.Run(filepath.Base(dir), func(t *testing.T) {
			want := filepath.Join(dir, "want.txt")
			for _, size := range []int{100, 1, 2, 3} {
				got := recordsOfNode(t, filepath.Join(dir, "node"), size)
				if *update && size == 100 {
					require.NoError(t, os.WriteFile(want, []byte(got), 0o600))
				}
				text, err := os.ReadFile(want)
				require.NoError(t, err)
				assert.Equal(t, string(text), got, "batches of %d", size)
			}
		})
	}
}

// recordsOfNode reads the files as filelog does, rotated ones first.
func recordsOfNode(t *testing.T, root string, size int) string {
	var paths []string
	for _, pattern := range []string{"var/log/pods/*/*/*.log.*", "var/log/pods/*/*/*.log", "var/lib/docker/containers/*/*-json.log"} {
		found, err := filepath.Glob(filepath.Join(root, pattern))
		require.NoError(t, err)
		paths = append(paths, found...)
	}
	next := &sink{}
	p := start(t, next, options{})
	for _, path := range paths {
		data, err := os.ReadFile(path)
		require.NoError(t, err)
		file := logFile{path: path}
		for lines := range slices.Chunk(split(strings.TrimSuffix(string(data), "\n")), size) {
			send(t, p, file.batch(lines...))
		}
	}
	p.stopOnce(t)
	var out strings.Builder
	identity := ""
	for _, r := range next.all() {
		if now := pairs(r.Resource); now != identity {
			fmt.Fprintf(&out, "\n%s\n", now)
			identity = now
		}
		delete(r.Attrs, "log.file.path")
		body := r.Body
		if len(body) > 200 { // pieces of 16 KiB: their ends say enough
			body = fmt.Sprintf("%s…%d bytes…%s", body[:40], len(body), body[len(body)-40:])
		}
		fmt.Fprintf(&out, "  %d.%09d %-6s %q", r.Time/1e9, r.Time%1e9, r.Stream, body)
		for _, extra := range []string{r.Partial, r.Error, pairs(r.Attrs)} {
			if extra != "" {
				out.WriteString(" " + extra)
			}
		}
		out.WriteByte('\n')
	}
	return strings.TrimPrefix(out.String(), "\n")
}

func pairs(m map[string]any) string {
	list := make([]string, 0, len(m))
	for _, key := range slices.Sorted(maps.Keys(m)) {
		list = append(list, fmt.Sprintf("%s=%v", key, m[key]))
	}
	return strings.Join(list, " ")
}
