package main

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"strconv"
	"strings"
)

func mib(bytes int64) float64 { return float64(bytes) / (1 << 20) }

// median is the run with the middle CPU time, as a whole: its memory belongs to its time.
func median(runs []result) result {
	sorted := slices.SortedFunc(slices.Values(runs), func(a, b result) int { return cmp.Compare(a.cpu, b.cpu) })
	return sorted[len(sorted)/2]
}

// throughputTable is the markdown table of all arms that ran.
func throughputTable(o options, chosen []arm, results map[string][]result) string {
	var t strings.Builder
	fmt.Fprintf(&t, "%d lines of %d bytes in %d files, median of %d\n\n", o.lines, lineBytes, o.files, o.runs)
	t.WriteString("| | CPU s per million lines | times cheaper than the operator | lines/s per core | peak RSS, MiB | without files, MiB | wall, s | start-up, CPU s |\n")
	t.WriteString("|---|---:|---:|---:|---:|---:|---:|---:|\n")
	for _, a := range chosen {
		r := median(results[a.name])
		ratio := ""
		if base, ok := results[a.against]; ok && a.against != a.name {
			ratio = fmt.Sprintf("%.1f", median(base).perMillion()/r.perMillion())
		}
		fmt.Fprintf(&t, "| %s | %.2f | %s | %.0f | %.0f | %.0f | %.1f | %.2f |\n",
			a.label, r.perMillion(), ratio, r.perCore(), mib(r.rss), mib(r.anon), r.wall.Seconds(), r.startup.Seconds())
	}
	return t.String()
}

// benchmarkName is what components/containerlogprocessor/benchmark_test.go calls its benchmark; the arm and the number of
// cores follow the shape of the input.
const benchmarkName = "BenchmarkContainerlog/"

// inProcess is what `go test -bench` measured: values by shape, arm and unit, one of each run.
type inProcess struct {
	shapes []string // in the order of the output
	values map[[3]string][]float64
}

// readBenchmark takes the lines of one benchmark out of what `go test -bench` prints.
func readBenchmark(output []byte, benchmark string) (inProcess, error) {
	p := inProcess{values: map[[3]string][]float64{}}
	for line := range strings.Lines(string(output)) {
		name, ok := strings.CutPrefix(line, benchmark)
		if !ok {
			continue
		}
		fields := strings.Fields(name)
		end := strings.LastIndexByte(fields[0], '/')
		if len(fields) < 4 || end < 0 { // the name alone, when something was printed in the middle of the line
			return p, fmt.Errorf("not a line of the benchmark: %s", line)
		}
		shape := fields[0][:end]
		arm, _, _ := strings.Cut(fields[0][end+1:], "-")
		if !slices.Contains(p.shapes, shape) {
			p.shapes = append(p.shapes, shape)
		}
		for i := 2; i+1 < len(fields); i += 2 {
			v, err := strconv.ParseFloat(fields[i], 64)
			if err != nil {
				return p, fmt.Errorf("%w in: %s", err, line)
			}
			key := [3]string{shape, arm, fields[i+1]}
			p.values[key] = append(p.values[key], v)
		}
	}
	return p, nil
}

// get is the median over the runs; NaN for what was not measured.
func (p inProcess) get(shape, arm, unit string) float64 {
	values := slices.Sorted(slices.Values(p.values[[3]string{shape, arm, unit}]))
	if len(values) == 0 {
		return math.NaN()
	}
	return values[len(values)/2]
}

// tables are the benchmarks that have one.
var tables = []struct {
	benchmark string
	table     func(p inProcess) string
}{
	{benchmarkName, containerlogTable},
	{limiterName, limiterTable},
	{coresName, coresTable},
	{shapesName, shapesTable},
	{lokiName, lokiTable},
}

// printTable makes markdown tables of what `go test -bench` printed.
func printTable(in io.Reader, out io.Writer) error {
	output, err := io.ReadAll(in)
	if err != nil {
		return err
	}
	var all []string
	for _, t := range tables {
		p, err := readBenchmark(output, t.benchmark)
		if err != nil {
			return err
		}
		if len(p.shapes) > 0 {
			all = append(all, t.table(p))
		}
	}
	if len(all) == 0 {
		return errors.New("no line of a benchmark that has a table in the input")
	}
	_, err = io.WriteString(out, strings.Join(all, "\n"))
	return err
}

// containerlogTable is that of the parsing. Raw is the conversion that both ways of parsing need; without it is how often the
// processor's work goes into the operator's.
func containerlogTable(p inProcess) string {
	var t strings.Builder
	t.WriteString("| | operator, ns | raw, ns | raw + containerlog, ns | times faster, without raw | containerlog alone, ns | B | allocs |\n")
	t.WriteString("|---|---:|---:|---:|---:|---:|---:|---:|\n")
	for _, shape := range p.shapes {
		operator, raw, ours := p.get(shape, "operator", "ns/line"), p.get(shape, "raw", "ns/line"), p.get(shape, "containerlog", "ns/line")
		fmt.Fprintf(&t, "| %s | %.0f | %.0f | %.0f | %.0f | %.0f | %.0f | %.2f |\n", shape, operator, raw, ours, (operator-raw)/(ours-raw),
			p.get(shape, "alone", "ns/line"), p.get(shape, "alone", "B/line"), p.get(shape, "alone", "allocs/line"))
	}
	return t.String()
}
