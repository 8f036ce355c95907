package traceshardsexporter

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/consumer"
	"go.opentelemetry.io/collector/exporter"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.uber.org/zap"

	"github.com/sluice-otel/sluice/components/traceshardsexporter/internal/metadata"
)

// router splits batches and gives each shard's part to the shard's exporter, which is upstream's otlp_grpc with a queue of its own.
type router struct {
	cfg    *Config
	set    exporter.Settings
	tel    *metadata.TelemetryBuilder
	shards []exporter.Traces

	// askFirst has the shards in the order in which they are asked: those that refused last are in front. A full queue then refuses before
	// others have taken their parts of a batch that comes again as a whole.
	mu       sync.Mutex
	askFirst []int

	started []component.Component
}

func newRouter(ctx context.Context, set exporter.Settings, cfg *Config) (*router, error) {
	tel, err := metadata.NewTelemetryBuilder(set.TelemetrySettings)
	if err != nil {
		return nil, err
	}
	r := &router{cfg: cfg, set: set, tel: tel}
	for i := range cfg.Shards {
		shard, err := otlp.CreateTraces(ctx, r.settingsOf(i), cfg.shard(i))
		if err != nil {
			return nil, fmt.Errorf("shard %d: %w", i, err)
		}
		r.shards = append(r.shards, shard)
		r.askFirst = append(r.askFirst, i)
	}
	return r, nil
}

// settingsOf gives a shard's exporter its own name: its queue's file and its metrics have it, otlp_grpc/trace_shards-0.
func (r *router) settingsOf(number int) exporter.Settings {
	set := r.set
	name := set.ID.Type().String()
	if set.ID.Name() != "" {
		name += "-" + set.ID.Name()
	}
	set.ID = component.NewIDWithName(otlp.Type(), fmt.Sprintf("%s-%d", name, number))
	set.Logger = set.Logger.With(zap.Int("shard", number))
	return set
}

// Capabilities says that batches are taken apart.
func (*router) Capabilities() consumer.Capabilities { return consumer.Capabilities{MutatesData: true} }

// Start starts the shards, and then sends on what waits in the queues of those that are no more.
func (r *router) Start(ctx context.Context, host component.Host) error {
	reconnecting := newHost(host)
	for i, shard := range r.shards {
		if err := r.start(ctx, reconnecting, shard); err != nil {
			return fmt.Errorf("shard %d: %w", i, err)
		}
	}
	r.tel.ExporterTraceShardsShards.Record(ctx, int64(len(r.shards)))
	return r.drainRemoved(ctx, host)
}

func (r *router) start(ctx context.Context, host component.Host, c component.Component) error {
	if err := c.Start(ctx, host); err != nil {
		return err
	}
	r.started = append(r.started, c)
	return nil
}

// Shutdown stops the removed shards' queues first, which send to the others.
func (r *router) Shutdown(ctx context.Context) error {
	defer r.tel.Shutdown()
	var errs []error
	for _, c := range slices.Backward(r.started[min(len(r.shards), len(r.started)):]) {
		errs = append(errs, c.Shutdown(ctx))
	}
	// All at once: each may take as long as one attempt to send.
	shards := r.started[:min(len(r.shards), len(r.started))]
	results := make([]error, len(shards))
	var wait sync.WaitGroup
	for i, c := range shards {
		wait.Go(func() { results[i] = c.Shutdown(ctx) })
	}
	wait.Wait()
	r.started = nil
	return errors.Join(append(errs, results...)...)
}

// ConsumeTraces returns as soon as each part is in its shard's queue. When one is refused, the sender has to repeat the whole batch: a
// receiver cannot tell it which spans to leave out.
func (r *router) ConsumeTraces(ctx context.Context, td ptrace.Traces) error {
	parts := split(td, len(r.shards))
	taken := 0
	for _, i := range r.order() {
		if parts[i].spans == 0 {
			continue
		}
		if err := r.offer(ctx, i, parts[i]); err != nil {
			if taken > 0 {
				r.tel.ExporterTraceShardsRepeatedSpans.Add(ctx, int64(taken))
			}
			return err
		}
		taken += parts[i].spans
	}
	return nil
}

func (r *router) offer(ctx context.Context, shard int, p part) error {
	err := r.shards[shard].ConsumeTraces(ctx, p.td)
	if err == nil {
		return nil
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.askFirst[0] != shard {
		at := slices.Index(r.askFirst, shard)
		r.askFirst = slices.Insert(slices.Delete(slices.Clone(r.askFirst), at, at+1), 0, shard) // others read the old one
	}
	return fmt.Errorf("shard %d: %w", shard, err)
}

func (r *router) order() []int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.askFirst
}
