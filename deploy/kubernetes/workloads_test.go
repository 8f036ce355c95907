//go:build e2e

package kubernetes

import (
	"cmp"
	"math"
	"net"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestHardening(t *testing.T) {
	each(t, func(t *testing.T, all rendered) {
		for _, w := range all.workloads() {
			for _, c := range w.Spec.Template.Spec.Containers {
				name, s := w.Metadata.Name+"/"+c.Name, c.SecurityContext
				assert.True(t, s.ReadOnlyRootFilesystem, name)
				assert.Equal(t, []string{"ALL"}, s.Capabilities.Drop, name)
				if assert.NotNil(t, s.AllowPrivilegeEscalation, name) {
					assert.False(t, *s.AllowPrivilegeEscalation, name)
				}
				if name == "sluice-agent/otelcol" {
					assert.Equal(t, []string{"DAC_READ_SEARCH"}, s.Capabilities.Add)
				} else {
					assert.Empty(t, s.Capabilities.Add, name)
				}
				for _, m := range c.VolumeMounts {
					assert.Equal(t, m.MountPath != "/var/lib/sluice", m.ReadOnly, "%s: %s", name, m.MountPath)
				}
			}
		}
	})
}

// The image is for Linux. A DaemonSet that tolerates everything would wait on a node of Windows for ever, and its rollout with it.
func TestPodsGoWhereTheImageRuns(t *testing.T) {
	each(t, func(t *testing.T, all rendered) {
		for _, w := range all.workloads() {
			assert.Equal(t, map[string]string{"kubernetes.io/os": "linux"}, w.Spec.Template.Spec.NodeSelector, w.Metadata.Name)
		}
	})
}

// Two agents would want the same ports and files; and one node that is down must not stop the rollout on all others.
func TestAgentsAreReplacedInShares(t *testing.T) {
	each(t, func(t *testing.T, all rendered) {
		w := all.get(t, "DaemonSet", "sluice-agent", "sluice-agent")
		assert.Equal(t, map[string]any{"maxSurge": 0, "maxUnavailable": "5%"}, w.at(t, "spec", "updateStrategy", "rollingUpdate"))
	})
}

// selects says whether a selector, as a map of labels or as a LabelSelector, takes a pod with these labels.
func selects(t *testing.T, selector any, labels map[string]string) bool {
	t.Helper()
	m, ok := selector.(map[string]any)
	require.True(t, ok, "%v", selector)
	if inner, ok := m["matchLabels"].(map[string]any); ok {
		require.Len(t, m, 1)
		m = inner
	}
	for key, value := range m {
		if labels[key] != value {
			return false
		}
	}
	return true
}

func TestSelectorsTakeTheirOwnPods(t *testing.T) {
	each(t, func(t *testing.T, all rendered) {
		for _, o := range all {
			var selectors []any
			switch o.Kind {
			case "Service", "PodDisruptionBudget":
				selectors = []any{o.Spec.Selector}
			case "NetworkPolicy":
				if o.Metadata.Name != "default-deny-ingress" {
					selectors = []any{o.Spec.PodSelector}
				}
			case "DaemonSet", "StatefulSet", "Deployment":
				selectors = []any{o.Spec.Selector}
				for _, c := range o.Spec.Template.Spec.TopologySpreadConstraints {
					selectors = append(selectors, c.LabelSelector)
				}
			}
			for _, selector := range selectors {
				assert.True(t, strings.HasPrefix(o.Metadata.Name, "sluice-"+o.component()), "%s %s of %s", o.Kind, o.Metadata.Name, o.component())
				for _, w := range all.workloads() {
					got := w.Metadata.Namespace == o.Metadata.Namespace && selects(t, selector, w.Spec.Template.Metadata.Labels)
					assert.Equal(t, w.component() == o.component(), got, "%s %s, pods of %s", o.Kind, o.Metadata.Name, w.Metadata.Name)
				}
			}
		}
		for _, w := range all.workloads() {
			assert.Equal(t, "sluice-"+w.component(), w.Metadata.Name)
			assert.Equal(t, w.Metadata.Name, w.Spec.Template.Spec.ServiceAccountName)
			if w.Kind == "StatefulSet" {
				service := all.get(t, "Service", "sluice", w.Spec.ServiceName)
				assert.Equal(t, "None", service.at(t, "spec", "clusterIP"))
				assert.Equal(t, w.component(), service.component())
			}
			if w.Kind != "DaemonSet" {
				all.get(t, "PodDisruptionBudget", "sluice", w.Metadata.Name)
			}
			all.get(t, "NetworkPolicy", w.Metadata.Namespace, w.Metadata.Name)
		}
	})
}

// listens matches what a profile listens on; nothing else there has a default with a port.
var listens = regexp.MustCompile(`\$\{env:([A-Z_]+):-([a-z0-9.]+:\d+)\}`)

// addresses are all that a collector listens on.
func (r rendered) addresses(t *testing.T, w object, c container) (all []string) {
	t.Helper()
	env := r.env(t, w.Metadata.Namespace, c)
	for _, m := range listens.FindAllStringSubmatch(r.mounted(t, w, c)[r.configs(t, w, c)[0]], -1) {
		all = append(all, cmp.Or(env[m[1]], m[2]))
	}
	return append(all, "0.0.0.0:"+cmp.Or(env["METRICS_PORT"], "8888"))
}

func TestPortsAreThoseOfTheProfiles(t *testing.T) {
	each(t, func(t *testing.T, all rendered) {
		named := map[string][]string{} // a workload's ports
		taken := map[string]string{}   // a pod's
		all.collectors(t, func(name string, w object, c container) {
			var want, got []int
			for _, address := range all.addresses(t, w, c) {
				host, port, err := net.SplitHostPort(address)
				require.NoError(t, err, name)
				assert.Empty(t, taken[w.Metadata.Name+port], "%s wants port %s", name, port)
				taken[w.Metadata.Name+port] = name
				if host == "0.0.0.0" {
					n, err := strconv.Atoi(port)
					require.NoError(t, err)
					want = append(want, n)
				}
			}
			for _, p := range c.Ports {
				got = append(got, p.ContainerPort)
			}
			assert.ElementsMatch(t, want, got, name)
		})
		for _, w := range all.workloads() {
			for _, c := range w.Spec.Template.Spec.Containers {
				for _, p := range c.Ports {
					assert.NotContains(t, named[w.component()], p.Name)
					named[w.component()] = append(named[w.component()], p.Name)
					assert.Equal(t, w.component() == "agent" && (p.ContainerPort == 4317 || p.ContainerPort == 4318), p.HostPort == p.ContainerPort)
				}
			}
		}
		for _, s := range all.kind("Service") {
			for _, p := range s.Spec.Ports {
				assert.Contains(t, named[s.component()], p.TargetPort, "Service %s", s.Metadata.Name)
			}
		}
		for _, p := range all.kind("NetworkPolicy") {
			var allowed []string
			if p.component() != "targetallocator" {
				allowed = []string{"health"} // for the kubelet, which comes from the node: always allowed
			}
			rules, _ := p.at(t, "spec", "ingress").([]any)
			for i := range rules {
				ports, _ := p.at(t, "spec", "ingress", i, "ports").([]any)
				assert.NotEmpty(t, ports, "%s: any port", p.Metadata.Name)
				for j := range ports {
					allowed = append(allowed, p.at(t, "spec", "ingress", i, "ports", j, "port").(string))
				}
			}
			slices.Sort(allowed)
			if p.Metadata.Name == "default-deny-ingress" {
				assert.Empty(t, rules)
				continue
			}
			assert.Equal(t, slices.Sorted(slices.Values(named[p.component()])), allowed, "%s: the pod's ports, and those that are open", p.Metadata.Name)
		}
	})
}

func TestTheAutoscalerIsQuickUpAndSlowDown(t *testing.T) {
	all := render(t, "lgtm")
	hpa := all.get(t, "HorizontalPodAutoscaler", "sluice", "sluice-gateway")
	ref, _ := hpa.at(t, "spec", "scaleTargetRef").(map[string]any)
	all.exact(t, ref["kind"].(string), "sluice", ref["name"].(string))
	low, high := hpa.at(t, "spec", "minReplicas").(int), hpa.at(t, "spec", "maxReplicas").(int)
	policy := func(direction string) (window, percent, period int) {
		b := hpa.at(t, "spec", "behavior", direction).(map[string]any)
		require.Len(t, b["policies"], 1)
		p := b["policies"].([]any)[0].(map[string]any)
		require.Equal(t, "Percent", p["type"])
		return b["stabilizationWindowSeconds"].(int), p["value"].(int), p["periodSeconds"].(int)
	}
	window, percent, period := policy("scaleUp")
	assert.Equal(t, []int{0, 100, 15}, []int{window, percent, period})
	// As the controller computes it: rounded up.
	steps := 0
	for n := low; n < high; steps++ {
		n = min(high, int(math.Ceil(float64(n)*(1+float64(percent)/100))))
	}
	assert.Equal(t, 3, steps, "from %d to %d in 45 s", low, high)

	window, percent, period = policy("scaleDown")
	assert.Equal(t, []int{600, 25, 60}, []int{window, percent, period})
	// Rounded down to what is left, so that it never gets stuck above the minimum.
	var path []int
	for n := high; n > low; {
		n = max(low, int(float64(n)*(1-float64(percent)/100)))
		path = append(path, n)
	}
	assert.Equal(t, []int{7, 5, 3, 2}, path)
	assert.Len(t, all.kind("HorizontalPodAutoscaler"), 1, "samplers and scrapers share their work by number")
}
