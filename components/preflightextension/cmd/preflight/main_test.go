package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sluice-otel/sluice/e2e/harness"
)

// command runs preflight with the built collector.
func command(t *testing.T, args ...string) (code int, out, complaints string) {
	t.Helper()
	var o, c bytes.Buffer
	code = run(t.Context(), append([]string{"--otelcol", harness.Binary(t)}, args...), &o, &c)
	return code, o.String(), c.String()
}

func write(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "config.yaml")
	require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
	return path
}

// Every shipped tier with every shipped backend has no finding. The local profile is for a laptop.
func TestShippedProfiles(t *testing.T) {
	authorization := write(t, "Bearer a-token")
	for name, value := range map[string]string{
		"K8S_NODE_NAME": "node-1", "POD_NAME": "sluice-0", "OTLP_ENDPOINT": "http://127.0.0.1:1", "OTLP_AUTHORIZATION_FILE": authorization, "STATE_DIR": t.TempDir(),
	} {
		t.Setenv(name, value)
	}
	configs := filepath.Join(harness.Root(t), "configs")
	clean := func(files ...string) {
		t.Run(strings.Join(files, "+"), func(t *testing.T) {
			var args []string
			for _, f := range files {
				args = append(args, "--config", filepath.Join(configs, f))
			}
			code, out, complaints := command(t, args...)
			assert.Empty(t, complaints)
			assert.Equal(t, "nothing found\n", out)
			assert.Zero(t, code)
		})
	}
	backends, err := filepath.Glob(filepath.Join(configs, "backends", "*.yaml"))
	require.NoError(t, err)
	require.NotEmpty(t, backends)
	for _, path := range backends {
		backend := "backends/" + filepath.Base(path)
		if backend == "backends/to-sampling.yaml" {
			continue
		}
		for _, tier := range []string{"agent.yaml", "gateway.yaml", "sampling.yaml", "scraper.yaml"} {
			clean(tier, backend)
		}
		if backend != "backends/to-gateway.yaml" {
			clean("gateway.yaml", backend, "backends/to-sampling.yaml")
		}
	}
	clean("gateway.yaml", "backends/lgtm.yaml", "loki/gateway-tenants.yaml")
	clean("gateway.yaml", "backends/lgtm.yaml", "loki/promtail-labels.yaml")
	for _, tier := range []string{"agent.yaml", "gateway.yaml", "sampling.yaml", "scraper.yaml"} {
		text, err := os.ReadFile(filepath.Join(configs, tier))
		require.NoError(t, err)
		assert.Regexp(t, `(?m)^  extensions: \[.*\bpreflight\b.*\]$`, string(text), tier)
	}
}

// stock is what a configuration has that sets nothing: the defaults of the collector itself.
const stock = `
receivers: {otlp: {protocols: {grpc: {endpoint: '127.0.0.1:0'}}}, filelog: {include: [/var/log/x]}}
processors: {batch: {}}
exporters: {otlp_grpc: {endpoint: '127.0.0.1:1'}, loadbalancing: {protocol: {otlp: {tls: {insecure: true}}}, resolver: {static: {hostnames: ['127.0.0.1:1']}}}}
service: {pipelines: {logs: {receivers: [otlp, filelog], processors: [batch], exporters: [otlp_grpc]}, traces: {receivers: [otlp], processors: [batch], exporters: [loadbalancing]}}}
`

func TestDefaultsAreKnown(t *testing.T) {
	code, out, complaints := command(t, "--config", write(t, stock), "--feature-gates", "-stanza.synchronousLogEmitter")
	assert.Equal(t, 1, code)
	assert.Empty(t, complaints)
	var found []string
	for line := range strings.SplitSeq(out, "\n") {
		if line != "" && !strings.HasPrefix(line, " ") {
			found = append(found, line)
		}
	}
	assert.Equal(t, []string{
		"error batch_processor at service::pipelines::logs::processors",
		"error batch_processor at service::pipelines::traces::processors",
		"error files_ahead_of_delivery at receivers::filelog",
		"error files_forgotten at receivers::filelog::storage",
		"error files_not_retried at receivers::filelog::retry_on_failure::enabled",
		"error load_balancer_queues at exporters::loadbalancing::protocol::otlp::retry_on_failure",
		"error load_balancer_queues at exporters::loadbalancing::protocol::otlp::sending_queue",
		"error queue_in_memory at exporters::otlp_grpc::sending_queue::storage",
		"warning files_from_end at receivers::filelog::start_at",
		"warning memory_limiter_first at service::pipelines::logs::processors",
		"warning memory_limiter_first at service::pipelines::traces::processors",
	}, found)
}

// durable is right but for what a case puts in.
const durable = `
receivers: {otlp: {protocols: {grpc: {endpoint: '127.0.0.1:0'}}}}
processors: {memory_limiter: {check_interval: 1s, limit_mib: 100}}
exporters: {otlp_grpc: {endpoint: '127.0.0.1:1', retry_on_failure: {max_elapsed_time: 0s}, sending_queue: {storage: file_storage, QUEUE}}}
extensions: {file_storage: {directory: DIR}, preflight: {PREFLIGHT}}
service: {extensions: [file_storage, preflight], pipelines: {logs: {receivers: [otlp], processors: [memory_limiter], exporters: [otlp_grpc]}}}
`

func TestWhatTheEffectiveConfigurationHides(t *testing.T) {
	f := func(queue, preflight string, code int, want string) {
		t.Helper()
		text := strings.NewReplacer("QUEUE", queue, "PREFLIGHT", preflight, "DIR", t.TempDir()).Replace(durable)
		got, out, complaints := command(t, "--config", write(t, text))
		assert.Equal(t, code, got, complaints)
		assert.Contains(t, out, want)
	}
	f("sizer: bytes, queue_size: 1073741824", "", 0, "nothing found\n")
	f("sizer: items, queue_size: 1073741824", "", 1, "warning queue_not_in_bytes at exporters::otlp_grpc::sending_queue::sizer\n    is items: ")
	f("queue_size: 1073741824", "", 1, "    is requests: ")
	f("queue_size: 1073741824", "accept: [{check: queue_not_in_bytes, at: '*::otlp_grpc::*'}]", 0, "nothing found\n")
	f("sizer: bytes, queue_size: 1073741824, batch: {enabled: false}", "", 2, "error batch_unsized at exporters::otlp_grpc::sending_queue::batch\n")
	f("sizer: bytes, queue_size: 1073741824", "volume_share: 3", 2, "")
}

func TestDirectoriesOnlyWhenAsked(t *testing.T) {
	dir := t.TempDir()
	config := write(t, strings.NewReplacer("QUEUE", "sizer: bytes, queue_size: 1073741824", "PREFLIGHT", "volume_share: 1", "DIR", dir).Replace(durable))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "exporter_otlp__logs"), []byte("not a database"), 0o600))
	code, out, _ := command(t, "--config", config)
	assert.Equal(t, 0, code, out)
	code, out, _ = command(t, "--config", config, "--disk")
	assert.Equal(t, 1, code)
	assert.Contains(t, out, "error orphaned_queue at "+filepath.Join(dir, "exporter_otlp__logs"))
}

func TestMisuse(t *testing.T) {
	f := func(want string, args ...string) {
		t.Helper()
		code, out, complaints := command(t, args...)
		assert.Equal(t, 2, code)
		assert.Empty(t, out)
		assert.Contains(t, complaints, want)
	}
	f("--config is missing")
	f("flag provided but not defined: -nope", "--nope")
	f("takes flags only", "--config", "x", "y")
	f("no such file or directory", "--config", "/does/not/exist")
	f("no such file or directory", "--config", "/does/not/exist", "--otelcol", "/does/not/exist")
	code, out, _ := command(t, "--help")
	assert.Equal(t, 0, code)
	for _, flag := range []string{"-config", "-otelcol", "-disk", "-feature-gates"} {
		assert.Contains(t, out, flag)
	}
}
