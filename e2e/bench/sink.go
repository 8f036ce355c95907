package main

import (
	"context"
	"net"
	"sync/atomic"

	"go.opentelemetry.io/collector/pdata/plog/plogotlp"
	"google.golang.org/grpc"
	_ "google.golang.org/grpc/encoding/gzip" // what exporters compress with by default
)

// sink is an OTLP backend that only counts. It runs in this process: its CPU time is not the collector's.
type sink struct {
	plogotlp.UnimplementedGRPCServer
	addr   string
	server *grpc.Server
	count  atomic.Int64
	parsed atomic.Int64 // those with log.iostream: a parser has seen them
	// Those whose pod is no label of Loki's: it has the name that LogQL has for it.
	demoted atomic.Int64
}

func startSink() (*sink, error) {
	lis, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	s := &sink{addr: lis.Addr().String(), server: grpc.NewServer(grpc.MaxRecvMsgSize(16 << 20))}
	plogotlp.RegisterGRPCServer(s.server, s)
	go func() { _ = s.server.Serve(lis) }() // ends with stop
	return s, nil
}

func (s *sink) stop() { s.server.Stop() }

func (s *sink) reset() {
	s.count.Store(0)
	s.parsed.Store(0)
	s.demoted.Store(0)
}

// Export takes logs.
func (s *sink) Export(_ context.Context, req plogotlp.ExportRequest) (plogotlp.ExportResponse, error) {
	count, parsed, demoted := int64(0), int64(0), int64(0)
	for _, rl := range req.Logs().ResourceLogs().All() {
		_, isDemoted := rl.Resource().Attributes().Get("k8s_pod_name")
		for _, sl := range rl.ScopeLogs().All() {
			for _, r := range sl.LogRecords().All() {
				count++
				if isDemoted {
					demoted++
				}
				if _, ok := r.Attributes().Get("log.iostream"); ok {
					parsed++
				}
			}
		}
	}
	s.count.Add(count)
	s.parsed.Add(parsed)
	s.demoted.Add(demoted)
	return plogotlp.NewExportResponse(), nil
}
