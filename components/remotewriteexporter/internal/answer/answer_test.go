package answer

import (
	"io"
	"net/http"
	"strings"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func response(status int, body string, headers ...string) *http.Response {
	h := http.Header{}
	for i := 0; i < len(headers); i += 2 {
		h.Set(headers[i], headers[i+1])
	}
	return &http.Response{StatusCode: status, Header: h, Body: io.NopCloser(strings.NewReader(body))}
}

// What every status means, with the words of real backends.
func TestJudge(t *testing.T) {
	all := []string{"X-Prometheus-Remote-Write-Samples-Written", "5", "X-Prometheus-Remote-Write-Histograms-Written", "2", "X-Prometheus-Remote-Write-Exemplars-Written", "0"}
	some := []string{"X-Prometheus-Remote-Write-Samples-Written", "3", "X-Prometheus-Remote-Write-Histograms-Written", "2"}
	none := []string{"X-Prometheus-Remote-Write-Samples-Written", "0"}
	html := []string{"Content-Type", "text/html; charset=utf-8"}
	sent := Stats{Samples: 5, Histograms: 2, Exemplars: 1}
	for _, c := range []struct {
		status  int
		body    string
		headers []string
		v2      bool
		want    Outcome
		reason  Reason
	}{
		{status: 200, want: Written},
		{status: 204, want: Written},
		{status: 204, v2: true, want: Unconfirmed},
		{status: 200, v2: true, headers: []string{"X-Prometheus-Remote-Write-Samples-Written", "many"}, want: Unconfirmed},
		{status: 204, v2: true, headers: all, want: Written},
		{status: 204, v2: true, headers: some, want: Partial, reason: NotWritten},
		{status: 204, v2: true, headers: none, want: Partial, reason: NotWritten},
		{status: 204, headers: none, want: Written}, // 1.0 knows no headers
		{status: 429, want: Throttled},
		{status: 429, v2: true, headers: none, want: Throttled},
		{status: 500, body: "out of order sample", want: Unavailable},
		{status: 500, v2: true, headers: some, want: Unavailable},
		{status: 503, want: Unavailable},
		{status: 599, want: Unavailable},
		{status: 400, body: "out of order sample\n", want: Split, reason: OutOfOrder},
		{status: 400, body: "failed pushing to ingester: user=x: the sample has been rejected because another sample with a more recent timestamp has already been ingested and out-of-order samples are not allowed (err-mimir-sample-out-of-order)", want: Split, reason: OutOfOrder},
		{status: 400, body: "too old sample", want: Split, reason: TooOld},
		{status: 400, body: "duplicate sample for timestamp 1; overriding not allowed", want: Split, reason: Duplicate},
		{status: 400, body: "out of bounds: timestamp is too far in the future", want: Split, reason: OutOfBounds},
		{status: 400, body: "snappy: corrupt input", want: Split, reason: BadRequest},
		{status: 400, body: "out of order sample", v2: true, headers: some, want: Partial, reason: OutOfOrder},
		{status: 400, body: "out of order sample", v2: true, headers: none, want: Rejected, reason: OutOfOrder},
		{status: 400, body: "x", v2: true, want: Split, reason: BadRequest},
		{status: 400, body: `unsupported path requested: "/api/v1/wirte"`, want: Refused},
		{status: 400, body: "Client sent an HTTP request to an HTTPS server.\n", want: Refused},
		{status: 400, body: "<html>\r\n<head><title>400 The plain HTTP request was sent to HTTPS port</title></head>", headers: html, want: Refused},
		{status: 400, body: "<html>\r\n<head><title>400 Request Header Or Cookie Too Large</title></head>", headers: html, want: Refused},
		{status: 400, body: "<!DOCTYPE html><p>too big: -maxInsertRequestSize=1", want: Refused},
		{status: 400, body: "Your browser sent an invalid request.", headers: []string{"Content-Type", "Text/HTML"}, want: Refused},
		{status: 400, headers: html, want: Refused},
		{status: 400, body: "400 The plain HTTP request was sent to HTTPS port", want: Refused},
		{status: 400, body: "The plain HTTP request was sent to HTTPS port", want: Refused},
		{status: 400, body: "400 Request header or cookie too large", want: Refused},
		{status: 400, body: "Request Header Or Cookie Too Large", want: Refused},
		{status: 400, body: `out of order sample: errors{error="Client sent an HTTP request to an HTTPS server."}`, want: Split, reason: OutOfOrder},
		{status: 400, body: "label value too large", want: Split, reason: BadRequest},
		{status: 400, body: "label name is too big", want: Split, reason: BadRequest},
		{status: 400, body: `invalid label: flag="-maxInsertRequestSize=1"`, want: Split, reason: BadRequest},
		{status: 400, body: "remoteAddr: \"127.0.0.1:51526\"; requestURI: /api/v1/write; too big packed request; mustn't exceed `-maxInsertRequestSize=2000` bytes", want: Split, reason: TooLarge},
		{status: 400, body: "too big unpacked request; mustn't exceed `-maxInsertRequestSize=2000` bytes; got 5000 bytes", want: Split, reason: TooLarge},
		{status: 400, body: "too big unpacked request; mustn't exceed -maxInsertRequestSize=1 bytes", want: Split, reason: TooLarge},
		{status: 413, headers: html, want: Split, reason: TooLarge},
		{status: 422, headers: html, want: Split, reason: BadRequest},
		{status: 409, body: "store locally for endpoint : out of order sample", want: Split, reason: OutOfOrder},
		{status: 413, want: Split, reason: TooLarge},
		{status: 413, v2: true, headers: none, want: Split, reason: TooLarge},
		{status: 422, want: Split, reason: BadRequest},
		{status: 301, want: Refused},
		{status: 308, want: Refused},
		{status: 401, want: Refused},
		{status: 403, want: Refused},
		{status: 404, want: Refused},
		{status: 405, want: Refused},
		{status: 407, want: Refused},
		{status: 408, want: Refused},
		{status: 415, v2: true, want: Refused},
		{status: 418, want: Rejected, reason: Other},
		{status: 499, want: Rejected, reason: Other},
	} {
		a := Read(response(c.status, c.body, c.headers...), noon)
		got := a.Judge(c.v2, sent)
		assert.Equal(t, c.want.String(), got.String(), "%d %s", c.status, c.body)
		if got == Rejected || got == Partial || got == Split {
			assert.Equal(t, c.reason.String(), a.Reason().String(), "%d %s", c.status, c.body)
		}
		assert.Equal(t, c.want == Throttled || c.want == Unavailable || c.want == Refused || c.want == Unconfirmed, got.Keeps())
	}
}

func TestRead(t *testing.T) {
	a := Read(response(204, "ignored", "X-Prometheus-Remote-Write-Samples-Written", " 7 ", "X-Prometheus-Remote-Write-Exemplars-Written", "-1"), noon)
	assert.Equal(t, Answer{Status: 204, Written: Stats{Samples: 7}, Confirmed: true}, a)
	a = Read(response(503, "try\r\n\tagain \x1b[31mlater\x00\n\n", "Retry-After", "7"), noon)
	assert.Equal(t, Answer{Status: 503, Message: "try again [31mlater", RetryAfter: 7 * time.Second}, a)
	a = Read(response(301, "moved", "Location", "https://x/y"), noon)
	assert.Equal(t, "redirected to https://x/y", a.Message)
	a = Read(response(400, strings.Repeat("x", 1<<20)), noon)
	assert.Equal(t, strings.Repeat("x", maxLine)+"…", a.Message)
}

func TestRetryAfter(t *testing.T) {
	for value, want := range map[string]time.Duration{
		"": 0, "0": 0, " 3 ": 3 * time.Second, "-5": 0, "1.5": 0, "soon": 0, "9223372036854775807": MaxRetryAfter, "99999999999999999999": 0,
		"Sun, 01 Mar 2026 12:00:30 GMT": 30 * time.Second, "Sun, 01 Mar 2026 11:00:00 GMT": 0, "Sun, 01 Mar 2099 12:00:30 GMT": MaxRetryAfter,
		"Sunday, 01-Mar-26 12:00:10 GMT": 10 * time.Second,
	} {
		assert.Equal(t, want, RetryAfter(value, noon), value)
	}
}

// Whatever a stranger answers is read, bounded, and means something.
func FuzzRead(f *testing.F) {
	f.Add(400, "out of order sample", "", "", false)
	f.Add(204, "", "5", "", true)
	f.Add(503, "\xff\x00\n", "x", "Sun, 01 Mar 2026 12:00:30 GMT", true)
	f.Add(301, "", "99999999999", "-1", false)
	f.Fuzz(func(t *testing.T, status int, body, written, after string, v2 bool) {
		if status < 200 || status > 999 {
			return
		}
		sent := Stats{Samples: 5}
		a := Read(response(status, body, "X-Prometheus-Remote-Write-Samples-Written", written, "Retry-After", after, "Location", body), noon)
		require.True(t, utf8.ValidString(a.Message))
		require.LessOrEqual(t, utf8.RuneCountInString(a.Message), maxLine+2)
		for _, r := range a.Message {
			require.True(t, unicode.IsPrint(r), "%q", a.Message)
		}
		require.True(t, a.RetryAfter >= 0 && a.RetryAfter <= MaxRetryAfter)
		require.GreaterOrEqual(t, a.Written.Samples, 0)
		o := a.Judge(v2, sent)
		require.NotEmpty(t, o.String())
		require.NotEmpty(t, a.Reason().String())
		if status == 429 || status >= 500 {
			require.True(t, o.Keeps())
		}
		if status/100 == 2 {
			require.True(t, o == Written || v2)
		}
	})
}
