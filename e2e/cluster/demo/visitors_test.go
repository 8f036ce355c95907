package main

import (
	"bytes"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestWhoAskedForMetrics(t *testing.T) {
	tr, err := newTracer(t.Context(), "abcdefgh")
	require.NoError(t, err)
	page := newPage(&writer{run: "abcdefgh", out: &bytes.Buffer{}}, tr)
	for _, from := range []string{"10.0.0.1:1234", "[fd00::2]:80"} {
		req := httptest.NewRequest(http.MethodGet, "/metrics", nil)
		req.RemoteAddr = from
		page.ServeHTTP(httptest.NewRecorder(), req)
	}
	rec := httptest.NewRecorder()
	page.ServeHTTP(rec, httptest.NewRequest(http.MethodGet, "/scrapes", nil))
	var visits []visit
	require.NoError(t, json.Unmarshal(rec.Body.Bytes(), &visits))
	require.Len(t, visits, 2)
	assert.Equal(t, "10.0.0.1", visits[0].From)
	assert.Equal(t, "fd00::2", visits[1].From)
	assert.WithinDuration(t, time.Now(), visits[1].At, time.Minute)
}
