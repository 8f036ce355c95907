//go:build e2e

package smoke

import (
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"

	"github.com/sluice-otel/sluice/e2e/harness"
	"github.com/sluice-otel/sluice/e2e/tiers"
)

// One configuration has every component once, and starts. The receivers of cluster state talk to a real API server.
func TestEveryComponentStarts(t *testing.T) {
	const config = "e2e/smoke/testdata/every-component.yaml"
	var c struct {
		Receivers, Processors, Exporters, Connectors, Extensions map[string]any
		Service                                                  struct {
			Extensions []string
			Pipelines  map[string]map[string][]string
		}
	}
	require.NoError(t, yaml.Unmarshal(read(t, config), &c))
	used := map[string]map[string]bool{}
	for kind := range map[string]bool{"receivers": true, "processors": true, "exporters": true} {
		used[kind] = map[string]bool{}
		for _, p := range c.Service.Pipelines {
			for _, id := range p[kind] {
				used[kind][id] = true
			}
		}
	}
	_, kinds := components(t)
	for kind, have := range map[string]map[string]any{
		"receivers": c.Receivers, "processors": c.Processors, "exporters": c.Exporters, "connectors": c.Connectors, "extensions": c.Extensions,
	} {
		for _, component := range kinds[kind] {
			name := component.Name
			assert.Contains(t, have, name, "%s: %s is not in %s", kind, name, config)
			switch kind {
			case "connectors":
				assert.True(t, used["receivers"][name] && used["exporters"][name], "connector %s joins no pipelines", name)
			case "extensions":
				assert.True(t, slices.Contains(c.Service.Extensions, name), "extension %s is not started", name)
			default:
				assert.True(t, used[kind][name], "%s: %s is in no pipeline", kind, name)
			}
		}
	}

	k := tiers.StartKubernetes(t)
	dir := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(dir, "strategies.json"), []byte(`{"default_strategy": {"type": "probabilistic", "param": 1}}`), 0o600))
	collector := harness.StartCollector(t, harness.Options{
		Configs: []string{config},
		Env:     map[string]string{"KUBECONFIG": k.AdminKubeconfig, "WORK_DIR": dir, "K8S_NODE_NAME": "node-1"},
	})
	collector.Stop(t)
}
