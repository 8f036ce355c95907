//go:build e2e

package e2e

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sluice-otel/sluice/e2e/backends"
	"github.com/sluice-otel/sluice/e2e/harness"
	"github.com/sluice-otel/sluice/e2e/proc"
	"github.com/sluice-otel/sluice/e2e/tiers"
)

// proxy stands in front of a real server and answers itself while it is told to: no server answers 503 or hangs when a test wants it.
type proxy struct {
	*httptest.Server
	answer   atomic.Pointer[http.HandlerFunc]
	requests atomic.Int64 // that it answered itself
}

func newProxy(t *testing.T, backend string) *proxy {
	t.Helper()
	target, err := url.Parse(backend)
	require.NoError(t, err)
	p := &proxy{}
	through := httputil.NewSingleHostReverseProxy(target)
	p.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if answer := p.answer.Load(); answer != nil {
			p.requests.Add(1)
			_, _ = io.Copy(io.Discard, r.Body) // or the server does not notice that the client goes away
			(*answer)(w, r)
			return
		}
		through.ServeHTTP(w, r)
	}))
	t.Cleanup(p.Close)
	return p
}

func (p *proxy) fail(answer http.HandlerFunc) { p.answer.Store(&answer) }
func (p *proxy) heal()                        { p.answer.Store(nil) }

// remoteWriter starts the local profile with victoria.yaml, whose exporter is quick to try again.
func remoteWriter(t *testing.T, url, exporter string) *harness.Collector {
	t.Helper()
	return tiers.Start(t, nil, tiers.Tier{
		Profile: "local", Backends: []string{"backends/victoria"},
		Override: "exporters: {remote_write: {retry_on_failure: {initial_interval: 100ms, max_interval: 500ms}, " + exporter + "}}",
		Env:      map[string]string{"VICTORIAMETRICS_URL": url, "LOCAL_METRICS_INTERVAL": "1h"},
	})
}

// requests is the exporter's count of requests with an outcome.
func requests(t *testing.T, c *harness.Collector, outcome string) float64 {
	t.Helper()
	return c.Metric(t, "otelcol_exporter_remote_write_requests", map[string]string{"outcome": outcome})
}

// What a backend or something before it answers for a while costs nothing, whatever it is, and is seen in the metrics.
func TestRemoteWriteWaits(t *testing.T) {
	status := func(code int, headers ...string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			for i := 0; i < len(headers); i += 2 {
				w.Header().Set(headers[i], headers[i+1])
			}
			w.WriteHeader(code)
		}
	}
	v := backends.StartVictoriaMetrics(t)
	p := newProxy(t, v.URL)
	c := remoteWriter(t, p.URL, "timeout: 500ms")
	client := harness.NewClient(t, c.OTLPGRPC, harness.ClientOptions{})
	for i, f := range []struct {
		outcome string
		answer  http.HandlerFunc
	}{
		{"unavailable", status(503)},
		{"throttled", status(429, "Retry-After", "1")},
		{"unavailable", status(500)},
		{"refused", status(401)},
		{"refused", status(403)},
		{"refused", status(404)},
		{"refused", status(302, "Location", v.URL)},
		{"unavailable", func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }}, // a slow backend
		{"unavailable", func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }},
	} {
		before, answered := requests(t, c, f.outcome), p.requests.Load()
		p.fail(f.answer)
		require.NoError(t, client.SendMetrics(harness.Metrics(harness.Sample{Service: "shop", Name: "waits", Value: float64(i + 1)})))
		proc.Eventually(t, 30*time.Second, func() error {
			if requests(t, c, f.outcome) < before+2 {
				return fmt.Errorf("case %d: no second attempt counted as %s after %d", i, f.outcome, p.requests.Load()-answered)
			}
			return nil
		}, c.Proc)
		p.heal()
		proc.Eventually(t, 30*time.Second, func() error {
			if s := v.Export(t, "waits"); len(s) != 1 || len(s[0].Values) != i+1 {
				return fmt.Errorf("case %d: %v", i, s)
			}
			return nil
		}, c.Proc)
	}
	assert.Zero(t, c.Metric(t, "otelcol_exporter_remote_write_rejected_samples", nil))
	assert.Zero(t, c.Metric(t, "otelcol_exporter_send_failed_metric_points", nil))
	assert.Contains(t, c.Proc.Output(), "the credentials or the path of the backend are wrong")
}

// Retry-After is heeded: as long as it lasts there is no second request.
func TestRemoteWriteRetryAfter(t *testing.T) {
	v := backends.StartVictoriaMetrics(t)
	p := newProxy(t, v.URL)
	c := remoteWriter(t, p.URL, "timeout: 5s")
	p.fail(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Retry-After", time.Now().Add(4*time.Second).UTC().Format(http.TimeFormat))
		w.WriteHeader(http.StatusServiceUnavailable)
	})
	require.NoError(t, harness.SendMetrics(t, c.OTLPGRPC, harness.Metrics(harness.Sample{Name: "late", Value: 1})))
	proc.Eventually(t, 30*time.Second, func() error {
		if p.requests.Load() < 3 {
			return fmt.Errorf("%d requests", p.requests.Load())
		}
		return nil
	}, c.Proc)
	intervals := strings.Count(c.Proc.Output(), `"interval": "`)
	assert.Equal(t, intervals, strings.Count(c.Proc.Output(), `"error": "Throttle (`), "every wait is the backend's, none our own 100 ms")
}

// Real Prometheus stores nothing of a request of 1.0 that has one sample too old, and all but that of a 2.0 one. Either way that one
// is all that is missing.
func TestRemoteWriteOneOldSample(t *testing.T) {
	for _, message := range []string{"prometheus.WriteRequest", "io.prometheus.write.v2.Request"} {
		t.Run(message, func(t *testing.T) {
			p := backends.StartPrometheus(t, "storage: {tsdb: {out_of_order_time_window: 0s}}")
			c := remoteWriter(t, p.URL, "protobuf_message: "+message)
			client := harness.NewClient(t, c.OTLPGRPC, harness.ClientOptions{})
			now := time.Now()
			round := func(n int, at time.Time) (samples []harness.Sample) {
				for i := range n {
					samples = append(samples, harness.Sample{Service: "shop", Name: "many", Value: 1, Time: at, Attrs: map[string]any{"i": strconv.Itoa(i)}})
				}
				return samples
			}
			require.NoError(t, client.SendMetrics(harness.Metrics(round(500, now)...)))
			waitSeries(t, p, "many", 500)
			late := round(500, now.Add(time.Second))
			late[321].Time = now.Add(-time.Minute)
			require.NoError(t, client.SendMetrics(harness.Metrics(late...)))
			rejected := func() float64 {
				return c.Metric(t, "otelcol_exporter_remote_write_rejected_samples", map[string]string{"reason": "out_of_order"})
			}
			proc.Eventually(t, 30*time.Second, func() error {
				if got := p.Query(t, "sum(count_over_time(many[10m]))"); len(got) != 1 || int(got[0].Value) != 999 {
					return fmt.Errorf("stored: %v", got)
				}
				if rejected() != 1 {
					return fmt.Errorf("rejected: %g", rejected())
				}
				return nil
			}, c.Proc, p.Process)
			t.Logf("%s: %g requests were cut in two, %g samples refused", message, requests(t, c, "split"), rejected())
			assert.Equal(t, message == "prometheus.WriteRequest", requests(t, c, "split") > 0, "Prometheus has changed how it treats one bad sample: say so in the README")
		})
	}
}

// VictoriaMetrics: a wrong path is waited out, a request that is too large is cut, 2.0 is noticed.
func TestRemoteWriteVictoriaMetricsAnswers(t *testing.T) {
	v := backends.StartVictoriaMetrics(t, "-maxInsertRequestSize=65536")
	counted := func(c *harness.Collector, outcome string) {
		t.Helper()
		proc.Eventually(t, 30*time.Second, func() error {
			if requests(t, c, outcome) < 2 {
				return fmt.Errorf("%s: %g", outcome, requests(t, c, outcome))
			}
			return nil
		}, c.Proc)
		assert.Zero(t, c.Metric(t, "otelcol_exporter_remote_write_rejected_samples", nil))
		assert.Zero(t, c.Metric(t, "otelcol_exporter_remote_write_written_samples", nil))
	}
	sample := harness.Metrics(harness.Sample{Name: "x", Value: 1})
	c := remoteWriter(t, v.URL+"/wrong", "")
	require.NoError(t, harness.SendMetrics(t, c.OTLPGRPC, sample))
	counted(c, "refused")

	c = remoteWriter(t, v.URL, "protobuf_message: io.prometheus.write.v2.Request")
	require.NoError(t, harness.SendMetrics(t, c.OTLPGRPC, sample))
	counted(c, "unconfirmed")

	c = remoteWriter(t, v.URL, "")
	var samples []harness.Sample
	for i := range 5000 {
		samples = append(samples, harness.Sample{Name: "large", Value: 1, Attrs: map[string]any{"some.long.label": fmt.Sprintf("with a long value %d", i)}})
	}
	require.NoError(t, harness.SendMetrics(t, c.OTLPGRPC, harness.Metrics(samples...)))
	proc.Eventually(t, 30*time.Second, func() error {
		if n := len(v.Export(t, "large")); n != 5000 {
			return fmt.Errorf("%d series", n)
		}
		return nil
	}, c.Proc)
	assert.Zero(t, c.Metric(t, "otelcol_exporter_remote_write_rejected_samples", nil))
	assert.NotZero(t, requests(t, c, "split"))
}
