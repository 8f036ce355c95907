package cardinalitylimiterprocessor

import (
	"context"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"strings"
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

	"github.com/sluice-otel/sluice/components/cardinalitylimiterprocessor/internal/fold"
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

// sample is a point that came out.
type sample struct {
	id     string // of its stream: resource, scope, metric, kind and attributes
	metric string
	attrs  map[string]any
	folded bool
	ended  bool
	kind   fold.Kind
	start  pcommon.Timestamp
	time   pcommon.Timestamp
	value  float64 // of a number; the count of everything else
	sum    float64
}

func samplesOf(batches ...pmetric.Metrics) (all []sample) {
	for _, md := range batches {
		for _, rm := range md.ResourceMetrics().All() {
			for _, sm := range rm.ScopeMetrics().All() {
				where := fmt.Sprint(rm.Resource().Attributes().AsRaw(), sm.Scope().Name(), sm.Scope().Attributes().AsRaw())
				for _, m := range sm.Metrics().All() {
					all = appendSamples(all, where, m)
				}
			}
		}
	}
	return all
}

func appendSamples(all []sample, where string, m pmetric.Metric) []sample {
	first := len(all)
	kind, monotonic, ok := kindOf(m)
	switch m.Type() {
	case pmetric.MetricTypeGauge:
		for _, p := range m.Gauge().DataPoints().All() {
			all = append(all, sampleOf(p, number(p), 0))
		}
	case pmetric.MetricTypeSum:
		for _, p := range m.Sum().DataPoints().All() {
			all = append(all, sampleOf(p, number(p), 0))
		}
	case pmetric.MetricTypeHistogram:
		for _, p := range m.Histogram().DataPoints().All() {
			all = append(all, sampleOf(p, float64(p.Count()), p.Sum()))
		}
	case pmetric.MetricTypeExponentialHistogram:
		for _, p := range m.ExponentialHistogram().DataPoints().All() {
			all = append(all, sampleOf(p, float64(p.Count()), p.Sum()))
		}
	case pmetric.MetricTypeSummary:
		for _, p := range m.Summary().DataPoints().All() {
			all = append(all, sampleOf(p, float64(p.Count()), p.Sum()))
		}
	}
	for i := first; i < len(all); i++ {
		s := &all[i]
		s.metric = m.Name()
		s.kind = kind
		s.id = fmt.Sprintf("%s %s %q %s %d %t %t %v", where, m.Name(), m.Unit(), m.Type(), kind, monotonic, ok, s.attrs)
	}
	return all
}

func number(p pmetric.NumberDataPoint) float64 {
	if p.ValueType() == pmetric.NumberDataPointValueTypeInt {
		return float64(p.IntValue())
	}
	return p.DoubleValue()
}

func sampleOf[P point](p P, value, sum float64) sample {
	attrs := p.Attributes().AsRaw()
	s := sample{
		attrs: attrs, start: p.StartTimestamp(), time: p.Timestamp(), value: value, sum: sum, ended: p.Flags().NoRecordedValue(),
	}
	for key, v := range attrs {
		s.folded = s.folded || key == overflowKey || v == "__overflow__"
	}
	return s
}

// streams are the sums of the values of each identity.
func streams(all []sample) map[string]float64 {
	sums := map[string]float64{}
	for i := range all {
		sums[all[i].id] += all[i].value
	}
	return sums
}

// unfolded are the identities that passed as they came.
func unfolded(all []sample) map[string]bool {
	ids := map[string]bool{}
	for i := range all {
		if !all[i].folded && !all[i].ended {
			ids[all[i].id] = true
		}
	}
	return ids
}

func total(all []sample) (value float64) {
	for i := range all {
		value += all[i].value
	}
	return value
}

func sum(counts map[string]int64) (n int64) {
	for v := range maps.Values(counts) {
		n += v
	}
	return n
}

func having(all []sample, text string) (some []sample) {
	for i := range all {
		if strings.Contains(all[i].id, text) {
			some = append(some, all[i])
		}
	}
	return some
}

// batch is one resource with what build puts in.
func batch(service string, build ...func(pmetric.MetricSlice)) pmetric.Metrics {
	return from(map[string]any{"service.name": service}, build...)
}

func from(resource map[string]any, build ...func(pmetric.MetricSlice)) pmetric.Metrics {
	md := pmetric.NewMetrics()
	rm := md.ResourceMetrics().AppendEmpty()
	_ = rm.Resource().Attributes().FromRaw(resource)
	sm := rm.ScopeMetrics().AppendEmpty()
	sm.Scope().SetName("test")
	for _, b := range build {
		b(sm.Metrics())
	}
	return md
}

// counter is a delta sum with one point of value 1 for each series user=u<from>…, of two methods in turn.
func counter(name string, from, to int) func(pmetric.MetricSlice) {
	return func(ms pmetric.MetricSlice) {
		points := deltaCounter(ms, name)
		points.EnsureCapacity(to - from)
		for i := from; i < to; i++ {
			p := points.AppendEmpty()
			p.SetStartTimestamp(pcommon.NewTimestampFromTime(epoch.Add(-time.Second)))
			p.SetTimestamp(pcommon.NewTimestampFromTime(epoch))
			p.SetIntValue(1)
			p.Attributes().PutStr("user", fmt.Sprint("u", i))
			p.Attributes().PutStr("method", []string{"GET", "POST"}[i%2])
		}
	}
}

func deltaCounter(ms pmetric.MetricSlice, name string) pmetric.NumberDataPointSlice {
	m := ms.AppendEmpty()
	m.SetName(name)
	s := m.SetEmptySum()
	s.SetIsMonotonic(true)
	s.SetAggregationTemporality(pmetric.AggregationTemporalityDelta)
	return s.DataPoints()
}

// one is a point of a delta counter with the attributes.
func one(name string, attrs map[string]any) func(pmetric.MetricSlice) {
	return func(ms pmetric.MetricSlice) {
		p := deltaCounter(ms, name).AppendEmpty()
		p.SetTimestamp(pcommon.NewTimestampFromTime(epoch))
		p.SetIntValue(1)
		_ = p.Attributes().FromRaw(attrs)
	}
}

// marker is the end of a series: a point without value.
func marker(name string, attrs map[string]any) func(pmetric.MetricSlice) {
	return func(ms pmetric.MetricSlice) {
		one(name, attrs)(ms)
		p := ms.At(ms.Len() - 1).Sum().DataPoints().At(0)
		p.SetFlags(pmetric.DefaultDataPointFlags.WithNoRecordedValue(true))
	}
}

func user(i int) map[string]any { return map[string]any{"user": fmt.Sprint("u", i)} }
