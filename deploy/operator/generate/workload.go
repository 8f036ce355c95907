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

// findWorkload looks for it among the files of a tier, and gives its image the tag that deploy/kubernetes/transformers says.
func findWorkload(root, tier string) (*workload, error) {
	dir := filepath.Join(root, "deploy", "kubernetes")
	paths, err := filepath.Glob(filepath.Join(dir, "tiers", tier, "*.yaml"))
	if err != nil {
		return nil, err
	}
	for _, path := range paths {
		docs, err := documents(path)
		if err != nil {
			return nil, err
		}
		for _, doc := range docs {
			if kind := get(doc, "kind"); kind != nil && slices.Contains([]string{"DaemonSet", "StatefulSet", "Deployment"}, kind.Value) {
				w := &workload{tier, doc}
				return w, w.tag(filepath.Join(dir, "transformers", "images.yaml"))
			}
		}
	}
	return nil, fmt.Errorf("no DaemonSet, StatefulSet or Deployment in deploy/kubernetes/tiers/%s", tier)
}

func (w *workload) pod() *yaml.Node { return get(w.doc, "spec", "template", "spec") }

func (w *workload) container() *yaml.Node { return get(w.pod(), "containers").Content[0] }

func (w *workload) tag(images string) error {
	docs, err := documents(images)
	if err != nil {
		return err
	}
	image := get(w.container(), "image")
	for _, doc := range docs {
		if i := get(doc, "imageTag"); i != nil && get(i, "name").Value == image.Value {
			image.Value += ":" + get(i, "newTag").Value
			return nil
		}
	}
	return fmt.Errorf("%s has no tag for %s", images, image.Value)
}

func (w *workload) mode() string { return strings.ToLower(get(w.doc, "kind").Value) }

// labels are the pods' except those that the operator has values of its own for.
func (w *workload) labels() *yaml.Node {
	labels := mapping("app.kubernetes.io/name", "sluice")
	for key, value := range pairs(get(w.doc, "spec", "template", "metadata", "labels")) {
		if key.Value != "app.kubernetes.io/component" {
			set(labels, key.Value, value)
		}
	}
	return labels
}

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
		"image": "image", "imagePullPolicy": "imagePullPolicy", "resources": "resources", "securityContext": "securityContext", "envFrom": "envFrom",
	}
	probeFields = []string{"initialDelaySeconds", "timeoutSeconds", "periodSeconds", "successThreshold", "failureThreshold", "terminationGracePeriodSeconds"}

	// What the operator does in a way of its own, or not at all: README.md says so.
	notOurs = []string{
		"minReadySeconds", "enableServiceLinks", "strategy", "serviceName", "podManagementPolicy",
	}
	// What is dealt with elsewhere in this file.
	elsewhere = []string{
		"selector", "template", "updateStrategy", // of the workload
		"containers", "volumes", // of the pod
		"name", "args", "env", "ports", "volumeMounts", "startupProbe", "readinessProbe", "livenessProbe", // of the container
	}
)

// common makes the fields that the operator's kinds have in common.
func (w *workload) common(variables map[string]string) (*yaml.Node, error) {
	out := mapping()
	for _, part := range []struct {
		from   *yaml.Node
		fields map[string]string
	}{{get(w.doc, "spec"), specFields}, {w.pod(), podFields}, {w.container(), containerFields}} {
		for key, value := range pairs(part.from) {
			if to, ok := part.fields[key.Value]; ok {
				set(out, to, value)
			} else if !slices.Contains(notOurs, key.Value) && !slices.Contains(elsewhere, key.Value) {
				return nil, fmt.Errorf("%s: what is %s in the operator's kinds?", w.tier, key.Value)
			}
		}
	}
	w.spread(get(out, "topologySpreadConstraints"))
	env, err := w.env(variables)
	set(out, "env", env)
	set(out, "podAnnotations", get(w.doc, "spec", "template", "metadata", "annotations"))
	return out, err
}

// spec makes the fields of an OpenTelemetryCollector other than its configuration.
func (w *workload) spec(variables map[string]string) (*yaml.Node, error) {
	common, err := w.common(variables)
	if err != nil {
		return nil, err
	}
	out := mapping("mode", w.mode())
	merge(out, common)
	if w.mode() == "daemonset" {
		set(out, "daemonSetUpdateStrategy", get(w.doc, "spec", "updateStrategy"))
	}
	set(out, "ports", w.ports())
	mounts, volumes := w.volumes()
	set(out, "volumeMounts", mounts)
	set(out, "volumes", volumes)
	for _, name := range []string{"startupProbe", "readinessProbe", "livenessProbe"} {
		set(out, name, probe(get(w.container(), name)))
	}
	return out, nil
}

// spread makes the rules that keep replicas apart select the operator's pods, which it labels by the resource.
func (w *workload) spread(constraints *yaml.Node) {
	if constraints == nil {
		return
	}
	for _, c := range constraints.Content {
		set(c, "labelSelector", mapping("matchLabels", mapping("app.kubernetes.io/instance", w.instance())))
	}
}

// instance is the value of the label app.kubernetes.io/instance.
func (w *workload) instance() string {
	if w.tier == "targetallocator" {
		return "sluice." + targetAllocator
	}
	return namespaces[w.tier] + ".sluice-" + w.tier
}

// env is the workload's, with the values that are other ones here, and then the rest of the variables.
func (w *workload) env(variables map[string]string) (*yaml.Node, error) {
	list := &yaml.Node{Kind: yaml.SequenceNode}
	left := map[string]string{}
	for name, value := range variables {
		left[name] = value
	}
	if env := get(w.container(), "env"); env != nil {
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

// ports are the workload's under its names, which network policies use. The operator adds those of metrics and health_check.
func (w *workload) ports() *yaml.Node {
	all := get(w.container(), "ports")
	if all == nil {
		return nil
	}
	list := &yaml.Node{Kind: yaml.SequenceNode}
	for _, port := range all.Content {
		if name := get(port, "name"); name.Value != "metrics" && name.Value != "health" {
			number := get(port, "containerPort")
			p := mapping("name", name, "port", number, "targetPort", number, "protocol", "TCP")
			set(p, "hostPort", get(port, "hostPort"))
			p.Style = yaml.FlowStyle
			list.Content = append(list.Content, p)
		}
	}
	return orNil(list)
}

func orNil(list *yaml.Node) *yaml.Node {
	if len(list.Content) == 0 {
		return nil
	}
	return list
}

// volumes are the workload's without the ConfigMaps of its configuration, which is in the CR.
func (w *workload) volumes() (mounts, volumes *yaml.Node) {
	configuration := map[string]bool{}
	volumes = &yaml.Node{Kind: yaml.SequenceNode}
	if all := get(w.pod(), "volumes"); all != nil {
		for _, volume := range all.Content {
			if isConfiguration(volume) {
				configuration[get(volume, "name").Value] = true
				continue
			}
			volumes.Content = append(volumes.Content, volume)
		}
	}
	mounts = &yaml.Node{Kind: yaml.SequenceNode}
	for _, mount := range get(w.container(), "volumeMounts").Content {
		if !configuration[get(mount, "name").Value] {
			mounts.Content = append(mounts.Content, mount)
		}
	}
	return mounts, orNil(volumes)
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
