package main

import (
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/confmap"
	"go.yaml.in/yaml/v3"

	"github.com/sluice-otel/sluice/e2e/harness"
)

func TestFilesAreAsGenerated(t *testing.T) {
	root := harness.Root(t)
	files, err := all(root)
	require.NoError(t, err)
	for path, want := range files {
		have, err := os.ReadFile(filepath.Join(root, path))
		require.NoError(t, err, "run `make generate`")
		assert.Equal(t, string(want), string(have), "%s: run `make generate`", path)
	}
	// One that nobody generates any more would be applied for ever.
	require.NoError(t, filepath.WalkDir(filepath.Join(root, "deploy", "operator"), func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() || filepath.Ext(path) != ".yaml" {
			return err
		}
		content, err := os.ReadFile(path)
		if strings.HasPrefix(string(content), "# Generated") {
			name, _ := filepath.Rel(root, path)
			assert.Contains(t, files, name)
		}
		return err
	}))
}

// The collector's own merge of the files, and where a CR's configuration is another one.
func TestConfigurationsAreThoseOfTheFiles(t *testing.T) {
	root := harness.Root(t)
	f := func(file string, from []string, want ...string) {
		t.Helper()
		merged := confmap.New()
		for _, name := range from {
			var content map[string]any
			decode(t, filepath.Join(root, "configs", name+".yaml"), &content)
			require.NoError(t, merged.Merge(confmap.NewFromStringMap(content)))
		}
		var cr struct {
			Spec struct{ Config map[string]any }
		}
		decode(t, filepath.Join(root, "deploy", "operator", file), &cr)
		have := differences("", merged.ToStringMap(), cr.Spec.Config)
		assert.Equal(t, slices.Concat(want, []string{
			`service::telemetry::metrics::readers: ${env:METRICS_PORT:-8888} → 8888`,
		}), have, file)
	}
	self := "receivers::prometheus/self::config::scrape_configs: 127.0.0.1:${env:METRICS_PORT:-8888} → 127.0.0.1:8888"
	f("base/agent.yaml", []string{"agent", "backends/to-gateway"}, self)
	for _, backend := range backends {
		dir, file := "overlays/"+backend+"/", "backends/"+backend
		f(dir+"gateway.yaml", []string{"gateway", file, "backends/to-sampling"}, self)
		f(dir+"sampling.yaml", []string{"sampling", file}, self)
		f(dir+"scraper.yaml", []string{"scraper", file},
			"receivers::prometheus: moved to prometheus/jobs",
			"receivers::prometheus/allocator: moved to prometheus",
			"receivers::prometheus::config: map[scrape_configs:[]] added",
			self,
			"service::pipelines::metrics::receivers: ${env:SCRAPE_RECEIVERS:-[prometheus, prometheus/allocator, prometheus/self, otlp]} → [prometheus/jobs prometheus prometheus/self otlp]",
		)
	}
}

// differences lists what is another value, and what has moved. No value and an empty map are the same to the collector.
func differences(path string, from, to any) []string {
	if same(from, to) {
		return nil
	}
	a, isMap := from.(map[string]any)
	b, both := to.(map[string]any)
	if !isMap || !both {
		return []string{strings.TrimPrefix(path, "::") + ": " + change(from, to)}
	}
	var out []string
	moved := map[string]bool{}
	if path == "::receivers" && b["prometheus/jobs"] != nil {
		a, b = maps.Clone(a), maps.Clone(b)
		if same(a["prometheus"], b["prometheus/jobs"]) {
			out = append(out, "receivers::prometheus: moved to prometheus/jobs")
			moved["prometheus/jobs"] = true
		}
		out = append(out, "receivers::prometheus/allocator: moved to prometheus")
		a["prometheus"] = a["prometheus/allocator"]
		moved["prometheus/allocator"] = true
	}
	keys := slices.Collect(maps.Keys(a))
	for key := range b {
		if _, ok := a[key]; !ok {
			keys = append(keys, key)
		}
	}
	slices.Sort(keys)
	for _, key := range keys {
		_, inA := a[key]
		_, inB := b[key]
		switch where := path + "::" + key; {
		case moved[key]:
		case !inA:
			out = append(out, fmt.Sprintf("%s: %v added", strings.TrimPrefix(where, "::"), b[key]))
		case !inB:
			out = append(out, strings.TrimPrefix(where, "::")+": removed")
		default:
			out = append(out, differences(where, a[key], b[key])...)
		}
	}
	return out
}

// change of two lists is that of the one leaf that differs.
func change(from, to any) string {
	a, isList := from.([]any)
	b, both := to.([]any)
	if isList && both && len(a) == len(b) {
		for i := range a {
			if !same(a[i], b[i]) {
				return change(a[i], b[i])
			}
		}
	}
	m, isMap := from.(map[string]any)
	n, both := to.(map[string]any)
	if isMap && both && len(m) == len(n) {
		for _, key := range slices.Sorted(maps.Keys(m)) {
			if !same(m[key], n[key]) {
				return change(m[key], n[key])
			}
		}
	}
	return fmt.Sprintf("%v → %v", from, to)
}

func same(a, b any) bool { return fmt.Sprintf("%#v", filled(a)) == fmt.Sprintf("%#v", filled(b)) }

func filled(v any) any {
	switch v := v.(type) {
	case map[string]any:
		out := map[string]any{}
		for key, value := range v {
			if value == nil {
				value = map[string]any{}
			}
			out[key] = filled(value)
		}
		return out
	case []any:
		out := make([]any, len(v))
		for i, value := range v {
			out[i] = filled(value)
		}
		return out
	}
	return v
}

func decode(t *testing.T, path string, into any) {
	t.Helper()
	content, err := os.ReadFile(path)
	require.NoError(t, err)
	require.NoError(t, yaml.Unmarshal(content, into), path)
}

func TestResolve(t *testing.T) {
	f := func(in, want string) {
		t.Helper()
		var n yaml.Node
		require.NoError(t, yaml.Unmarshal([]byte(in), &n))
		require.NoError(t, resolve(&n, "A"))
		out, err := yaml.Marshal(&n)
		require.NoError(t, err)
		assert.Equal(t, want, string(out))
	}
	f("k: ${env:A:-8888}", "k: 8888\n")
	f("k: '${env:A:-8888}'", "k: 8888\n") // the collector takes it for a number, too
	f("k: ${env:A:-[a, b]}", "k: [a, b]\n")
	f("k: ['127.0.0.1:${env:A:-1}']", "k: ['127.0.0.1:1']\n")
	f("k: ${env:B:-1} $$", "k: ${env:B:-1} $$\n")
	f("k: ${env:AB:-1}", "k: ${env:AB:-1}\n")
}

func TestWhatHasNoCounterpartIsAnError(t *testing.T) {
	f := func(path []string, want string) {
		t.Helper()
		w, err := findWorkload(harness.Root(t), "gateway")
		require.NoError(t, err)
		set(get(w.doc, path...), "hostAliases", mapping("a", "b"))
		_, err = w.spec(nil)
		assert.EqualError(t, err, want)
	}
	f([]string{"spec"}, "gateway: what is hostAliases in the operator's kinds?")
	f([]string{"spec", "template", "spec"}, "gateway: what is hostAliases in the operator's kinds?")

	w, err := findWorkload(harness.Root(t), "gateway")
	require.NoError(t, err)
	env := get(w.container(), "env")
	env.Content = append(env.Content, mapping("name", "METRICS_PORT", "value", "1"))
	_, err = w.spec(nil)
	assert.EqualError(t, err, "gateway: METRICS_PORT cannot be set here: the operator reads it")

	assert.EqualError(t, allocatorSettings(mapping("scrapeInterval", "60s"), mapping()), "what is scrapeInterval in a TargetAllocator?")
	_, err = collector(harness.Root(t), "agents", nil)
	assert.EqualError(t, err, `no tier "agents"; there are: agent, gateway, sampling, scraper`)
}
