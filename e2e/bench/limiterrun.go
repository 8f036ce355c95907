package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/collector/pdata/pmetric/pmetricotlp"
	"google.golang.org/grpc"

	"github.com/sluice-otel/sluice/e2e/harness"
)

// pointArm is one way to run the collector as a gateway of metrics. Its configs are merged behind points.yaml.
type pointArm struct {
	arm
	limits  bool // the limiter is in the pipeline
	explode bool // a quarter of the points is of exploding series
}

// limiterArms are held against the same pipeline without a processor.
var limiterArms = []pointArm{
	{arm: arm{name: "none", label: "no processor, to nop", configs: []string{"points-nop"}, against: "none"}},
	{arm: arm{name: "limiter", label: "cardinality_limiter, to nop", configs: []string{"limiter", "points-nop"}, against: "none"}, limits: true},
	{arm: arm{name: "limiter-storage", label: "cardinality_limiter with storage, to nop", configs: []string{"limiter", "limiter-state", "points-nop"}, against: "none"}, limits: true},
	{arm: arm{name: "deltatocumulative", label: "deltatocumulative, to nop", configs: []string{"deltatocumulative", "points-nop"}, against: "none"}},
	{arm: arm{name: "otlp-none", label: "no processor, memory queue, OTLP", configs: []string{"points-otlp"}, toSink: true, against: "otlp-none"}},
	{arm: arm{name: "otlp-limiter", label: "cardinality_limiter, memory queue, OTLP", configs: []string{"limiter", "points-otlp"}, toSink: true, against: "otlp-none"}, limits: true},
	{
		arm: arm{
			name: "otlp-limiter-storage", label: "cardinality_limiter with storage, memory queue, OTLP",
			configs: []string{"limiter", "limiter-state", "points-otlp"}, toSink: true, against: "otlp-none",
		}, limits: true,
	},
	{arm: arm{name: "otlp-deltatocumulative", label: "deltatocumulative, memory queue, OTLP", configs: []string{"deltatocumulative", "points-otlp"}, toSink: true, against: "otlp-none"}},
	{arm: arm{name: "exploding-none", label: "a quarter explodes: no processor, to nop", configs: []string{"points-nop"}, against: "exploding-none"}, explode: true},
	{
		arm: arm{
			name: "exploding-limiter-storage", label: "a quarter explodes: cardinality_limiter with storage, to nop",
			configs: []string{"limiter", "limiter-state", "points-nop"}, against: "exploding-none",
		}, limits: true, explode: true,
	},
	{
		arm:     arm{name: "exploding-deltatocumulative", label: "a quarter explodes: deltatocumulative, to nop", configs: []string{"deltatocumulative", "points-nop"}, against: "exploding-none"},
		explode: true,
	},
}

// plain are the arms as choose knows them.
func plain(from []pointArm) []arm {
	list := make([]arm, len(from))
	for i, a := range from {
		list[i] = a.arm
	}
	return list
}

// pointResult is what one run cost.
type pointResult struct {
	points int
	cpu    time.Duration
	wall   time.Duration
	rss    int64   // the peak
	over   float64 // the share of points that the limiter did not let pass
}

func (r pointResult) perMillion() float64 { return r.cpu.Seconds() * 1e6 / float64(r.points) }

// limiter measures what the limiter adds to a gateway. The arms take turns, so that a busy minute of the machine hits all of them.
func (b *bench) limiter(ctx context.Context) error {
	picked, err := choose(b.arms, plain(limiterArms))
	if err != nil {
		return err
	}
	chosen := slices.DeleteFunc(slices.Clone(limiterArms), func(a pointArm) bool { return !slices.Contains(names(picked), a.name) })
	sink, err := startPointSink()
	if err != nil {
		return err
	}
	defer sink.server.Stop()
	results := map[string][]pointResult{}
	for n := range b.runs {
		for _, a := range chosen {
			r, err := b.pass(ctx, a, sink)
			if err != nil {
				return fmt.Errorf("%s: %w", a.name, err)
			}
			progress("%s, run %d of %d: %.2f CPU s a million points, %.0f MiB, %.1f s", a.name, n+1, b.runs, r.perMillion(), mib(r.rss), r.wall.Seconds())
			results[a.name] = append(results[a.name], r)
		}
	}
	_, err = io.WriteString(b.out, limiterRunTable(b.options, chosen, results))
	return err
}

// pass sends the points through the collector of an arm. The first tenth is not counted: series are admitted, the heap grows.
func (b *bench) pass(ctx context.Context, a pointArm, sink *pointSink) (r pointResult, err error) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Minute) // sending waits as long as the collector does
	defer cancel()
	sink.count.Store(0)
	env := []string{"SINK=" + sink.addr}
	if a.explode {
		env = append(env, "MAX_VALUES="+strconv.Itoa(seriesOf*users/10)) // nine in ten are too many
	}
	p, addr, err := b.startGateway(ctx, append([]string{"points"}, a.configs...), env...)
	if err != nil {
		return r, err
	}
	defer func() { _ = p.stop() }() // on success it is stopped below, and that stop's error counts
	s, err := newSender(addr, a.explode)
	if err != nil {
		return r, err
	}
	defer s.close()
	send := func(rounds int) error {
		if err := s.send(ctx, rounds); err != nil || !a.toSink {
			return err
		}
		return p.wait(ctx, time.Minute, 10*time.Millisecond, func() (bool, error) { return sink.count.Load() >= int64(s.points), nil })
	}
	rounds := b.points / (requests * requestPoints)
	if err := send(rounds / 10); err != nil {
		return r, err
	}
	if r, err = p.measure(func() error { return send(rounds) }); err != nil {
		return r, err
	}
	r.points = rounds * requests * requestPoints
	page, err := harness.ReadMetrics(p.metrics)
	if err != nil {
		return r, err
	}
	if r.over, err = a.over(page, s.points); err != nil {
		return r, err
	}
	return r, p.stop()
}

// measure says what the collector needs while something is sent.
func (c *collector) measure(send func() error) (r pointResult, err error) {
	before, err := c.cpu()
	if err != nil {
		return r, err
	}
	start := time.Now()
	if err := send(); err != nil {
		return r, err
	}
	r.wall = time.Since(start)
	after, err := c.cpu()
	if err != nil {
		return r, err
	}
	r.cpu = after - before
	r.rss, err = c.memory("VmHWM")
	return r, err
}

// over is the share of points that the limiter did not let pass. It fails a run that measured something else.
func (a pointArm) over(page harness.Page, points int) (float64, error) {
	const name = "otelcol_processor_cardinality_limiter_points"
	accepted, seen := page.Sum("otelcol_receiver_accepted_metric_points", nil), page.Sum(name, nil)
	passed := page.Sum(name, map[string]string{"outcome": "passed"})
	if accepted != float64(points) || a.limits != (seen == accepted) {
		return 0, fmt.Errorf("%.0f points accepted and %.0f seen by the limiter, of %d", accepted, seen, points)
	}
	if !a.limits {
		return 0, nil
	}
	if a.explode != (passed < seen) {
		return 0, fmt.Errorf("the limiter let %.0f of %.0f points pass", passed, seen)
	}
	return 1 - passed/seen, nil
}

// startGateway runs a collector in an empty directory, and says where it listens. Its configs are those of configs/, merged in this order.
func (b *bench) startGateway(ctx context.Context, names []string, env ...string) (p *collector, addr string, err error) {
	dir := filepath.Join(b.dir, "gateway")
	if err := os.RemoveAll(dir); err != nil {
		return nil, "", err
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, "", err
	}
	var args []string
	for _, name := range names {
		text, err := configs.ReadFile("configs/" + name + ".yaml")
		if err != nil {
			return nil, "", err
		}
		args = append(args, "--config=yaml:"+string(text))
	}
	port, err := freePort()
	if err != nil {
		return nil, "", err
	}
	metrics, err := freePort()
	if err != nil {
		return nil, "", err
	}
	addr = fmt.Sprintf("127.0.0.1:%d", port)
	env = append(env, "OTLP_ENDPOINT="+addr, "METRICS_PORT="+strconv.Itoa(metrics))
	p = &collector{metrics: fmt.Sprintf("http://127.0.0.1:%d/metrics", metrics)}
	p.process, err = startProcess(ctx, b.binary, dir, args, env)
	return p, addr, err
}

// pointSink is sink for metrics.
type pointSink struct {
	pmetricotlp.UnimplementedGRPCServer
	addr   string
	server *grpc.Server
	count  atomic.Int64
}

func startPointSink() (*pointSink, error) {
	lis, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	s := &pointSink{addr: lis.Addr().String(), server: grpc.NewServer(grpc.MaxRecvMsgSize(16 << 20))}
	pmetricotlp.RegisterGRPCServer(s.server, s)
	go func() { _ = s.server.Serve(lis) }() // ends with Stop
	return s, nil
}

// Export takes metrics.
func (s *pointSink) Export(_ context.Context, req pmetricotlp.ExportRequest) (pmetricotlp.ExportResponse, error) {
	s.count.Add(int64(req.Metrics().DataPointCount()))
	return pmetricotlp.NewExportResponse(), nil
}
