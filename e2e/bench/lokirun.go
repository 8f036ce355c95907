package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"go.opentelemetry.io/collector/pdata/plog/plogotlp"
	"google.golang.org/grpc"

	"github.com/sluice-otel/sluice/e2e/bench/lokiload"
	"github.com/sluice-otel/sluice/e2e/harness"
)

// The load of -loki: requests as agents batch them, of all pods in turn.
const (
	logRequests      = 10
	logPods          = lokiload.Pods / logRequests // in a request
	logsOf           = 10                          // of a pod
	logRecords       = logPods * logsOf
	minRecords       = 10 * logRequests * logRecords
	logsExportMethod = "/opentelemetry.proto.collector.logs.v1.LogsService/Export"
)

// lokiArms are held against the same pipeline without a processor. Their configs are merged behind loki/base.yaml; parsed means that they demote labels.
var lokiArms = []arm{
	{name: "none", label: "no processor, to nop", configs: []string{"nop"}, against: "none"},
	{name: "hint", label: "loki_hint, to nop", configs: []string{"loki/hint", "nop"}, against: "none", parsed: true},
	{name: "upstream", label: "transform that does most of it, to nop", configs: []string{"loki/upstream", "loki/near", "nop"}, against: "none", parsed: true},
	{name: "names", label: "transform, labels only, to nop", configs: []string{"loki/upstream", "loki/names", "nop"}, against: "none", parsed: true},
	{name: "otlp-none", label: "no processor, memory queue, OTLP", configs: []string{"otlp", "loki/queue"}, toSink: true, against: "otlp-none"},
	{name: "otlp-hint", label: "loki_hint, memory queue, OTLP", configs: []string{"loki/hint", "otlp", "loki/queue"}, toSink: true, against: "otlp-none", parsed: true},
	{
		name: "otlp-upstream", label: "transform that does most of it, memory queue, OTLP", configs: []string{"loki/upstream", "loki/near", "otlp", "loki/queue"},
		toSink: true, against: "otlp-none", parsed: true,
	},
	{
		name: "otlp-names", label: "transform, labels only, memory queue, OTLP", configs: []string{"loki/upstream", "loki/names", "otlp", "loki/queue"},
		toSink: true, against: "otlp-none", parsed: true,
	},
}

// loki measures what loki_hint adds to a gateway. The arms take turns, so that a busy minute of the machine hits all of them.
func (b *bench) loki(ctx context.Context) error {
	chosen, err := choose(b.arms, lokiArms)
	if err != nil {
		return err
	}
	results := map[string][]pointResult{}
	for n := range b.runs {
		for _, a := range chosen {
			r, err := b.passLogs(ctx, a)
			if err != nil {
				return fmt.Errorf("%s: %w", a.name, err)
			}
			progress("%s, run %d of %d: %.2f CPU s a million records, %.0f MiB, %.1f s", a.name, n+1, b.runs, r.perMillion(), mib(r.rss), r.wall.Seconds())
			results[a.name] = append(results[a.name], r)
		}
	}
	_, err = io.WriteString(b.out, lokiRunTable(b.options, chosen, results))
	return err
}

// passLogs sends the records through the collector of an arm. The first tenth is not counted: streams are admitted, the heap grows.
func (b *bench) passLogs(ctx context.Context, a arm) (r pointResult, err error) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Minute) // sending waits as long as the collector does
	defer cancel()
	b.sink.reset()
	p, addr, err := b.startGateway(ctx, append([]string{"loki/base"}, a.configs...), "SINK="+b.sink.addr)
	if err != nil {
		return r, err
	}
	defer func() { _ = p.stop() }() // on success it is stopped below, and that stop's error counts
	s, err := newLogSender(addr)
	if err != nil {
		return r, err
	}
	defer s.close()
	send := func(rounds int) error {
		if err := s.send(ctx, rounds); err != nil || !a.toSink {
			return err
		}
		return p.wait(ctx, time.Minute, 10*time.Millisecond, func() (bool, error) { return b.sink.count.Load() >= int64(s.records), nil })
	}
	rounds := b.records / (logRequests * logRecords)
	if err := send(rounds / 10); err != nil {
		return r, err
	}
	if r, err = p.measure(func() error { return send(rounds) }); err != nil {
		return r, err
	}
	r.points = rounds * logRequests * logRecords
	page, err := harness.ReadMetrics(p.metrics)
	if err != nil {
		return r, err
	}
	if accepted := page.Sum("otelcol_receiver_accepted_log_records", nil); accepted != float64(s.records) {
		return r, fmt.Errorf("%.0f records accepted of %d", accepted, s.records)
	}
	return r, cmp.Or(b.sink.verifyLogs(a, s.records), p.stop())
}

// verifyLogs fails a run that measured something else: records that got lost, or whose labels nobody chose.
func (s *sink) verifyLogs(a arm, sent int) error {
	if !a.toSink {
		return nil
	}
	want := 0
	if a.parsed {
		want = sent
	}
	if count, demoted := s.count.Load(), s.demoted.Load(); count != int64(sent) || demoted != int64(want) {
		return fmt.Errorf("%d records at the sink, of %d the pod is no label; want %d and %d", count, demoted, sent, want)
	}
	return nil
}

// logSender sends the same requests again and again.
type logSender struct {
	conns   [connections]*grpc.ClientConn
	bodies  [logRequests][]byte
	records int // sent so far
}

func newLogSender(addr string) (*logSender, error) {
	s := &logSender{}
	for i := range s.bodies {
		body, err := plogotlp.NewExportRequestFromLogs(lokiload.Batch(i*logPods, logPods, logsOf, false)).MarshalProto()
		if err != nil {
			return nil, err
		}
		s.bodies[i] = body
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

func (s *logSender) close() {
	for _, conn := range s.conns {
		if conn != nil {
			_ = conn.Close() // nothing is on its way
		}
	}
}

// send sends every request so often, and returns when all that was answered.
func (s *logSender) send(ctx context.Context, rounds int) error {
	var wait sync.WaitGroup
	errs := make([]error, connections)
	for i := range s.conns {
		wait.Go(func() {
			for range rounds {
				for n := i; n < logRequests && errs[i] == nil; n += connections {
					errs[i] = exportLogs(ctx, s.conns[i], s.bodies[n])
				}
			}
		})
	}
	wait.Wait()
	s.records += rounds * logRequests * logRecords
	return errors.Join(errs...)
}

func exportLogs(ctx context.Context, conn *grpc.ClientConn, body []byte) error {
	var reply []byte
	if err := conn.Invoke(ctx, logsExportMethod, body, &reply); err != nil {
		return err
	}
	r := plogotlp.NewExportResponse()
	if err := r.UnmarshalProto(reply); err != nil {
		return err
	}
	if n := r.PartialSuccess().RejectedLogRecords(); n > 0 {
		return fmt.Errorf("%d records were rejected: %s", n, r.PartialSuccess().ErrorMessage())
	}
	return nil
}
