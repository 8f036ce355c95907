package lokihintprocessor

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/client"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/confmap"
	"go.opentelemetry.io/collector/confmap/xconfmap"
	"go.opentelemetry.io/collector/consumer"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/sluice-otel/sluice/components/lokihintprocessor/internal/lokimodel"
	"github.com/sluice-otel/sluice/components/lokihintprocessor/internal/metadatatest"
)

// loadConfig reads a configuration as the collector does.
func loadConfig(t testing.TB, text string) (*Config, error) {
	t.Helper()
	retrieved, err := confmap.NewRetrievedFromYAML([]byte(text))
	require.NoError(t, err)
	conf, err := retrieved.AsConf()
	require.NoError(t, err)
	cfg := NewFactory().CreateDefaultConfig().(*Config)
	if err := conf.Unmarshal(cfg); err != nil {
		return nil, err
	}
	return cfg, xconfmap.Validate(cfg)
}

// request is what came to the sink at once.
type request struct {
	logs     plog.Logs
	metadata client.Metadata
}

// sink keeps what it takes. It refuses what refuse has an error for, and makes a mess of it.
type sink struct {
	mu       sync.Mutex
	requests []request
	refuse   func(request) error
}

func (*sink) Capabilities() consumer.Capabilities { return consumer.Capabilities{MutatesData: true} }

func (s *sink) ConsumeLogs(ctx context.Context, ld plog.Logs) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	r := request{logs: plog.NewLogs(), metadata: client.FromContext(ctx).Metadata}
	ld.CopyTo(r.logs)
	if s.refuse != nil {
		if err := s.refuse(r); err != nil {
			return err
		}
	}
	s.requests = append(s.requests, r)
	return nil
}

// take gives what came since the last call.
func (s *sink) take() []request {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := s.requests
	s.requests = nil
	return all
}

// rig is a processor that is driven by hand.
type rig struct {
	*hinter
	t    testing.TB
	out  *sink
	read *componenttest.Telemetry
	logs *observer.ObservedLogs
	down bool
}

var epoch = time.Unix(1_700_000_000, 0)

var storageID = component.MustNewID("file_storage")

func newRig(t testing.TB, text string, extensions ...component.Component) *rig {
	t.Helper()
	r, err := tryRig(t, text, extensions...)
	require.NoError(t, err)
	return r
}

// tryRig starts a processor; an extension is the host's file_storage.
func tryRig(t testing.TB, text string, extensions ...component.Component) (*rig, error) {
	t.Helper()
	cfg, err := loadConfig(t, text)
	require.NoError(t, err, text)
	r := &rig{t: t, out: &sink{}, read: componenttest.NewTelemetry()}
	set := metadatatest.NewSettings(r.read)
	core, logs := observer.New(zap.DebugLevel)
	set.Logger, r.logs = zap.New(core), logs
	p, err := NewFactory().CreateLogs(context.Background(), set, cfg, r.out)
	require.NoError(t, err)
	r.hinter = p.(*hinter)
	host := hostOf{Host: componenttest.NewNopHost(), extensions: map[component.ID]component.Component{}}
	for _, e := range extensions {
		host.extensions[storageID] = e
	}
	err = p.Start(context.Background(), host)
	t.Cleanup(r.shutdown)
	return r, err
}

type hostOf struct {
	component.Host
	extensions map[component.ID]component.Component
}

func (h hostOf) GetExtensions() map[component.ID]component.Component { return h.extensions }

func (r *rig) shutdown() {
	if !r.down {
		r.down = true
		require.NoError(r.t, r.Shutdown(context.Background()))
	}
}

// send hands a batch over that must be taken, and gives what came of it.
func (r *rig) send(ld plog.Logs) []request {
	r.t.Helper()
	require.NoError(r.t, r.ConsumeLogs(context.Background(), ld))
	return r.out.take()
}

// through is what becomes of a batch that nobody takes apart.
func (r *rig) through(ld plog.Logs) plog.Logs {
	r.t.Helper()
	requests := r.send(ld)
	require.Len(r.t, requests, 1)
	return requests[0].logs
}

// store is what Loki makes of a batch.
func (r *rig) store(ld plog.Logs) lokimodel.Result {
	plan, err := r.cfg.Plan()
	require.NoError(r.t, err)
	return lokimodel.Defaults(plan.Index).Store(ld)
}

// shown is a batch as Loki shows it, a line for each record: the stream, then its metadata, and the body unless it is x.
func (r *rig) shown(ld plog.Logs) string {
	result := r.store(ld)
	if result.Refused != "" {
		return "refused: " + result.Refused
	}
	var lines []string
	for i := range result.Entries {
		e := &result.Entries[i]
		words := []string{e.Selector()}
		for _, p := range e.Metadata {
			words = append(words, fmt.Sprintf("%s=%q", p.Name, p.Value))
		}
		if e.Line != "x" {
			words = append(words, "- "+e.Line)
		}
		if e.Refused != "" {
			words = append(words, "refused: "+string(e.Refused))
		}
		assert.Empty(r.t, e.Clashes())
		lines = append(lines, strings.Join(words, " "))
	}
	return strings.Join(lines, "\n")
}

// becomes says what Loki shows of a batch; the same when it comes by again, here or at another collector.
func becomes(t *testing.T, config string, ld plog.Logs, want ...string) {
	t.Helper()
	r := newRig(t, config)
	once := r.through(copied(ld))
	if !assert.Equal(t, strings.Join(want, "\n"), r.shown(once)) {
		return
	}
	sameRecords(t, ld, once)
	for _, r := range []*rig{r, newRig(t, config)} {
		again := r.through(copied(once))
		assert.Equal(t, strings.Join(want, "\n"), r.shown(again), "the second time")
		sameRecords(t, ld, again)
	}
}

func copied(ld plog.Logs) plog.Logs {
	c := plog.NewLogs()
	ld.CopyTo(c)
	return c
}

// sameRecords says that records are the same but for their attributes, and each still below a scope and a schema as before.
func sameRecords(t testing.TB, before, after plog.Logs) {
	t.Helper()
	require.ElementsMatch(t, recordsOf(before), recordsOf(after))
}

func recordsOf(ld plog.Logs) []string {
	var all []string
	for _, rl := range ld.ResourceLogs().All() {
		for _, sl := range rl.ScopeLogs().All() {
			for _, lr := range sl.LogRecords().All() {
				all = append(all, fmt.Sprintf("%q %q %d %q %q %d: %s %q %d %d %d %q %d %s %s %d", rl.SchemaUrl(), sl.SchemaUrl(), rl.Resource().DroppedAttributesCount(),
					sl.Scope().Name(), sl.Scope().Version(), sl.Scope().DroppedAttributesCount(),
					lr.Body().Type(), lr.Body().AsString(), lr.Timestamp(), lr.ObservedTimestamp(), lr.SeverityNumber(), lr.SeverityText(),
					lr.Flags(), lr.TraceID(), lr.SpanID(), lr.DroppedAttributesCount())+" "+lr.EventName())
			}
		}
	}
	return all
}

// counted is a metric of ours, by one of its attributes.
func (r *rig) counted(name, key string) map[string]int64 {
	r.t.Helper()
	all := map[string]int64{}
	m, err := r.read.GetMetric("otelcol_processor_loki_hint_" + name)
	if err != nil {
		return all // nothing was counted
	}
	var points []metricdata.DataPoint[int64]
	switch data := m.Data.(type) {
	case metricdata.Sum[int64]:
		points = data.DataPoints
	case metricdata.Gauge[int64]:
		points = data.DataPoints
	}
	for _, p := range points {
		value, _ := p.Attributes.Value(attribute.Key(key))
		all[value.AsString()] += p.Value
	}
	return all
}
