package main

import (
	"fmt"
	"path/filepath"
	"slices"

	"go.yaml.in/yaml/v3"
)

// targetAllocator is the TargetAllocator's name. The operator adds -targetallocator to that of its Service.
const targetAllocator = "sluice"

// allocatorFields are the keys of the Target Allocator's file under their names in a TargetAllocator.
var allocatorFields = map[string]string{
	"enabled": "enabled", "scrape_interval": "scrapeInterval", "service_monitor_selector": "serviceMonitorSelector", "pod_monitor_selector": "podMonitorSelector",
	"allocation_strategy": "allocationStrategy", "filter_strategy": "filterStrategy",
}

// allocatorImplied are keys that a TargetAllocator has no field for: whose collectors it serves is the label of an OpenTelemetryCollector,
// and the namespaces of monitors are all of them.
var allocatorImplied = []string{"collector_namespace", "collector_selector", "service_monitor_namespace_selector", "pod_monitor_namespace_selector"}

// allocatorResource makes the TargetAllocator.
func allocatorResource(root string) ([]byte, error) {
	w, err := findWorkload(root, "targetallocator")
	if err != nil {
		return nil, err
	}
	spec, err := w.common(nil)
	if err != nil {
		return nil, err
	}
	// The operator adds a GOMEMLIMIT of its own after this one, and the last one counts.
	env := get(spec, "env")
	env.Content = slices.DeleteFunc(env.Content, func(v *yaml.Node) bool { return get(v, "name").Value == "GOMEMLIMIT" })
	if len(env.Content) == 0 {
		drop(spec, "env")
	}
	docs, err := documents(filepath.Join(root, "deploy", "kubernetes", "tiers", "targetallocator", "targetallocator.yaml"))
	if err != nil {
		return nil, err
	}
	if err := allocatorSettings(docs[0], spec); err != nil {
		return nil, err
	}
	// The operator makes pods' labels of these; with another name it would find other pods than its Service.
	labels := mapping("app.kubernetes.io/name", "sluice-targetallocator")
	return resource(w.tier, nil, mapping("apiVersion", "opentelemetry.io/v1alpha1", "kind", "TargetAllocator",
		"metadata", mapping("name", targetAllocator, "namespace", "sluice", "labels", labels),
		"spec", spec))
}

func allocatorSettings(from, spec *yaml.Node) error {
	for key, value := range pairs(from) {
		switch to, known := allocatorFields[key.Value]; {
		case key.Value == "prometheus_cr":
			prometheus := mapping()
			if err := allocatorSettings(value, prometheus); err != nil {
				return err
			}
			set(spec, "prometheusCR", prometheus)
		case known:
			set(spec, to, value)
		case !slices.Contains(allocatorImplied, key.Value):
			return fmt.Errorf("what is %s in a TargetAllocator?", key.Value)
		}
	}
	return nil
}
