package harness

import (
	"context"
	"fmt"
	"math"
	"net/http"
	"strconv"
	"testing"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/sluice-otel/sluice/e2e/proc"
)

// faults are what a sink currently does wrong.
type faults struct {
	delay      time.Duration
	status     int
	retryAfter time.Duration
	cut        bool // close the connection instead of answering
	keep       bool // store the data all the same
	every      int  // only every nth request
	seen       int  // requests since every was set
}

// Refuse closes the listeners and every connection: clients see "connection refused" until Heal.
func (s *Sink) Refuse() {
	s.grpcLis.refuse()
	s.httpLis.refuse()
}

// Delay makes every answer wait; a client that gives up before is rejected.
func (s *Sink) Delay(d time.Duration) { s.change(func(f *faults) { f.delay = d }) }

// Status answers requests with this HTTP status, or over gRPC with its twin: 400 InvalidArgument, 401 Unauthenticated,
// 403 PermissionDenied, 404 Unimplemented, 429 ResourceExhausted, 500 Internal, 502, 503 and 504 Unavailable. With a
// retryAfter the answer carries a Retry-After header, or a RetryInfo.
func (s *Sink) Status(code int, retryAfter time.Duration) {
	s.change(func(f *faults) { f.status, f.retryAfter, f.cut, f.keep = code, retryAfter, false, false })
}

// CloseConnection reads requests and closes their connection without an answer, and without storing the data.
func (s *Sink) CloseConnection() {
	s.change(func(f *faults) { f.status, f.cut, f.keep = 0, true, false })
}

// LoseAnswer stores the data and closes the connection without an answer: what a client resends arrives twice.
func (s *Sink) LoseAnswer() {
	s.change(func(f *faults) { f.status, f.cut, f.keep = 0, true, true })
}

// FailEvery limits the failure to every nth request from now on; without a failure set, it is a 503.
func (s *Sink) FailEvery(n int) {
	s.change(func(f *faults) {
		f.every, f.seen = n, 0
		if f.status == 0 && !f.cut {
			f.status = http.StatusServiceUnavailable
		}
	})
}

// Heal ends every fault, and listens again on the same ports.
func (s *Sink) Heal(tb testing.TB) {
	tb.Helper()
	s.change(func(f *faults) { *f = faults{} })
	proc.Eventually(tb, 10*time.Second, func() error {
		if err := s.grpcLis.open(); err != nil {
			return err
		}
		return s.httpLis.open()
	})
}

func (s *Sink) change(set func(*faults)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	set(&s.faults)
}

// failure is why a request was not accepted.
type failure struct {
	status     int
	retryAfter time.Duration
	cut        bool
}

// receive counts a request, stores its data or refuses it as the faults say.
func (s *Sink) receive(ctx context.Context, r *Request, store func()) *failure {
	s.mu.Lock()
	s.requests = append(s.requests, r)
	f := s.faults
	if s.faults.every > 0 {
		s.faults.seen++
		if s.faults.seen%s.faults.every != 0 {
			f = faults{delay: f.delay}
		}
	}
	s.mu.Unlock()

	if f.delay > 0 {
		select {
		case <-time.After(f.delay):
		case <-ctx.Done():
		}
	}

	s.mu.Lock()
	defer s.mu.Unlock()
	if ctx.Err() != nil { // the client is gone, or the sink stops
		s.rejected++
		return &failure{status: http.StatusGatewayTimeout}
	}
	failed := f.status != 0 || f.cut
	if !failed || f.keep {
		store()
	}
	if failed {
		s.rejected++
		return &failure{status: f.status, retryAfter: f.retryAfter, cut: f.cut}
	}
	r.Accepted = true
	s.accepted++
	return nil
}

var grpcTwins = map[int]codes.Code{
	http.StatusBadRequest:          codes.InvalidArgument,
	http.StatusUnauthorized:        codes.Unauthenticated,
	http.StatusForbidden:           codes.PermissionDenied,
	http.StatusNotFound:            codes.Unimplemented,
	http.StatusTooManyRequests:     codes.ResourceExhausted,
	http.StatusInternalServerError: codes.Internal,
	http.StatusBadGateway:          codes.Unavailable,
	http.StatusServiceUnavailable:  codes.Unavailable,
	http.StatusGatewayTimeout:      codes.Unavailable,
}

// grpcStatus is the failure in gRPC's words; over HTTP it is the body of the answer.
func (f *failure) grpcStatus() *status.Status {
	code, ok := grpcTwins[f.status]
	if !ok {
		code = codes.Unknown
	}
	st := status.New(code, fmt.Sprintf("the sink was told to fail (%d)", f.status))
	if f.retryAfter > 0 {
		detailed, err := st.WithDetails(&errdetails.RetryInfo{RetryDelay: durationpb.New(f.retryAfter)})
		if err == nil {
			return detailed
		}
	}
	return st
}

// retryAfterHeader is in whole seconds, rounded up.
func (f *failure) retryAfterHeader() string {
	return strconv.Itoa(int(math.Ceil(f.retryAfter.Seconds())))
}
