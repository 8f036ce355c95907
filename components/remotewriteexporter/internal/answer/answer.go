// Package answer reads what a remote-write backend answers and says what that means for the request's samples. All of its input
// is from outside: a proxy, another program on the port, a backend of any version.
package answer

import (
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"
	"unicode"
)

const (
	maxMessage = 1024 // bytes of the body that are read for the message
	maxLine    = 300  // runes of it that are kept, about

	// MaxRetryAfter bounds what a backend may ask for: a wrong clock or a typing error should not stop delivery for days.
	MaxRetryAfter = 5 * time.Minute
)

// Stats counts what is in a request, or what of it was written.
type Stats struct {
	Samples, Histograms, Exemplars int
}

// Points are what a backend must not lose; exemplars may be dropped by any of them.
func (s Stats) Points() int { return s.Samples + s.Histograms }

// Answer is a response.
type Answer struct {
	Status     int
	Message    string // of a failure: one printable line
	RetryAfter time.Duration
	// Written is what the backend says that it wrote; Confirmed that it says so at all, which 2.0 demands.
	Written   Stats
	Confirmed bool
	// Page: a failure is told in HTML. No backend does that, but proxies and other servers do.
	Page bool
}

// Read takes what is needed from a response, not its whole body.
func Read(resp *http.Response, now time.Time) Answer {
	a := Answer{Status: resp.StatusCode}
	a.Written, a.Confirmed = written(resp.Header)
	if a.ok() {
		return a
	}
	body, _ := io.ReadAll(io.LimitReader(resp.Body, maxMessage)) // half a message is better than none
	a.Message = Line(string(body))
	a.Page = page(resp.Header.Get("Content-Type"), a.Message)
	if to := resp.Header.Get("Location"); a.Status/100 == 3 && to != "" {
		a.Message = Line("redirected to " + to)
	}
	a.RetryAfter = RetryAfter(resp.Header.Get("Retry-After"), now)
	return a
}

func (a *Answer) ok() bool { return a.Status/100 == 2 }

// page also knows HTML that does not say so.
func page(contentType, message string) bool {
	return begins(strings.TrimSpace(contentType), "text/html") || begins(message, "<!doctype html", "<html")
}

// written reads the three headers of 2.0. One is enough to know that the backend speaks 2.0; what it leaves out is zero.
func written(h http.Header) (s Stats, confirmed bool) {
	for name, into := range map[string]*int{"Samples": &s.Samples, "Histograms": &s.Histograms, "Exemplars": &s.Exemplars} {
		n, err := strconv.ParseUint(strings.TrimSpace(h.Get("X-Prometheus-Remote-Write-"+name+"-Written")), 10, 31)
		if err == nil {
			*into, confirmed = int(n), true
		}
	}
	return s, confirmed
}

// RetryAfter reads the header of that name, seconds or a date; 0 when there is none or it cannot be read.
func RetryAfter(value string, now time.Time) time.Duration {
	value = strings.TrimSpace(value)
	if value == "" {
		return 0
	}
	if seconds, err := strconv.ParseInt(value, 10, 64); err == nil {
		return bounded(time.Duration(min(max(seconds, 0), int64(MaxRetryAfter/time.Second))) * time.Second)
	}
	at, err := http.ParseTime(value)
	if err != nil {
		return 0
	}
	return bounded(at.Sub(now))
}

func bounded(d time.Duration) time.Duration {
	return min(max(d, 0), MaxRetryAfter)
}

// Line makes one printable, bounded line of any text.
func Line(text string) string {
	var line strings.Builder
	n, space := 0, false
	for _, r := range text {
		if unicode.IsSpace(r) || !unicode.IsPrint(r) {
			space = n > 0
			continue
		}
		if n >= maxLine {
			line.WriteString("…")
			break
		}
		if space {
			line.WriteByte(' ')
			n++
			space = false
		}
		line.WriteRune(r)
		n++
	}
	return line.String()
}
