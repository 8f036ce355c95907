package harness

import (
	"net/http"
	"sync"
	"testing"
	"time"

	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/pmetric"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"google.golang.org/grpc"

	"github.com/sluice-otel/sluice/e2e/proc"
)

// SinkOptions say how a sink listens.
type SinkOptions struct {
	GRPCAddr, HTTPAddr string // listen addresses; a free port of 127.0.0.1 when empty
	MaxRecvMiB         int    // largest gRPC message; 16 when zero
}

// Sink is an OTLP backend, over gRPC and HTTP, that keeps everything it is sent and can be made to fail.
type Sink struct {
	GRPC, HTTP string // host:port

	grpcLis, httpLis *reopenable

	mu       sync.Mutex
	faults   faults
	requests []*Request
	accepted int
	rejected int
	logs     store[plog.Logs, LogRecord]
	traces   store[ptrace.Traces, SpanRecord]
	metrics  store[pmetric.Metrics, Point]
}

// Request is one request that a sink was sent, whatever the answer was.
type Request struct {
	Signal   string // "logs", "metrics", "traces"; empty for a path or a body that is none of them
	Protocol string // "grpc" or "http"
	Path     string // of the URL, or the full gRPC method
	Header   http.Header
	Client   string // the client's host:port
	Items    int    // log records, data points or spans
	Bytes    int    // size of the message in protobuf, or of the HTTP body, uncompressed
	Time     time.Time
	Accepted bool
}

// Counts are numbers of requests. One that is being delayed is neither accepted nor rejected yet.
type Counts struct{ Requests, Accepted, Rejected int }

// StartSink starts a sink that runs until the test ends.
func StartSink(tb testing.TB, o SinkOptions) *Sink {
	tb.Helper()
	if o.MaxRecvMiB == 0 {
		o.MaxRecvMiB = 16
	}
	s := &Sink{}
	s.logs.flatten, s.traces.flatten, s.metrics.flatten = flattenLogs, flattenTraces, flattenMetrics
	s.grpcLis, s.GRPC = mustListen(tb, o.GRPCAddr)
	s.httpLis, s.HTTP = mustListen(tb, o.HTTPAddr)

	gs := grpc.NewServer(grpc.MaxRecvMsgSize(o.MaxRecvMiB << 20))
	s.registerGRPC(gs)
	hs := &http.Server{Handler: http.HandlerFunc(s.serveHTTP), ReadHeaderTimeout: 10 * time.Second}

	var servers sync.WaitGroup
	servers.Go(func() { _ = gs.Serve(s.grpcLis) })
	servers.Go(func() { _ = hs.Serve(s.httpLis) })
	tb.Cleanup(func() {
		_ = s.grpcLis.Close() // first: a delayed answer must not hold the end of the test up
		_ = s.httpLis.Close()
		gs.Stop()
		_ = hs.Close()
		servers.Wait()
	})
	return s
}

func mustListen(tb testing.TB, addr string) (lis *reopenable, chosen string) {
	tb.Helper()
	if addr == "" {
		addr = proc.FreeAddress(tb) // nobody else's while it is closed
	}
	lis, err := listen(addr)
	if err != nil {
		tb.Fatal(err)
	}
	return lis, lis.addr
}

// Logs are the requests with logs that were stored, in the order of arrival.
func (s *Sink) Logs() []plog.Logs { return locked(s, s.logs.all) }

// Traces are the requests with spans that were stored, in the order of arrival.
func (s *Sink) Traces() []ptrace.Traces { return locked(s, s.traces.all) }

// Metrics are the requests with metrics that were stored, in the order of arrival.
func (s *Sink) Metrics() []pmetric.Metrics { return locked(s, s.metrics.all) }

// LogRecords is a flat view of Logs.
func (s *Sink) LogRecords() []LogRecord { return locked(s, s.logs.view) }

// Spans is a flat view of Traces.
func (s *Sink) Spans() []SpanRecord { return locked(s, s.traces.view) }

// Points is a flat view of Metrics.
func (s *Sink) Points() []Point { return locked(s, s.metrics.view) }

// Requests are all requests, the rejected ones too.
func (s *Sink) Requests() []Request {
	return locked(s, func() []Request {
		list := make([]Request, len(s.requests))
		for i, r := range s.requests {
			list[i] = *r
		}
		return list
	})
}

// Headers are those of every request; over gRPC its metadata.
func (s *Sink) Headers() []http.Header {
	return locked(s, func() []http.Header {
		list := make([]http.Header, len(s.requests))
		for i, r := range s.requests {
			list[i] = r.Header
		}
		return list
	})
}

// Paths are those of every request; over gRPC the full method.
func (s *Sink) Paths() []string {
	return locked(s, func() []string {
		list := make([]string, len(s.requests))
		for i, r := range s.requests {
			list[i] = r.Path
		}
		return list
	})
}

// Counts says how many requests came.
func (s *Sink) Counts() Counts {
	return locked(s, func() Counts {
		return Counts{Requests: len(s.requests), Accepted: s.accepted, Rejected: s.rejected}
	})
}

// Reset forgets everything received and counted; faults stay.
func (s *Sink) Reset() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.requests, s.accepted, s.rejected = nil, 0, 0
	s.logs.reset()
	s.traces.reset()
	s.metrics.reset()
}

func locked[T any](s *Sink, read func() T) T {
	s.mu.Lock()
	defer s.mu.Unlock()
	return read()
}

// store keeps what one signal's requests brought, and a flat view that grows with it: tests poll, and the view of all
// that came before must not be made anew each time.
type store[D, V any] struct {
	flatten func(D) []V
	raw     []D
	flat    []V
	done    int // how many of raw are in flat
}

func (s *store[D, V]) add(d D) { s.raw = append(s.raw, d) }

func (s *store[D, V]) all() []D { return append([]D(nil), s.raw...) }

func (s *store[D, V]) view() []V {
	for ; s.done < len(s.raw); s.done++ {
		s.flat = append(s.flat, s.flatten(s.raw[s.done])...)
	}
	return append([]V(nil), s.flat...)
}

func (s *store[D, V]) reset() { s.raw, s.flat, s.done = nil, nil, 0 }
