package answer

import (
	"net/http"
	"strings"
)

// Outcome is what becomes of a request. The names are those of the metric's attribute.
type Outcome int

// The outcomes. The last four keep the data: the same request may succeed later.
const (
	Written     Outcome = iota // everything
	Partial                    // a part; the rest will never be
	Rejected                   // nothing, and never will be
	Split                      // nothing, but a part of it might
	Throttled                  // too much at present
	Unavailable                // the backend has a problem
	Refused                    // the address, the credentials or the protocol are wrong, the data may be right
	Unconfirmed                // success, but the backend does not say of what
	NumOutcomes
)

var outcomes = [...]string{"written", "partial", "rejected", "split", "throttled", "unavailable", "refused", "unconfirmed"}

func (o Outcome) String() string { return outcomes[o] }

// Keeps says that the request is to be sent again, unchanged.
func (o Outcome) Keeps() bool { return o >= Throttled }

// Reason is why samples are given up.
type Reason int

// The reasons.
const (
	OutOfOrder Reason = iota
	TooOld
	Duplicate
	OutOfBounds
	TooLarge
	BadRequest
	NotWritten
	Other
	NumReasons
)

var reasons = [...]string{"out_of_order", "too_old", "duplicate", "out_of_bounds", "too_large", "bad_request", "not_written", "other"}

func (r Reason) String() string { return reasons[r] }

// Judge says what an answer means for a request with these samples. v2 is the request's protocol.
func (a *Answer) Judge(v2 bool, sent Stats) Outcome {
	switch {
	case a.ok():
		switch {
		case v2 && !a.Confirmed:
			return Unconfirmed
		case v2 && a.Written.Points() < sent.Points():
			return Partial
		}
		return Written
	case a.Status == http.StatusTooManyRequests:
		return Throttled
	case a.Status >= 500:
		return Unavailable
	case a.aboutData():
		switch {
		case a.tooLarge() || !a.Confirmed:
			// A backend of 1.0 says nothing of the others: Prometheus has stored none of them, others have stored what was right.
			return Split
		case a.Written.Points() > 0:
			return Partial
		}
		return Rejected
	case a.aboutSetup():
		return Refused
	}
	return Rejected
}

// aboutData: the same samples are refused however often they are sent.
func (a *Answer) aboutData() bool {
	switch a.Status {
	case http.StatusBadRequest:
		return !a.wrongWay()
	case http.StatusConflict, http.StatusRequestEntityTooLarge, http.StatusUnprocessableEntity:
		return true
	}
	return false
}

// aboutSetup: somebody will mend it, and nothing is wrong with the samples.
func (a *Answer) aboutSetup() bool {
	switch a.Status {
	case http.StatusUnauthorized, http.StatusPaymentRequired, http.StatusForbidden, http.StatusNotFound, http.StatusMethodNotAllowed, http.StatusNotAcceptable,
		http.StatusProxyAuthRequired, http.StatusRequestTimeout, http.StatusGone, http.StatusUnsupportedMediaType, http.StatusMisdirectedRequest, http.StatusTooEarly,
		http.StatusUpgradeRequired, http.StatusRequestHeaderFieldsTooLarge, http.StatusUnavailableForLegalReasons:
		return true
	}
	return a.Status < 400 || a.wrongWay()
}

// wrongWay: a 400 that nobody gave who has read the request. VictoriaMetrics gives it for any path that it does not have, Go's
// server, which Prometheus and VictoriaMetrics have, to HTTP on a port for TLS, a proxy for that, for its headers and for more.
func (a *Answer) wrongWay() bool {
	if a.Status != http.StatusBadRequest {
		return false
	}
	// Only at the beginning: further on it may be a label's value that a backend repeats.
	return a.Page || a.says("unsupported path") || begins(a.Message, "Client sent an HTTP request to an HTTPS server",
		"The plain HTTP request was sent to HTTPS port", "400 The plain HTTP request was sent to HTTPS port",
		"Request Header Or Cookie Too Large", "400 Request Header Or Cookie Too Large")
}

// tooLarge: VictoriaMetrics says 400 here, too, and names its flag; "too large" alone may be said of a label.
func (a *Answer) tooLarge() bool {
	return a.Status == http.StatusRequestEntityTooLarge ||
		a.Status == http.StatusBadRequest && a.says("too big") && a.says("-maxInsertRequestSize=")
}

// TooLarge says that only the request's size was wrong.
func (a *Answer) TooLarge() bool { return a.tooLarge() }

// Reason says why the samples are refused, as far as the message tells.
func (a *Answer) Reason() Reason {
	switch {
	case a.ok():
		return NotWritten
	case a.tooLarge():
		return TooLarge
	case a.says("out of order", "out-of-order"):
		return OutOfOrder
	case a.says("too old", "too-old"):
		return TooOld
	case a.says("duplicate sample", "duplicate timestamp", "duplicate-timestamp"):
		return Duplicate
	case a.says("out of bounds", "too far in the future", "too-far-in-future"):
		return OutOfBounds
	case a.aboutData():
		return BadRequest
	}
	return Other
}

// begins compares without regard to case.
func begins(text string, any ...string) bool {
	for _, s := range any {
		if len(text) >= len(s) && strings.EqualFold(text[:len(s)], s) {
			return true
		}
	}
	return false
}

func (a *Answer) says(any ...string) bool {
	message := strings.ToLower(a.Message)
	for _, s := range any {
		if strings.Contains(message, strings.ToLower(s)) {
			return true
		}
	}
	return false
}
