package preflightextension

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/confmap"
	"go.opentelemetry.io/collector/confmap/xconfmap"
	"go.opentelemetry.io/collector/extension/extensiontest"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"
	"golang.org/x/sys/unix"

	"github.com/sluice-otel/sluice/components/preflightextension/internal/check"
)

// faulty has a batch processor, and its queue is larger than half of any volume.
const faulty = `
receivers: {otlp: {}}
processors: {memory_limiter: {}, batch: {}}
exporters: {otlp_grpc: {retry_on_failure: {enabled: true, max_elapsed_time: 0s}, sending_queue: {storage: file_storage, sizer: bytes, queue_size: 4611686018427387904}}}
extensions: {file_storage: {directory: DIR}}
service: {extensions: [file_storage], pipelines: {logs: {receivers: [otlp], processors: [memory_limiter, batch], exporters: [otlp_grpc]}}}
`

type fixture struct {
	*preflight
	tel  *componenttest.Telemetry
	logs *observer.ObservedLogs
	dir  string
	// clock is what metrics are read by: gauge lets so much time pass that they look again.
	clock time.Time
}

func start(t *testing.T, settings string) *fixture {
	t.Helper()
	cfg := createDefaultConfig().(*Config)
	require.NoError(t, conf(t, settings).Unmarshal(cfg))
	require.NoError(t, xconfmap.Validate(cfg))
	f := &fixture{tel: componenttest.NewTelemetry(), dir: t.TempDir(), clock: time.Now()}
	core, logs := observer.New(zapcore.InfoLevel)
	f.logs = logs
	set := extensiontest.NewNopSettings(NewFactory().Type())
	set.TelemetrySettings = f.tel.NewTelemetrySettings()
	set.Logger = zap.New(core)
	ext, err := NewFactory().Create(t.Context(), set, cfg)
	require.NoError(t, err)
	f.preflight = ext.(*preflight)
	f.now = func() time.Time { return f.clock }
	require.NoError(t, ext.Start(t.Context(), componenttest.NewNopHost()))
	ctx := context.WithoutCancel(t.Context())
	t.Cleanup(func() {
		assert.NoError(t, ext.Shutdown(ctx))
		assert.NoError(t, f.tel.Shutdown(ctx))
	})
	return f
}

func conf(t *testing.T, text string) *confmap.Conf {
	t.Helper()
	retrieved, err := confmap.NewRetrievedFromYAML([]byte(text))
	require.NoError(t, err)
	c, err := retrieved.AsConf()
	require.NoError(t, err)
	return c
}

func (f *fixture) notify(t *testing.T) error {
	t.Helper()
	return f.NotifyConfig(t.Context(), conf(t, strings.ReplaceAll(faulty, "DIR", f.dir)))
}

// findings are those in the log.
func (f *fixture) findings() []string {
	var list []string
	for _, e := range f.logs.All() {
		for _, field := range e.Context {
			if field.Key == "check" {
				list = append(list, e.Level.String()+" "+field.String)
			}
		}
	}
	return list
}

// gauge is the sum of a metric's points that have an attribute of that value, a second later; -1 when there is none.
func (f *fixture) gauge(t *testing.T, name, value string) int64 {
	t.Helper()
	f.clock = f.clock.Add(fresh)
	return f.gaugeNow(t, name, value)
}

func (f *fixture) gaugeNow(t *testing.T, name, value string) int64 {
	t.Helper()
	m, err := f.tel.GetMetric("otelcol_extension_preflight_" + name)
	if err != nil {
		return -1
	}
	sum := int64(-1)
	for _, p := range m.Data.(metricdata.Gauge[int64]).DataPoints {
		for _, a := range p.Attributes.ToSlice() {
			if a.Value.AsString() == value {
				sum = max(sum, 0) + p.Value
			}
		}
	}
	return sum
}

func TestFindingsAreToldAndCounted(t *testing.T) {
	f := start(t, "{}")
	assert.Equal(t, int64(-1), f.gauge(t, "findings", "batch_processor"), "nobody has looked")
	require.NoError(t, f.notify(t))
	assert.Equal(t, []string{"error batch_processor", "warn queues_exceed_volume"}, f.findings())
	assert.Equal(t, int64(1), f.gauge(t, "findings", "batch_processor"))
	assert.Equal(t, int64(1), f.gauge(t, "findings", "error"))
	assert.Equal(t, int64(1), f.gauge(t, "findings", "queues_exceed_volume"))
	assert.Zero(t, f.gauge(t, "findings", "orphaned_queue"), "0 is not the same as nothing")
	assert.Equal(t, int64(1)<<62, f.gauge(t, "queue_capacity", f.dir))
	assert.Positive(t, f.gauge(t, "volume_size", f.dir))
	assert.Positive(t, f.gauge(t, "volume_free", f.dir))
	m, err := f.tel.GetMetric("otelcol_extension_preflight_findings")
	require.NoError(t, err)
	assert.Len(t, m.Data.(metricdata.Gauge[int64]).DataPoints, len(check.IDs()))
}

func TestWhatHappensLaterIsSeen(t *testing.T) {
	f := start(t, "{}")
	require.NoError(t, f.notify(t))
	f.logs.TakeAll()
	write := func(name string, size int) {
		require.NoError(t, os.WriteFile(filepath.Join(f.dir, name), make([]byte, size), 0o600))
	}
	write("exporter_otlp_grpc__logs.2026-01-02T15:04:05.000.backup", 1000) // as the pipelines start
	write("exporter_otlp_grpc__logs", 4096)
	own := open(t, f.dir, "otlp_grpc")
	require.NoError(t, f.Ready())
	assert.Equal(t, []string{"error set_aside_file"}, f.findings(), "and what was told is not told again")
	assert.Equal(t, int64(1000), f.gauge(t, "set_aside_bytes", f.dir))
	assert.Equal(t, int64(4096), f.gauge(t, "used_bytes", f.dir))
	assert.Zero(t, f.gauge(t, "findings", "directory_in_use"), "it is the collector itself")
	require.NoError(t, own.Close())
	write("exporter_otlp_old_logs", 0)
	assert.Equal(t, int64(1), f.gauge(t, "findings", "orphaned_file"))
	write("exporter_otlp_old_traces", 100)
	assert.Equal(t, int64(1), f.gauge(t, "findings", "orphaned_queue"))
	assert.Equal(t, int64(100), f.gauge(t, "orphaned_bytes", f.dir))
	require.NoError(t, os.Remove(filepath.Join(f.dir, "exporter_otlp_old_traces")))
	assert.Zero(t, f.gauge(t, "findings", "orphaned_queue"), "without a restart")
	require.NoError(t, f.NotReady())
}

// All metrics are of one scan; what the log tells is of a new one.
func TestMetricsShareAScan(t *testing.T) {
	f := start(t, "{}")
	require.NoError(t, f.notify(t))
	assert.Zero(t, f.gaugeNow(t, "findings", "orphaned_file"))
	require.NoError(t, os.WriteFile(filepath.Join(f.dir, "exporter_otlp_old_logs"), nil, 0o600))
	f.clock = f.clock.Add(fresh - 1)
	assert.Zero(t, f.gaugeNow(t, "findings", "orphaned_file"), "seen just now")
	require.NoError(t, os.WriteFile(filepath.Join(f.dir, "exporter_otlp_older_logs"), nil, 0o600))
	f.clock = f.clock.Add(1)
	assert.Equal(t, int64(2), f.gaugeNow(t, "findings", "orphaned_file"))
	require.NoError(t, os.WriteFile(filepath.Join(f.dir, "exporter_otlp_oldest_logs"), nil, 0o600))
	require.NoError(t, f.Ready())
	assert.Contains(t, f.findings(), "warn orphaned_file")
	assert.Equal(t, int64(3), f.gaugeNow(t, "findings", "orphaned_file"), "of the scan for the log")
}

// open takes the lock on a file as file_storage does.
func open(t *testing.T, dir, exporter string) *os.File {
	t.Helper()
	file, err := os.Open(filepath.Join(dir, "exporter_"+exporter+"__logs"))
	require.NoError(t, err)
	require.NoError(t, unix.Flock(int(file.Fd()), unix.LOCK_EX|unix.LOCK_NB)) //nolint:gosec // small
	return file
}

// A folder of durable_storage that nobody in this configuration has, but another collector.
func TestAFolderOfAnotherCollector(t *testing.T) {
	f := start(t, "{}")
	folder := filepath.Join(f.dir, "exporter_otlp_other_logs")
	require.NoError(t, os.Mkdir(folder, 0o750))
	lock, err := os.Create(filepath.Join(folder, "lock"))
	require.NoError(t, err)
	require.NoError(t, unix.Flock(int(lock.Fd()), unix.LOCK_EX|unix.LOCK_NB)) //nolint:gosec // small
	require.NoError(t, f.notify(t))
	assert.Equal(t, int64(1), f.gauge(t, "findings", "directory_in_use"))
	assert.Zero(t, f.gauge(t, "findings", "orphaned_queue"))
	require.NoError(t, lock.Close())
	assert.Zero(t, f.gauge(t, "findings", "directory_in_use"))
	assert.Equal(t, int64(1), f.gauge(t, "findings", "orphaned_file"))
}

func TestFailOn(t *testing.T) {
	f := func(settings string, want ...string) {
		t.Helper()
		p := start(t, settings)
		err := p.notify(t)
		if len(want) == 0 {
			assert.NoError(t, err)
			return
		}
		require.Error(t, err)
		assert.Contains(t, err.Error(), fmt.Sprintf("fail_on has %d of its findings", len(want)))
		for _, w := range want {
			assert.Contains(t, err.Error(), w)
		}
		assert.NotEmpty(t, p.findings(), "everything else is told, too")
	}
	const remove = "batch_processor: service::pipelines::logs::processors: batch acknowledges data and then holds it in memory; a crash loses it; remove it"
	f("{}")
	f("fail_on: [error]", remove)
	f("fail_on: [batch_processor]", remove)
	f("fail_on: [error, queues_exceed_volume]", remove, "queues_exceed_volume")
	f("fail_on: [orphaned_queue]")
	f("{fail_on: [error], accept: [{check: batch_processor, at: '*::logs::*'}]}")
	f("{fail_on: [error], accept: [{check: batch_processor, at: '*::traces::*'}]}", remove)
}

func TestWhatIsAcceptedIsNeitherToldNorCounted(t *testing.T) {
	f := start(t, "accept: [{check: batch_processor, at: 'service::pipelines::logs::processors'}, {check: queues_exceed_volume, at: '*'}]")
	require.NoError(t, f.notify(t))
	assert.Empty(t, f.findings())
	assert.Zero(t, f.gauge(t, "findings", "batch_processor"))
}

func TestALongListIsCut(t *testing.T) {
	f := start(t, "fail_on: [orphaned_queue]")
	for n := range 250 {
		require.NoError(t, os.WriteFile(filepath.Join(f.dir, fmt.Sprintf("exporter_otlp_%03d_logs", n)), []byte("x"), 0o600))
	}
	err := f.notify(t)
	require.Error(t, err)
	assert.Contains(t, err.Error(), "and 150 more")
	assert.Len(t, f.findings(), 100)
	assert.Equal(t, 1, f.logs.FilterMessageSnippet("more findings than are told").Len())
	assert.Equal(t, int64(250), f.gauge(t, "findings", "orphaned_queue"))
}

func TestVolumeShare(t *testing.T) {
	for share, want := range map[string]int64{"1": 0, "0.000000001": 1} {
		f := start(t, "volume_share: "+share)
		text := strings.ReplaceAll(strings.ReplaceAll(faulty, "DIR", f.dir), "4611686018427387904", "1048576")
		require.NoError(t, f.NotifyConfig(t.Context(), conf(t, text)))
		assert.Equal(t, want, f.gauge(t, "findings", "queues_exceed_volume"), share)
	}
}

func TestConfigErrors(t *testing.T) {
	f := func(settings, want string) {
		t.Helper()
		cfg := createDefaultConfig().(*Config)
		require.NoError(t, conf(t, settings).Unmarshal(cfg))
		assert.ErrorContains(t, xconfmap.Validate(cfg), want)
	}
	f("fail_on: [warning]", `fail_on: must be error or checks (batch_processor, `)
	f("fail_on: [warning]", `got "warning"`)
	f("volume_share: 0", "volume_share: must be above 0 and at most 1, got 0")
	f("volume_share: 1.5", "got 1.5")
	f("accept: [{check: all, at: '*'}]", `accept::0: check: must be one of batch_processor, `)
	f("accept: [{check: orphaned_queue}]", `accept::0: at: must be a key or a file of a finding`)
}
