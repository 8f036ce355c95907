package cardinalitylimiterprocessor

import (
	"context"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/open-telemetry/opentelemetry-collector-contrib/extension/storage/filestorage"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/consumer"
	"go.opentelemetry.io/collector/consumer/consumererror"
	"go.opentelemetry.io/collector/extension"
	"go.opentelemetry.io/collector/extension/xextension/storage"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/pmetric"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/sluice-otel/sluice/components/cardinalitylimiterprocessor/internal/limit"
	"github.com/sluice-otel/sluice/components/cardinalitylimiterprocessor/internal/metadatatest"
)

// sink keeps what it takes. It refuses as long as err is set.
type sink struct {
	mu      sync.Mutex
	batches []pmetric.Metrics
	lost    []pmetric.Metrics // refused for good
	later   []pmetric.Metrics // refused
	err     error
}

func (*sink) Capabilities() consumer.Capabilities { return consumer.Capabilities{} }

func (s *sink) ConsumeMetrics(_ context.Context, md pmetric.Metrics) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	kept := pmetric.NewMetrics()
	md.CopyTo(kept)
	switch {
	case s.err == nil:
		s.batches = append(s.batches, kept)
	case consumererror.IsPermanent(s.err):
		s.lost = append(s.lost, kept)
	default:
		s.later = append(s.later, kept)
	}
	return s.err
}

// take gives what came since the last call.
func (s *sink) take() []sample {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := samplesOf(s.batches...)
	s.batches = nil
	return all
}

// clock is moved by the test.
type clock struct {
	mu sync.Mutex
	at time.Time
}

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.at
}

func (c *clock) advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.at = c.at.Add(d)
}

var (
	epoch     = time.Unix(1_700_000_000, 0)
	storageID = component.MustNewID("file_storage")
)

// rig is a limiter that is driven by hand: its clock stands, and nothing is flushed or swept in the background.
type rig struct {
	*limiter
	t     testing.TB
	out   *sink
	clock *clock
	read  *componenttest.Telemetry
	logs  *observer.ObservedLogs
	down  bool
}

// setup is what a rig gets besides its configuration.
type setup struct {
	dir      string // of the storage; none when empty
	at       time.Time
	next     consumer.Metrics
	instance string
	storage  storage.Extension // instead of the one over dir
	// Or all of them.
	extensions map[component.ID]component.Component
}

func in(dir string) func(*setup)           { return func(s *setup) { s.dir = dir } }
func at(now time.Time) func(*setup)        { return func(s *setup) { s.at = now } }
func named(name string) func(*setup)       { return func(s *setup) { s.instance = name } }
func into(c consumer.Metrics) func(*setup) { return func(s *setup) { s.next = c } }

// start is a rig for those who bring their own sink.
func start(t testing.TB, next consumer.Metrics, configure func(*Config)) (*limiter, *clock) {
	r := newRig(t, configure, into(next))
	return r.limiter, r.clock
}

func newRig(t testing.TB, configure func(*Config), with ...func(*setup)) *rig {
	t.Helper()
	r, err := tryRig(t, configure, with...)
	require.NoError(t, err)
	return r
}

func tryRig(t testing.TB, configure func(*Config), with ...func(*setup)) (*rig, error) {
	t.Helper()
	s := setup{at: epoch}
	for _, w := range with {
		w(&s)
	}
	cfg := createDefaultConfig().(*Config)
	cfg.StartupGrace = 0
	cfg.Overflow.FlushInterval = time.Hour
	configure(cfg)
	host := componenttest.NewNopHost()
	switch {
	case s.extensions != nil:
		cfg.Storage = &storageID
		host = hostOf{Host: host, extensions: s.extensions}
	case s.storage != nil:
		cfg.Storage = &storageID
		host = withStorage(s.storage)
	case s.dir != "":
		cfg.Storage = &storageID
		host = newHost(t, s.dir)
	}
	require.NoError(t, cfg.Validate())
	r := &rig{t: t, out: &sink{}, clock: &clock{at: s.at}, read: componenttest.NewTelemetry()}
	set := metadatatest.NewSettings(r.read)
	core, logs := observer.New(zap.DebugLevel)
	set.Logger, r.logs = zap.New(core), logs
	if s.instance != "" {
		set.Resource = pcommon.NewResource()
		set.Resource.Attributes().PutStr("service.instance.id", s.instance)
	}
	if s.next == nil {
		s.next = r.out
	}
	p, err := newProcessor(set, cfg, s.next)
	require.NoError(t, err)
	r.limiter = p
	p.now, p.started = r.clock.now, s.at
	err = p.Start(context.Background(), host)
	t.Cleanup(r.shutdown)
	return r, err
}

// hostOf has extensions.
type hostOf struct {
	component.Host
	extensions map[component.ID]component.Component
}

func (h hostOf) GetExtensions() map[component.ID]component.Component { return h.extensions }

// newHost has a real file_storage extension over a folder.
func newHost(t testing.TB, dir string) component.Host {
	t.Helper()
	f := filestorage.NewFactory()
	cfg := f.CreateDefaultConfig().(*filestorage.Config)
	cfg.Directory = dir
	set := extension.Settings{ID: storageID, TelemetrySettings: componenttest.NewNopTelemetrySettings()}
	ext, err := f.Create(context.Background(), set, cfg)
	require.NoError(t, err)
	require.NoError(t, ext.Start(context.Background(), componenttest.NewNopHost()))
	t.Cleanup(func() { require.NoError(t, ext.Shutdown(context.Background())) })
	return withStorage(ext)
}

func withStorage(ext component.Component) component.Host {
	return hostOf{Host: componenttest.NewNopHost(), extensions: map[component.ID]component.Component{storageID: ext}}
}

// crash gives a copy of a storage folder as it is now: what a process that is killed leaves.
func crash(t testing.TB, dir string) string {
	t.Helper()
	copied := t.TempDir()
	files, err := os.ReadDir(dir)
	require.NoError(t, err)
	for _, f := range files {
		data, err := os.ReadFile(filepath.Join(dir, f.Name()))
		require.NoError(t, err)
		require.NoError(t, os.WriteFile(filepath.Join(copied, f.Name()), data, 0o600))
	}
	return copied
}

func (r *rig) shutdown() {
	if r.down {
		return
	}
	r.down = true
	r.clock.advance(time.Second)
	require.NoError(r.t, r.Shutdown(context.Background()))
}

// send hands a batch over that must be taken.
func (r *rig) send(md pmetric.Metrics) {
	r.t.Helper()
	require.NoError(r.t, r.ConsumeMetrics(context.Background(), md))
}

// folded flushes a second later, and gives everything that came out since it was asked last.
func (r *rig) folded() []sample {
	r.t.Helper()
	r.clock.advance(time.Second)
	require.NoError(r.t, r.flush(context.Background()))
	return r.out.take()
}

// pass lets time go by, with all that is due in it.
func (r *rig) pass(d time.Duration) {
	step := r.cfg.IdleTimeout / sweepsPerIdle
	for ; d > 0; d -= step {
		r.clock.advance(min(step, d))
		r.tidyNow()
	}
}

func (r *rig) tidyNow() {
	r.sweep()
	r.mu.Lock()
	defer r.mu.Unlock()
	r.folds.Sweep(r.unixNano())
}

// report is what the limiter knows.
func (r *rig) report() limit.Report {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.limits.Report(1)
}

func (r *rig) active() int { return r.report().Series }
func (r *rig) leaves() int { return r.report().Leaves }
func (r *rig) bytes() int  { return r.report().Bytes }

// points are those that were counted, by outcome.
func (r *rig) points() map[string]int64 { return r.counted("points", "outcome") }

func (r *rig) drops() map[string]int64 { return r.counted("dropped", "reason") }

// counted is a metric of ours, by one of its attributes.
func (r *rig) counted(name, key string) map[string]int64 {
	r.t.Helper()
	m, err := r.read.GetMetric("otelcol_processor_cardinality_limiter_" + name)
	if err != nil {
		return map[string]int64{} // nothing was counted
	}
	all := map[string]int64{}
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

// perMetric is a rule for each metric.
func perMetric(limit int, action string) func(*Config) {
	return rules(RuleConfig{Name: "metric", Per: []string{"metric"}, MaxSeries: limit, Action: action})
}

func rules(list ...RuleConfig) func(*Config) { return func(c *Config) { c.Rules = list } }
