package backends

import (
	"encoding/json"
	"fmt"
	"math"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/sluice-otel/sluice/e2e/proc"
)

// defaultPrometheusConfig lets in what a queue sends after an outage, when newer samples are already there.
const defaultPrometheusConfig = `storage:
  tsdb:
    out_of_order_time_window: 30m
`

// Prometheus is a server that takes remote write at URL/api/v1/write and OTLP at URL/api/v1/otlp/v1/metrics.
type Prometheus struct {
	URL     string        // http://127.0.0.1:…
	Process *proc.Process // the newest one after Restart

	cmd  proc.Cmd
	http http.Client
}

// Sample is one series of an instant query's answer; a scalar has no labels.
type Sample struct {
	Labels map[string]string
	Value  float64
}

// Exemplar is one exemplar and the series it hangs on.
type Exemplar struct {
	Series map[string]string
	Labels map[string]string // trace_id, span_id
	Value  float64
	Time   time.Time
}

// StartPrometheus starts Prometheus on an empty store and returns when it is ready. An empty config takes samples up to
// 30 min out of order and scrapes nothing; flags come after our own.
func StartPrometheus(tb testing.TB, config string, flags ...string) *Prometheus {
	tb.Helper()
	if config == "" {
		config = defaultPrometheusConfig
	}
	path := binary(tb, "prometheus")
	dir := tb.TempDir()
	configFile := filepath.Join(dir, "prometheus.yaml")
	must(tb, os.WriteFile(configFile, []byte(config), 0o600))
	addr := proc.FreeAddress(tb)
	p := &Prometheus{URL: "http://" + addr, http: http.Client{Timeout: 30 * time.Second}}
	p.cmd = proc.Cmd{Name: "prometheus", Path: path, Dir: dir, Args: append([]string{
		"--config.file=" + configFile,
		"--storage.tsdb.path=" + filepath.Join(dir, "tsdb"),
		"--web.listen-address=" + addr,
		"--web.enable-otlp-receiver",
		"--web.enable-remote-write-receiver",
		"--enable-feature=exemplar-storage",
	}, flags...)}
	p.start(tb)
	return p
}

func (p *Prometheus) start(tb testing.TB) {
	tb.Helper()
	p.Process = proc.Start(tb, p.cmd)
	waitReady(tb, p.URL+"/-/ready", p.Process)
}

// Stop stops the server, so that clients see "connection refused" until Restart.
func (p *Prometheus) Stop(tb testing.TB) {
	tb.Helper()
	must(tb, p.Process.Stop())
}

// Restart starts a stopped server again, on the same address and with what it had stored.
func (p *Prometheus) Restart(tb testing.TB) {
	tb.Helper()
	p.start(tb)
}

// Query runs an instant query at the server's present time.
func (p *Prometheus) Query(tb testing.TB, promql string) []Sample {
	tb.Helper()
	var data struct {
		ResultType string
		Result     json.RawMessage
	}
	p.get(tb, "/api/v1/query", url.Values{"query": {promql}}, &data)
	switch data.ResultType {
	case "scalar":
		var v point
		must(tb, json.Unmarshal(data.Result, &v))
		return []Sample{{Value: v.value}}
	case "vector":
		var series []struct {
			Metric map[string]string
			Value  point
		}
		must(tb, json.Unmarshal(data.Result, &series))
		samples := make([]Sample, len(series))
		for i, s := range series {
			samples[i] = Sample{Labels: s.Metric, Value: s.Value.value}
		}
		return samples
	}
	tb.Fatalf("%s: a %s is not an instant vector", promql, data.ResultType)
	return nil
}

// RawSeries is a series with the samples as they are stored, the oldest first.
type RawSeries struct {
	Labels  map[string]string
	Samples []RawSample
}

// RawSample is a stored sample.
type RawSample struct {
	Time  time.Time
	Value float64
}

// Raw lists the samples of this long until now, of what a selector matches.
func (p *Prometheus) Raw(tb testing.TB, selector string, past time.Duration) []RawSeries {
	tb.Helper()
	var data struct {
		Result []struct {
			Metric map[string]string
			Values []point
		}
	}
	p.get(tb, "/api/v1/query", url.Values{"query": {fmt.Sprintf("%s[%ds]", selector, int(past.Seconds()))}}, &data)
	series := make([]RawSeries, len(data.Result))
	for i, s := range data.Result {
		series[i].Labels = s.Metric
		for _, v := range s.Values {
			series[i].Samples = append(series[i].Samples, RawSample{v.time, v.value})
		}
	}
	return series
}

// Exemplars lists the exemplars of the last hour on the series that a query selects.
func (p *Prometheus) Exemplars(tb testing.TB, promql string) []Exemplar {
	tb.Helper()
	now := time.Now()
	var data []struct {
		SeriesLabels map[string]string
		Exemplars    []struct {
			Labels    map[string]string
			Value     string
			Timestamp float64 // s
		}
	}
	p.get(tb, "/api/v1/query_exemplars", url.Values{
		"query": {promql},
		"start": {now.Add(-time.Hour).Format(time.RFC3339)},
		"end":   {now.Add(time.Minute).Format(time.RFC3339)}, // a little ahead, for a sender whose clock is
	}, &data)
	var out []Exemplar
	for _, series := range data {
		for _, e := range series.Exemplars {
			value, err := strconv.ParseFloat(e.Value, 64)
			must(tb, err)
			out = append(out, Exemplar{
				Series: series.SeriesLabels, Labels: e.Labels, Value: value, Time: time.UnixMilli(int64(e.Timestamp * 1000)),
			})
		}
	}
	return out
}

func (p *Prometheus) get(tb testing.TB, path string, query url.Values, data any) {
	tb.Helper()
	req, err := http.NewRequest("GET", p.URL+path+"?"+query.Encode(), nil)
	must(tb, err)
	body, err := send(&p.http, req)
	must(tb, err)
	answer := struct{ Data any }{data}
	must(tb, json.Unmarshal(body, &answer))
}

// point is a sample as the HTTP API spells it: [seconds, "value"], so that NaN and Inf fit into JSON.
type point struct {
	time  time.Time
	value float64
}

func (p *point) UnmarshalJSON(b []byte) error {
	var (
		seconds float64
		text    string
	)
	pair := []any{&seconds, &text}
	if err := json.Unmarshal(b, &pair); err != nil {
		return err
	}
	p.time = time.UnixMilli(int64(math.Round(seconds * 1000)))
	var err error
	p.value, err = strconv.ParseFloat(text, 64)
	return err
}

// waitReady waits until a URL answers 2xx.
func waitReady(tb testing.TB, url string, p *proc.Process) {
	tb.Helper()
	client := http.Client{Timeout: 5 * time.Second}
	proc.Eventually(tb, time.Minute, func() error {
		req, err := http.NewRequest("GET", url, nil)
		if err != nil {
			return err
		}
		_, err = send(&client, req)
		return err
	}, p)
}
