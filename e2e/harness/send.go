package harness

import (
	"bytes"
	"compress/gzip"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"testing"
	"time"

	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/plog/plogotlp"
	"go.opentelemetry.io/collector/pdata/pmetric"
	"go.opentelemetry.io/collector/pdata/pmetric/pmetricotlp"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.opentelemetry.io/collector/pdata/ptrace/ptraceotlp"
	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
)

// Protocol is how a client speaks OTLP.
type Protocol string

// The protocols of OTLP.
const (
	GRPC         Protocol = "grpc"
	HTTPProtobuf Protocol = "http/protobuf"
	HTTPJSON     Protocol = "http/json"
)

// ClientOptions say how a client sends.
type ClientOptions struct {
	Protocol  Protocol // GRPC when empty
	LocalAddr string   // IP to connect from: the collector takes it for the pod's
	Headers   map[string]string
	Gzip      bool
	Timeout   time.Duration // of one request; 10 s when zero
}

// Client sends OTLP over one connection. It never retries: what the collector answers is what the caller gets.
type Client struct {
	endpoint string
	o        ClientOptions
	conn     *grpc.ClientConn // nil over HTTP
	http     *http.Client
}

// HTTPError is an answer other than 2xx.
type HTTPError struct {
	Status     int
	RetryAfter string
	Body       string
}

func (e *HTTPError) Error() string { return fmt.Sprintf("HTTP %d: %s", e.Status, e.Body) }

// NewClient makes a client of the receiver at endpoint (host:port); it is closed when the test ends.
func NewClient(tb testing.TB, endpoint string, o ClientOptions) *Client {
	tb.Helper()
	if o.Timeout == 0 {
		o.Timeout = 10 * time.Second
	}
	c := &Client{endpoint: endpoint, o: o}
	if o.Protocol != "" && o.Protocol != GRPC {
		c.http = &http.Client{Timeout: o.Timeout, Transport: &http.Transport{DialContext: dialer(o.LocalAddr).DialContext}}
		tb.Cleanup(c.http.CloseIdleConnections)
		return c
	}
	conn, err := grpcConn(endpoint, o.LocalAddr)
	if err != nil {
		tb.Fatal(err)
	}
	c.conn = conn
	tb.Cleanup(func() { _ = conn.Close() })
	return c
}

// SendTraces sends spans over gRPC on a connection of its own.
func SendTraces(tb testing.TB, endpoint string, data ptrace.Traces) error {
	tb.Helper()
	return NewClient(tb, endpoint, ClientOptions{}).SendTraces(data)
}

// SendLogs sends logs over gRPC on a connection of its own.
func SendLogs(tb testing.TB, endpoint string, data plog.Logs) error {
	tb.Helper()
	return NewClient(tb, endpoint, ClientOptions{}).SendLogs(data)
}

// SendMetrics sends metrics over gRPC on a connection of its own.
func SendMetrics(tb testing.TB, endpoint string, data pmetric.Metrics) error {
	tb.Helper()
	return NewClient(tb, endpoint, ClientOptions{}).SendMetrics(data)
}

// SendTraces sends spans. A partial success is an error, as for the two below.
func (c *Client) SendTraces(data ptrace.Traces) error {
	req, resp := ptraceotlp.NewExportRequestFromTraces(data), ptraceotlp.NewExportResponse()
	err := c.send("/v1/traces", req, resp, func(ctx context.Context, opts []grpc.CallOption) (err error) {
		resp, err = ptraceotlp.NewGRPCClient(c.conn).Export(ctx, req, opts...)
		return err
	})
	return orPartial(err, func() (int64, string) {
		return resp.PartialSuccess().RejectedSpans(), resp.PartialSuccess().ErrorMessage()
	})
}

// SendLogs sends logs.
func (c *Client) SendLogs(data plog.Logs) error {
	req, resp := plogotlp.NewExportRequestFromLogs(data), plogotlp.NewExportResponse()
	err := c.send("/v1/logs", req, resp, func(ctx context.Context, opts []grpc.CallOption) (err error) {
		resp, err = plogotlp.NewGRPCClient(c.conn).Export(ctx, req, opts...)
		return err
	})
	return orPartial(err, func() (int64, string) {
		return resp.PartialSuccess().RejectedLogRecords(), resp.PartialSuccess().ErrorMessage()
	})
}

// SendMetrics sends metrics.
func (c *Client) SendMetrics(data pmetric.Metrics) error {
	req, resp := pmetricotlp.NewExportRequestFromMetrics(data), pmetricotlp.NewExportResponse()
	err := c.send("/v1/metrics", req, resp, func(ctx context.Context, opts []grpc.CallOption) (err error) {
		resp, err = pmetricotlp.NewGRPCClient(c.conn).Export(ctx, req, opts...)
		return err
	})
	return orPartial(err, func() (int64, string) {
		return resp.PartialSuccess().RejectedDataPoints(), resp.PartialSuccess().ErrorMessage()
	})
}

func orPartial(err error, rejected func() (int64, string)) error {
	if err != nil {
		return err
	}
	if n, why := rejected(); n != 0 || why != "" {
		return fmt.Errorf("partial success: %d rejected: %s", n, why)
	}
	return nil
}

// send posts req over HTTP and reads the answer into resp, or makes the call over gRPC.
func (c *Client) send(path string, req, resp message, call func(context.Context, []grpc.CallOption) error) error {
	ctx, cancel := context.WithTimeout(context.Background(), c.o.Timeout)
	defer cancel()
	if c.conn == nil {
		return c.post(ctx, path, req, resp)
	}
	if len(c.o.Headers) > 0 {
		ctx = metadata.NewOutgoingContext(ctx, metadata.New(c.o.Headers))
	}
	var opts []grpc.CallOption
	if c.o.Gzip {
		opts = append(opts, grpc.UseCompressor("gzip"))
	}
	return call(ctx, opts)
}

func (c *Client) post(ctx context.Context, path string, req, resp message) error {
	contentType := typeProto
	if c.o.Protocol == HTTPJSON {
		contentType = typeJSON
	}
	body, err := encode(contentType, req)
	if err != nil {
		return err
	}
	header := http.Header{"Content-Type": {contentType}}
	if c.o.Gzip {
		var b bytes.Buffer
		w := gzip.NewWriter(&b)
		_, _ = w.Write(body) // a buffer takes everything
		_ = w.Close()
		body = b.Bytes()
		header.Set("Content-Encoding", "gzip")
	}
	for k, v := range c.o.Headers {
		header.Set(k, v)
	}
	answer, err := post(ctx, c.http, "http://"+c.endpoint+path, header, body)
	if err != nil {
		return err
	}
	return unmarshal(contentType, answer, resp)
}

func post(ctx context.Context, client *http.Client, url string, header http.Header, body []byte) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, url, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	req.Header = header
	resp, err := client.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	if err != nil {
		return nil, err
	}
	if resp.StatusCode/100 != 2 {
		return nil, &HTTPError{resp.StatusCode, resp.Header.Get("Retry-After"), string(answer)}
	}
	return answer, nil
}

// direct makes every request on a connection of its own, without the proxy that the environment may name.
var direct = &http.Client{
	Timeout:   10 * time.Second,
	Transport: &http.Transport{DialContext: dialer("").DialContext, DisableKeepAlives: true},
}

func dialer(localAddr string) *net.Dialer {
	d := &net.Dialer{Timeout: 5 * time.Second}
	if localAddr != "" {
		d.LocalAddr = &net.TCPAddr{IP: net.ParseIP(localAddr)}
	}
	return d
}

// DialFrom makes a gRPC client connect from this IP.
func DialFrom(localAddr string) grpc.DialOption {
	d := dialer(localAddr)
	return grpc.WithContextDialer(func(ctx context.Context, addr string) (net.Conn, error) {
		return d.DialContext(ctx, "tcp", addr)
	})
}

func grpcConn(endpoint, localAddr string) (*grpc.ClientConn, error) {
	return grpc.NewClient("passthrough:///"+endpoint,
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithNoProxy(),
		DialFrom(localAddr),
		// A test that restarts a collector does not want to wait for the default backoff of up to two minutes.
		grpc.WithConnectParams(grpc.ConnectParams{
			Backoff:           backoff.Config{BaseDelay: 50 * time.Millisecond, Multiplier: 1.5, MaxDelay: 500 * time.Millisecond},
			MinConnectTimeout: 2 * time.Second,
		}),
	)
}
