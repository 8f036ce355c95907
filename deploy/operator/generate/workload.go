package main

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// workload is what a CR takes from the DaemonSet or StatefulSet of a tier in deploy/kubernetes.
type workload struct {
	tier string
	doc  *yaml.Node
}

// findWorkload looks for it among the files of a tier.
func findWorkload(root, tier string) (*workload, error) {
	paths, err := filepath.Glob(filepath.Join(root, "deploy", "kubernetes", "tiers", tier, "*.yaml"))
	if err != nil {
		return nil, err
	}
	for _, path := range paths {
		docs, err := documents(path)
		if err != nil {
			return nil, err
		}
		for _, doc := range docs {
			if kind := get(doc, "kind"); kind != nil && slices.Contains([]string{"DaemonSet", "StatefulSet"}, kind.Value) {
				return &workload{tier, doc}, nil
			}
		}
	}
	return nil, fmt.Errorf("no DaemonSet and no StatefulSet in deploy/kubernetes/tiers/%s", tier)
}

func (w *workload) mode() string { return strings.ToLower(get(w.doc, "kind").Value) }

// Where fields of a workload are in an OpenTelemetryCollector. A field that is in none of these tables is an error: nobody is to believe
// that it works here, too.
var (
	specFields = map[string]string{
		"replicas": "replicas", "volumeClaimTemplates": "volumeClaimTemplates", "persistentVolumeClaimRetentionPolicy": "persistentVolumeClaimRetentionPolicy",
	}
	podFields = map[string]string{
		"serviceAccountName": "serviceAccount", "securityContext": "podSecurityContext", "priorityClassName": "priorityClassName", "tolerations": "tolerations",
		"terminationGracePeriodSeconds": "terminationGracePeriodSeconds", "topologySpreadConstraints": "topologySpreadConstraints", "affinity": "affinity",
		"nodeSelector": "nodeSelector", "dnsPolicy": "dnsPolicy", "hostNetwork": "hostNetwork",
	}
	containerFields = map[string]string{
		"image": "image", "imagePullPolicy": "imagePullPolicy", "resources": "resources", "securityContext": "securityContext",
	}
	probeFields = []string{"initialDelaySeconds", "timeoutSeconds", "periodSeconds", "successThreshold", "failureThreshold", "terminationGracePeriodSeconds"}

	// What the operator does in a way of its own, or not at all: README.md says so.
	notOurs = []string{
		"selector", "template", "updateStrategy", "podManagementPolicy", "minReadySeconds", "revisionHistoryLimit", // of the workload
		"automountServiceAccountToken", "enableServiceLinks", "containers", "volumes", // of the pod
		"name", "args", "command", "env", "envFrom", "ports", "volumeMounts", "startupProbe", "readinessProbe", "livenessProbe", // of the container
		"terminationMessagePolicy",
	}
)

// spec makes the fields of an OpenTelemetryCollector other than its configuration.
func (w *workload) spec(variables map[string]string) (*yaml.Node, error) {
	pod := get(w.doc, "spec", "template", "spec")
	containers := get(pod, "containers")
	if containers == nil || len(containers.Content) != 1 {
		return nil, fmt.Errorf("%s: one container is expected", w.tier)
	}
	container := containers.Content[0]
	out := mapping("mode", w.mode())
	for _, part := range []struct {
		from   *yaml.Node
		fields map[string]string
	}{{get(w.doc, "spec"), specFields}, {pod, podFields}, {container, containerFields}} {
		for key, value := range pairs(part.from) {
			if to, ok := part.fields[key.Value]; ok {
				set(out, to, value)
			} else if !slices.Contains(notOurs, key.Value) {
				return nil, fmt.Errorf("%s: what is %s in an OpenTelemetryCollector?", w.tier, key.Value)
			}
		}
	}
	w.spread(get(out, "topologySpreadConstraints"))
	if w.mode() == "daemonset" {
		set(out, "daemonSetUpdateStrategy", get(w.doc, "spec", "updateStrategy"))
	}
	env, err := w.env(container, variables)
	if err != nil {
		return nil, err
	}
	set(out, "env", env)
	if ports := hostPorts(container); len(ports.Content) > 0 {
		set(out, "ports", ports)
	}
	mounts, volumes := w.volumes(container, pod)
	set(out, "volumeMounts", mounts)
	if len(volumes.Content) > 0 {
		set(out, "volumes", volumes)
	}
	for _, name := range []string{"startupProbe", "readinessProbe", "livenessProbe"} {
		set(out, name, probe(get(container, name)))
	}
	if annotations := get(w.doc, "spec", "template", "metadata", "annotations"); annotations != nil {
		set(out, "podAnnotations", annotations)
	}
	return out, nil
}

// spread makes the rules that keep replicas apart select the operator's pods: it labels them by the CR.
func (w *workload) spread(constraints *yaml.Node) {
	if constraints == nil {
		return
	}
	for _, c := range constraints.Content {
		set(c, "labelSelector", mapping("matchLabels", mapping("app.kubernetes.io/instance", namespaces[w.tier]+".sluice-"+w.tier)))
	}
}

// env is the workload's, with the values that are other ones here, and then the rest of the variables.
func (w *workload) env(container *yaml.Node, variables map[string]string) (*yaml.Node, error) {
	list := &yaml.Node{Kind: yaml.SequenceNode}
	left := map[string]string{}
	for name, value := range variables {
		left[name] = value
	}
	if env := get(container, "env"); env != nil {
		for _, v := range env.Content {
			name := get(v, "name").Value
			if slices.Contains(operatorReads, name) {
				return nil, fmt.Errorf("%s: %s cannot be set here: the operator reads it", w.tier, name)
			}
			if value, ok := left[name]; ok {
				v = mapping("name", name, "value", value)
				delete(left, name)
			}
			if ref := get(v, "valueFrom", "resourceFieldRef", "containerName"); ref != nil {
				ref.Value = "otc-container"
			}
			list.Content = append(list.Content, v)
		}
	}
	for _, name := range sortedKeys(left) {
		list.Content = append(list.Content, mapping("name", name, "value", left[name]))
	}
	return list, nil
}

// hostPorts are those that the operator cannot know from the configuration.
func hostPorts(container *yaml.Node) *yaml.Node {
	list := &yaml.Node{Kind: yaml.SequenceNode}
	if ports := get(container, "ports"); ports != nil {
		for _, port := range ports.Content {
			number := get(port, "containerPort")
			if host := get(port, "hostPort"); host != nil {
				list.Content = append(list.Content, mapping("name", get(port, "name"), "port", number, "targetPort", number, "hostPort", host, "protocol", "TCP"))
			}
		}
	}
	return list
}

// volumes are the workload's without the ConfigMaps of its configuration, which is in the CR.
func (w *workload) volumes(container, pod *yaml.Node) (mounts, volumes *yaml.Node) {
	configuration := map[string]bool{}
	volumes = &yaml.Node{Kind: yaml.SequenceNode}
	if all := get(pod, "volumes"); all != nil {
		for _, volume := range all.Content {
			if isConfiguration(volume) {
				configuration[get(volume, "name").Value] = true
				continue
			}
			volumes.Content = append(volumes.Content, volume)
		}
	}
	mounts = &yaml.Node{Kind: yaml.SequenceNode}
	for _, mount := range get(container, "volumeMounts").Content {
		if !configuration[get(mount, "name").Value] {
			mounts.Content = append(mounts.Content, mount)
		}
	}
	return mounts, volumes
}

// isConfiguration: nothing but configuration comes from ConfigMaps.
func isConfiguration(volume *yaml.Node) bool {
	if get(volume, "configMap") != nil {
		return true
	}
	sources := get(volume, "projected", "sources")
	return sources != nil && slices.ContainsFunc(sources.Content, func(source *yaml.Node) bool { return get(source, "configMap") != nil })
}

// probe keeps what the operator takes: what is probed it knows from health_check.
func probe(p *yaml.Node) *yaml.Node {
	if p == nil {
		return nil
	}
	out := mapping()
	for key, value := range pairs(p) {
		if slices.Contains(probeFields, key.Value) {
			set(out, key.Value, value)
		}
	}
	return out
}
