//go:build e2e

package operator

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
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

func start(t *testing.T, args ...string) *rig {
	t.Helper()
	k := backends.StartKubernetes(t)
	k.ApplyOperatorCRDs(t)
	return &rig{k, backends.StartOperator(t, k, args...)}
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
func TestTheOperatorMakesTheTiers(t *testing.T) {
	r := start(t)
	for _, overlay := range overlays {
		r.apply(t, "overlays/"+overlay)
		for tier, cr := range collectors(t, overlay) {
			made := r.workload(t, cr)
			r.assertConfiguration(t, tier, cr, made)
			r.assertPods(t, overlay, tier, cr, made)
		}
		r.assertSelectors(t)
	}
	r.assertTargetAllocator(t)
	r.assertScaling(t)
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

func (r *rig) assertConfiguration(t *testing.T, tier string, cr resource, made object) {
	t.Helper()
	want := plain(t, cr.Spec.Config).(object)
	// All that the operator adds.
	at(want, "extensions", "health_check").(object)["path"] = "/"
	if tier == "scraper" {
		prometheus := at(want, "receivers", "prometheus").(object)
		prometheus["config"] = object{}
		allocator := at(prometheus, "target_allocator").(object)
		allocator["endpoint"], allocator["collector_id"] = "http://sluice-targetallocator:80", "${POD_NAME}"
	}
	got := r.configuration(t, cr, made)
	assert.Equal(t, want, got, tier)

	env := environment(t, "lgtm", cr)
	maps.Copy(env, mounted(t))
	if env["OTLP_ENDPOINT"] == "" {
		env["OTLP_ENDPOINT"] = "http://127.0.0.1:1"
	}
	output, err := validate(t, env, got)
	assert.NoError(t, err, "%s: %s", tier, output)
}

// assertPods compares the pods with those of deploy/kubernetes, and asks whether their namespace admits them.
func (r *rig) assertPods(t *testing.T, overlay, tier string, cr resource, made object) {
	t.Helper()
	want := r.plainWorkload(t, overlay, tier)
	pod, wantPod := at(made, "spec", "template", "spec").(object), at(want, "spec", "template", "spec").(object)
	for _, field := range []string{"serviceAccountName", "securityContext", "priorityClassName", "tolerations", "terminationGracePeriodSeconds", "affinity", "nodeSelector"} {
		assert.Equal(t, wantPod[field], pod[field], "%s: %s", tier, field)
	}
	have, wanted := at(pod, "containers", 0).(object), at(wantPod, "containers", 0).(object)
	for _, field := range []string{"image", "imagePullPolicy", "resources", "securityContext", "envFrom"} {
		assert.Equal(t, wanted[field], have[field], "%s: %s", tier, field)
	}
	assert.Equal(t, hostPorts(wanted), hostPorts(have), tier)
	assert.Equal(t, mountPaths(wanted, "/etc/otelcol"), mountPaths(have, "/conf"), tier)
	for _, probe := range []string{"startupProbe", "readinessProbe", "livenessProbe"} {
		port := at(have, probe, "httpGet", "port")
		assert.InDelta(t, 13133, port, 0, "%s: %s", tier, probe)
		for _, field := range []string{"periodSeconds", "failureThreshold", "timeoutSeconds", "initialDelaySeconds"} {
			if at(wanted, probe, field) != nil {
				assert.Equal(t, at(wanted, probe, field), at(have, probe, field), "%s: %s.%s", tier, probe, field)
			}
		}
	}
	env, wantEnv := variables(have), variables(wanted)
	delete(env, "GOMAXPROCS") // the operator's: the CPU limit, or all cores
	if tier == "gateway" {
		assert.Equal(t, "sluice-sampling-collector-%d.sluice-sampling.sluice.svc:4317", env["SAMPLING_ENDPOINT"])
		delete(env, "SAMPLING_ENDPOINT")
	}
	assert.Equal(t, wantEnv, env, tier)
	assert.Equal(t, at(want, "spec", "persistentVolumeClaimRetentionPolicy"), at(made, "spec", "persistentVolumeClaimRetentionPolicy"), tier)
	assert.Equal(t, at(want, "spec", "volumeClaimTemplates", 0, "spec", "resources"), at(made, "spec", "volumeClaimTemplates", 0, "spec", "resources"), tier)
	annotations, _ := at(made, "spec", "template", "metadata", "annotations").(object)
	assert.Equal(t, []string{"opentelemetry-operator-config/sha256"}, slices.Collect(maps.Keys(annotations)), "%s: with prometheus.io/scrape its metrics would come twice", tier)

	for namespace, admitted := range map[string]bool{"sluice-agent": true, "sluice": tier != "agent"} {
		_, _, err := r.TryKubectl(podOf(t, made, namespace), "create", "--dry-run=server", "-f", "-")
		assert.Equal(t, admitted, err == nil, "%s in %s: %v", tier, namespace, err)
	}
	if tier != "sampling" {
		return
	}
	assert.Equal(t, "sluice-sampling", at(made, "spec", "serviceName"))
}

// plainWorkload is a tier's of deploy/kubernetes, as the API server would store it.
func (r *rig) plainWorkload(t *testing.T, overlay, tier string) object {
	t.Helper()
	out := r.Kubectl(t, "", "apply", "--server-side", "--dry-run=server", "-o", "json", "-l", "app.kubernetes.io/component="+tier,
		"-k", filepath.Join(harness.Root(t), "deploy", "kubernetes", "overlays", overlay))
	var list struct{ Items []object }
	require.NoError(t, json.Unmarshal([]byte(out), &list))
	for _, item := range list.Items {
		if kind := at(item, "kind"); kind == "StatefulSet" || kind == "DaemonSet" {
			return item
		}
	}
	t.Fatalf("no workload of %s in %s", tier, overlay)
	return nil
}

func podOf(t *testing.T, made object, namespace string) string {
	t.Helper()
	spec := maps.Clone(at(made, "spec", "template", "spec").(object))
	volumes := slices.Clone(at(spec, "volumes").([]any))
	if claims := at(made, "spec", "volumeClaimTemplates"); claims != nil { // what a StatefulSet's pod gets
		volumes = append(volumes, object{"name": "state", "persistentVolumeClaim": object{"claimName": "state-0"}})
	}
	spec["volumes"] = volumes
	text, err := json.Marshal(object{"apiVersion": "v1", "kind": "Pod", "metadata": object{"name": "trial", "namespace": namespace}, "spec": spec})
	require.NoError(t, err)
	return string(text)
}

func hostPorts(container object) map[string]any {
	out := map[string]any{}
	ports, _ := container["ports"].([]any)
	for _, p := range ports {
		if host := at(p, "hostPort"); host != nil {
			out[at(p, "name").(string)] = host
		}
	}
	return out
}

func mountPaths(container object, without string) []string {
	var out []string
	for _, m := range container["volumeMounts"].([]any) {
		path := at(m, "mountPath").(string)
		if path != without && path != "/etc/otelcol/secrets" { // the overlay otlp mounts it into the configuration's folder, or by itself
			out = append(out, fmt.Sprint(path, " ", at(m, "readOnly"), " ", at(m, "mountPropagation")))
		}
	}
	slices.Sort(out)
	return out
}

func variables(container object) map[string]string {
	out := map[string]string{}
	for _, v := range container["env"].([]any) {
		out[at(v, "name").(string)] = fmt.Sprint(cmp.Or(at(v, "value"), at(v, "valueFrom")))
	}
	return out
}

// assertSelectors: what deploy/kubernetes and the operator each make find the operator's pods, and ports by their names.
func (r *rig) assertSelectors(t *testing.T) {
	t.Helper()
	type template struct {
		labels object
		ports  []string
	}
	for namespace, count := range map[string]int{"sluice-agent": 1, "sluice": 4} {
		var templates []template
		for _, kind := range []string{"daemonset", "statefulset", "deployment"} {
			for _, w := range r.objects(t, namespace, kind) {
				tmpl := template{labels: at(w, "spec", "template", "metadata", "labels").(object)}
				for _, p := range at(w, "spec", "template", "spec", "containers", 0, "ports").([]any) {
					tmpl.ports = append(tmpl.ports, at(p, "name").(string))
				}
				templates = append(templates, tmpl)
			}
		}
		require.Len(t, templates, count, "workloads in %s", namespace)
		finds := func(what string, selector any) template {
			var found []template
			for _, tmpl := range templates {
				if matches(selector.(object), tmpl.labels) {
					found = append(found, tmpl)
				}
			}
			if assert.Len(t, found, 1, "%s selects %v", what, selector) {
				return found[0]
			}
			return template{}
		}
		named := func(what string, tmpl template, port any) {
			if name, ok := port.(string); ok {
				assert.Contains(t, tmpl.ports, name, what)
			}
		}
		for name, s := range r.objects(t, namespace, "service") {
			tmpl := finds("service "+name, at(s, "spec", "selector"))
			for _, p := range at(s, "spec", "ports").([]any) {
				named("service "+name, tmpl, at(p, "targetPort"))
			}
		}
		for name, p := range r.objects(t, namespace, "poddisruptionbudget") {
			finds("budget "+name, at(p, "spec", "selector", "matchLabels"))
		}
		for name, p := range r.objects(t, namespace, "networkpolicy") {
			if name == "default-deny-ingress" {
				continue
			}
			tmpl := finds("policy "+name, at(p, "spec", "podSelector", "matchLabels"))
			for _, rule := range at(p, "spec", "ingress").([]any) {
				for _, port := range at(rule, "ports").([]any) {
					named("policy "+name, tmpl, at(port, "port"))
				}
			}
		}
	}
}

func matches(selector, labels object) bool {
	for key, value := range selector {
		if labels[key] != value {
			return false
		}
	}
	return true
}

// assertTargetAllocator: its configuration finds the scraper's pods, and says of monitors what deploy/kubernetes says.
func (r *rig) assertTargetAllocator(t *testing.T) {
	t.Helper()
	var made, want object
	text := at(r.objects(t, "sluice", "configmap")["sluice-targetallocator"], "data", "targetallocator.yaml").(string)
	require.NoError(t, yaml.Unmarshal([]byte(text), &made))
	content, err := os.ReadFile(filepath.Join(harness.Root(t), "deploy/kubernetes/tiers/targetallocator/targetallocator.yaml"))
	require.NoError(t, err)
	require.NoError(t, yaml.Unmarshal(content, &want))
	scraper := r.objects(t, "sluice", "statefulset")["sluice-scraper-collector"]
	selector := at(made, "collector_selector", "matchlabels").(object)
	assert.NotEmpty(t, selector, "without one it finds no scraper")
	assert.True(t, matches(selector, at(scraper, "spec", "template", "metadata", "labels").(object)), "it selects %v", selector)
	for _, key := range []string{"allocation_strategy", "filter_strategy"} {
		assert.Equal(t, want[key], made[key], key)
	}
	assert.Equal(t, "1m0s", at(made, "prometheus_cr", "scrape_interval"))
	assert.Equal(t, "60s", at(want, "prometheus_cr", "scrape_interval"))
	for _, key := range []string{"service_monitor_selector", "pod_monitor_selector"} {
		assert.Equal(t, at(want, "prometheus_cr", key, "matchExpressions"), at(made, "prometheus_cr", key, "matchexpressions"), key)
	}
	for _, key := range []string{"probe_selector", "scrape_config_selector"} {
		assert.Nil(t, at(made, "prometheus_cr", key), "%s: none, as in deploy/kubernetes", key)
	}
	assert.Nil(t, at(made, "config"), "jobs stay with the scraper")
	deployment := r.objects(t, "sluice", "deployment")["sluice-targetallocator"]
	assert.InDelta(t, 2, at(deployment, "spec", "replicas"), 0)
	assert.Equal(t, "sluice-targetallocator", at(deployment, "spec", "template", "spec", "serviceAccountName"))
	_, _, err = r.TryKubectl(podOf(t, deployment, "sluice"), "create", "--dry-run=server", "-f", "-")
	assert.NoError(t, err)
}

// assertScaling: the HorizontalPodAutoscaler's way to the gateway's pods, whose number an `apply` does not set back.
func (r *rig) assertScaling(t *testing.T) {
	t.Helper()
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

// A mistake is refused: by the CRDs' schema, or by the operator.
func TestMistakesAreRefused(t *testing.T) {
	r := start(t)
	r.apply(t, "overlays/lgtm")
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
func TestTheOperatorForgetsTelemetryWithAVariableAsPort(t *testing.T) {
	r := start(t)
	r.apply(t, "overlays/lgtm")
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
