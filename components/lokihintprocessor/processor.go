package lokihintprocessor

import (
	"context"
	"math/rand/v2"
	"strings"
	"sync"
	"time"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/consumer"
	"go.opentelemetry.io/collector/extension/xextension/storage"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/processor"
	"go.uber.org/zap"

	"github.com/sluice-otel/sluice/components/internal/storageclient"
	"github.com/sluice-otel/sluice/components/lokihintprocessor/internal/budget"
)

type hinter struct {
	cfg         *Config
	id          component.ID
	layout      *layout
	budgets     *budget.Budgets
	tel         *telemetry
	next        consumer.Logs
	metadataKey string
	walkers     sync.Pool

	storage     storage.Client
	stop, saved chan struct{}
}

func newProcessor(set processor.Settings, cfg *Config, next consumer.Logs) (*hinter, error) {
	plan, err := cfg.Plan()
	if err != nil {
		return nil, err
	}
	bounds := limits(cfg, plan)
	p := &hinter{
		cfg: cfg, id: set.ID, layout: newLayout(plan), budgets: budget.New(bounds, rand.Uint64()), next: next,
		metadataKey: strings.ToLower(cfg.Tenant.MetadataKey),
	}
	if p.tel, err = newTelemetry(set.TelemetrySettings, p.layout, cfg.Budget.Window); err != nil {
		return nil, err
	}
	if err := p.tel.observe(p.budgets, bounds); err != nil {
		return nil, err
	}
	p.walkers.New = func() any { return newWalker(p) }
	return p, nil
}

// Start opens the storage.
func (p *hinter) Start(ctx context.Context, host component.Host) (err error) {
	p.storage, err = storageclient.Open(ctx, host, p.cfg.Storage, p.id, p.tel.logger, "after a restart the first values to come are labels, "+
		"not those that were, while Loki still has the streams of before")
	if err != nil {
		return err
	}
	if p.storage != nil {
		p.restore(ctx)
		p.stop, p.saved = make(chan struct{}), make(chan struct{})
		go p.keepSaving()
	}
	names := make([]string, 0, len(p.layout.labels))
	for i := range p.layout.labels {
		names = append(names, p.layout.labels[i].name)
	}
	p.tel.logger.Info("labels of Loki's streams", zap.String("contract", p.cfg.Contract), zap.Strings("labels", names))
	return nil
}

// Shutdown stores what is known.
func (p *hinter) Shutdown(ctx context.Context) error {
	defer p.tel.builder.Shutdown()
	if p.storage == nil {
		return nil
	}
	if p.stop != nil {
		close(p.stop)
		<-p.saved
	}
	p.save(ctx)
	return p.storage.Close(ctx)
}

// Capabilities says that records are changed in place.
func (p *hinter) Capabilities() consumer.Capabilities {
	return consumer.Capabilities{MutatesData: true}
}

// ConsumeLogs makes a batch ready for Loki and hands it on.
func (p *hinter) ConsumeLogs(ctx context.Context, ld plog.Logs) error {
	w := p.walkers.Get().(*walker)
	defer w.release()
	w.logs(ld, time.Now())
	p.tel.add(&w.counts, w.now)
	if ld.ResourceLogs().Len() == 0 {
		return nil // Loki refuses what has no records
	}
	return p.deliver(ctx, ld, w.tenants, &w.costs)
}
