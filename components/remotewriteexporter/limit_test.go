package remotewriteexporter

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/consumer/consumererror"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"

	"github.com/sluice-otel/sluice/components/remotewriteexporter/internal/answer"
)

// vmTooLarge is what VictoriaMetrics says (1.79, as it was read on the wire).
const vmTooLarge = "remoteAddr: \"127.0.0.1:51538\"; requestURI: /api/v1/write; too big unpacked request; mustn't exceed `-maxInsertRequestSize=%d` bytes; got %d bytes\n"

// atMost takes requests up to a size, which may change.
func atMost(size *int) func(int, received, http.ResponseWriter) {
	return func(i int, r received, w http.ResponseWriter) {
		if r.bytes > *size {
			status(400, fmt.Sprintf(vmTooLarge, *size, r.bytes))(i, r, w)
			return
		}
		w.WriteHeader(204)
	}
}

// A sample whose label is too large is a bad sample like any other: requests stay as large as they were.
func TestTooLargeLabel(t *testing.T) {
	var stored []string
	b := newBackend(t, func(i int, r received, w http.ResponseWriter) {
		if strings.Contains(strings.Join(r.samples, "\n"), "i=0500}") {
			status(400, "label value too large, too big by far")(i, r, w)
			return
		}
		stored = append(stored, r.samples...)
		w.WriteHeader(204)
	})
	r := newRig(t, b.URL, "")
	require.NoError(t, r.w.push(t.Context(), gauge(1000)))
	assert.Equal(t, 999, len(stored)) //nolint:testifylint // Len would print them all
	assert.Equal(t, map[string]int{"bad_request": 1}, r.counts("rejected_samples"))
	assert.LessOrEqual(t, len(b.sent()), 2*11)
	assert.EqualValues(t, 4<<20, r.w.limit.bytes())
	before := len(b.sent())
	require.NoError(t, r.w.push(t.Context(), gauge(400)))
	assert.Len(t, b.sent(), before+1)
}

// What refuses every request for its size although it is asked for little is bounded by what a batch may cost.
func TestTooLargeIsCharged(t *testing.T) {
	size := 0
	b := newBackend(t, atMost(&size))
	r := newRig(t, b.URL, "")
	require.Error(t, r.w.push(t.Context(), gauge(4000)))
	assert.Less(t, len(b.sent()), 256+maxSplits, "172,000 bytes make 256 requests of the least limit")
	assert.Equal(t, map[string]int{"too_large": 4000}, r.counts("rejected_samples"))
}

// The limit grows again, up to what was configured, and the attempts at more cost no data: not in a batch of many pieces either.
func TestLimitGrows(t *testing.T) {
	core, logs := observer.New(zapcore.WarnLevel)
	size := 1500
	b := newBackend(t, atMost(&size))
	r := newRig(t, b.URL, "max_request_bytes: 262144")
	r.w.tel.logger = zap.New(core)
	for range 4 {
		require.NoError(t, r.w.push(t.Context(), gauge(8000)))
	}
	assert.Less(t, r.w.limit.bytes(), int64(2*size))
	assert.Greater(t, r.counts("requests")["split"], 9, "larger ones were tried")
	assert.Less(t, r.counts("requests")["split"], 30, "and not often")
	told := logs.Len()
	for range 4 {
		require.NoError(t, r.w.push(t.Context(), gauge(8000)))
	}
	assert.Greater(t, r.counts("requests")["split"], 15)
	assert.Equal(t, told, logs.Len(), "on the way down each step is told, and no attempt later")

	size = 1 << 30
	for range 10 {
		require.NoError(t, r.w.push(t.Context(), gauge(8000)))
	}
	assert.Greater(t, r.w.limit.bytes(), int64(10*1024))
	assert.Empty(t, r.counts("rejected_samples"))
}

// By how much, and after what.
func TestLimit(t *testing.T) {
	l := newLimit(10000)
	is, changed, below := l.lower(9000)
	assert.EqualValues(t, 4500, is)
	assert.True(t, changed && below)
	for range growAfter - 1 {
		l.took(2251)
		l.took(2250) // half of the limit: it says nothing
	}
	assert.EqualValues(t, 4500, l.bytes())
	l.took(2251)
	assert.EqualValues(t, 9000, l.bytes())
	for range growAfter {
		l.took(9000)
	}
	assert.EqualValues(t, 10000, l.bytes())

	_, _, _ = l.lower(9000)
	is, changed, below = l.lower(9000) // the other consumer's, which was on its way
	assert.EqualValues(t, 4500, is)
	assert.True(t, !changed && below)
	for range growAfter - 1 {
		l.took(4500)
	}
	is, changed, below = l.lower(1100)
	assert.EqualValues(t, minRequestBytes, is)
	assert.True(t, changed && below)
	l.took(1000)
	assert.EqualValues(t, minRequestBytes, l.bytes(), "it begins to count anew")
	_, changed, below = l.lower(minRequestBytes)
	assert.False(t, changed || below)
}

// HTTP to a port for TLS, with Go's own server: Prometheus' and VictoriaMetrics'.
func TestPlainToTLS(t *testing.T) {
	s := httptest.NewTLSServer(http.NotFoundHandler())
	defer s.Close()
	r := newRig(t, strings.Replace(s.URL, "https", "http", 1), "")
	err := r.w.push(t.Context(), gauge(1000))
	require.ErrorContains(t, err, "Client sent an HTTP request to an HTTPS server")
	assert.False(t, consumererror.IsPermanent(err))
	assert.Equal(t, map[string]int{"refused": 1}, r.counts("requests"))
	assert.Empty(t, r.counts("rejected_samples"))
}

// A proxy's page does not cost data, and no throughput.
func TestPage(t *testing.T) {
	for _, title := range []string{"Request Header Or Cookie Too Large", "The plain HTTP request was sent to HTTPS port", "No required SSL certificate was sent"} {
		b := newBackend(t, func(_ int, _ received, w http.ResponseWriter) {
			w.Header().Set("Content-Type", "text/html")
			w.WriteHeader(400)
			_, _ = io.WriteString(w, "<html>\r\n<head><title>400 "+title+"</title></head>\r\n<body>\r\n<center><h1>400 Bad Request</h1></center>\r\n")
		})
		r := newRig(t, b.URL, "")
		err := r.w.push(t.Context(), gauge(1000))
		require.ErrorContains(t, err, title)
		assert.False(t, consumererror.IsPermanent(err))
		assert.Equal(t, map[string]int{"refused": 1}, r.counts("requests"))
		assert.EqualValues(t, 4<<20, r.w.limit.bytes())
	}
}

// Samples of which no request can be made are given up by name, when others of their batch were written, too.
func TestNotEncoded(t *testing.T) {
	core, logs := observer.New(zapcore.WarnLevel)
	b := newBackend(t, nil)
	r := newRig(t, b.URL, "max_request_bytes: 4096")
	r.w.tel.logger = zap.New(core)
	require.NoError(t, r.w.push(t.Context(), gauge(10))) // learn what a point is
	n := 0
	r.w.encode = func(m message, size int) ([]byte, error) {
		if n++; n == 2 {
			return nil, errors.New("no room")
		}
		return encode(m, size)
	}
	require.NoError(t, r.w.push(t.Context(), gauge(1000)))
	rejected := r.counts("rejected_samples")[answer.Other.String()]
	assert.Positive(t, rejected)
	assert.Equal(t, 1010, rejected+r.counts("written_samples")["sample"])
	require.Equal(t, 1, logs.Len())
	assert.Contains(t, logs.All()[0].ContextMap()["answer"], "no room")
	assert.EqualValues(t, rejected, logs.All()[0].ContextMap()["samples"])

	r.w.encode = func(message, int) ([]byte, error) { return nil, errors.New("no room") }
	err := r.w.push(t.Context(), gauge(5))
	assert.True(t, consumererror.IsPermanent(err))
	assert.Equal(t, rejected+5, r.counts("rejected_samples")[answer.Other.String()])
}
