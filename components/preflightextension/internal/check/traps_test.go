package check

import (
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"
)

// sound is a configuration without a fault; the cases of TestTraps change one thing each.
const sound = `
receivers:
  otlp: {}
  filelog: {storage: file_storage, start_at: beginning, operators: [], retry_on_failure: {enabled: true, max_elapsed_time: 0s}}
processors:
  memory_limiter: {}
  containerlog: {storage: file_storage}
  tail_sampling: {block_on_overflow: true, decision_cache: {sampled_cache_size: 10, non_sampled_cache_size: 10}}
exporters:
  otlp_grpc/a:
    retry_on_failure: {enabled: true, max_elapsed_time: 0s}
    sending_queue: {storage: file_storage, sizer: bytes, queue_size: 1073741824, batch: {sizer: bytes, max_size: 3145728}}
  loadbalancing:
    protocol: {otlp: {sending_queue: null, retry_on_failure: {enabled: false}}}
    retry_on_failure: {enabled: true, max_elapsed_time: 0s}
    sending_queue: {storage: file_storage, sizer: bytes, queue_size: 1073741824, batch: {sizer: bytes, max_size: 3145728}}
connectors:
  forward: null
extensions:
  file_storage: {directory: /does/not/exist}
service:
  extensions: [file_storage]
  pipelines:
    logs: {receivers: [otlp, filelog], processors: [memory_limiter], exporters: [otlp_grpc/a]}
    traces/in: {receivers: [otlp], processors: [memory_limiter], exporters: [forward]}
    traces: {receivers: [forward], processors: [tail_sampling], exporters: [otlp_grpc/a, loadbalancing]}
`

func parseYAML(t testing.TB, text string) map[string]any {
	t.Helper()
	var m map[string]any
	require.NoError(t, yaml.Unmarshal([]byte(text), &m))
	return m
}

// merge is the collector's: maps are joined, everything else is replaced. A null removes nothing.
func merge(base, over map[string]any) {
	for key, v := range over {
		if m, ok := v.(map[string]any); ok && asMap(base[key]) != nil {
			merge(asMap(base[key]), m)
			continue
		}
		base[key] = v
	}
}

func brief(list []Finding) []string {
	out := []string{}
	for _, f := range list {
		out = append(out, string(f.Check)+" "+f.At)
	}
	slices.Sort(out)
	return out
}

func TestASoundConfigurationHasNoFindings(t *testing.T) {
	assert.Empty(t, Read(Input{Config: parseYAML(t, sound)}).CheckConfig())
}

// Each fault of the configuration is found, nothing else is, and there is a case of each check that does not look at the disk.
func TestTraps(t *testing.T) {
	trapped := map[ID]bool{}
	f := func(name, over string, want ...string) {
		t.Helper()
		config := parseYAML(t, sound)
		merge(config, parseYAML(t, over))
		found := Read(Input{Config: config, Raw: config, Gates: map[string]bool{SynchronousEmitter: name != "gate"}}).CheckConfig()
		for _, finding := range found {
			trapped[finding.Check] = true
		}
		t.Run(name, func(t *testing.T) {
			slices.Sort(want)
			assert.Equal(t, append([]string{}, want...), brief(found))
			for _, finding := range found {
				assert.NotEmpty(t, finding.Problem)
				assert.NotEmpty(t, finding.Action)
			}
		})
	}
	const a = "exporters::otlp_grpc/a::"
	queue := func(s string) string { return "exporters: {otlp_grpc/a: {sending_queue: {" + s + "}}}" }

	f("queue in memory", queue("storage: null"), "queue_in_memory "+a+"sending_queue::storage")
	f("queue in memory that answers when it is delivered", queue("storage: null, wait_for_result: true"))
	f("no queue", "exporters: {otlp_grpc/a: {sending_queue: null}}")
	f("queue that is disabled, as written", queue("enabled: false, storage: null"))
	f("exporter in no pipeline", "exporters: {otlp_grpc/b: {sending_queue: {storage: null}}}")
	f("no retry", "exporters: {otlp_grpc/a: {retry_on_failure: {enabled: false}}}", "retry_disabled "+a+"retry_on_failure::enabled")
	f("upstream's retry", "exporters: {otlp_grpc/a: {retry_on_failure: {max_elapsed_time: 5m0s}}}", "retry_gives_up "+a+"retry_on_failure::max_elapsed_time")
	f("retry in nanoseconds", "exporters: {otlp_grpc/a: {retry_on_failure: {max_elapsed_time: 300000000000}}}", "retry_gives_up "+a+"retry_on_failure::max_elapsed_time")
	f("items", queue("sizer: items"), "queue_not_in_bytes "+a+"sending_queue::sizer")
	f("requests", queue("sizer: requests, queue_size: 1000"), "queue_not_in_bytes "+a+"sending_queue::sizer")
	f("batch for nobody", queue("batch: {max_size: 8388608}"), "batch_too_large "+a+"sending_queue::batch::max_size")
	f("batch just at the limit", queue("batch: {max_size: 4128768}"))
	f("batch above it", queue("batch: {max_size: 4128769}"), "batch_too_large "+a+"sending_queue::batch::max_size")
	f("batch without a limit", queue("batch: {max_size: 0}"), "batch_too_large "+a+"sending_queue::batch::max_size")
	f("no batch", queue("batch: null"))
	f("batch that crashes", queue("batch: {enabled: false, sizer: null}"), "batch_unsized "+a+"sending_queue::batch")
	f("batch that is off", queue("batch: {enabled: false, sizer: bytes, max_size: 0}"))
	f("HTTP takes more", `
exporters: {otlp_http: {retry_on_failure: {enabled: true, max_elapsed_time: 0s}, sending_queue: {storage: file_storage, sizer: bytes, queue_size: 10485760, batch: {max_size: 8388608}}}}
service: {pipelines: {logs: {exporters: [otlp_http]}}}`)
	f("but not all", `
exporters: {otlp_http: {retry_on_failure: {enabled: true, max_elapsed_time: 0s}, sending_queue: {storage: file_storage, sizer: bytes, queue_size: 104857600, batch: {max_size: 33554432}}}}
service: {pipelines: {logs: {exporters: [otlp_http]}}}`, "batch_too_large exporters::otlp_http::sending_queue::batch::max_size")
	f("remote write", "{exporters: {prometheusremotewrite/x: {remote_write_queue: {}}}, service: {pipelines: {metrics: {receivers: [otlp], processors: [memory_limiter], exporters: [prometheusremotewrite/x]}}}}",
		"exporter_not_durable exporters::prometheusremotewrite/x")
	f("queues behind the load balancer", "exporters: {loadbalancing: {protocol: {otlp: {sending_queue: {queue_size: 1000}}}}}", "load_balancer_queues exporters::loadbalancing::protocol::otlp::sending_queue")
	f("retries behind the load balancer", "exporters: {loadbalancing: {protocol: {otlp: {retry_on_failure: {enabled: true}}}}}", "load_balancer_queues exporters::loadbalancing::protocol::otlp::retry_on_failure")

	pipeline := func(s string) string { return "service: {pipelines: {" + s + "}}" }
	f("batch processor", pipeline("logs: {processors: [memory_limiter, batch/x]}"), "batch_processor service::pipelines::logs::processors")
	f("no memory limiter", pipeline("logs: {processors: []}"), "memory_limiter_first service::pipelines::logs::processors")
	f("memory limiter third", pipeline("logs: {processors: [resource, transform, memory_limiter]}"), "memory_limiter_first service::pipelines::logs::processors")
	f("memory limiter late behind a connector", pipeline("traces: {processors: [resource, memory_limiter, tail_sampling]}"), "memory_limiter_first service::pipelines::traces::processors")
	f("start_gate before it", pipeline("logs: {processors: [start_gate, memory_limiter]}"))
	f("containerlog before it", pipeline("logs: {receivers: [filelog], processors: [containerlog, memory_limiter]}"))
	f("containerlog in a pipeline of its own", "{connectors: {forward/files: {}}, service: {pipelines: {logs/files: {receivers: [filelog], processors: [containerlog], exporters: [forward/files]}, logs: {receivers: [otlp, forward/files]}}}}")
	f("nor behind that", "{connectors: {forward/files: {}}, service: {pipelines: {logs/files: {receivers: [filelog], processors: [containerlog], exporters: [forward/files]}, logs: {receivers: [otlp, forward/files], processors: [resource, memory_limiter]}}}}",
		"memory_limiter_first service::pipelines::logs/files::processors", "memory_limiter_first service::pipelines::logs::processors")
	f("sampled twice", pipeline("traces: {processors: [probabilistic_sampler, tail_sampling]}"), "sampled_before_tail service::pipelines::traces::processors")
	f("sampled in the pipeline before", pipeline("traces/in: {processors: [memory_limiter, probabilistic_sampler/x]}"), "sampled_before_tail service::pipelines::traces/in::processors")
	f("sampled afterwards", pipeline("traces: {processors: [tail_sampling, probabilistic_sampler]}"))
	f("sampled elsewhere", pipeline("traces/other: {receivers: [otlp], processors: [memory_limiter, probabilistic_sampler], exporters: [otlp_grpc/a]}"))
	f("connectors in a circle", "{connectors: {forward/b: {}}, service: {pipelines: {traces: {receivers: [forward, forward/b], exporters: [forward/b]}}}}")
	f("tail sampling without caches", "processors: {tail_sampling: {decision_cache: {sampled_cache_size: 0, non_sampled_cache_size: 0}}}", "tail_sampling_wedges processors::tail_sampling::block_on_overflow")
	f("with one of them", "processors: {tail_sampling: {decision_cache: {non_sampled_cache_size: 0}}}", "tail_sampling_wedges processors::tail_sampling::block_on_overflow")
	f("that does not block", "processors: {tail_sampling: {block_on_overflow: false, decision_cache: {non_sampled_cache_size: 0}}}")

	filelog := func(s string) string { return "receivers: {filelog: {" + s + "}}" }
	const r = "receivers::filelog"
	f("offsets in memory", filelog("storage: null"), "files_forgotten "+r+"::storage")
	f("from the end", filelog("start_at: end"), "files_from_end "+r+"::start_at")
	f("no retry of lines", filelog("retry_on_failure: {enabled: false}"), "files_not_retried "+r+"::retry_on_failure::enabled")
	f("upstream's retry of lines", filelog("retry_on_failure: {max_elapsed_time: 5m}"), "files_not_retried "+r+"::retry_on_failure::max_elapsed_time")
	f("containerlog retries", filelog("retry_on_failure: {enabled: false}")+"\nservice: {pipelines: {logs: {receivers: [filelog], processors: [containerlog, memory_limiter]}}}")
	f("not for its sibling", filelog("retry_on_failure: {enabled: false}")+`
service: {pipelines: {logs: {receivers: [filelog], processors: [containerlog, memory_limiter]}, logs/raw: {receivers: [filelog], processors: [memory_limiter], exporters: [otlp_grpc/a]}}}`,
		"files_not_retried "+r+"::retry_on_failure::enabled")
	f("operators", filelog("operators: [{type: container}]"), "files_operators "+r+"::operators")
	f("gate", "{}", "files_ahead_of_delivery "+r)
	f("state in memory", "{processors: {loki_hint: {}}, service: {pipelines: {logs: {processors: [memory_limiter, loki_hint]}}}}", "state_in_memory processors::loki_hint::storage")

	const ours = "{processors: {durable_tail_sampling: {block_on_overflow: true, journal: {storage: file_storage}}}, service: {pipelines: {traces: {processors: [probabilistic_sampler, durable_tail_sampling]}}}}"
	f("tail sampling of ours", ours, "tail_sampling_wedges processors::durable_tail_sampling::block_on_overflow", "sampled_before_tail service::pipelines::traces::processors")
	f("without its journal", strings.ReplaceAll(strings.ReplaceAll(ours, "storage: file_storage", "storage: null"), "block_on_overflow: true", "block_on_overflow: false"),
		"state_in_memory processors::durable_tail_sampling::journal::storage", "sampled_before_tail service::pipelines::traces::processors")

	f("unknown components", `
receivers: {new: {protocols: [1, {a: b}]}, newer: 3, newest: [1]}
exporters: {otlp_grpc/b: word, new: {sending_queue: [1], retry_on_failure: 3}}
service: {pipelines: {logs/new: {receivers: [new, newer, newest, not_there], processors: [memory_limiter], exporters: [otlp_grpc/b, new]}, profiles: 3}}`)

	onDisk := []ID{DirectoryEphemeral, DirectoryInUse, DirectoryUnreadable, OrphanedFile, OrphanedQueue, OtherStorage, QueuesExceedVolume, SetAsideFile, VolumeLow}
	assert.ElementsMatch(t, IDs(), append(slices.Collect(maps.Keys(trapped)), onDisk...))
}

// The effective configuration of v0.145 has an empty map where a queue's sizer should be.
func TestSizerThatTheCollectorDoesNotTell(t *testing.T) {
	f := func(effective, raw string, want ...string) {
		t.Helper()
		config := parseYAML(t, sound)
		merge(config, parseYAML(t, "exporters: {otlp_grpc/a: {sending_queue: "+effective+"}}"))
		asMap(asMap(asMap(config["exporters"])["otlp_grpc/a"])["sending_queue"])["sizer"] = map[string]any{}
		var written map[string]any
		if raw != "" {
			written = parseYAML(t, "exporters: {otlp_grpc/a: {sending_queue: "+raw+"}, loadbalancing: {sending_queue: {sizer: bytes}}}")
		}
		assert.Equal(t, append([]string{}, want...), brief(Read(Input{Config: config, Raw: written}).CheckConfig()))
	}
	const inItems = "queue_not_in_bytes exporters::otlp_grpc/a::sending_queue::sizer"
	f("{queue_size: 1073741824}", "")
	f("{queue_size: 1000}", "", inItems)
	f("{queue_size: 1048576}", "")
	f("{queue_size: 1048575}", "", inItems)
	f("{queue_size: 1073741824}", "{sizer: bytes}")
	f("{queue_size: 1073741824}", "{sizer: items}", inItems)
	f("{queue_size: 1073741824}", "{}", inItems) // counts requests: upstream's default
}

func TestSortAndBound(t *testing.T) {
	list := []Finding{{Check: VolumeLow, At: "a"}, {Check: BatchProcessor, At: "b"}, {Check: BatchProcessor, At: "a"}, {Check: BatchTooLarge, At: "z"}}
	Sort(list)
	assert.Equal(t, []Finding{{Check: BatchProcessor, At: "a"}, {Check: BatchProcessor, At: "b"}, {Check: BatchTooLarge, At: "z"}, {Check: VolumeLow, At: "a"}}, list)
	told, left := Bound(list)
	assert.Len(t, told, 4)
	assert.Zero(t, left)
	told, left = Bound(make([]Finding, 250))
	assert.Len(t, told, 100)
	assert.Equal(t, 150, left)
}

func TestPolicy(t *testing.T) {
	list := []Finding{{Check: OrphanedQueue, At: "/q/exporter_otlp_old_traces"}, {Check: BatchProcessor, At: "service::pipelines::logs::processors"}}
	f := func(check ID, at string, open int) {
		t.Helper()
		assert.Len(t, Policy{Accept: []Accept{{check, at}}}.Open(list), open)
	}
	f(OrphanedQueue, "/q/exporter_otlp_old_traces", 1)
	f(OrphanedQueue, "/q/exporter_otlp_old_trace", 2)
	f(OrphanedQueue, "*_old_*", 1)
	f(OrphanedQueue, "/q/*_traces", 1)
	f(OrphanedQueue, "/q/*_logs", 2)
	f(OrphanedQueue, "*", 1)
	f(BatchProcessor, "*::logs::*", 1)
	f(BatchProcessor, "*::metrics::*", 2)
	f(OrphanedFile, "*", 2)
	f(OrphanedQueue, "q*", 2)
	assert.Equal(t, list[1:], Policy{FailOn: []ID{BatchProcessor, VolumeLow}}.Fatal(list))
	assert.Empty(t, Policy{}.Fatal(list))
	assert.True(t, strings.HasPrefix(list[0].String(), "orphaned_queue: /q/exporter_otlp_old_traces: "))
}

func FuzzRead(f *testing.F) {
	f.Add(sound)
	f.Add("exporters: {otlp: {sending_queue: {sizer: bytes, batch: {enabled: false}}}}\nservice: {pipelines: {logs: {exporters: [otlp]}}}")
	f.Add("service: {extensions: [file_storage], pipelines: {a: {receivers: [b], exporters: [b]}}}\nconnectors: {b: {}}\nextensions: {file_storage: {directory: 3}}")
	f.Fuzz(func(t *testing.T, text string) {
		var m map[string]any
		if yaml.Unmarshal([]byte(text), &m) != nil {
			return
		}
		for _, in := range []Input{{Config: m}, {Config: m, Raw: m}, {Raw: m}} {
			model := Read(in)
			for _, found := range model.CheckConfig() {
				if found.Severity() == "" || found.At == "" || found.Problem == "" || found.Action == "" {
					t.Fatalf("half a finding: %+v", found)
				}
			}
			model.Disk(0.5, nil)
		}
	})
}
