package harness

import (
	"context"
	"net/http"
	"time"

	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/plog/plogotlp"
	"go.opentelemetry.io/collector/pdata/pmetric"
	"go.opentelemetry.io/collector/pdata/pmetric/pmetricotlp"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.opentelemetry.io/collector/pdata/ptrace/ptraceotlp"
	"google.golang.org/grpc"
	_ "google.golang.org/grpc/encoding/gzip" // what exporters compress with by default
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/peer"
)

type logsServer struct {
	plogotlp.UnimplementedGRPCServer
	sink *Sink
}

type tracesServer struct {
	ptraceotlp.UnimplementedGRPCServer
	sink *Sink
}

type metricsServer struct {
	pmetricotlp.UnimplementedGRPCServer
	sink *Sink
}

func (s *Sink) registerGRPC(gs *grpc.Server) {
	plogotlp.RegisterGRPCServer(gs, &logsServer{sink: s})
	ptraceotlp.RegisterGRPCServer(gs, &tracesServer{sink: s})
	pmetricotlp.RegisterGRPCServer(gs, &metricsServer{sink: s})
}

// Export takes logs.
func (l *logsServer) Export(ctx context.Context, req plogotlp.ExportRequest) (plogotlp.ExportResponse, error) {
	data := req.Logs()
	err := l.sink.answerGRPC(ctx, &Request{
		Signal: "logs", Items: data.LogRecordCount(), Bytes: (&plog.ProtoMarshaler{}).LogsSize(data),
	}, func() { l.sink.logs.add(data) })
	return plogotlp.NewExportResponse(), err
}

// Export takes spans.
func (t *tracesServer) Export(ctx context.Context, req ptraceotlp.ExportRequest) (ptraceotlp.ExportResponse, error) {
	data := req.Traces()
	err := t.sink.answerGRPC(ctx, &Request{
		Signal: "traces", Items: data.SpanCount(), Bytes: (&ptrace.ProtoMarshaler{}).TracesSize(data),
	}, func() { t.sink.traces.add(data) })
	return ptraceotlp.NewExportResponse(), err
}

// Export takes metrics.
func (m *metricsServer) Export(ctx context.Context, req pmetricotlp.ExportRequest) (pmetricotlp.ExportResponse, error) {
	data := req.Metrics()
	err := m.sink.answerGRPC(ctx, &Request{
		Signal: "metrics", Items: data.DataPointCount(), Bytes: (&pmetric.ProtoMarshaler{}).MetricsSize(data),
	}, func() { m.sink.metrics.add(data) })
	return pmetricotlp.NewExportResponse(), err
}

func (s *Sink) answerGRPC(ctx context.Context, r *Request, store func()) error {
	r.Protocol, r.Time, r.Header = "grpc", time.Now(), http.Header{}
	r.Path, _ = grpc.Method(ctx)
	if md, ok := metadata.FromIncomingContext(ctx); ok {
		for key, values := range md {
			r.Header[http.CanonicalHeaderKey(key)] = values
		}
	}
	if p, ok := peer.FromContext(ctx); ok {
		r.Client = p.Addr.String()
	}
	f := s.receive(ctx, r, store)
	if f == nil {
		return nil
	}
	if f.cut {
		s.grpcLis.cut(r.Client) // the answer below has nowhere to go then
	}
	return f.grpcStatus().Err()
}
