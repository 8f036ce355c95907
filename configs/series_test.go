package configs

import (
	"os"
	"regexp/syntax"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"
)

// The allowlists of the scraper's jobs let through what series/kept.yaml lists, and nothing else, also of metrics that no
// page has today. What real pages make of it is in e2e/scraper_series_test.go.
func TestAllowlistsAreTheListOfKeptSeries(t *testing.T) {
	b, err := os.ReadFile("series/kept.yaml")
	require.NoError(t, err)
	var kept map[string]struct {
		Without []string
		Keep    []struct {
			Name, For string
			Buckets   []float64
		}
	}
	require.NoError(t, yaml.Unmarshal(b, &kept))
	require.Len(t, kept, 3)

	jobs, _ := at(load(t, "scraper.yaml").Receivers["prometheus"], "config", "scrape_configs").([]any)
	for _, job := range jobs {
		name, _ := at(job, "job_name").(string)
		rules, _ := at(job, "metric_relabel_configs").([]any)
		want, ok := kept[name]
		delete(kept, name)
		if !ok {
			assert.Empty(t, rules, "%s: whoever annotates a pod chooses its series", name)
			continue
		}
		require.NotEmpty(t, rules, name)
		assert.Equal(t, "keep", at(rules[0], "action"), name)
		var series, dropped []string
		for _, m := range want.Keep {
			assert.NotEmpty(t, m.For, "%s: who uses %s?", name, m.Name)
			if m.Buckets == nil {
				series = append(series, m.Name+";")
				continue
			}
			series = append(series, m.Name+"_sum;", m.Name+"_count;", m.Name+"_bucket;+Inf")
			for _, bound := range m.Buckets {
				series = append(series, m.Name+"_bucket;"+le(bound))
			}
		}
		assert.Equal(t, []any{"__name__", "le"}, at(rules[0], "source_labels"), name)
		allow, err := syntax.Parse(fallback(at(rules[0], "regex")), syntax.Perl)
		require.NoError(t, err, name)
		assert.ElementsMatch(t, series, matches(t, allow), name)

		for _, rule := range rules {
			if at(rule, "action") == "labeldrop" {
				dropped = append(dropped, strings.Split(fallback(at(rule, "regex")), "|")...)
			}
		}
		assert.ElementsMatch(t, want.Without, dropped, name)
	}
	assert.Empty(t, kept, "jobs that the scraper does not have")
}

// le is a bound as the receiver writes it before it relabels, whatever the page has.
func le(bound float64) string {
	s := strconv.FormatFloat(bound, 'g', -1, 64)
	if !strings.ContainsAny(s, ".e") {
		s += ".0"
	}
	return s
}

// matches lists all that an expression matches; one that could match without end is no list of names.
func matches(t *testing.T, re *syntax.Regexp) []string {
	t.Helper()
	all := []string{}
	switch re.Op {
	case syntax.OpEmptyMatch:
		all = append(all, "")
	case syntax.OpLiteral:
		all = append(all, string(re.Rune))
	case syntax.OpCharClass: // what the parser makes of names that differ in one letter
		for i := 0; i < len(re.Rune); i += 2 {
			require.Less(t, re.Rune[i+1]-re.Rune[i], 'z'-'a', "not a list of names: %s", re)
			for r := re.Rune[i]; r <= re.Rune[i+1]; r++ {
				all = append(all, string(r))
			}
		}
	case syntax.OpCapture:
		all = matches(t, re.Sub[0])
	case syntax.OpQuest:
		all = append(matches(t, re.Sub[0]), "")
	case syntax.OpAlternate:
		for _, sub := range re.Sub {
			all = append(all, matches(t, sub)...)
		}
	case syntax.OpConcat:
		all = append(all, "")
		for _, sub := range re.Sub {
			var longer []string
			tails := matches(t, sub)
			for _, head := range all {
				for _, tail := range tails {
					longer = append(longer, head+tail)
				}
			}
			all = longer
		}
	default:
		require.Fail(t, "not a list of names", re.String())
	}
	return all
}
