package main

import (
	"fmt"
	"slices"
	"strings"
)

// middle is the median, and the range around it.
func middle(values []float64) (median, lowest, highest float64) {
	sorted := slices.Sorted(slices.Values(values))
	return sorted[len(sorted)/2], sorted[0], sorted[len(sorted)-1]
}

// limiterRunTable is the markdown table of all arms that ran. A run is held against the one of the same turn: what else the
// machine did then, it did to both.
func limiterRunTable(o options, chosen []pointArm, results map[string][]pointResult) string {
	var t strings.Builder
	fmt.Fprintf(&t, "%d points of %d series in requests of %d, median of %d\n\n", results[chosen[0].name][0].points, requests*requestPoints, requestPoints, o.runs)
	t.WriteString("| | CPU s per million points | times no processor | lowest to highest | peak RSS, MiB | wall, s | not passed, % |\n")
	t.WriteString("|---|---:|---:|---:|---:|---:|---:|\n")
	for _, a := range chosen {
		var cpu, rss, wall, over, ratios []float64
		base := results[a.against]
		for i, r := range results[a.name] {
			cpu, rss, wall, over = append(cpu, r.perMillion()), append(rss, mib(r.rss)), append(wall, r.wall.Seconds()), append(over, 100*r.over)
			if i < len(base) && a.against != a.name {
				ratios = append(ratios, r.perMillion()/base[i].perMillion())
			}
		}
		ratio, spread, share := "", "", ""
		if len(ratios) > 0 {
			m, low, high := middle(ratios)
			ratio, spread = fmt.Sprintf("%.2f", m), fmt.Sprintf("%.2f to %.2f", low, high)
		}
		if a.limits {
			m, _, _ := middle(over)
			share = fmt.Sprintf("%.0f", m)
		}
		c, _, _ := middle(cpu)
		m, _, _ := middle(rss)
		w, _, _ := middle(wall)
		fmt.Fprintf(&t, "| %s | %.2f | %s | %s | %.0f | %.1f | %s |\n", a.label, c, ratio, spread, m, w, share)
	}
	return t.String()
}
