//go:build e2e

package operator

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"

	"github.com/sluice-otel/sluice/e2e/harness"
)

// assertConfiguration: pods get the configuration of the resource, with what the operator adds, and the binary takes it.
func (r *rig) assertConfiguration(t *testing.T, overlay, tier string, cr resource, made object) {
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

	env := environment(t, overlay, cr)
	maps.Copy(env, mounted(t))
	output, err := validate(t, env, got)
	assert.NoError(t, err, "%s: %s", tier, output)
}

// assertPods compares the pods with those of deploy/kubernetes.
func assertPods(t *testing.T, tier string, want, made object) {
	t.Helper()
	require.NotNil(t, want, tier)
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
	if tier == "sampling" {
		assert.Equal(t, "sluice-sampling", at(made, "spec", "serviceName"))
	}
}

// assertAdmission asks whether Pod Security lets the pods in where they belong, and the agent nowhere else.
func (r *rig) assertAdmission(t *testing.T, tier string, made object) {
	t.Helper()
	for namespace, admitted := range map[string]bool{"sluice-agent": true, "sluice": tier != "agent"} {
		_, _, err := r.TryKubectl(podOf(t, made, namespace), "create", "--dry-run=server", "-f", "-")
		assert.Equal(t, admitted, err == nil, "%s in %s: %v", tier, namespace, err)
	}
}

// workloads are those of deploy/kubernetes by tier, as the API server would store them.
func (r *rig) workloads(t *testing.T, overlay string) map[string]object {
	t.Helper()
	out := r.Kubectl(t, "", "apply", "--server-side", "--force-conflicts", "--dry-run=server", "-o", "json", "-l", "app.kubernetes.io/component in (agent,gateway,sampling,scraper)",
		"-k", filepath.Join(harness.Root(t), "deploy", "kubernetes", "overlays", overlay))
	var list struct{ Items []object }
	require.NoError(t, json.Unmarshal([]byte(out), &list))
	workloads := map[string]object{}
	for _, item := range list.Items {
		if kind := at(item, "kind"); kind == "StatefulSet" || kind == "DaemonSet" {
			workloads[at(item, "metadata", "labels", "app.kubernetes.io/component").(string)] = item
		}
	}
	return workloads
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
