package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestLinesAreNumberedAndWhole(t *testing.T) {
	var out bytes.Buffer
	w := &writer{run: "abcdefgh", out: &out}
	assert.Equal(t, 200, w.write(200))
	w.last()
	assert.Equal(t, 201, w.write(5), "none after the last line")
	lines := strings.Split(strings.TrimSuffix(out.String(), "\n"), "\n")
	require.Len(t, lines, 201)
	for i, line := range lines {
		switch kind := kindOf(i + 1); {
		case i == 200:
			assert.Equal(t, "demo run=abcdefgh seq=201 last line", line)
		case kind == "long":
			assert.Len(t, line, longLine)
			assert.Contains(t, line, fmt.Sprintf("seq=%d ", i+1))
			assert.True(t, strings.HasSuffix(line, fmt.Sprintf(" end=%d", i+1)))
		case kind == "json":
			var record struct {
				Run string
				Seq int
			}
			require.NoError(t, json.Unmarshal([]byte(line), &record))
			assert.Equal(t, i+1, record.Seq)
			assert.Equal(t, "abcdefgh", record.Run)
		default:
			assert.Equal(t, fmt.Sprintf("demo run=abcdefgh seq=%d order taken", i+1), line)
		}
	}
	_, byKind := w.wrote()
	assert.Equal(t, map[string]int{"plain": 100, "json": 98, "long": 2, "last": 1}, byKind)
}

func TestTracesAreCountedOnceTheyAreTaken(t *testing.T) {
	var taken, refuse int
	backend := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, _ *http.Request) {
		if refuse > 0 {
			rw.WriteHeader(http.StatusBadRequest) // not to be tried again
			return
		}
		taken++
	}))
	defer backend.Close()
	t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", backend.URL)
	tr, err := newTracer(t.Context(), "abcdefgh")
	require.NoError(t, err)
	defer tr.provider.Shutdown(t.Context()) //nolint:errcheck // how it ends is not what this test is about
	page := newPage(&writer{run: "abcdefgh", out: &bytes.Buffer{}}, tr)

	post := func(path string, want int) counts {
		t.Helper()
		rec := httptest.NewRecorder()
		page.ServeHTTP(rec, httptest.NewRequest(http.MethodPost, path, nil))
		require.Equal(t, want, rec.Code, rec.Body)
		var c counts
		if want == http.StatusOK {
			require.NoError(t, json.Unmarshal(rec.Body.Bytes(), &c))
		}
		return c
	}
	post("/traces?class=odd&n=1", http.StatusBadRequest)
	post("/traces?class=slow&n=0", http.StatusBadRequest)
	post("/lines?n=many", http.StatusBadRequest)
	post("/traces?class=slow&n=2", http.StatusOK)
	require.NoError(t, tr.provider.ForceFlush(t.Context()))
	refuse = 1
	c := post("/traces?class=error&n=3", http.StatusOK)
	_ = tr.provider.ForceFlush(t.Context()) // refused, as wanted
	assert.Equal(t, classCounts{2, 2}, c.Traces["slow"])
	c = post("/lines?n=7", http.StatusOK)
	assert.Equal(t, classCounts{3, 0}, c.Traces["error"])
	assert.Equal(t, 1, c.FailedExports)
	assert.Equal(t, 7, c.LastLine)
	assert.Positive(t, taken)
}
