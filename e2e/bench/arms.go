package main

import (
	"embed"
	"fmt"
	"slices"
	"strings"
)

//go:embed configs
var configs embed.FS

// arm is one way to run the collector.
type arm struct {
	name    string
	label   string   // for the table
	configs []string // of configs/, merged in this order behind base.yaml
	toSink  bool     // measured until all is at the sink; otherwise until the receiver has handed all on
	parsed  bool     // records must come out with what the container runtime wrote about them
	gate    bool     // stanza.synchronousLogEmitter, which a chain that loses nothing needs
	against string   // the arm that its ratio is to
}

// arms are all of them. Those on disk are held against the memory queue: what nothing-lost costs beside what is usual.
var arms = []arm{
	{name: "nop-raw", label: "raw lines, to nop", configs: []string{"nop"}, against: "nop-operator"},
	{name: "nop-operator", label: "container operator, to nop", configs: []string{"operator", "nop"}, parsed: true, against: "nop-operator"},
	{name: "nop-containerlog", label: "containerlog, to nop", configs: []string{"containerlog", "nop"}, parsed: true, gate: true, against: "nop-operator"},
	{name: "otlp-raw", label: "raw lines, memory queue, OTLP", configs: []string{"otlp"}, toSink: true, against: "otlp-operator"},
	{name: "otlp-operator", label: "container operator, memory queue, OTLP", configs: []string{"operator", "otlp"}, toSink: true, parsed: true, against: "otlp-operator"},
	{name: "otlp-containerlog", label: "containerlog, memory queue, OTLP", configs: []string{"containerlog", "otlp"}, toSink: true, parsed: true, gate: true, against: "otlp-operator"},
	{name: "disk-raw", label: "raw lines, lossless, OTLP", configs: []string{"state", "disk"}, toSink: true, gate: true, against: "otlp-operator"},
	{
		name: "disk-containerlog", label: "containerlog, lossless, OTLP", configs: []string{"containerlog", "state", "state-containerlog", "disk"},
		toSink: true, parsed: true, gate: true, against: "otlp-operator",
	},
	{
		name: "disk-upstream", label: "containerlog, lossless on file_storage, OTLP",
		configs: []string{"containerlog", "state-upstream", "state-containerlog-upstream", "disk-upstream"},
		toSink:  true, parsed: true, gate: true, against: "otlp-operator",
	},
}

// restArms are watched at rest, with their state on disk, as an agent has it.
var restArms = []arm{
	{name: "rest-operator", configs: []string{"operator", "state", "nop"}, parsed: true},
	{name: "rest-containerlog", configs: []string{"containerlog", "state", "state-containerlog", "nop"}, parsed: true, gate: true},
}

func names(from []arm) []string {
	list := make([]string, len(from))
	for i, a := range from {
		list[i] = a.name
	}
	return list
}

// choose returns the arms that a comma-separated list names; all when it is empty.
func choose(list string, from []arm) ([]arm, error) {
	if list == "" {
		return from, nil
	}
	wanted := strings.Split(list, ",")
	for _, name := range wanted {
		if !slices.Contains(names(from), name) {
			return nil, fmt.Errorf("-arms: there is no %q here, only %s", name, strings.Join(names(from), ", "))
		}
	}
	var chosen []arm
	for _, a := range from {
		if slices.Contains(wanted, a.name) {
			chosen = append(chosen, a)
		}
	}
	return chosen, nil
}

// chooseRest is choose for -rest: which arms are watched at rest, and which read files of different numbers.
func chooseRest(list string) (idle, spread []arm, err error) {
	nop := slices.DeleteFunc(slices.Clone(arms), func(a arm) bool { return a.toSink })
	chosen, err := choose(list, slices.Concat(restArms, nop))
	for _, a := range chosen {
		if slices.Contains(names(restArms), a.name) {
			idle = append(idle, a)
		} else {
			spread = append(spread, a)
		}
	}
	return idle, spread, err
}
