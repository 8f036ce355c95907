package harness

import (
	"fmt"
	"testing"
	"time"

	"github.com/sluice-otel/sluice/e2e/proc"
)

// WaitLogs waits until check accepts everything received so far, and returns that. It fails at once when one of the
// needed processes is gone.
func (s *Sink) WaitLogs(tb testing.TB, timeout time.Duration, check func([]LogRecord) error, need ...*proc.Process) []LogRecord {
	tb.Helper()
	return wait(tb, timeout, s.LogRecords, check, need)
}

// WaitSpans is WaitLogs for spans.
func (s *Sink) WaitSpans(tb testing.TB, timeout time.Duration, check func([]SpanRecord) error, need ...*proc.Process) []SpanRecord {
	tb.Helper()
	return wait(tb, timeout, s.Spans, check, need)
}

// WaitPoints is WaitLogs for data points.
func (s *Sink) WaitPoints(tb testing.TB, timeout time.Duration, check func([]Point) error, need ...*proc.Process) []Point {
	tb.Helper()
	return wait(tb, timeout, s.Points, check, need)
}

// WaitRequests waits until check accepts all requests so far, the rejected ones too.
func (s *Sink) WaitRequests(tb testing.TB, timeout time.Duration, check func([]Request) error, need ...*proc.Process) []Request {
	tb.Helper()
	return wait(tb, timeout, s.Requests, check, need)
}

// AtLeast is a check for n items.
func AtLeast[T any](n int) func([]T) error {
	return func(list []T) error {
		if len(list) < n {
			return fmt.Errorf("%d of %d %Ts so far", len(list), n, *new(T))
		}
		return nil
	}
}

func wait[T any](tb testing.TB, timeout time.Duration, read func() []T, check func([]T) error, need []*proc.Process) []T {
	tb.Helper()
	var got []T
	proc.Eventually(tb, timeout, func() error {
		got = read()
		return check(got)
	}, need...)
	return got
}
