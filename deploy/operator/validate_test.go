package operator

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"

	"github.com/sluice-otel/sluice/e2e/harness"
)

var overlays = []string{"lgtm", "victoria", "otlp"}

// resource is what these tests read of an OpenTelemetryCollector.
type resource struct {
	Metadata struct {
		Name, Namespace string
		Labels          map[string]string
	}
	Spec struct {
		Mode     string
		Replicas *int
		Env      []struct {
			Name, Value string
			ValueFrom   map[string]any `yaml:"valueFrom"`
		}
		EnvFrom []map[string]struct{ Name string } `yaml:"envFrom"`
		Config  map[string]any
	}
}

// collectors are those of an overlay, by tier.
func collectors(t *testing.T, overlay string) map[string]resource {
	t.Helper()
	dir := filepath.Join(harness.Root(t), "deploy", "operator")
	out := map[string]resource{}
	for tier, path := range map[string]string{
		"agent": "base/agent.yaml", "gateway": "overlays/" + overlay + "/gateway.yaml", "sampling": "overlays/" + overlay + "/sampling.yaml", "scraper": "overlays/" + overlay + "/scraper.yaml",
	} {
		content, err := os.ReadFile(filepath.Join(dir, path))
		require.NoError(t, err)
		var r resource
		require.NoError(t, yaml.Unmarshal(content, &r), path)
		out[tier] = r
	}
	return out
}

// environment is that of a pod: what the resource and the overlay's files say, with a value of a test for what only a cluster knows.
func environment(t *testing.T, overlay string, r resource) map[string]string {
	t.Helper()
	env := map[string]string{}
	for _, from := range r.Spec.EnvFrom {
		if name := from["configMapRef"].Name; name != "" {
			maps.Copy(env, settings(t, overlay, strings.TrimPrefix(name, "sluice-")))
		}
	}
	for _, v := range r.Spec.Env {
		value := v.Value
		if v.ValueFrom != nil {
			value = map[string]string{
				"POD_NAME": "sluice-0", "POD_NAMESPACE": r.Metadata.Namespace, "K8S_NODE_NAME": "node-1", "HOST_IP": "127.0.0.1", "SCRAPE_SHARD": "0", "K8S_CLUSTER_NAME": "default",
			}[v.Name]
			require.NotEmpty(t, value, "%s: what is %s?", r.Metadata.Name, v.Name)
		}
		env[v.Name] = strings.ReplaceAll(value, "$(HOST_IP)", env["HOST_IP"])
	}
	return env
}

func settings(t *testing.T, overlay, name string) map[string]string {
	t.Helper()
	content, err := os.ReadFile(filepath.Join(harness.Root(t), "deploy", "kubernetes", "overlays", overlay, name+".env"))
	require.NoError(t, err)
	out := map[string]string{}
	for line := range strings.Lines(string(content)) {
		if name, value, ok := strings.Cut(strings.TrimSpace(line), "="); ok && !strings.HasPrefix(name, "#") {
			out[name] = value
		}
	}
	return out
}

// mounted is what only a pod has: an account, its node, and the Secret of the overlay otlp.
func mounted(t *testing.T) map[string]string {
	t.Helper()
	dir := t.TempDir()
	for name, content := range map[string]string{
		"token": "a-service-account-token", "ca.crt": "", "authorization": "Bearer a-vendor-token",
		"kubeconfig": `{"apiVersion": "v1", "kind": "Config", "current-context": "c",
			"clusters": [{"name": "c", "cluster": {"server": "https://127.0.0.1:1"}}],
			"users": [{"name": "c", "user": {"token": "a-token"}}],
			"contexts": [{"name": "c", "context": {"cluster": "c", "user": "c"}}]}`,
	} {
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600))
	}
	return map[string]string{
		"K8S_AUTH_TYPE": "kubeConfig", "KUBECONFIG": filepath.Join(dir, "kubeconfig"), "SERVICEACCOUNT_DIR": dir,
		"OTLP_AUTHORIZATION_FILE": filepath.Join(dir, "authorization"), "STATE_DIR": filepath.Join(dir, "state"), "HOST_ROOT": dir,
	}
}

func validate(t *testing.T, env map[string]string, config any) (string, error) {
	t.Helper()
	content, err := yaml.Marshal(config)
	require.NoError(t, err)
	path := filepath.Join(t.TempDir(), "collector.yaml")
	require.NoError(t, os.WriteFile(path, content, 0o600))
	return harness.Validate(t, env, path)
}

func TestTheBinaryAcceptsEveryConfiguration(t *testing.T) {
	for _, overlay := range overlays {
		for tier, r := range collectors(t, overlay) {
			t.Run(fmt.Sprint(overlay, "/", tier), func(t *testing.T) {
				t.Parallel()
				env := environment(t, overlay, r)
				maps.Copy(env, mounted(t))
				output, err := validate(t, env, r.Spec.Config)
				assert.NoError(t, err, output)

				r.Spec.Config["exporters"].(map[string]any)["nop"] = map[string]any{"unknown": true}
				output, err = validate(t, env, r.Spec.Config)
				assert.Error(t, err, "a configuration with an unknown key")
				assert.Contains(t, output, "unknown")
			})
		}
	}
}

// Each number is in two places, which nothing in a cluster compares.
func TestReplicasAndWhatMustEqualThem(t *testing.T) {
	for _, overlay := range overlays {
		crs := collectors(t, overlay)
		value := func(tier, name string) string { return environment(t, overlay, crs[tier])[name] }
		assert.Equal(t, strconv.Itoa(*crs["sampling"].Spec.Replicas), value("gateway", "SAMPLING_REPLICAS"), overlay)
		assert.Equal(t, strconv.Itoa(*crs["scraper"].Spec.Replicas), value("scraper", "SCRAPE_SHARDS"), overlay)
		assert.Nil(t, crs["gateway"].Spec.Replicas, "%s: the HorizontalPodAutoscaler's", overlay)
		for tier, r := range crs {
			assert.NotContains(t, environment(t, overlay, r), "METRICS_PORT", "%s/%s: the operator reads it", overlay, tier)
			assert.NotContains(t, environment(t, overlay, r), "SCRAPE_RECEIVERS", "%s/%s: the operator reads it", overlay, tier)
		}
	}
}

// The allocator's image is the operator's release.
func TestVersionsAgree(t *testing.T) {
	root := harness.Root(t)
	read := func(path string) string {
		t.Helper()
		content, err := os.ReadFile(filepath.Join(root, path))
		require.NoError(t, err)
		return string(content)
	}
	pinned := regexp.MustCompile(`github.com/open-telemetry/opentelemetry-operator v(\S+)`)
	operator := pinned.FindStringSubmatch(read("e2e/backends/operator/go.mod"))
	allocator := pinned.FindStringSubmatch(read("e2e/backends/targetallocator/go.mod"))
	require.NotNil(t, operator)
	require.NotNil(t, allocator)
	assert.Equal(t, operator[1], allocator[1])
	assert.Contains(t, read("deploy/operator/base/targetallocator.yaml"), "/target-allocator:"+operator[1]+"\n")
}
