package retryablestatusextension

import (
	"context"
	"net"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/extension/extensionmiddleware"
	"go.opentelemetry.io/collector/extension/extensiontest"
	"go.opentelemetry.io/collector/pdata/ptrace/ptraceotlp"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"

	"github.com/sluice-otel/sluice/components/retryablestatusextension/internal/metadata"
)

func start(t *testing.T) (component.Component, *componenttest.Telemetry, *observer.ObservedLogs) {
	t.Helper()
	tel := componenttest.NewTelemetry()
	core, logs := observer.New(zap.WarnLevel)
	set := extensiontest.NewNopSettings(metadata.Type)
	set.TelemetrySettings = tel.NewTelemetrySettings()
	set.Logger = zap.New(core)
	ext, err := NewFactory().Create(t.Context(), set, NewFactory().CreateDefaultConfig())
	require.NoError(t, err)
	require.NoError(t, ext.Start(t.Context(), componenttest.NewNopHost()))
	t.Cleanup(func() { require.NoError(t, ext.Shutdown(context.Background())) })
	return ext, tel, logs
}

func counted(t *testing.T, tel *componenttest.Telemetry) map[string]int64 {
	t.Helper()
	m, err := tel.GetMetric("otelcol_extension_retryable_status_answers")
	if err != nil {
		return nil
	}
	all := map[string]int64{}
	for _, p := range m.Data.(metricdata.Sum[int64]).DataPoints {
		v, _ := p.Attributes.Value("status")
		all[v.AsString()] = p.Value
	}
	return all
}

func TestHTTP(t *testing.T) {
	answers := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		code, _ := strconv.Atoi(strings.TrimPrefix(r.URL.Path, "/"))
		w.Header().Set("Retry-After", "7")
		w.WriteHeader(code)
		_, _ = w.Write([]byte("why"))
	}))
	t.Cleanup(answers.Close)
	ext, tel, logs := start(t)
	rt, err := ext.(extensionmiddleware.HTTPClient).GetHTTPRoundTripper(http.DefaultTransport)
	require.NoError(t, err)
	f := func(code, want int) {
		t.Helper()
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, answers.URL+"/"+strconv.Itoa(code), http.NoBody)
		require.NoError(t, err)
		resp, err := rt.RoundTrip(req)
		require.NoError(t, err)
		defer resp.Body.Close()
		assert.Equal(t, want, resp.StatusCode, "of %d", code)
		assert.Equal(t, "7", resp.Header.Get("Retry-After"))
	}
	for _, code := range []int{200, 204, 301, 307, 400, 409, 413, 415, 422, 429, 501, 502, 503, 504} {
		f(code, code)
	}
	assert.Empty(t, counted(t, tel))
	want := map[string]int64{}
	for _, code := range []int{401, 402, 403, 404, 405, 407, 408, 410, 421, 425, 500, 507} {
		f(code, 503)
		want[strconv.Itoa(code)] = 1
	}
	assert.Equal(t, want, counted(t, tel))
	told := logs.Len()
	assert.Len(t, want, told)
	f(401, 503)
	assert.Equal(t, told, logs.Len(), "not again within a minute")

	_, err = rt.RoundTrip(httptest.NewRequest(http.MethodPost, "http://127.0.0.1:1/", http.NoBody))
	require.Error(t, err)
}

// answering is a real gRPC server that gives one answer.
type answering struct {
	ptraceotlp.UnimplementedGRPCServer
	err error
}

func (a *answering) Export(context.Context, ptraceotlp.ExportRequest) (ptraceotlp.ExportResponse, error) {
	return ptraceotlp.NewExportResponse(), a.err
}

func TestGRPC(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	server, answer := grpc.NewServer(), &answering{}
	ptraceotlp.RegisterGRPCServer(server, answer)
	go func() { _ = server.Serve(listener) }()
	t.Cleanup(server.Stop)
	ext, tel, _ := start(t)
	opts, err := ext.(extensionmiddleware.GRPCClient).GetGRPCClientOptions()
	require.NoError(t, err)
	conn, err := grpc.NewClient(listener.Addr().String(), append(opts, grpc.WithTransportCredentials(insecure.NewCredentials()))...)
	require.NoError(t, err)
	t.Cleanup(func() { _ = conn.Close() })
	f := func(code codes.Code, message string, want codes.Code) {
		t.Helper()
		answer.err = status.Error(code, message)
		_, err := ptraceotlp.NewGRPCClient(conn).Export(t.Context(), ptraceotlp.NewExportRequest())
		assert.Equal(t, want, status.Code(err), "of %s", code)
		if code != codes.OK {
			assert.ErrorContains(t, err, message)
		}
	}
	for _, code := range []codes.Code{codes.OK, codes.InvalidArgument, codes.FailedPrecondition, codes.Unavailable, codes.Canceled, codes.DataLoss} {
		f(code, "why", code)
	}
	f(codes.Internal, "Permanent error: why", codes.Internal)
	f(codes.ResourceExhausted, "grpc: received message larger than max (9 vs. 4)", codes.ResourceExhausted)
	assert.Empty(t, counted(t, tel))
	for _, code := range []codes.Code{codes.Unauthenticated, codes.PermissionDenied, codes.Unimplemented, codes.NotFound, codes.Unknown, codes.ResourceExhausted} {
		f(code, "why", codes.Unavailable)
	}
	f(codes.Internal, "stream terminated by RST_STREAM with error code: INTERNAL_ERROR", codes.Unavailable)
	assert.Len(t, counted(t, tel), 7)
}
