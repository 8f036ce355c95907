//go:build e2e

package operator

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"

	"github.com/sluice-otel/sluice/e2e/backends"
	"github.com/sluice-otel/sluice/e2e/harness"
	"github.com/sluice-otel/sluice/e2e/netns"
	"github.com/sluice-otel/sluice/e2e/proc"
)

func TestMain(m *testing.M) {
	os.Exit(netns.Main(m, func() error { return backends.Build("etcd", "kube-apiserver", "kubectl", "operator") }))
}

// object is any Kubernetes object.
type object = map[string]any

// rig is an API server with the operator: the real one, its webhooks and its shipped role.
type rig struct {
	*backends.Kubernetes
	operator *backends.Operator
}

// One for all tests: it takes a quarter of a minute to come up.
func TestOperator(t *testing.T) {
	k := backends.StartKubernetes(t)
	k.ApplyOperatorCRDs(t)
	r := &rig{k, backends.StartOperator(t, k, "--enable-go-instrumentation=true")}
	t.Run("makes the tiers", r.testTiers)
	t.Run("scales gateways", r.testScaling)
	t.Run("is told replicas once", r.testReplicas)
	t.Run("refuses mistakes", r.testMistakes)
	t.Run("forgets telemetry with a variable as port", r.testTelemetry)
	t.Run("instruments pods", r.testInstrumentation)
}

// apply does what the README says, and no warning is missed.
func (r *rig) apply(t *testing.T, dir string) {
	t.Helper()
	_, stderr, err := r.TryKubectl("", "apply", "--server-side", "--validate=strict", "--warnings-as-errors", "-k", filepath.Join(harness.Root(t), "deploy", "operator", dir))
	require.NoError(t, err)
	require.Empty(t, stderr)
}

// objects reads all objects of a kind in a namespace, by name.
func (r *rig) objects(t *testing.T, namespace, kind string) map[string]object {
	t.Helper()
	var list struct{ Items []object }
	require.NoError(t, json.Unmarshal([]byte(r.Kubectl(t, "", "get", kind, "-n", namespace, "-o", "json")), &list))
	out := map[string]object{}
	for _, item := range list.Items {
		out[at(item, "metadata", "name").(string)] = item
	}
	return out
}

// at walks maps and, by a number, lists; nil when a step is missing.
func at(v any, path ...any) any {
	for _, step := range path {
		switch s := step.(type) {
		case string:
			m, _ := v.(map[string]any)
			v = m[s]
		case int:
			l, _ := v.([]any)
			if s >= len(l) {
				return nil
			}
			v = l[s]
		}
	}
	return v
}

// The operator makes of each overlay the pods that deploy/kubernetes has, with the configuration of configs/.
func (r *rig) testTiers(t *testing.T) {
	for _, overlay := range overlays {
		r.apply(t, "overlays/"+overlay)
		workloads := r.workloads(t, overlay)
		for tier, cr := range collectors(t, overlay) {
			made := r.workload(t, cr)
			r.assertConfiguration(t, overlay, tier, cr, made)
			assertPods(t, tier, workloads[tier], made)
			r.assertAdmission(t, tier, made)
		}
		r.assertSelectors(t)
		r.assertPrometheus(t)
	}
	r.assertTargetAllocator(t)
}

// workload waits for what the operator makes of a resource, with the resource's newest configuration.
func (r *rig) workload(t *testing.T, cr resource) object {
	t.Helper()
	var made object
	proc.Eventually(t, time.Minute, func() error {
		made = r.objects(t, cr.Metadata.Namespace, cr.Spec.Mode)[cr.Metadata.Name+"-collector"]
		if made == nil {
			return fmt.Errorf("no %s of %s", cr.Spec.Mode, cr.Metadata.Name)
		}
		got := r.configuration(t, cr, made)
		if got == nil || fmt.Sprint(at(got, "exporters")) != fmt.Sprint(plain(t, cr.Spec.Config["exporters"])) {
			return errors.New("it has not the configuration yet")
		}
		return nil
	}, r.operator.Process)
	return made
}

// configuration is what the pods of a workload are given.
func (r *rig) configuration(t *testing.T, cr resource, made object) any {
	t.Helper()
	volumes, _ := at(made, "spec", "template", "spec", "volumes").([]any)
	for _, v := range volumes {
		if at(v, "name") == "otc-internal" {
			name := at(v, "configMap", "name").(string)
			text, _ := at(r.objects(t, cr.Metadata.Namespace, "configmap")[name], "data", "collector.yaml").(string)
			var config any
			require.NoError(t, yaml.Unmarshal([]byte(text), &config))
			return plain(t, config)
		}
	}
	return nil
}

// plain has one type for every number.
func plain(t *testing.T, v any) any {
	t.Helper()
	text, err := json.Marshal(v)
	require.NoError(t, err)
	var out any
	require.NoError(t, json.Unmarshal(text, &out))
	return out
}

// The HorizontalPodAutoscaler's way to the gateway's pods, whose number an `apply` does not set back.
func (r *rig) testScaling(t *testing.T) {
	replicas := func(want float64) {
		t.Helper()
		proc.Eventually(t, 30*time.Second, func() error {
			if got := at(r.objects(t, "sluice", "statefulset")["sluice-gateway-collector"], "spec", "replicas"); got != want {
				return fmt.Errorf("%v replicas, not %v", got, want)
			}
			return nil
		}, r.operator.Process)
	}
	hpa := r.objects(t, "sluice", "horizontalpodautoscaler")["sluice-gateway"]
	assert.Equal(t, object{"apiVersion": "opentelemetry.io/v1beta1", "kind": "OpenTelemetryCollector", "name": "sluice-gateway"}, at(hpa, "spec", "scaleTargetRef"))
	assert.Len(t, r.objects(t, "sluice", "horizontalpodautoscaler"), 1)
	r.Kubectl(t, "", "scale", "-n", "sluice", "opentelemetrycollector/sluice-gateway", "--replicas=3")
	replicas(3)
	r.apply(t, "overlays/otlp")
	var cr object
	require.NoError(t, json.Unmarshal([]byte(r.Kubectl(t, "", "get", "-n", "sluice", "opentelemetrycollector/sluice-gateway", "-o", "json")), &cr))
	assert.InDelta(t, 3, at(cr, "spec", "replicas"), 0)
	assert.Contains(t, at(cr, "status", "scale", "selector"), "app.kubernetes.io/instance=sluice.sluice-gateway")
	replicas(3)
}

// A kustomization that changes replicas and names ../transformers need not say the number twice.
func (r *rig) testReplicas(t *testing.T) {
	dir := t.TempDir()
	from, err := filepath.EvalSymlinks(dir)
	require.NoError(t, err)
	to, err := filepath.Rel(from, filepath.Join(harness.Root(t), "deploy", "operator"))
	require.NoError(t, err)
	patch := func(tier string, replicas int) object {
		return object{
			"target": object{"kind": "OpenTelemetryCollector", "name": "sluice-" + tier},
			"patch":  fmt.Sprintf("- {op: replace, path: /spec/replicas, value: %d}", replicas),
		}
	}
	kustomization, err := json.Marshal(object{
		"resources": []string{to + "/overlays/lgtm"}, "transformers": []string{to + "/transformers"}, "patches": []object{patch("sampling", 5), patch("scraper", 7)},
	})
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(filepath.Join(dir, "kustomization.yaml"), kustomization, 0o600))
	env := map[string]map[string]string{}
	decoder := yaml.NewDecoder(strings.NewReader(r.Kubectl(t, "", "kustomize", dir)))
	for {
		var cr resource
		if decoder.Decode(&cr) != nil {
			break
		}
		values := map[string]string{}
		for _, v := range cr.Spec.Env {
			values[v.Name] = v.Value
		}
		env[cr.Metadata.Name+cr.Spec.Mode] = values
	}
	assert.Equal(t, "5", env["sluice-gatewaystatefulset"]["SAMPLING_REPLICAS"])
	assert.Equal(t, "7", env["sluice-scraperstatefulset"]["SCRAPE_SHARDS"])
}

// A mistake is refused: by the CRDs' schema, or by the operator.
func (r *rig) testMistakes(t *testing.T) {
	dir := filepath.Join(harness.Root(t), "deploy", "operator")
	f := func(file, old, new, want string) {
		t.Helper()
		content, err := os.ReadFile(filepath.Join(dir, file))
		require.NoError(t, err)
		changed := strings.Replace(string(content), old, new, 1)
		require.NotEqual(t, string(content), changed, "%s has no %q", file, old)
		_, _, err = r.TryKubectl(changed, "apply", "--server-side", "--force-conflicts", "--validate=strict", "--dry-run=server", "-f", "-")
		require.Error(t, err, "%s with %s", file, new)
		assert.Contains(t, err.Error(), want)
	}
	f("base/agent.yaml", "  mode: daemonset", "  mode: daemonset\n  hostPorts: true", "spec.hostPorts: field not declared in schema")
	f("base/agent.yaml", "  mode: daemonset", "  mode: deamonset", "spec.mode: Unsupported value")
	f("base/targetallocator.yaml", "scrapeInterval:", "scrape_interval:", "spec.prometheusCR.scrape_interval: field not declared in schema")
	f("base/targetallocator.yaml", "consistent-hashing", "consistent", "spec.allocationStrategy: Unsupported value")
	f("instrumentation/all/instrumentation.yaml", "  sampler:", "  samplers:", "spec.samplers: field not declared in schema")
	// These only the operator knows.
	f("base/agent.yaml", "  mode: daemonset", "  mode: statefulset", "does not support modification")
	f("base/agent.yaml", "  mode: daemonset", "  mode: daemonset\n  persistentVolumeClaimRetentionPolicy: {whenScaled: Retain}", "does not support the attribute 'persistentVolumeClaimRetentionPolicy'")
	f("instrumentation/all/instrumentation.yaml", `argument: "1"`, `argument: "2"`, "spec.sampler.argument should be in rage [0..1]")
	// A list that is a variable: the reason why the generator puts its default there.
	f("overlays/lgtm/scraper.yaml", "receivers: [prometheus/jobs, prometheus, prometheus/self, otlp]", "receivers: '${env:SCRAPE_RECEIVERS:-[otlp]}'", "spec.config.service.pipelines.metrics.receivers")
}

// Why the metrics' port is a number in these resources: the operator takes a variable there for no service.telemetry at all, and says so only
// in its log. Metrics would have other names, and no tier's name.
func (r *rig) testTelemetry(t *testing.T) {
	content, err := os.ReadFile(filepath.Join(harness.Root(t), "deploy/operator/base/agent.yaml"))
	require.NoError(t, err)
	telemetry := func(port string) any {
		t.Helper()
		changed := strings.Replace(string(content), "port: 8888", "port: "+port, 1)
		out, _, err := r.TryKubectl(changed, "apply", "--server-side", "--force-conflicts", "--dry-run=server", "-o", "json", "-f", "-")
		require.NoError(t, err)
		var cr object
		require.NoError(t, json.Unmarshal([]byte(out), &cr))
		return at(cr, "spec", "config", "service", "telemetry")
	}
	assert.Equal(t, "sluice-agent", at(telemetry("9999"), "resource", "service.name"))
	assert.Nil(t, at(telemetry("${env:METRICS_PORT:-8888}"), "resource"), "upstream has mended it: leave the variable where it is")
}
