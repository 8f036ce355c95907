//go:build e2e

package e2e

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/plog"

	"github.com/sluice-otel/sluice/e2e/harness"
	"github.com/sluice-otel/sluice/e2e/proc"
)

// preflightConfig takes logs and gives them to one exporter with its queue on disk.
const preflightConfig = `
receivers: {otlp: {protocols: {grpc: {endpoint: '${env:OTLP_GRPC_ENDPOINT}'}}}}
processors: {memory_limiter: {check_interval: 1s, limit_mib: 1000}, batch: {}}
exporters:
  EXPORTER:
    endpoint: ADDRESS
    tls: {insecure: true}
    retry_on_failure: {max_elapsed_time: 0s}
    sending_queue: {storage: STORAGE, sizer: bytes, queue_size: SIZE}
extensions:
  health_check: {endpoint: '${env:HEALTH_ENDPOINT}'}
  STORAGE: {directory: '${env:STATE_DIR}'}
  preflight: {PREFLIGHT}
service:
  extensions: [health_check, STORAGE, preflight]
  pipelines: {logs: {receivers: [otlp], processors: [PROCESSORS], exporters: [EXPORTER]}}
  telemetry:
    metrics: {readers: [{pull: {exporter: {prometheus: {host: 127.0.0.1, port: '${env:METRICS_PORT}', without_units: true, without_type_suffix: true}}}}]}
`

// preflightFile writes the configuration, with the given words in place of those above.
func preflightFile(t *testing.T, path string, words ...string) {
	t.Helper()
	fallback := []string{"EXPORTER", "otlp_grpc", "ADDRESS", "127.0.0.1:1", "STORAGE", "durable_storage", "SIZE", "10485760", "PREFLIGHT", "", "PROCESSORS", "memory_limiter"}
	text := strings.NewReplacer(append(words, fallback...)...).Replace(preflightConfig)
	require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
}

func findings(t *testing.T, c *harness.Collector, check string) int {
	t.Helper()
	return int(c.Metric(t, "otelcol_extension_preflight_findings", map[string]string{"check": check}))
}

func sendLog(t *testing.T, c *harness.Collector, body string) {
	t.Helper()
	require.NoError(t, harness.SendLogs(t, c.OTLPGRPC, harness.Logs(harness.Log{Service: "shop", Body: body, Severity: plog.SeverityNumberInfo})))
}

// An exporter is renamed (otlp_grpc is the new name of otlp) while its queue has something. Nobody else would ever say that it is there.
func TestPreflightFindsTheQueueOfARenamedExporter(t *testing.T) {
	for _, storage := range []string{"durable_storage", "file_storage"} {
		t.Run(storage, func(t *testing.T) {
			sink := harness.StartSink(t, harness.SinkOptions{})
			state, config := t.TempDir(), filepath.Join(t.TempDir(), "config.yaml")
			run := func(noWait bool, words ...string) *harness.Collector {
				preflightFile(t, config, append(words, "STORAGE", storage)...)
				return harness.StartCollector(t, harness.Options{Configs: []string{config}, StateDir: state, NoWait: noWait})
			}
			before := run(false, "EXPORTER", "otlp")
			for n := range 3 {
				sendLog(t, before, fmt.Sprintf("before-%d", n))
			}
			assert.Zero(t, findings(t, before, "orphaned_queue"))
			before.Stop(t)
			orphan := filepath.Join(state, "exporter_otlp__logs")
			require.FileExists(t, firstFile(t, orphan))

			renamed := run(false, "ADDRESS", sink.GRPC)
			sendLog(t, renamed, "after")
			sink.WaitLogs(t, 20*time.Second, harness.AtLeast[harness.LogRecord](1), renamed.Proc)
			assert.Equal(t, 1, findings(t, renamed, "orphaned_queue"))
			assert.Positive(t, renamed.Metric(t, "otelcol_extension_preflight_orphaned_bytes", map[string]string{"directory": state}))
			assert.Contains(t, renamed.Proc.Output(), "preflight: orphaned_queue: "+orphan+": ")
			assert.Contains(t, renamed.Proc.Output(), "the queue for logs of the exporter otlp, belongs to no component of the configuration: 3 requests")
			assert.Contains(t, renamed.Proc.Output(), "give the exporter its old name (otlp) until it is empty; or, if it was renamed and before the new one has taken anything, stop the collector and rename it to exporter_otlp_grpc__logs")
			renamed.Stop(t)
			assert.Len(t, sink.LogRecords(), 1, "what waits in the orphan was sent after all")

			strict := run(true, "ADDRESS", sink.GRPC, "PREFLIGHT", "fail_on: [orphaned_queue]")
			assert.Error(t, strict.Proc.Wait(30*time.Second))
			assert.Contains(t, strict.Proc.Output(), "preflight: the collector does not start, because fail_on has 1 of its findings")

			// As it was told to do. The new one has nothing any more: it may go.
			heir := filepath.Join(state, "exporter_otlp_grpc__logs")
			require.NoError(t, os.RemoveAll(heir))
			require.NoError(t, os.Rename(orphan, heir))
			mended := run(false, "ADDRESS", sink.GRPC, "PREFLIGHT", "fail_on: [orphaned_queue]")
			sink.WaitLogs(t, 20*time.Second, harness.AtLeast[harness.LogRecord](4), mended.Proc)
			assert.Zero(t, findings(t, mended, "orphaned_queue"))
			mended.Stop(t)
		})
	}
}

// firstFile is path, or a file in it.
func firstFile(t *testing.T, path string) string {
	t.Helper()
	if inside, err := os.ReadDir(path); err == nil {
		require.NotEmpty(t, inside)
		return filepath.Join(path, inside[0].Name())
	}
	return path
}

// Its queue may be larger than any disk: told at start, and counted.
func TestPreflightComparesQueuesWithTheVolume(t *testing.T) {
	config := filepath.Join(t.TempDir(), "config.yaml")
	preflightFile(t, config, "SIZE", "4611686018427387904")
	c := harness.StartCollector(t, harness.Options{Configs: []string{config}})
	assert.Equal(t, 1, findings(t, c, "queues_exceed_volume"))
	assert.Contains(t, c.Proc.Output(), "preflight: queues_exceed_volume: "+c.StateDir+": 1 queue may hold 4294967296.0 GiB")
	directory := map[string]string{"directory": c.StateDir}
	assert.Equal(t, 1<<62, int(c.Metric(t, "otelcol_extension_preflight_queue_capacity", directory)))
	size, free := c.Metric(t, "otelcol_extension_preflight_volume_size", directory), c.Metric(t, "otelcol_extension_preflight_volume_free", directory)
	assert.Positive(t, size)
	assert.Positive(t, free)
	assert.Less(t, free, size)
	c.Stop(t)
}

// The configuration is looked at again when it is read again.
func TestPreflightLooksAgainAtAReload(t *testing.T) {
	config := filepath.Join(t.TempDir(), "config.yaml")
	preflightFile(t, config)
	c := harness.StartCollector(t, harness.Options{Configs: []string{config}})
	sendLog(t, c, "opens the queue")
	assert.Zero(t, findings(t, c, "batch_processor"))
	assert.Zero(t, findings(t, c, "directory_in_use"))

	preflightFile(t, config, "PROCESSORS", "memory_limiter, batch")
	c.Proc.Signal(syscall.SIGHUP)
	proc.Eventually(t, 30*time.Second, func() error {
		page, err := harness.ReadMetrics("http://" + c.MetricsAddr + "/metrics")
		if err != nil {
			return err
		}
		if page.Sum("otelcol_extension_preflight_findings", map[string]string{"check": "batch_processor"}) != 1 {
			return errors.New("the batch processor is not found")
		}
		return nil
	}, c.Proc)
	assert.Contains(t, c.Proc.Output(), "preflight: batch_processor: service::pipelines::logs::processors: ")
	assert.NotContains(t, c.Proc.Output(), "directory_in_use", "its own queue, which was open before the reload")

	preflightFile(t, config, "PROCESSORS", "memory_limiter, batch", "PREFLIGHT", "fail_on: [error]")
	c.Proc.Signal(syscall.SIGHUP)
	assert.Error(t, c.Proc.Wait(30*time.Second))
	assert.Contains(t, c.Proc.Output(), "the collector does not start, because fail_on has 1 of its findings")
}

// A second collector on a directory does not start. This says why; file_storage only says "timeout".
func TestPreflightKnowsASecondCollector(t *testing.T) {
	config := filepath.Join(t.TempDir(), "config.yaml")
	preflightFile(t, config)
	first := harness.StartCollector(t, harness.Options{Configs: []string{config}})
	second := harness.StartCollector(t, harness.Options{Name: "second", Configs: []string{config}, StateDir: first.StateDir, NoWait: true})
	assert.Error(t, second.Proc.Wait(30*time.Second))
	assert.Contains(t, second.Proc.Output(), "preflight: directory_in_use: "+first.StateDir+": another process has 1 of its queues and states open")
	first.Stop(t)
}
