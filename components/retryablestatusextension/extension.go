package retryablestatusextension

import (
	"context"
	"net/http"
	"strconv"
	"time"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/extension"
	"go.opentelemetry.io/collector/extension/extensionmiddleware"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
	"go.uber.org/zap"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/sluice-otel/sluice/components/internal/seldom"
	"github.com/sluice-otel/sluice/components/retryablestatusextension/internal/metadata"
)

// tellEvery is how often the log says the same.
const tellEvery = time.Minute

type middleware struct {
	component.StartFunc
	logger  *zap.Logger
	builder *metadata.TelemetryBuilder
	told    *seldom.Teller[[2]string] // by peer and status: as many as there are exporters and codes
}

var (
	_ extensionmiddleware.HTTPClient = (*middleware)(nil)
	_ extensionmiddleware.GRPCClient = (*middleware)(nil)
)

// NewFactory makes the factory of the retryable_status extension.
func NewFactory() extension.Factory {
	return extension.NewFactory(metadata.Type, func() component.Config { return &struct{}{} }, create, metadata.ExtensionStability)
}

func create(_ context.Context, set extension.Settings, _ component.Config) (extension.Extension, error) {
	builder, err := metadata.NewTelemetryBuilder(set.TelemetrySettings)
	return &middleware{logger: set.Logger, builder: builder, told: seldom.New[[2]string](tellEvery)}, err
}

func (m *middleware) Shutdown(context.Context) error {
	m.builder.Shutdown()
	return nil
}

// waits counts an answer and tells of it now and then.
func (m *middleware) waits(ctx context.Context, peer, answer string) {
	m.builder.ExtensionRetryableStatusAnswers.Add(ctx, 1, metric.WithAttributeSet(attribute.NewSet(attribute.String("status", answer))))
	if m.told.Tell([2]string{peer, answer}, time.Now()) {
		m.logger.Warn("A backend gives an answer that is not about the data: requests wait in their queues until credentials, address or backend are mended",
			zap.String("peer", peer), zap.String("answer", answer))
	}
}

// GetHTTPRoundTripper makes 503 of what is waited out: exporters retry that.
func (m *middleware) GetHTTPRoundTripper(next http.RoundTripper) (http.RoundTripper, error) {
	return roundTripper{m, next}, nil
}

type roundTripper struct {
	*middleware
	next http.RoundTripper
}

func (r roundTripper) RoundTrip(req *http.Request) (*http.Response, error) {
	resp, err := r.next.RoundTrip(req)
	if err == nil && httpWaits(resp.StatusCode) {
		r.waits(req.Context(), req.URL.Host, strconv.Itoa(resp.StatusCode))
		resp.StatusCode, resp.Status = http.StatusServiceUnavailable, "503 (it was "+resp.Status+")"
	}
	return resp, err
}

// GetGRPCClientOptions makes UNAVAILABLE of what is waited out.
func (m *middleware) GetGRPCClientOptions() ([]grpc.DialOption, error) {
	return []grpc.DialOption{grpc.WithChainUnaryInterceptor(m.intercept)}, nil
}

func (m *middleware) intercept(ctx context.Context, method string, req, reply any, conn *grpc.ClientConn, invoke grpc.UnaryInvoker, opts ...grpc.CallOption) error {
	err := invoke(ctx, method, req, reply, conn, opts...)
	if err == nil {
		return nil
	}
	s := status.Convert(err)
	if !grpcWaits(s) {
		return err
	}
	m.waits(ctx, conn.Target(), s.Code().String())
	return status.Error(codes.Unavailable, s.Code().String()+": "+s.Message())
}
