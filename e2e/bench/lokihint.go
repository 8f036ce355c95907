package main

import (
	"fmt"
	"strings"
)

// lokiName is what loki/benchmark_test.go calls its benchmark. The arms take turns in it: units begin with their names.
const lokiName = "BenchmarkLokiHint/"

// lokiTable is what a record costs beside upstream's processors. Going past the attributes is in every arm.
func lokiTable(p inProcess) string {
	var t strings.Builder
	t.WriteString("| a record of | past it, ns | loki_hint, ns | allocs | allocs a resource | upstream, ns | allocs | allocs a resource | times loki_hint |")
	t.WriteString(" without clashes, ns | times | labels only, ns | times |\n|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|\n")
	for _, shape := range p.shapes {
		get := func(unit, format string) string { return cell(format, p.get(shape, "turns", unit)) }
		times := func(arm string) string {
			return cell("%.1f", p.get(shape, "turns", arm+"-ns/record")/p.get(shape, "turns", "loki_hint-ns/record"))
		}
		row := []string{
			shape, get("noop-ns/record", "%.0f"),
			get("loki_hint-ns/record", "%.0f"), get("loki_hint-allocs/record", "%.1f"), get("loki_hint-allocs/resource", "%.1f"),
			get("upstream-ns/record", "%.0f"), get("upstream-allocs/record", "%.1f"), get("upstream-allocs/resource", "%.1f"), times("upstream"),
			get("mend-ns/record", "%.0f"), times("mend"), get("names-ns/record", "%.0f"), times("names"),
		}
		t.WriteString("| " + strings.Join(row, " | ") + " |\n")
	}
	return t.String()
}

// lokiRunTable is the table of whole processes. A run is held against the one of the same turn: what else the machine did then, it did to both.
func lokiRunTable(o options, chosen []arm, results map[string][]pointResult) string {
	var t strings.Builder
	fmt.Fprintf(&t, "%d records of %d containers in requests of %d, median of %d\n\n", results[chosen[0].name][0].points, logRequests*logPods, logRecords, o.runs)
	t.WriteString("| | CPU s per million records | more than no processor | lowest to highest | peak RSS, MiB | wall, s |\n|---|---:|---:|---:|---:|---:|\n")
	for _, a := range chosen {
		var cpu, rss, wall, added []float64
		base := results[a.against]
		for i, r := range results[a.name] {
			cpu, rss, wall = append(cpu, r.perMillion()), append(rss, mib(r.rss)), append(wall, r.wall.Seconds())
			if i < len(base) && a.against != a.name {
				added = append(added, r.perMillion()-base[i].perMillion())
			}
		}
		more, spread := "", ""
		if len(added) > 0 {
			m, low, high := middle(added)
			more, spread = fmt.Sprintf("%.2f", m), fmt.Sprintf("%.2f to %.2f", low, high)
		}
		c, _, _ := middle(cpu)
		m, _, _ := middle(rss)
		w, _, _ := middle(wall)
		fmt.Fprintf(&t, "| %s | %.2f | %s | %s | %.0f | %.1f |\n", a.label, c, more, spread, m, w)
	}
	return t.String()
}
