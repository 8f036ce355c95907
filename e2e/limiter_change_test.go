//go:build e2e

package e2e

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	sdk "go.opentelemetry.io/otel/sdk/metric"

	"github.com/sluice-otel/sluice/e2e/backends"
	"github.com/sluice-otel/sluice/e2e/tiers"
)

// After a restart the same series pass, and totals go on where they were; also of what was on its way when the gateway was
// killed, since a cumulative point has it.
func TestLimiterOutlives(t *testing.T) {
	const stop, kill = false, true
	k := tiers.StartKubernetes(t)
	for name, tt := range map[string]struct {
		perMetric, series int // limit, and what comes of it
		ends              []bool
	}{
		"stopped, then killed":               {seriesLimit, seriesLimit, []bool{stop, kill, kill}},
		"killed, then stopped; values alone": {10 * seriesLimit, valuesLimit * len(methods), []bool{kill, stop}},
	} {
		t.Run(name, func(t *testing.T) {
			p := startJudge(t)
			c := startLimiter(t, k, p, "lgtm", map[string]string{"MAX_SERIES_PER_METRIC": strconv.Itoa(tt.perMetric)})
			s := startShopper(t, "shop", c.OTLPGRPC, sdk.DefaultTemporalitySelector)
			s.serve(t, fewUsers)
			s.serve(t, manyUsers)
			s.waitStored(t, p, c)
			before := passing(t, p, s)
			for i, end := range tt.ends {
				s.serve(t, manyUsers)
				if end == kill {
					c.Kill()
				}
				c.Restart(t) // it stops what still runs
				s.serve(t, manyUsers+100*(i+1))
				s.waitStored(t, p, c)
				var others []string
				for series := range passing(t, p, s) {
					if !before[series] {
						others = append(others, series)
					}
				}
				if n := len(others); n > 0 {
					t.Errorf("%d series pass that did not before, as %q", n, others[0])
				}
				assertBounded(t, p, s, tt.series)
			}
			assertNothingRefused(t, p, c)
		})
	}
	// Deltas that were folded and not sent are lost with a process that is killed, but not with one that is stopped.
	t.Run("deltas", func(t *testing.T) {
		p := startJudge(t)
		c := startLimiter(t, k, p, "lgtm", nil)
		s := startShopper(t, "depot", c.OTLPGRPC, delta)
		for range 3 {
			s.serve(t, manyUsers)
			c.Restart(t)
		}
		s.waitStored(t, p, c)
		assertNothingRefused(t, p, c)
	})
}

// passing are the series that have a user: all that Prometheus got within the minutes it looks back.
func passing(t *testing.T, p *backends.Prometheus, s *shopper) map[string]bool {
	t.Helper()
	all := map[string]bool{}
	for _, name := range []string{sales, duration + "_count", cart} {
		users, _ := s.series(t, p, name)
		for user := range users {
			all[name+" "+user] = true
		}
	}
	return all
}

// Limits can be raised while the gateway runs. A file that is no good changes nothing, and is counted. The page shows both.
func TestLimiterReadsLimits(t *testing.T) {
	k := tiers.StartKubernetes(t)
	p := startJudge(t)
	file := filepath.Join(t.TempDir(), "limits.yaml")
	limit := func(series int) {
		t.Helper()
		rules := fmt.Sprintf("rules: [{name: mine, per: [resource.service.name, metric], max_series: %d}]", series)
		require.NoError(t, os.WriteFile(file, []byte(rules), 0o600))
	}
	limit(seriesLimit)
	c := startLimiter(t, k, p, "lgtm", map[string]string{"LIMITS_FILE": file})
	s := startShopper(t, "shop", c.OTLPGRPC, sdk.DefaultTemporalitySelector)
	pass := func(users, ofCounters, ofGauge int) {
		t.Helper()
		s.serve(t, users)
		s.waitStored(t, p, c)
		for name, want := range map[string]int{sales: ofCounters, duration + "_count": ofCounters, cart: ofGauge} {
			if got, _ := s.series(t, p, name); len(got) != want {
				t.Errorf("%s: %d series pass of those of %d users, want %d", name, len(got), users, want)
			}
		}
	}
	reloads := func(result string, n, limit float64) metricsWanted {
		return metricsWanted{
			{"limits_reloads", map[string]string{"result": result}, n},
			{"rule_limit", map[string]string{"rule": "mine"}, limit},
		}
	}
	pass(200, seriesLimit, seriesLimit)

	limit(2 * seriesLimit)
	waitMetrics(t, c, reloads("success", 2, 2*seriesLimit))
	// A gauge has no history: it is let in at once. What counters had counted is in the streams and must not come twice.
	pass(200, seriesLimit, 2*seriesLimit)
	pass(400, 2*seriesLimit, 2*seriesLimit)

	limit(-1)
	waitMetrics(t, c, reloads("failure", 1, 2*seriesLimit))
	pass(600, 2*seriesLimit, 2*seriesLimit)

	var status struct {
		Rules   []struct{ Name string }
		Metrics []struct {
			Metric string
			Series int
		}
		Limits struct{ Error string } `json:"limits_file"`
	}
	require.NoError(t, json.Unmarshal(readPage(t, "http://"+c.LimiterPage+"/api/v1/status", "application/json"), &status))
	require.Len(t, status.Rules, 1)
	assert.Equal(t, "mine", status.Rules[0].Name)
	assert.Contains(t, status.Limits.Error, "max_series")
	require.NotEmpty(t, status.Metrics)
	assert.Equal(t, 2*seriesLimit, status.Metrics[0].Series)
	html := string(readPage(t, "http://"+c.LimiterPage+"/", "text/html"))
	for _, word := range []string{"checkout.duration", "user.id", "shop", "mine", "is refused"} {
		assert.Contains(t, html, word)
	}
	assert.NotRegexp(t, `user-\d`, html+c.Proc.Output(), "a value")
}

// readPage reads a page of this type.
func readPage(t *testing.T, url, contentType string) []byte {
	t.Helper()
	resp, err := http.Get(url)
	require.NoError(t, err)
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	require.Equal(t, http.StatusOK, resp.StatusCode, "%s", body)
	require.True(t, strings.HasPrefix(resp.Header.Get("Content-Type"), contentType), resp.Header.Get("Content-Type"))
	return body
}
