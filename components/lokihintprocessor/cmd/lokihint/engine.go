package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"go.opentelemetry.io/collector/client"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/consumer"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/processor"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	"go.opentelemetry.io/otel/trace/noop"
	"go.uber.org/zap"

	"github.com/sluice-otel/sluice/components/lokihintprocessor"
	"github.com/sluice-otel/sluice/components/lokihintprocessor/internal/config"
	"github.com/sluice-otel/sluice/components/lokihintprocessor/internal/lokimodel"
)

// sent is a request as the processor passes it on.
type sent struct {
	tenant string
	logs   plog.Logs
}

// counter is one of the processor's own metrics, without the prefix.
type counter struct {
	name       string
	attributes attribute.Set
	value      int64
}

// engine runs the processor itself. What it passes on is in sent.
type engine struct {
	processor.Logs
	sent   []sent
	reader *metric.ManualReader
}

// host is a collector without extensions.
type host struct{}

func (host) GetExtensions() map[component.ID]component.Component { return nil }

func start(ctx context.Context, l *loaded) (*engine, error) {
	cfg := *l.cfg
	cfg.Storage = nil // begins anew, and leaves what a collector keeps alone
	e := &engine{reader: metric.NewManualReader()}
	next, err := consumer.NewLogs(func(ctx context.Context, ld plog.Logs) error {
		kept := sent{logs: ld}
		if cfg.Tenant.Default != "" {
			kept.tenant = strings.Join(client.FromContext(ctx).Metadata.Get(cfg.Tenant.MetadataKey), "|")
		}
		e.sent = append(e.sent, kept)
		return nil
	})
	if err != nil {
		return nil, err
	}
	e.Logs, err = lokihintprocessor.NewFactory().CreateLogs(ctx, processor.Settings{
		ID: l.id,
		TelemetrySettings: component.TelemetrySettings{
			Logger:         zap.NewNop(),
			TracerProvider: noop.NewTracerProvider(),
			MeterProvider:  metric.NewMeterProvider(metric.WithReader(e.reader)),
			Resource:       pcommon.NewResource(),
		},
		BuildInfo: component.NewDefaultBuildInfo(),
	}, &cfg, next)
	if err != nil {
		return nil, err
	}
	return e, e.Start(ctx, host{})
}

// process is what becomes of requests, in their order, and what the processor counted.
func process(ctx context.Context, l *loaded, requests []plog.Logs) (_ []sent, _ []counter, err error) {
	e, err := start(ctx, l)
	if err != nil {
		return nil, nil, fmt.Errorf("%s: %w", l.id, err)
	}
	for _, ld := range requests {
		if err = e.ConsumeLogs(ctx, ld); err != nil {
			break
		}
	}
	counters, readErr := e.counters(ctx)
	if err = errors.Join(err, readErr, e.Shutdown(ctx)); err != nil {
		return nil, nil, fmt.Errorf("%s: %w", l.id, err)
	}
	return e.sent, counters, nil
}

// counters are what it counted, by name.
func (e *engine) counters(ctx context.Context) ([]counter, error) {
	var metrics metricdata.ResourceMetrics
	if err := e.reader.Collect(ctx, &metrics); err != nil {
		return nil, err
	}
	var counters []counter
	for _, scope := range metrics.ScopeMetrics {
		for _, m := range scope.Metrics {
			sum, ok := m.Data.(metricdata.Sum[int64])
			name, own := strings.CutPrefix(m.Name, "otelcol_processor_loki_hint_")
			if !ok || !own {
				continue // a gauge, such as the number of streams
			}
			for _, p := range sum.DataPoints {
				counters = append(counters, counter{name, p.Attributes, p.Value})
			}
		}
	}
	slices.SortFunc(counters, func(a, b counter) int { return strings.Compare(a.String(), b.String()) })
	return counters, nil
}

// String is the metric as PromQL writes it.
func (c counter) String() string {
	var attributes []string
	for _, a := range c.attributes.ToSlice() {
		attributes = append(attributes, fmt.Sprintf("%s=%q", a.Key, a.Value.AsString()))
	}
	if len(attributes) == 0 {
		return c.name
	}
	return c.name + "{" + strings.Join(attributes, ", ") + "}"
}

// loki is what the Loki of a contract does with logs. It looks at no entry's age: a file of logs may be old.
func (l *loaded) loki() lokimodel.Settings {
	index := l.plan.Index
	s := lokimodel.Defaults(index)
	s.MaxLabels = max(s.MaxLabels, needs(l).MaxLabels)
	if l.cfg.Contract != config.ContractDefault {
		s.Drop = config.HintKeys()
	}
	return s
}
