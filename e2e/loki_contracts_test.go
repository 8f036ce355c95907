//go:build e2e

package e2e

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/plog"

	"github.com/sluice-otel/sluice/e2e/backends"
	"github.com/sluice-otel/sluice/e2e/harness"
)

// lokihint builds the command, and gives a function that runs it over files of configs/, and others that have a whole path.
func lokihint(t *testing.T) func(command string, configs []string, flags ...string) (output string, code int) {
	t.Helper()
	program := filepath.Join(t.TempDir(), "lokihint")
	build := exec.CommandContext(t.Context(), "go", "build", "-o", program, "./components/lokihintprocessor/cmd/lokihint")
	build.Dir = harness.Root(t)
	out, err := build.CombinedOutput()
	require.NoError(t, err, "%s", out)
	return func(command string, configs []string, flags ...string) (output string, code int) {
		args := []string{command}
		for _, config := range configs {
			if !filepath.IsAbs(config) {
				config = filepath.Join(harness.Root(t), "configs", config+".yaml")
			}
			args = append(args, "--config", config)
		}
		cmd := exec.CommandContext(t.Context(), program, append(args, flags...)...)
		out, err := cmd.CombinedOutput()
		if cmd.ProcessState == nil {
			require.NoError(t, err)
		}
		return string(out), cmd.ProcessState.ExitCode()
	}
}

var promtail = []string{"backends/lgtm", "loki/promtail-labels"}

// With the labels of Promtail's chart and what the command prints for them, old dashboards find what they ask for.
func TestLokiPromtailLabels(t *testing.T) {
	run := lokihint(t)
	limits, code := run("print", promtail)
	require.Zero(t, code, limits)
	l := backends.StartLoki(t, backends.LokiOptions{Config: limits})
	verdict, code := run("verify", promtail, "--loki", l.URL)
	require.Zero(t, code, verdict)
	c := startHint(t, l, "", "loki/promtail-labels")

	otel := map[string]string{"k8s_namespace_name": "n", "k8s_container_name": "c", "k8s_pod_name": "a-1", "k8s_node_name": "node-1"}
	chart := func(app string, more ...string) map[string]string {
		return service("shop", append([]string{"namespace", "n", "app", app, "job", "n/" + app, "container", "c", "node_name", "node-1", "pod", "a-1"}, more...)...)
	}
	k8s := func(more ...any) pairs {
		return ofShop(append([]any{
			"k8s.namespace.name", "n", "k8s.container.name", "c", "k8s.pod.name", "a-1", "k8s.node.name", "node-1", "loki.resource.labels", "k8s.pod.uid",
		}, more...)...).resource
	}
	const app, component = "k8s.pod.label.app.kubernetes.io/name", "k8s.pod.label.app.kubernetes.io/component"
	list := []meant{
		meaning(said{resource: k8s(app, "a", component, "api"), attrs: pairs{"log.iostream", "stderr"}}, chart("a", "stream", "stderr", "component", "api"),
			merge(otel, "log_iostream", "stderr", "k8s_pod_label_app_kubernetes_io_name", "a", "k8s_pod_label_app_kubernetes_io_component", "api")),
		meaning(said{resource: k8s("k8s.deployment.name", "d"), attrs: pairs{"log.iostream", "elsewhere"}}, chart("d"),
			merge(otel, "log_iostream", "elsewhere", "k8s_deployment_name", "d", "stream", "elsewhere")),
		meaning(said{resource: k8s()}, chart("a-1"), otel),
	}
	sendMeant(t, c, list)
	assertMeant(t, stored(t, l, c, len(list)+1), list) // and that of verify
	assert.Len(t, l.Lines(t, `{namespace="n", app="a", job="n/a", stream="stderr"} | k8s_pod_name="a-1"`), 1)
	for _, labels := range l.Series(t, `{service_name="shop"}`) {
		for name := range labels {
			assert.NotRegexp(t, "^k8s_", name)
		}
	}
	// Who sends to Loki past the processor cannot bring hints in, either.
	status, _ := pushLogs(t, l, otlp(said{resource: pairs{"service.name", "direct", "loki.tenant", "t"}, attrs: pairs{"loki.attribute.labels", "a", "b", "c"}}))
	require.Equal(t, 204, status)
	direct := l.Lines(t, `{service_name="direct"}`)
	require.Len(t, direct, 1)
	assert.Equal(t, map[string]string{"b": "c", "detected_level": "unknown"}, direct[0].Metadata)
}

// The command tells when Loki makes other labels than the configuration says.
func TestLokiVerify(t *testing.T) {
	run := lokihint(t)
	l := backends.StartLoki(t, backends.LokiOptions{})
	verdict, code := run("verify", promtail[:1], "--loki", l.URL)
	assert.Zero(t, code, verdict)
	verdict, code = run("verify", promtail, "--loki", l.URL)
	assert.Equal(t, 1, code, verdict)
	for _, label := range []string{"namespace", "app", "job", "pod"} {
		assert.Contains(t, verdict, label)
	}
	assert.Contains(t, verdict, "lokihint print")
	verdict, code = run("verify", promtail[:1], "--loki", "http://127.0.0.1:1", "--timeout", "1s")
	assert.Equal(t, 2, code, verdict)
}

// What the command says becomes of records is what a running Loki has of them.
func TestLokiExplain(t *testing.T) {
	l := backends.StartLoki(t, backends.LokiOptions{})
	c := startHint(t, l, "")
	list := append(shippedMeanings(), clashes()...)
	records := make([]said, len(list))
	for i, m := range list {
		records[i] = m.said
		records[i].body = fmt.Sprintf("line %d", i)
	}
	logs := otlp(records...)
	text, err := (&plog.JSONMarshaler{}).MarshalLogs(logs)
	require.NoError(t, err)
	file := filepath.Join(t.TempDir(), "logs.json")
	require.NoError(t, os.WriteFile(file, text, 0o600))
	output, code := lokihint(t)("explain", promtail[:1], file)
	require.Zero(t, code, output)
	require.NoError(t, harness.SendLogs(t, c.OTLPGRPC, logs))

	explained, stream := map[string][]string{}, ""
	for line := range strings.Lines(output) {
		switch line = strings.TrimSuffix(line, "\n"); {
		case strings.HasPrefix(line, "{"):
			stream = line
		case strings.HasPrefix(line, "    "):
			last := len(explained[stream]) - 1
			explained[stream][last] += line
		case strings.HasPrefix(line, "  "):
			explained[stream] = append(explained[stream], line)
		}
	}
	real := map[string][]string{}
	for _, line := range stored(t, l, c, len(list)) {
		stream := "{" + quoted(line.Labels) + "}"
		text := "  " + line.Time.UTC().Format(time.RFC3339Nano) + "  " + line.Line
		if len(line.Metadata) > 0 {
			text += "    " + quoted(line.Metadata)
		}
		real[stream] = append(real[stream], text)
	}
	for stream := range real {
		slices.Sort(real[stream])
		slices.Sort(explained[stream])
	}
	assert.Equal(t, real, explained)
}

// quoted is how LogQL writes names and their values.
func quoted(m map[string]string) string {
	var list []string
	for name, value := range m {
		list = append(list, fmt.Sprintf("%s=%q", name, value))
	}
	slices.Sort(list)
	return strings.Join(list, ", ")
}

// More labels than Loki takes: the most important ones are labels, the others are found all the same.
func TestLokiTooManyLabels(t *testing.T) {
	var all, generated strings.Builder
	all.WriteString("processors:\n  loki_hint:\n    labels:\n")
	generated.WriteString("processors:\n  loki_hint:\n    contract: generated\n    storage: null\n    labels:\n")
	byDefault, byContract := ofShop(), ofShop()
	wantDefault, wantContract := meaning(byDefault, service("shop"), map[string]string{}), meaning(byContract, service("shop"), map[string]string{})
	add := func(m *meant, i int, key string) {
		m.resource = append(m.resource, key, "v")
		if name := strings.ReplaceAll(key, ".", "_"); i < 15 {
			m.labels[name] = "v"
		} else {
			m.metadata[name] = "v"
		}
	}
	for i, key := range lokiIndex[1:] {
		fmt.Fprintf(&all, "      - resource.%s\n", key)
		add(&wantDefault, i, key)
	}
	for i := range 20 {
		key := fmt.Sprint("l", i+1)
		fmt.Fprintf(&generated, "      - resource.%s\n", key)
		add(&wantContract, i, key)
	}
	file := filepath.Join(t.TempDir(), "generated.yaml")
	require.NoError(t, os.WriteFile(file, []byte(generated.String()), 0o600))
	overrides, code := lokihint(t)("print", []string{file}, "--format", "tenant", "--tenant", "default")
	require.Zero(t, code, overrides)
	_, overrides, ok := strings.Cut(overrides, "overrides:\n")
	require.True(t, ok, overrides)

	f := func(o backends.LokiOptions, override string, want meant) {
		t.Helper()
		o.MultiTenant = true
		server := backends.StartLoki(t, o)
		l := server.As("default") // as who the backend file sends
		c := startHint(t, l, override)
		sendMeant(t, c, []meant{want})
		assertMeant(t, stored(t, l, c, 1), []meant{want})
		assert.InDelta(t, 1, c.Metric(t, "otelcol_processor_loki_hint_demoted_records", map[string]string{"reason": "count", "label": labelAt(want, 15)}), 0)
	}
	f(backends.LokiOptions{}, all.String(), wantDefault)
	f(backends.LokiOptions{Overrides: overrides}, generated.String(), wantContract)
}

// Loki with rules of its own: what it makes labels of beside what is wanted is metadata nevertheless, also where no other spelling helps.
func TestLokiListedLabels(t *testing.T) {
	l := backends.StartLoki(t, backends.LokiOptions{Limits: `otlp_config:
  resource_attributes:
    ignore_defaults: true
    attributes_config: [{action: index_label, attributes: [service.name, team, k8s.namespace.name, zone, k8s.node.name]}]
`})
	c := startHint(t, l, `
processors:
  loki_hint:
    contract: list
    index: [service.name, team, k8s.namespace.name, zone, k8s.node.name]
    labels: [{from: [resource.k8s.namespace.name], values: [prod]}, {name: team, from: [record.owner], max_values: 1}]
    hints: {honor: [resource.zone]}
`)
	list := []meant{
		meaning(said{resource: ofShop("k8s.namespace.name", "prod", "zone", "z", "k8s.node.name", "n", "k8s.pod.name", "p").resource, attrs: pairs{"owner", "red"}},
			service("shop", "k8s_namespace_name", "prod", "team", "red"), map[string]string{"zone": "z", "k8s_node_name": "n", "k8s_pod_name": "p", "owner": "red"}),
		meaning(said{resource: ofShop("k8s.namespace.name", "test").resource, attrs: pairs{"owner", "blue"}},
			service("shop"), map[string]string{"k8s_namespace_name": "test", "team": "blue", "owner": "blue"}),
		// asked for in the record itself, as far as that is allowed
		meaning(ofShop("zone", "y", "k8s.node.name", "n", "loki.resource.labels", "zone, k8s.node.name"), service("shop", "zone", "y"), map[string]string{"k8s_node_name": "n"}),
	}
	sendMeant(t, c, list)
	assertMeant(t, stored(t, l, c, len(list)), list)
}

// labelAt is the name of the n-th declared label.
func labelAt(m meant, n int) string {
	return strings.ReplaceAll(m.resource[2+2*n].(string), ".", "_")
}

// merge is a map with more names and values.
func merge(m map[string]string, more ...string) map[string]string {
	merged := service("", more...)
	delete(merged, "service_name")
	for name, value := range m {
		merged[name] = value
	}
	return merged
}
