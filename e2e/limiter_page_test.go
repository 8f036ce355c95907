//go:build e2e

package e2e

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"html"
	"image"
	"image/color"
	"image/draw"
	"image/png"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sluice-otel/sluice/e2e/browser"
	"github.com/sluice-otel/sluice/e2e/harness"
	"github.com/sluice-otel/sluice/e2e/proc"
	"github.com/sluice-otel/sluice/e2e/tiers"
)

var update = flag.Bool("update", false, "take docs/images/limiter-page.png anew")

// A page that people trust when they are paged must say what the collector's own metrics say.
func TestLimiterPage(t *testing.T) {
	sink := harness.StartSink(t, harness.SinkOptions{})
	c := tiers.Start(t, tiers.StartKubernetes(t), tiers.Tier{
		Profile: "gateway", Backends: []string{"backends/lgtm"},
		Env: tiers.With(tiers.ToSink(t, sink), map[string]string{
			"MAX_VALUES": strconv.Itoa(maxValues), "MAX_SERIES_PER_METRIC": strconv.Itoa(maxPerMetric),
			"MAX_SERIES_PER_SERVICE": strconv.Itoa(maxPerService), "MAX_SERIES": strconv.Itoa(maxSeries),
		}),
		// Nothing but what the test sends, and no grace: the numbers below are exact.
		Override: `
processors: {cardinality_limiter: {startup_grace: 0s, overflow: {flush_interval: 1s}}}
service: {pipelines: {metrics: {receivers: [otlp]}}}
`,
	})
	points, series := map[string]float64{}, 0
	for round := range roundsOfShop {
		var sent map[string]float64
		sent, series = sendShop(t, c, time.Now().Add(time.Duration(round-roundsOfShop)*time.Second))
		for outcome, n := range sent {
			points[outcome] += n
		}
	}
	address := "http://" + c.LimiterPage

	t.Run("Metrics", func(t *testing.T) { assertStatus(t, c, points, series) })
	t.Run("Overview", func(t *testing.T) {
		page := seen(browser.Run(t, "--dump-dom", address+"/"))
		for _, want := range []string{
			"Rule values turns new values away in 2 of 7 budgets.", "Rule metric turns new series away in 2 of 8 budgets.",
			"500 points were dropped", "Series admitted " + thousands(series), "Budgets that turn away 4",
			"Points folded " + thousands(int(points["replaced"]+points["overflow"])),
			"search.requests k8s.namespace.name shop service.name search 1,000",
		} {
			assert.Contains(t, page, want)
		}
		assert.NotContains(t, page, "user.id-", "a value of an attribute")
	})
	t.Run("Explain", func(t *testing.T) { assertExplains(t, address) })
	t.Run("Simulate", func(t *testing.T) { assertSimulates(t, address) })
	t.Run("Picture", func(t *testing.T) { takePicture(t, address) })
	c.Stop(t)
}

// limiterStatus is the part of the JSON that the metrics have too.
type limiterStatus struct {
	Series, Admitted, Expired int
	Points, Dropped           map[string]float64
	Rules                     []struct {
		Name                 string
		Max, Limited, Demand int
		Utilization          float64
	}
	Metrics []struct {
		Metric         string
		Series, Demand int
	}
	Overflow struct{ Streams, Members, Bytes int }
}

// assertStatus holds JSON and metrics to what was sent, and to each other.
func assertStatus(t *testing.T, c *harness.Collector, points map[string]float64, series int) {
	t.Helper()
	var s limiterStatus
	getJSON(t, "http://"+c.LimiterPage+"/api/v1/status", &s)
	assert.Equal(t, series, s.Series)
	assert.Equal(t, points, s.Points)
	assert.Equal(t, map[string]float64{"gauge": points["dropped"]}, s.Dropped)
	require.Len(t, s.Rules, 4)
	require.Len(t, s.Metrics, len(shop))

	const prefix = "otelcol_processor_cardinality_limiter_"
	var metrics harness.Page
	proc.Eventually(t, 20*time.Second, func() error { // gauges are looked at every few seconds
		metrics = c.Metrics(t)
		if got := metrics.Sum(prefix+"series_active", nil); got != float64(s.Series) {
			return fmt.Errorf("%g series in the metrics, %d on the page", got, s.Series)
		}
		return nil
	}, c.Proc)
	f := func(want float64, name string, labels ...string) {
		t.Helper()
		with := map[string]string{}
		for i := 0; i < len(labels); i += 2 {
			with[labels[i]] = labels[i+1]
		}
		assert.True(t, metrics.Has(prefix+name), name)
		assert.InDelta(t, want, metrics.Sum(prefix+name, with), 1e-9, "%s%v", name, with)
	}
	f(float64(s.Admitted), "series_admitted")
	f(float64(s.Expired), "series_expired")
	f(float64(s.Overflow.Streams), "folded_streams")
	f(float64(s.Overflow.Members), "folded_members")
	f(float64(s.Overflow.Bytes), "memory", "part", "folded")
	total := 0.0
	for outcome, n := range s.Points {
		f(n, "points", "outcome", outcome)
		total += n
	}
	f(total, "points")
	for reason, n := range s.Dropped {
		f(n, "dropped", "reason", reason)
	}
	for _, r := range s.Rules {
		f(float64(r.Max), "rule_limit", "rule", r.Name)
		f(float64(r.Limited), "rule_limited_budgets", "rule", r.Name)
		f(float64(r.Demand), "rule_demand", "rule", r.Name)
		f(r.Utilization, "rule_utilization", "rule", r.Name)
	}
	for _, m := range s.Metrics {
		f(float64(m.Series), "top_series", "metric", m.Metric)
		f(float64(m.Demand), "top_demand", "metric", m.Metric)
	}
}

// assertExplains looks at the two ways in which a metric runs into a limit.
func assertExplains(t *testing.T, address string) {
	t.Helper()
	var api struct {
		Places []struct {
			Series, Demand int
			Attributes     []struct {
				Attribute string
				Values    int
			}
		}
	}
	getJSON(t, address+"/api/v1/explain?metric=search.requests", &api)
	require.Len(t, api.Places, 1)
	place := api.Places[0]
	assert.Equal(t, maxPerMetric, place.Series)
	assert.InEpsilon(t, 1700, place.Demand, .2) // estimates, good to a few percent
	require.NotEmpty(t, place.Attributes)
	assert.Equal(t, "search.tenant", place.Attributes[0].Attribute)
	assert.InEpsilon(t, 150, place.Attributes[0].Values, .2)

	f := func(metric string, want ...string) {
		t.Helper()
		page := seen(browser.Run(t, "--dump-dom", address+"/explain?metric="+metric))
		for _, w := range want {
			assert.Contains(t, page, w)
		}
	}
	f("search.requests", "It has 1,000 series in 1 place.", "About "+thousands(place.Demand)+" more series were turned away.",
		"The attribute of most values is search.tenant: about "+thousands(max(150, place.Attributes[0].Values))+" in one place.", // the rule on values counts, the place estimates
		"Rule metric has no room for shop, search, search.requests: 1,000 of 1,000 series.")
	f("http.server.request.duration", "It has 200 series in 1 place.", "Rule values has no room for shop, checkout: 200 of 200 values.")
}

// assertSimulates fills the form in and sends it; tools get the same answer.
func assertSimulates(t *testing.T, address string) {
	t.Helper()
	target, err := url.Parse(address)
	require.NoError(t, err)
	f := func(file string, want ...string) {
		t.Helper()
		script := `const box = document.querySelector('textarea'); if (box.value === '') { box.value = "` + file + `"; document.querySelector('button').click(); }`
		server := httptest.NewServer(browser.Scripted(httputil.NewSingleHostReverseProxy(target), script))
		defer server.Close()
		page := seen(browser.Run(t, "--virtual-time-budget=5000", "--dump-dom", server.URL+"/simulate"))
		for _, w := range want {
			assert.Contains(t, page, w)
		}
	}
	// Two metrics of 1,000 series and one of 880 have more.
	const file = "rules: [{name: tighter, per: [metric], max_series: 700}]"
	f(file, "Result", "tighter 8 3 780 142 %", "125 % db.client.operation.duration 880 of 700")
	f("rules: [{name: tighter}]", "The limits file is refused: ")

	resp, err := http.Post(address+"/api/v1/simulate", "application/yaml", strings.NewReader(file))
	require.NoError(t, err)
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	var api struct {
		Rules []struct {
			Budgets, Over int
			SeriesOver    int `json:"series_over"`
		}
	}
	require.NoError(t, json.Unmarshal(body, &api), "%s", body)
	require.Len(t, api.Rules, 1)
	assert.Equal(t, []int{8, 3, 780}, []int{api.Rules[0].Budgets, api.Rules[0].Over, api.Rules[0].SeriesOver})
}

// takePicture makes the picture in the processor's README. One that is committed must be there, and of the same kind.
func takePicture(t *testing.T, address string) {
	t.Helper()
	const width, height = 1280, 1850 // down to the attributes, with five lines in each list
	file := filepath.Join(t.TempDir(), "page.png")
	browser.Run(t, fmt.Sprintf("--window-size=%d,%d", width, height), "--blink-settings=preferredColorScheme=1", "--screenshot="+file, address+"/?top=5")
	committed := filepath.Join(harness.Root(t), "docs", "images", "limiter-page.png")
	if *update {
		var small bytes.Buffer
		require.NoError(t, (&png.Encoder{CompressionLevel: png.BestCompression}).Encode(&small, fewColors(readPicture(t, file))))
		require.NoError(t, os.WriteFile(committed, small.Bytes(), 0o600))
	}
	for _, file := range []string{file, committed} {
		picture := readPicture(t, file)
		assert.Equal(t, image.Rect(0, 0, width, height), picture.Bounds(), file)
		assert.Greater(t, colors(picture)[color.RGBA{0xc0, 0x39, 0x2b, 0xff}], 1000, "%s: the red bars of what is full", file)
	}
	info, err := os.Stat(committed)
	require.NoError(t, err)
	assert.Less(t, info.Size(), int64(200_000))
}

func readPicture(t *testing.T, file string) image.Image {
	t.Helper()
	data, err := os.ReadFile(file)
	require.NoError(t, err)
	picture, err := png.Decode(bytes.NewReader(data))
	require.NoError(t, err, file)
	return picture
}

// fewColors makes a picture a third of its size, and no eye sees the difference: it keeps the colors that there are most of.
func fewColors(picture image.Image) image.Image {
	count := colors(picture)
	most := slices.SortedFunc(maps.Keys(count), func(a, b color.Color) int { return count[b] - count[a] })
	small := image.NewPaletted(picture.Bounds(), most[:min(len(most), 256)])
	draw.Draw(small, small.Bounds(), picture, image.Point{}, draw.Src)
	return small
}

func colors(picture image.Image) map[color.Color]int {
	count := map[color.Color]int{}
	for y := range picture.Bounds().Dy() {
		for x := range picture.Bounds().Dx() {
			count[picture.At(x, y)]++
		}
	}
	return count
}

func getJSON(t *testing.T, address string, into any) {
	t.Helper()
	resp, err := http.Get(address)
	require.NoError(t, err)
	defer resp.Body.Close()
	require.Equal(t, http.StatusOK, resp.StatusCode)
	require.NoError(t, json.NewDecoder(resp.Body).Decode(into))
}

var markup = regexp.MustCompile(`(?s)<style>.*?</style>|<[^>]*>`)

// seen is what a person reads.
func seen(dom string) string {
	return strings.Join(strings.Fields(html.UnescapeString(markup.ReplaceAllString(dom, " "))), " ")
}

func thousands(n int) string {
	if n < 1000 {
		return strconv.Itoa(n)
	}
	return fmt.Sprintf("%d,%03d", n/1000, n%1000)
}
