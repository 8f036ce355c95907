//go:build e2e

package soak

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/http"
	"path/filepath"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/attribute"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"

	"github.com/sluice-otel/sluice/e2e/harness"
	"github.com/sluice-otel/sluice/e2e/podlogs"
	"github.com/sluice-otel/sluice/e2e/scraped"
)

// How much is written. The machine that the gate runs on has two cores, and the rig starts twelve processes.
const (
	linesPerSecond  = 200
	tracesPerSecond = 20 // of three spans
	pushesPerSecond = 2  // of scraped.Series samples
	services        = 6  // each with an SDK of its own, which exports every five seconds
)

func service(i int) string { return fmt.Sprintf("soak-shop-%d", i) }

// writers are the applications: containers that log, a service with the SDK, one that pushes its counters and one that is scraped.
type writers struct {
	fleet   *podlogs.Fleet
	tracers [services]*sdktrace.TracerProvider
	spans   [services]*harness.Acknowledged
	page    *scraped.Page

	mu           sync.Mutex
	spansEnded   int
	pushed       int
	acknowledged map[key]struct{}

	stop func() error
}

func newFleet(t *testing.T, seed uint64) (*podlogs.Fleet, map[string]string) {
	t.Helper()
	dir := t.TempDir()
	o := podlogs.Options{
		PodsDir: filepath.Join(dir, "pods"), DockerDir: filepath.Join(dir, "docker"), Seed: seed,
		Containers: 24, LongPercent: 2, MostOpen: linesPerSecond, WallClock: true,
	}
	fleet, err := podlogs.New(o)
	require.NoError(t, err)
	t.Cleanup(func() { _ = fleet.Close() })
	return fleet, map[string]string{"POD_LOGS_DIR": o.PodsDir, "DOCKER_LOGS_DIR": o.DockerDir}
}

// key is a sample: the writer's number, which is a label, and the value, which is a sequence number.
type key struct{ writer, number int }

func (k key) String() string { return fmt.Sprintf("writer %d, value %d", k.writer, k.number) }

// scrapedAndTaken are the samples that a scraper has given away.
func (w *writers) scrapedAndTaken() map[key]struct{} {
	taken := map[key]struct{}{}
	for _, n := range w.page.Acknowledged() {
		for i := range scraped.Series {
			taken[key{i, n}] = struct{}{}
		}
	}
	return taken
}

func servePageOn(t *testing.T, ip string) (p *scraped.Page, port string) {
	t.Helper()
	lis, err := net.Listen("tcp", net.JoinHostPort(ip, "0"))
	require.NoError(t, err)
	p = scraped.New("soak_scraped_total")
	answers := &http.Server{Handler: p}
	go func() { _ = answers.Serve(lis) }()
	t.Cleanup(func() { _ = answers.Close() })
	_, port, err = net.SplitHostPort(lis.Addr().String())
	require.NoError(t, err)
	return p, port
}

// start lets everything write until stop, which says if something could not.
func (w *writers) start(t *testing.T, agentOTLP string) {
	t.Helper()
	for i := range w.tracers {
		w.tracers[i], w.spans[i] = harness.NewKeepingSDKTracer(t, agentOTLP, service(i))
	}
	ctx, cancel := context.WithCancel(context.Background())
	fleet := make(chan error, 1)
	var wg sync.WaitGroup
	wg.Go(func() { fleet <- w.fleet.Run(ctx, linesPerSecond) })
	wg.Go(func() { every(ctx, time.Second/tracesPerSecond, w.trace) })
	client := harness.NewClient(t, agentOTLP, harness.ClientOptions{Timeout: 2 * time.Second})
	wg.Go(func() { every(ctx, time.Second/pushesPerSecond, func() { w.push(client) }) })
	stopped := false
	w.stop = func() error {
		if stopped {
			return nil
		}
		stopped = true
		cancel()
		wg.Wait()
		return <-fleet
	}
	t.Cleanup(func() { _ = w.stop() })
}

func every(ctx context.Context, period time.Duration, do func()) {
	tick := time.NewTicker(period)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			do()
		}
	}
}

// trace is a request to one of the services.
func (w *writers) trace() {
	w.mu.Lock()
	w.spansEnded += 3
	tracer := w.tracers[w.spansEnded/3%services].Tracer("soak")
	w.mu.Unlock()
	ctx, root := tracer.Start(context.Background(), "POST /checkout")
	for _, name := range []string{"reserve", "charge"} {
		_, child := tracer.Start(ctx, name)
		child.SetAttributes(attribute.String("http.request.method", "POST"))
		child.End()
	}
	root.End()
}

// flush has the SDKs give away what they hold.
func (w *writers) flush(ctx context.Context) error {
	errs := make([]error, services)
	var wg sync.WaitGroup
	for i, tracer := range w.tracers {
		wg.Go(func() { errs[i] = tracer.ForceFlush(ctx) })
	}
	wg.Wait()
	return errors.Join(errs...)
}

// takenSpans are those that the agent has acknowledged, by trace and span ID.
func (w *writers) takenSpans() map[[2]string]struct{} {
	all := map[[2]string]struct{}{}
	for _, s := range w.spans {
		maps.Copy(all, s.Spans())
	}
	return all
}

// push sends the next samples once. What is not acknowledged is not sent again: that would be for the application to do.
func (w *writers) push(client *harness.Client) {
	w.mu.Lock()
	w.pushed++
	n := w.pushed
	w.mu.Unlock()
	samples := make([]harness.Sample, scraped.Series)
	now := time.Now()
	for i := range samples {
		samples[i] = harness.Sample{
			Service: "soak-pusher", Name: "soak.pushed", Counter: true, Value: float64(n), Time: now,
			Attrs: map[string]any{"writer": strconv.Itoa(i)},
		}
	}
	if client.SendMetrics(harness.Metrics(samples...)) != nil {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	for i := range samples {
		w.acknowledged[key{i, n}] = struct{}{}
	}
}
