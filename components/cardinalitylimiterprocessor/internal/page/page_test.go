package page

import (
	"html"
	"maps"
	"net/http"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"

	"github.com/sluice-otel/sluice/components/cardinalitylimiterprocessor/internal/limit"
)

var tags = regexp.MustCompile(`(?s)<style>.*?</style>|<[^>]*>`)

// text is what a person reads.
func text(page string) string {
	return strings.Join(strings.Fields(html.UnescapeString(tags.ReplaceAllString(page, " "))), " ")
}

func TestOverview(t *testing.T) {
	page := text(get(t, busy(), "/"))
	f := func(want ...string) { // in this order
		t.Helper()
		rest := page
		for _, w := range want {
			_, after, ok := strings.Cut(rest, w)
			assert.True(t, ok, "%q is not there, or not in its place", w)
			rest = after
		}
	}
	f("As of 2026-11-21 12:00:00 UTC, 2 days after the start")
	// What is wrong comes first, the worst at the top.
	f("The limits file /etc/sluice/limits.yaml is refused: rules[2].max_series: must be more than 0, got -1", "still holds",
		"Rule per-service turns new series away in 1 of 310 budgets", "Rule values turns new values away in 1 of 120 budgets", "Rule scopes: its fullest budget is 84 % full",
		"4,411 points were dropped", "Rule tight only observes", "Series admitted 128,400", "Points dropped 4,411", "Rules", "Fullest budgets", "Metrics with most series")
	f("Budgets that turn away 2") // the observing rule's do not
	f("Fullest budgets", "per-service", "service.name checkout", "metric http.server.request.duration", "5,000 series", "100 %", "48,211", "limited")
	f("Fullest budgets", "tight", "510 %", "would limit", "everything everything together 128,400")
	f("Fullest budgets", "service.name (none) metric queue.size")
	f("Attributes with most values", "user.id", "about 47,900", "session.id", "500 of 500", "rule values")
	f("Metrics with most series", "queue.size no service.name 1,200")
	f("What became of the points", "passed 81,002,313", "overflow 190,333", "Totals are still right", "Dropped, by reason", "gauge 4,400", "to another fold")
	f("Limits file /etc/sluice/limits.yaml , loaded 26 hours ago", "Last snapshot 3 minutes ago")
	assert.NotContains(t, page, "not_finite", "none were")
	assert.NotContains(t, text(get(t, &fake{folds: Folds{Dropped: map[string]int64{"stale": 9}}}, "/")), "were dropped", "nothing is lost")
}

func TestProblems(t *testing.T) {
	f := func(change func(*fake), want string) {
		t.Helper()
		src := &fake{}
		assert.Contains(t, text(get(t, src, "/")), "Nothing is wrong.")
		change(src)
		page := text(get(t, src, "/"))
		assert.Contains(t, page, want)
		assert.NotContains(t, page, "Nothing is wrong.")
	}
	f(func(s *fake) { s.folds.LimitsError = "no rules" }, "is refused: no rules")
	f(func(s *fake) { s.folds.SnapshotError = "disk full" }, "The snapshot failed: disk full")
	f(func(s *fake) { s.folds.Learning = true }, "every limit is twice")
	f(func(s *fake) { s.folds.Streams, s.folds.MaxStreams = 10, 10 }, "All 10 overflow streams are in use")
	f(func(s *fake) { s.folds.Bytes, s.folds.MaxBytes = 90, 100 }, "memory for overflow streams is 90 % full")
	f(func(s *fake) { s.folds.Dropped = map[string]int64{"new_reason": 1} }, "1 point was dropped")
	rule := func(r limit.RuleReport) func(*fake) { return func(s *fake) { s.report.Rules = []limit.RuleReport{r} } }
	f(rule(limit.RuleReport{Name: "r", Max: 10, Budgets: 1, Limited: 1, Action: "drop"}), "Rule r turns new series away in 1 of 1 budget. They are dropped.")
	f(rule(limit.RuleReport{Name: "r", Max: 10, Utilization: 0.8}), "Rule r: its fullest budget is 80 % full")
	f(rule(limit.RuleReport{Name: "r", Max: 10, Limited: 1, Observe: true}), "Rule r only observes")
}

// An outcome or a reason that the processor counts is one that the page can tell about.
func TestMeanings(t *testing.T) {
	data, err := os.ReadFile("../../metadata.yaml")
	require.NoError(t, err)
	var metadata struct {
		Attributes map[string]struct {
			Enum []string `yaml:"enum"`
		} `yaml:"attributes"`
	}
	require.NoError(t, yaml.Unmarshal(data, &metadata))
	assert.ElementsMatch(t, metadata.Attributes["outcome"].Enum, slices.Collect(maps.Keys(outcomes)))
	assert.ElementsMatch(t, metadata.Attributes["reason"].Enum, slices.Collect(maps.Keys(reasons)))

	lines := sums(map[string]int64{"new": 2, "gauge": 3, "stale": 0}, reasons)
	require.Len(t, lines, 2)
	assert.Equal(t, "gauge", lines[0].Name)
	assert.Equal(t, "See the processor's README.", lines[1].Meaning)
}

func TestEmpty(t *testing.T) {
	page := text(get(t, &fake{}, "/"))
	for _, want := range []string{
		"Nothing is wrong.", "There are no rules: everything passes", "No metric has come yet", "No point has come yet",
		"Limits file none", "Last snapshot none",
	} {
		assert.Contains(t, page, want)
	}
	assert.NotContains(t, page, "0001-01-01")

	status := fields(t, ask(&fake{}, http.MethodGet, "/api/v1/status", "", nil), http.StatusOK)
	for _, list := range []string{"problems", "rules", "budgets", "metrics", "attributes"} {
		assert.Equal(t, []any{}, status[list], list)
	}
	for _, object := range []string{"points", "dropped", "snapshot", "limits_file"} {
		assert.Equal(t, map[string]any{}, status[object], object)
	}
	assert.NotContains(t, status, "started")
}

// Names come from whoever sends metrics.
func TestHostileNames(t *testing.T) {
	f := func(name, shown string) {
		t.Helper()
		src := busy()
		src.report.Rules[1].Name, src.budget[0].Rule, src.report.Budgets[0].Rule = name, name, name
		src.report.Budgets[0].Per = []string{name, name}
		src.report.Metrics = []limit.MetricReport{{
			Metric: name, Scope: name, Resource: map[string]string{name: name}, Series: 1, Attributes: []limit.ValuesReport{{Attribute: name, Values: 9}},
		}}
		src.folds.LimitsFile, src.folds.LimitsError = name, name
		src.folds.Points[name], src.folds.Dropped[name] = 1, 1
		overview := get(t, src, "/")
		assert.Contains(t, text(overview), shown)

		// The link leads to the metric of exactly that name.
		link := regexp.MustCompile(`/explain\?metric=[^"]*`).FindString(overview)
		explained := get(t, src, html.UnescapeString(link))
		assert.Contains(t, text(explained), shown)
		assert.Contains(t, text(explained), "1 series in 1 place")

		for _, page := range []string{overview, explained} {
			assert.NotRegexp(t, `<script|<u>|" onmouse`, page)
		}
		full := html.EscapeString(strings.ToValidUTF8(name, "\uFFFD"))
		assert.Contains(t, overview, `title="`+full+`"`)
		fields(t, ask(src, http.MethodGet, "/api/v1/status", "", nil), http.StatusOK)
	}
	f("<script>alert(1)</script>", "<script>alert(1)</script>")
	f(`" onmouseover="x`, `" onmouseover="x`)
	f("</style><u>", "</style><u>")
	f("{{.}} & %2F?#'a=b", "{{.}} & %2F?#'a=b")
	f("bad \xff bytes", "bad \uFFFD bytes")
	f(strings.Repeat("x", 10_000), strings.Repeat("x", 60)+"…")
	f(strings.Repeat("漢", 3000), strings.Repeat("漢", 60)+"…")
}

// A name of a megabyte does not make a page of many.
func TestHugeName(t *testing.T) {
	src := busy()
	src.report.Metrics[0].Metric = strings.Repeat("x", 1<<20)
	page := get(t, src, "/")
	assert.Less(t, len(page), 200<<10)
	assert.Contains(t, text(page), strings.Repeat("x", 60)+"…")
}

func TestFindings(t *testing.T) {
	f := func(change func(*fake), want string) {
		t.Helper()
		src := busy()
		change(src)
		assert.Contains(t, text(get(t, src, "/explain?metric=http.server.request.duration")), want)
	}
	f(func(*fake) {}, "About 48,211 more series were turned away.")
	f(func(s *fake) { s.budget = nil }, "No rule is for it: nothing is turned away.")
	f(func(s *fake) { s.budget[0].State = "warn" }, "No rule turns it away.")
	f(func(s *fake) { s.report.Rules[1].Observe = true }, "Rule per-service would have no room for checkout, http.server.request.duration (5,000 of 5,000 series), but only observes.")
	f(func(s *fake) { s.budget[0].Rule, s.budget[0].Per = "everything", nil }, "Rule everything has no room for everything together")
	for _, action := range []string{"drop", "overflow", "replace", "degrade"} {
		f(func(s *fake) { s.report.Rules[1].Action = action }, "New ones are "+fate(action)+".")
	}
}

func TestNum(t *testing.T) {
	f := func(n int, want string) {
		t.Helper()
		assert.Equal(t, want, num(n))
	}
	f(0, "0")
	f(999, "999")
	f(1000, "1,000")
	f(1234567, "1,234,567")
	f(-1234, "-1,234")
	f(-123, "-123")
}

func TestBar(t *testing.T) {
	f := func(share float64, want, tint string) {
		t.Helper()
		assert.Equal(t, want, bar(share))
		assert.Equal(t, tint, tone(share, false))
		assert.Contains(t, []string{"ok", "note"}, tone(share, true))
		assert.Contains(t, style, "."+want+"{width:"+want[1:]+"%}")
	}
	f(0, "w0", "ok")
	f(0.37, "w36", "ok")
	f(0.799, "w78", "ok")
	f(0.8, "w80", "warn")
	f(1, "w100", "bad")
	f(5.1, "w100", "bad")
	f(-1, "w0", "ok")
}

func TestPercent(t *testing.T) {
	f := func(share float64, want string) {
		t.Helper()
		assert.Equal(t, want, percent(share))
	}
	f(0, "0 %")
	f(0.29, "29 %")
	f(0.999, "99 %") // what has room is not full
	f(1, "100 %")
	f(5.1, "510 %")
}

func TestAgo(t *testing.T) {
	f := func(d time.Duration, want string) {
		t.Helper()
		assert.Equal(t, want, ago(noon, noon.Add(-d)))
	}
	f(-time.Second, "less than a minute")
	f(time.Second, "less than a minute")
	f(time.Minute, "1 minute")
	f(119*time.Minute, "1 hour")
	f(49*time.Hour, "2 days")
}
