//go:build e2e

package kubernetes

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"
)

func TestVersionsAreThoseOfTheBuild(t *testing.T) {
	want := map[string]string{
		"ghcr.io/sluice-otel/sluice":                                     version(t),
		"ghcr.io/open-telemetry/opentelemetry-operator/target-allocator": match(t, "e2e/backends/targetallocator/go.mod", `opentelemetry-operator v(\S+)`),
	}
	each(t, func(t *testing.T, all rendered) {
		for _, w := range all.workloads() {
			for _, c := range w.Spec.Template.Spec.Containers {
				name, tag, _ := strings.Cut(c.Image, ":")
				assert.NotEmpty(t, tag, c.Image)
				assert.Equal(t, want[name], tag, name)
			}
		}
	})
}

// version is Sluice's.
func version(t *testing.T) string {
	t.Helper()
	return match(t, "builder-config.yaml", `(?m)^  version: (\S+)$`)
}

func match(t *testing.T, file, pattern string) string {
	t.Helper()
	m := regexp.MustCompile(pattern).FindStringSubmatch(read(t, file))
	require.NotNil(t, m, file)
	return m[1]
}

func TestNumbersAgree(t *testing.T) {
	f := func(all rendered, samplers, scrapers int) {
		t.Helper()
		value := func(name, variable string) string {
			return all.env(t, "sluice", all.get(t, "StatefulSet", "sluice", name).Spec.Template.Spec.Containers[0])[variable]
		}
		assert.Equal(t, samplers, *all.get(t, "StatefulSet", "sluice", "sluice-sampling").Spec.Replicas)
		assert.Equal(t, scrapers, *all.get(t, "StatefulSet", "sluice", "sluice-scraper").Spec.Replicas)
		assert.Equal(t, strconv.Itoa(samplers), value("sluice-gateway", "SAMPLING_REPLICAS"))
		assert.Equal(t, strconv.Itoa(scrapers), value("sluice-scraper", "SCRAPE_SHARDS"))
		assert.Equal(t, "<metadata.labels['apps.kubernetes.io/pod-index']>", value("sluice-scraper", "SCRAPE_SHARD"))
	}
	each(t, func(_ *testing.T, all rendered) { f(all, 2, 2) })
	// As the README tells.
	f(render(t, overlay(t, `
resources: [HERE/overlays/lgtm]
replicas: [{name: sluice-sampling, count: 3}, {name: sluice-scraper, count: 4}]
transformers: [HERE/transformers]`)), 3, 4)

	// The autoscaler owns the gateways' number.
	all := render(t, "lgtm")
	assert.Nil(t, all.get(t, "StatefulSet", "sluice", "sluice-gateway").Spec.Replicas)
}

func TestQueuesFillAtMostHalfOfTheirVolume(t *testing.T) {
	each(t, func(t *testing.T, all rendered) {
		all.collectors(t, func(name string, w object, c container) {
			queues := queueBytes(t, all, w, c)
			require.Positive(t, queues, name)
			if w.Kind == "DaemonSet" {
				assert.Equal(t, int64(3<<30), queues, "%s: the comment at its volume says so", name)
				assert.Contains(t, read(t, "deploy/kubernetes/README.md"), fmt.Sprintf("takes up to %d GiB", 2*queues>>30))
				return
			}
			size := quantity(t, w.Spec.VolumeClaimTemplates[0].Spec.Resources.Requests["storage"])
			// A file system has less than its volume.
			assert.LessOrEqual(t, 2*queues, int64(0.95*float64(size)), "%s: queues of %d in a volume of %d", name, queues, size)
			assert.Less(t, size, 6*queues, "%s: more than anybody needs", name)
		})
	})
}

// queueBytes adds up what may lie on a collector's disk: the queue of each exporter and signal, and the journal.
func queueBytes(t *testing.T, all rendered, w object, c container) (sum int64) {
	t.Helper()
	type config struct {
		Exporters  map[string]map[string]any
		Processors map[string]map[string]any
		Service    struct {
			Pipelines map[string]struct{ Exporters []string }
		}
	}
	env := all.env(t, w.Metadata.Namespace, c)
	mounted := all.mounted(t, w, c)
	merged := config{Exporters: map[string]map[string]any{}}
	exporters := map[string][]string{} // of a pipeline; the last file that has a list wins
	number := func(v any) int64 {
		text := fmt.Sprint(v)
		if m := regexp.MustCompile(`^\$\{env:([A-Z_]+):-(\d+)\}$`).FindStringSubmatch(text); m != nil {
			if text = m[2]; env[m[1]] != "" {
				text = env[m[1]]
			}
		}
		n, err := strconv.ParseInt(text, 10, 64)
		require.NoError(t, err)
		return n
	}
	for _, path := range all.configs(t, w, c) {
		var f config
		// Receivers may be a variable; the rest is as it looks.
		require.NoError(t, yaml.Unmarshal([]byte(mounted[path]), &f))
		for id, e := range f.Exporters {
			merged.Exporters[id] = e
		}
		for pipeline, p := range f.Service.Pipelines {
			if p.Exporters != nil {
				exporters[pipeline] = p.Exporters
			}
		}
		for _, p := range f.Processors {
			if journal, ok := p["journal"].(map[string]any); ok {
				sum += number(journal["max_bytes"])
			}
		}
	}
	seen := map[string]bool{}
	for pipeline, ids := range exporters {
		signal, _, _ := strings.Cut(pipeline, "/")
		for _, id := range ids {
			queue, ok := merged.Exporters[id]["sending_queue"].(map[string]any)
			if !ok || seen[id+signal] {
				continue // a connector, or counted
			}
			seen[id+signal] = true
			n := int64(1)
			if shards, ok := merged.Exporters[id]["shards"]; ok {
				n = number(shards)
			}
			sum += n * number(queue["queue_size"])
		}
	}
	return sum
}

// quantity is how many bytes one is.
func quantity(t *testing.T, text string) int64 {
	t.Helper()
	m := regexp.MustCompile(`^(\d+)([KMG]i)B?$`).FindStringSubmatch(text)
	require.NotNil(t, m, text)
	n, err := strconv.ParseInt(m[1], 10, 64)
	require.NoError(t, err)
	return n << map[string]int{"Ki": 10, "Mi": 20, "Gi": 30}[m[2]]
}

func TestMemory(t *testing.T) {
	each(t, func(t *testing.T, all rendered) {
		for _, w := range all.workloads() {
			for _, c := range w.Spec.Template.Spec.Containers {
				limit := quantity(t, c.Resources.Limits["memory"])
				assert.LessOrEqual(t, quantity(t, c.Resources.Requests["memory"]), limit)
				assert.NotContains(t, c.Resources.Limits, "cpu", "throttling is worse than sharing")
				got := quantity(t, all.env(t, w.Metadata.Namespace, c)["GOMEMLIMIT"])
				assert.Equal(t, limit*8/10>>20, got>>20, "%s/%s: GOMEMLIMIT is 80 %% of the limit", w.Metadata.Name, c.Name)
			}
		}
	})
}

func TestThereIsTimeToStop(t *testing.T) {
	each(t, func(t *testing.T, all rendered) {
		all.collectors(t, func(name string, w object, c container) {
			mounted, found := all.mounted(t, w, c), 0
			for _, path := range all.configs(t, w, c) {
				for _, m := range regexp.MustCompile(`(?m)^ +timeout: (\d+)s$`).FindAllStringSubmatch(mounted[path], -1) {
					timeout, err := strconv.Atoi(m[1])
					require.NoError(t, err)
					// What is on its way may take that long, and then all is written down.
					assert.GreaterOrEqual(t, w.Spec.Template.Spec.TerminationGracePeriodSeconds, timeout+20, "%s: %s", name, path)
					found++
				}
			}
			assert.Positive(t, found, "%s: no exporter's timeout found", name)
		})
	})
}
