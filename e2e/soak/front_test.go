package soak

import (
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/health"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"

	"github.com/sluice-otel/sluice/e2e/proc"
)

func startFront(t *testing.T, target string) *Front {
	t.Helper()
	f, err := NewFront(proc.FreeAddress(t), target)
	require.NoError(t, err)
	t.Cleanup(f.Refuse)
	return f
}

func TestFrontOverHTTP(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { _, _ = io.Copy(w, r.Body) }))
	t.Cleanup(server.Close)
	f := startFront(t, strings.TrimPrefix(server.URL, "http://"))
	client := &http.Client{Timeout: 2 * time.Second}
	post := func() (int, string, error) {
		resp, err := client.Post("http://"+f.Addr+"/v1/logs", "application/x-protobuf", strings.NewReader("data"))
		if err != nil {
			return 0, "", err
		}
		defer resp.Body.Close()
		body, err := io.ReadAll(resp.Body)
		return resp.StatusCode, resp.Header.Get("Retry-After") + string(body), err
	}
	through := func() {
		t.Helper()
		code, body, err := post()
		require.NoError(t, err)
		assert.Equal(t, http.StatusOK, code)
		assert.Equal(t, "data", body)
	}
	through()
	f.Make(Trouble{Status: 429, RetryAfter: 3 * time.Second})
	code, body, err := post()
	require.NoError(t, err)
	assert.Equal(t, http.StatusTooManyRequests, code)
	assert.Equal(t, "3", body)
	f.Refuse()
	_, _, err = post()
	require.Error(t, err)
	require.NoError(t, f.Heal())
	through()
	server.Close()
	code, _, err = post()
	require.NoError(t, err)
	assert.Equal(t, http.StatusBadGateway, code)
}

// What a status becomes over gRPC decides whether an exporter tries again.
func TestFrontOverGRPC(t *testing.T) {
	lis, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	server := grpc.NewServer()
	grpc_health_v1.RegisterHealthServer(server, health.NewServer())
	go func() { _ = server.Serve(lis) }()
	t.Cleanup(server.Stop)
	f := startFront(t, lis.Addr().String())
	conn, err := grpc.NewClient(f.Addr, grpc.WithTransportCredentials(insecure.NewCredentials()), grpc.WithNoProxy())
	require.NoError(t, err)
	t.Cleanup(func() { _ = conn.Close() })
	check := func(want codes.Code, options ...grpc.CallOption) {
		t.Helper()
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		_, err := grpc_health_v1.NewHealthClient(conn).Check(ctx, &grpc_health_v1.HealthCheckRequest{}, options...)
		assert.Equal(t, want, status.Code(err), "%v", err)
	}
	check(codes.OK)
	f.Make(Trouble{Status: 503})
	check(codes.Unavailable)
	f.Make(Trouble{Status: 429})
	check(codes.Unavailable)
	f.Make(Trouble{Status: 400})
	check(codes.Internal)
	f.Refuse()
	check(codes.Unavailable)
	require.NoError(t, f.Heal())
	check(codes.OK, grpc.WaitForReady(true))
}
