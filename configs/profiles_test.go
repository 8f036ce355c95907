// Package configs has no code: its tests read the shipped profiles as YAML and hold them to the rules that make a chain
// lossless and safe. That the binary accepts them is in validate_test.go, that they do what they promise in e2e/.
package configs

import (
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"
)

// A file is a profile (tier) or a backend file.
type file struct {
	Receivers  map[string]map[string]any
	Processors map[string]map[string]any
	Exporters  map[string]map[string]any
	Connectors map[string]map[string]any
	Extensions map[string]map[string]any
	Service    struct {
		Extensions []string
		Pipelines  map[string]pipeline
		Telemetry  map[string]any
	}

	path, header, body string
}

type pipeline struct {
	Receivers  names
	Processors names
	Exporters  names
}

// names is a list of components, or the variable that holds one.
type names []string

func (n *names) UnmarshalYAML(node *yaml.Node) error {
	if node.Kind == yaml.ScalarNode {
		return yaml.Unmarshal([]byte(variable.FindStringSubmatch(node.Value)[2]), (*[]string)(n))
	}
	return node.Decode((*[]string)(n))
}

// variable matches ${env:NAME} and ${env:NAME:-default}.
var variable = regexp.MustCompile(`\$\{env:([A-Z][A-Z0-9_]*)(?::-((?:[^{}]|\$\{[^}]*\})*))?\}`)

func load(t *testing.T, path string) file {
	t.Helper()
	data, err := os.ReadFile(path)
	require.NoError(t, err)
	f := file{path: path}
	require.NoError(t, yaml.Unmarshal(data, &f), path)
	f.header, f.body, _ = strings.Cut(string(data), "\n\n")
	for block := range strings.SplitSeq(f.body, "\n\n") { // a header may have paragraphs
		if !strings.HasPrefix(block, "#") {
			break
		}
		f.header += "\n" + block
	}
	return f
}

func loadAll(t *testing.T, pattern string) []file {
	t.Helper()
	paths, err := filepath.Glob(pattern)
	require.NoError(t, err)
	require.NotEmpty(t, paths)
	files := make([]file, 0, len(paths))
	for _, path := range paths {
		files = append(files, load(t, path))
	}
	return files
}

func tiers(t *testing.T) []file    { return loadAll(t, "*.yaml") }
func backends(t *testing.T) []file { return loadAll(t, "backends/*.yaml") }

// kind is a component's type: what stands before the slash.
func kind(id string) string {
	k, _, _ := strings.Cut(id, "/")
	return k
}

// at walks nested maps; nil when a step is missing.
func at(v any, path ...string) any {
	for _, key := range path {
		m, ok := v.(map[string]any)
		if !ok {
			return nil
		}
		v = m[key]
	}
	return v
}

// fallback is the default of a value that is a variable, else the value itself.
func fallback(v any) string {
	s, _ := v.(string)
	if m := variable.FindStringSubmatch(s); m != nil {
		return m[2]
	}
	return s
}

func TestEveryVariableIsInTheHeaderOnceWithItsDefault(t *testing.T) {
	// Headers shorten these.
	long := []string{"LOG_JSON_KEYS", "HEALTH_PATHS", "SAMPLING_NON_PRODUCTION"}
	// Headers say it in words.
	words := map[string]string{
		"KUBECONFIG": "(in-cluster account)", "DOCKER_LOGS_DIR": "/dev/null", "PII_HASH_SALT": "(empty)", "LIMITS_FILE": "(empty)",
		"KUBELET_ENDPOINT": "$K8S_NODE_NAME:10250",
	}
	documented := regexp.MustCompile(`(?:^# |, |\s{2,})([A-Z][A-Z0-9]*(?:_[A-Z0-9]+)+|KUBECONFIG)\s+(\S.*)`)
	for _, f := range slices.Concat(tiers(t), backends(t), loadAll(t, "loki/*.yaml")) {
		t.Run(f.path, func(t *testing.T) {
			inHeader := map[string]string{}
			for line := range strings.SplitSeq(f.header, "\n") {
				for part := range strings.SplitSeq(line, ", ") {
					for part := range strings.SplitSeq(strings.TrimPrefix(part, "# "), "   ") {
						if m := documented.FindStringSubmatch("# " + strings.TrimSpace(part)); m != nil {
							assert.NotContains(t, inHeader, m[1], "documented twice")
							inHeader[m[1]] = m[2]
						}
					}
				}
				if m := documented.FindStringSubmatch(line); m != nil && strings.HasPrefix(line, "# "+m[1]) {
					inHeader[m[1]] = m[2]
				}
			}
			used := map[string]string{}
			for _, m := range variable.FindAllStringSubmatch(f.body, -1) {
				if before, ok := used[m[1]]; ok {
					assert.Equal(t, before, m[2], "%s has two defaults", m[1])
				}
				used[m[1]] = m[2]
			}
			for name, def := range used {
				text, ok := inHeader[name]
				if !assert.True(t, ok, "%s is used but not in the header", name) || slices.Contains(long, name) {
					continue
				}
				if w, ok := words[name]; ok && !strings.HasPrefix(text, def+" ") {
					def = w
				}
				if def == "" {
					def = "(none: start fails)"
				}
				assert.True(t, strings.HasPrefix(text+" ", def+" ") || strings.HasPrefix(text, def+":"), "%s: the header says %q, the default is %q", name, text, def)
			}
			for name := range inHeader {
				assert.Contains(t, used, name, "in the header but not used")
			}
		})
	}
}

func TestEveryTierTakesEveryBackend(t *testing.T) {
	signals := []string{"logs", "metrics", "traces"}
	for _, f := range tiers(t) {
		open := []string{}
		for name, p := range f.Service.Pipelines {
			if len(p.Exporters) == 0 {
				open = append(open, name)
			}
		}
		slices.Sort(open)
		assert.Equal(t, signals, open, "%s: the pipelines whose exporters come from a backend file", f.path)
	}
	for _, f := range backends(t) {
		want := signals
		if f.path == "backends/to-sampling.yaml" {
			want = []string{"traces"}
		}
		var open []string
		for name, p := range f.Service.Pipelines {
			if slices.Contains(slices.Collect(maps.Keys(f.Connectors)), strings.Join(p.Receivers, "")) {
				continue // what the backend needs beside an exporter; the signal's own pipeline ends in the connector
			}
			open = append(open, name)
			assert.Empty(t, p.Receivers, "%s: %s", f.path, name)
			assert.Empty(t, p.Processors, "%s: %s", f.path, name)
		}
		slices.Sort(open)
		assert.Equal(t, want, open, f.path)
		assert.Empty(t, f.Service.Extensions, "%s: a list would replace the tier's", f.path)
	}
}

func TestPipelineOrder(t *testing.T) {
	for _, f := range tiers(t) {
		for name, p := range f.Service.Pipelines {
			where := f.path + ": " + name
			require.NotEmpty(t, p.Processors, where)
			if name != "logs/files" { // see TestFilesAreReadWithoutLoss
				limited := p.Processors
				// It listens before all of its pipelines have started.
				if strings.Contains(strings.Join(p.Receivers, " "), "otlp") {
					assert.Equal(t, "start_gate", p.Processors[0], "%s: start_gate must be first", where)
					limited = limited[1:]
				}
				assert.Equal(t, "memory_limiter", limited[0], "%s: memory_limiter must be first", where)
			}
			for i, id := range p.Processors {
				assert.NotEqual(t, "batch", kind(id), "%s: batch acknowledges before it delivers", where)
				assert.NotEqual(t, "probabilistic_sampler", kind(id), "%s: it would drop errors before tail_sampling sees them", where)
				switch id {
				case "tail_sampling", "durable_tail_sampling", "redaction":
					assert.Equal(t, len(p.Processors)-1, i, "%s: %s must be last", where, id)
				case "transform/pii":
					assert.Equal(t, []string{"transform/pii", "redaction"}, []string(p.Processors[i:]), where)
				}
				assert.Contains(t, f.Processors, id, where)
			}
		}
		for id := range f.Processors {
			assert.True(t, slices.ContainsFunc(slices.Collect(maps.Values(f.Service.Pipelines)), func(p pipeline) bool {
				return slices.Contains(p.Processors, id)
			}), "%s: processor %s is in no pipeline", f.path, id)
		}
	}
}

func TestPersonalDataIsRedactedAtEveryEdge(t *testing.T) {
	agent := load(t, "agent.yaml")
	for _, path := range []string{"agent.yaml", "gateway.yaml", "local.yaml"} {
		f := load(t, path)
		for _, signal := range []string{"logs", "traces"} {
			assert.Contains(t, f.Service.Pipelines[signal].Processors, "redaction", "%s: %s", path, signal)
		}
		assert.Equal(t, "propagate", f.Processors["transform/pii"]["error_mode"], "%s: a redaction that ignores errors leaks", path)
		assert.Equal(t, "false", fallback(f.Processors["redaction"]["allow_all_keys"]), path)
		// The blocks are written out in each profile so that a profile reads alone; they are the same blocks.
		for _, id := range []string{"transform/pii", "redaction"} {
			assert.Equal(t, agent.Processors[id], f.Processors[id], "%s: %s differs from agent.yaml", path, id)
		}
	}
	local := load(t, "local.yaml")
	for _, id := range []string{"transform/bodies", "filter/severity", "filter/health", "containerlog"} {
		assert.Equal(t, agent.Processors[id], local.Processors[id], "local.yaml: %s differs from agent.yaml", id)
	}
	keys, _ := agent.Processors["redaction"]["allowed_keys"].([]any)
	seen := map[any]bool{}
	for _, key := range keys {
		assert.False(t, seen[key], "allowed_keys has %v twice", key)
		seen[key] = true
	}
}

func TestFilesAreReadWithoutLoss(t *testing.T) {
	for _, path := range []string{"agent.yaml", "local.yaml"} {
		f := load(t, path)
		filelog := f.Receivers["filelog"]
		assert.Equal(t, "beginning", filelog["start_at"], path)
		assert.Equal(t, "durable_storage", filelog["storage"], path)
		assert.NotContains(t, filelog, "max_batches", path)
		assert.NotContains(t, filelog, "operators", "%s: they have a queue in memory", path)
		assert.Equal(t, true, filelog["include_file_path"], path)
		assert.Equal(t, true, filelog["include_file_record_offset"], path)
		assert.Equal(t, "utf-8-raw", filelog["encoding"], path)
		assert.Equal(t, true, filelog["preserve_leading_whitespaces"], path)
		assert.Equal(t, true, filelog["preserve_trailing_whitespaces"], path)
		assert.Equal(t, "durable_storage", f.Processors["containerlog"]["storage"], path)
		// One pipeline: a sibling would be sent its records again whenever the other refused.
		for name, p := range f.Service.Pipelines {
			assert.Equal(t, name == "logs/files", slices.Contains(p.Receivers, "filelog"), "%s: %s", path, name)
		}
		assert.Equal(t, names{"containerlog"}, f.Service.Pipelines["logs/files"].Processors, "%s: what stands before it could refuse lines that only filelog would keep", path)
	}
}

func TestEveryExporterHasAQueueOnDiskAndRetriesForEver(t *testing.T) {
	for _, f := range backends(t) {
		for id, e := range f.Exporters {
			where := f.path + ": " + id
			switch kind(id) {
			case "debug": // nothing is kept
				continue
			case "remote_write":
				assert.NotContains(t, at(e, "sending_queue"), "num_consumers", "%s: its default is 1, requests must not overtake each other", where)
			}
			assert.Equal(t, true, at(e, "retry_on_failure", "enabled"), where)
			assert.Equal(t, "0s", at(e, "retry_on_failure", "max_elapsed_time"), "%s: the default drops after 5m", where)
			queue := at(e, "sending_queue")
			assert.Equal(t, true, at(queue, "enabled"), where)
			assert.Equal(t, "durable_storage", at(queue, "storage"), where)
			assert.Equal(t, "bytes", at(queue, "sizer"), where)
			assert.Equal(t, "bytes", at(queue, "batch", "sizer"), where)
			most, _ := at(queue, "batch", "max_size").(int)
			assert.True(t, most > 0 && most <= 4<<20-1<<16, "%s: a batch of %d bytes does not pass gRPC's default limit of 4 MiB", where, most)
			assert.Contains(t, queue, "block_on_overflow", "%s: say who waits when the queue is full", where)
		}
	}
	for _, f := range tiers(t) {
		assert.Contains(t, f.Service.Extensions, "durable_storage", f.path)
		assert.Empty(t, f.Exporters, "%s: exporters belong to backends/", f.path)
	}
}

func TestClusterStateIsReadBehindTheLease(t *testing.T) {
	for _, f := range tiers(t) {
		for id, r := range f.Receivers {
			if kind(id) == "k8s_cluster" || kind(id) == "k8sobjects" {
				assert.Equal(t, "k8s_leader_elector", r["k8s_leader_elector"], "%s: %s: every replica would report everything", f.path, id)
				assert.Contains(t, f.Service.Extensions, "k8s_leader_elector", f.path)
			}
		}
	}
}

func TestSampling(t *testing.T) {
	f := load(t, "sampling.yaml")
	tail := f.Processors["durable_tail_sampling"]
	assert.Equal(t, "durable_storage", at(tail, "journal", "storage"))
	number := func(v any) int {
		n, err := strconv.Atoi(fallback(v))
		require.NoError(t, err, v)
		return n
	}
	wait, err := time.ParseDuration(fallback(tail["decision_wait"]))
	require.NoError(t, err)
	traces := number(tail["num_traces"])
	assert.Equal(t, number(tail["expected_new_traces_per_sec"])*int(wait/time.Second+2)*2, traces, "num_traces is rate × (wait + 2 s) × 2")
	assert.Equal(t, true, tail["block_on_overflow"])
	for _, cache := range []string{"sampled_cache_size", "non_sampled_cache_size"} {
		assert.GreaterOrEqual(t, number(at(tail, "decision_cache", cache)), 10*traces, "%s: blocking without a large cache of decisions never lets go", cache)
	}
	assert.Equal(t, true, tail["sample_on_first_match"])

	policies, _ := tail["policies"].([]any)
	order := []string{}
	for _, p := range policies {
		name, _ := at(p, "name").(string)
		order = append(order, name)
	}
	assert.Equal(t, []string{"probes", "errors", "slow", "non-production", "rest"}, order)
	salts := regexp.MustCompile(`hash_salt: ('[^']*')`).FindAllStringSubmatch(f.body, -1)
	require.Len(t, salts, 2)
	assert.Equal(t, salts[0][1], salts[1][1], "with two salts half of non-production would become 55 %")

	assert.Contains(t, f.Service.Pipelines["traces/all"].Exporters, "spanmetrics", "RED metrics are counted before sampling")
	assert.NotContains(t, f.Service.Pipelines["traces/all"].Processors, "durable_tail_sampling")
	assert.Equal(t, true, at(f.Connectors["spanmetrics"], "exemplars", "enabled"))
	assert.Equal(t, "s", at(f.Connectors["spanmetrics"], "histogram", "unit"))
}

func TestSelfMetricsHaveTheSameNamesEverywhere(t *testing.T) {
	want := load(t, "agent.yaml").Service.Telemetry["metrics"]
	for _, f := range tiers(t) {
		assert.Equal(t, "sluice-"+strings.TrimSuffix(f.path, ".yaml"), at(f.Service.Telemetry, "resource", "service.name"), f.path)
		readers, err := yaml.Marshal(f.Service.Telemetry["metrics"])
		require.NoError(t, err)
		expected, err := yaml.Marshal(want)
		require.NoError(t, err)
		loopback := strings.ReplaceAll(string(readers), "METRICS_HOST:-127.0.0.1", "METRICS_HOST:-0.0.0.0") // local.yaml stays on loopback
		assert.YAMLEq(t, string(expected), loopback, f.path)
	}
}
