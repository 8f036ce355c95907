// Package keptseries reads configs/series/kept.yaml and finds its series on a page and in a backend.
package keptseries

import (
	"fmt"
	"maps"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"github.com/sluice-otel/sluice/e2e/backends"
	"github.com/sluice-otel/sluice/e2e/harness"
)

// Job is a job's part of the list.
type Job struct {
	Without []string
	Keep    []Metric
}

// Metric is one of a job's; the file says what its fields are.
type Metric struct {
	Name      string
	Labels    []string
	Buckets   []float64
	Where     string
	Sometimes bool
	StoredAs  string `yaml:"stored_as"`
}

// Load reads the list: jobs by their names.
func Load(tb testing.TB) map[string]Job {
	tb.Helper()
	root, err := backends.RepoRoot()
	if err != nil {
		tb.Fatal(err)
	}
	b, err := os.ReadFile(filepath.Join(root, "configs", "series", "kept.yaml"))
	if err != nil {
		tb.Fatal(err)
	}
	jobs := map[string]Job{}
	if err := yaml.Unmarshal(b, &jobs); err != nil {
		tb.Fatal(err)
	}
	return jobs
}

// Has says whether a series is in the list.
func (j Job) Has(s harness.Series) bool {
	return slices.ContainsFunc(j.Keep, func(m Metric) bool { return m.Has(s) })
}

// Has says whether a series is one of a metric that is kept.
func (m Metric) Has(s harness.Series) bool {
	suffix, ok := strings.CutPrefix(s.Name, m.Name)
	if !ok || m.Where != "" && s.Labels[m.Where] == "" {
		return false
	}
	switch suffix {
	case "":
		return m.Buckets == nil
	case "_sum", "_count":
		return m.Buckets != nil
	case "_bucket":
		bound, err := strconv.ParseFloat(s.Labels["le"], 64)
		return err == nil && (math.IsInf(bound, 1) || slices.Contains(m.Buckets, bound))
	}
	return false
}

// Of gives the series that are kept, under a key of name and labels: those that the job drops do not count. Two series
// of one key would have become one.
func (j Job) Of(tb testing.TB, page harness.Page) map[string]harness.Series {
	tb.Helper()
	kept := map[string]harness.Series{}
	for _, s := range page {
		if !j.Has(s) {
			continue
		}
		var b strings.Builder
		b.WriteString(s.Name)
		for _, label := range slices.Sorted(maps.Keys(s.Labels)) {
			value := s.Labels[label]
			if value == "" || slices.Contains(j.Without, label) {
				continue
			}
			if bound, err := strconv.ParseFloat(value, 64); err == nil && label == "le" {
				value = fmt.Sprint(bound) // 1 and 1.0
			}
			fmt.Fprintf(&b, " %s=%q", label, value)
		}
		key := b.String()
		if _, ok := kept[key]; ok {
			tb.Errorf("two series become one: %s", key)
		}
		kept[key] = s
	}
	return kept
}

// CheckLabels looks for each label of the list in at least one of the metric's series.
func (j Job) CheckLabels(tb testing.TB, job string, got map[string]harness.Series) {
	tb.Helper()
	for _, m := range j.Keep {
		labels := map[string]bool{}
		there := false
		for _, s := range got {
			if m.Has(s) {
				there = true
				for label, value := range s.Labels {
					labels[label] = labels[label] || value != ""
				}
			}
		}
		if !there {
			if !m.Sometimes {
				tb.Errorf("%s: no %s", job, m.Name)
			}
			continue
		}
		for _, label := range j.Without {
			if labels[label] {
				tb.Errorf("%s: %s has a label %s", job, m.Name, label)
			}
		}
		for _, label := range m.Labels {
			if !labels[label] {
				tb.Errorf("%s: %s has no label %s", job, m.Name, label)
			}
		}
	}
}

// FromBackend are the series that came from a page, without the labels that came from the target.
func (j Job) FromBackend(stored []backends.Sample) harness.Page {
	var page harness.Page
	for _, sample := range stored {
		s := harness.Series{Name: sample.Labels["__name__"], Labels: maps.Clone(sample.Labels), Value: sample.Value}
		if s.Name == "up" || s.Name == "target_info" || strings.HasPrefix(s.Name, "scrape_") {
			continue
		}
		maps.DeleteFunc(s.Labels, func(label, _ string) bool {
			return slices.Contains([]string{"__name__", "job", "instance", "node", "service_instance_id"}, label) || strings.HasPrefix(label, "k8s_")
		})
		for _, m := range j.Keep {
			if s.Name == m.StoredAs {
				s.Name = m.Name
			}
		}
		page = append(page, s)
	}
	return page
}
