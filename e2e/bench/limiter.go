package main

import (
	"fmt"
	"math"
	"slices"
	"strings"
)

// What components/cardinalitylimiterprocessor/benchmark_test.go and benchmark_shapes_test.go call their benchmarks.
const (
	limiterName = "BenchmarkLimiter/"
	coresName   = "BenchmarkCores/"
	shapesName  = "BenchmarkShapes/"
)

// cell is empty for what was not measured.
func cell(format string, v float64) string {
	if math.IsNaN(v) {
		return ""
	}
	return fmt.Sprintf(format, v)
}

// limiterTable is what a point costs. Going past the points is in every arm.
func limiterTable(p inProcess) string {
	var t strings.Builder
	t.WriteString("| a point of | past it, ns | limiter, ns | slowest 1 %, ns | B | allocs | map of hashes, ns | deltatocumulative, ns | B | allocs |")
	t.WriteString(" limiter, B a series | map | deltatocumulative |\n|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|\n")
	for _, shape := range p.shapes {
		get := func(arm, unit, format string) string { return cell(format, p.get(shape, arm, unit)) }
		row := []string{
			shape, get("noop", "ns/point", "%.0f"),
			get("limiter", "ns/point", "%.0f"), get("limiter", "p99-ns/point", "%.0f"), get("limiter", "B/point", "%.0f"), get("limiter", "allocs/point", "%.2f"),
			get("map", "ns/point", "%.0f"),
			get("deltatocumulative", "ns/point", "%.0f"), get("deltatocumulative", "B/point", "%.0f"), get("deltatocumulative", "allocs/point", "%.2f"),
			get("limiter", "heap-B/series", "%.1f"), get("map", "heap-B/series", "%.1f"), get("deltatocumulative", "heap-B/series", "%.1f"),
		}
		t.WriteString("| " + strings.Join(row, " | ") + " |\n")
	}
	return t.String()
}

// coresTable is how much two cores help.
func coresTable(p inProcess) string {
	var t strings.Builder
	t.WriteString("| two cores | one core, ns a point | two, ns a point | times faster |\n|---|---:|---:|---:|\n")
	var loads []string
	for _, shape := range p.shapes {
		load, _, _ := strings.Cut(shape, "/")
		if !slices.Contains(loads, load) {
			loads = append(loads, load)
		}
	}
	for _, load := range loads {
		for _, arm := range []string{"noop", "limiter", "map"} {
			one, two := p.get(load+"/one_core", arm, "ns/point"), p.get(load+"/two_cores", arm, "ns/point")
			fmt.Fprintf(&t, "| %s, %s | %s | %s | %s |\n", arm, load, cell("%.1f", one), cell("%.1f", two), cell("%.2f", one/two))
		}
	}
	return t.String()
}

// shapesTable is what comes out for every kind of metric.
func shapesTable(p inProcess) string {
	var t strings.Builder
	t.WriteString("| | series in | limiter: series out | attribute removed: series out | total in | limiter: total out | attribute removed: total out |\n")
	t.WriteString("|---|---:|---:|---:|---:|---:|---:|\n")
	for _, shape := range p.shapes {
		get := func(arm, unit string) string { return cell("%.0f", p.get(shape, arm, unit)) }
		fmt.Fprintf(&t, "| %s | %s | %s | %s | %s | %s | %s |\n", shape, get("limiter", "series-in"), get("limiter", "series-out"), get("stripped", "series-out"),
			get("limiter", "total-in"), get("limiter", "total-out"), get("stripped", "total-out"))
	}
	return t.String()
}
