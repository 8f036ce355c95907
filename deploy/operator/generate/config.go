package main

import (
	"fmt"
	"regexp"

	"go.yaml.in/yaml/v3"
)

// operatorReads are variables in places that the operator itself reads, where it understands values only: it would take the metrics' port for
// unreadable and put its own service.telemetry in the place of ours, and a list of receivers must be a list. They become their defaults.
var operatorReads = []string{"METRICS_PORT", "SCRAPE_RECEIVERS"}

// allocatorReceivers are the scraper's receivers under other names: the operator gives its Target Allocator to the receiver that is called
// `prometheus`, and takes that one's scrape jobs away. Variables of a job, which it could not read, stay with the collector that way.
var allocatorReceivers = [][2]string{{"prometheus", "prometheus/jobs"}, {"prometheus/allocator", "prometheus"}}

var variable = regexp.MustCompile(`\$\{env:([A-Z][A-Z0-9_]*)(?::-((?:[^{}]|\$\{[^}]*\})*))?\}`)

// forOperator changes a merged configuration so that the operator understands it. What it changes is all that a CR's configuration and
// the files differ in: TestConfigurationsAreThoseOfTheFiles lists it.
func forOperator(tier string, config *yaml.Node) error {
	for _, name := range operatorReads {
		if err := resolve(config, name); err != nil {
			return err
		}
	}
	emptyMaps(config)
	order(config)
	if tier == "scraper" {
		return allocatorConfig(config)
	}
	return nil
}

// order is that of a reader: what data passes first comes first.
func order(config *yaml.Node) {
	sorted := mapping()
	for _, section := range []string{"receivers", "processors", "connectors", "exporters", "extensions", "service"} {
		set(sorted, section, get(config, section))
	}
	for section, value := range pairs(config) { // one that is new
		set(sorted, section.Value, value)
	}
	*config = *sorted
}

// resolve puts a variable's default in its place.
func resolve(n *yaml.Node, name string) error {
	for _, child := range n.Content {
		if err := resolve(child, name); err != nil {
			return err
		}
	}
	if n.Kind != yaml.ScalarNode {
		return nil
	}
	value := variable.ReplaceAllStringFunc(n.Value, func(found string) string {
		if m := variable.FindStringSubmatch(found); m[1] == name {
			return m[2]
		}
		return found
	})
	if value == n.Value {
		return nil
	}
	if whole := variable.FindString(n.Value); whole != n.Value {
		n.Value = value // part of a text
		return nil
	}
	var parsed yaml.Node // a number, a list …
	if err := yaml.Unmarshal([]byte(value), &parsed); err != nil {
		return fmt.Errorf("default of %s: %w", name, err)
	}
	*n = *plain(parsed.Content[0])
	return nil
}

// emptyMaps writes `{}` where a key has no value: the same to the collector, but kubectl edit and kustomize drop such keys.
func emptyMaps(n *yaml.Node) {
	for i, child := range n.Content {
		if child.Kind == yaml.ScalarNode && child.Tag == "!!null" && n.Kind == yaml.MappingNode && i%2 == 1 {
			n.Content[i] = &yaml.Node{Kind: yaml.MappingNode, Style: yaml.FlowStyle}
			continue
		}
		emptyMaps(child)
	}
}

func allocatorConfig(config *yaml.Node) error {
	receivers := get(config, "receivers")
	list := get(config, "service", "pipelines", "metrics", "receivers")
	for _, name := range allocatorReceivers {
		if get(receivers, name[0]) == nil {
			return fmt.Errorf("the scraper has no receiver %s", name[0])
		}
		rename(receivers, name[0], name[1])
		for _, id := range list.Content {
			if id.Value == name[0] {
				id.Value = name[1]
			}
		}
	}
	// The operator wants a list of jobs here, if only an empty one.
	set(get(receivers, "prometheus"), "config", mapping("scrape_configs", []string{}))
	return nil
}
