package main

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"go.opentelemetry.io/collector/pdata/pmetric/pmetricotlp"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
)

// connections send at once, each its own requests: a series never overtakes itself.
const connections = 2

const exportMethod = "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export"

// sender sends the same series again and again.
type sender struct {
	conns    [connections]*grpc.ClientConn
	requests [requests]*request
	points   int // sent so far
}

func newSender(addr string, explode bool) (*sender, error) {
	s := &sender{}
	for i := range s.requests {
		r, err := newRequest(i, explode, time.Now())
		if err != nil {
			return nil, err
		}
		s.requests[i] = r
	}
	for i := range s.conns {
		conn, err := dial(addr)
		if err != nil {
			s.close()
			return nil, err
		}
		s.conns[i] = conn
	}
	return s, nil
}

// dial connects for requests that are marshaled already.
func dial(addr string) (*grpc.ClientConn, error) {
	return grpc.NewClient("passthrough:///"+addr, grpc.WithTransportCredentials(insecure.NewCredentials()), grpc.WithDefaultCallOptions(grpc.ForceCodec(asIs{})))
}

func (s *sender) close() {
	for _, conn := range s.conns {
		if conn != nil {
			_ = conn.Close() // nothing is on its way
		}
	}
}

// send sends every series so often, and returns when all that was answered.
func (s *sender) send(ctx context.Context, rounds int) error {
	var wait sync.WaitGroup
	errs := make([]error, connections)
	for i := range s.conns {
		wait.Go(func() {
			for range rounds {
				for n := i; n < requests && errs[i] == nil; n += connections {
					errs[i] = export(ctx, s.conns[i], s.requests[n].next(time.Now()))
				}
			}
		})
	}
	wait.Wait()
	s.points += rounds * requests * requestPoints
	return errors.Join(errs...)
}

func export(ctx context.Context, conn *grpc.ClientConn, body []byte) error {
	var reply []byte
	if err := conn.Invoke(ctx, exportMethod, body, &reply); err != nil {
		return err
	}
	r := pmetricotlp.NewExportResponse()
	if err := r.UnmarshalProto(reply); err != nil {
		return err
	}
	if n := r.PartialSuccess().RejectedDataPoints(); n > 0 {
		return fmt.Errorf("%d points were rejected: %s", n, r.PartialSuccess().ErrorMessage())
	}
	return nil
}

// asIs is the codec for what is marshaled already.
type asIs struct{}

func (asIs) Name() string { return "proto" }

func (asIs) Marshal(v any) ([]byte, error) { return v.([]byte), nil }

func (asIs) Unmarshal(data []byte, v any) error {
	*v.(*[]byte) = append([]byte(nil), data...)
	return nil
}
