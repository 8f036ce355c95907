package backends

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/sluice-otel/sluice/e2e/proc"
)

// Loki is a server that takes OTLP at URL/otlp/v1/logs. What it stores and answers is that of one tenant: see As.
type Loki struct {
	URL     string        // http://127.0.0.1:…
	Process *proc.Process // the newest one after Restart

	cmd    proc.Cmd
	http   http.Client
	tenant string
}

// LokiOptions are what a test wants of a server, each as YAML text.
type LokiOptions struct {
	Limits      string // the entries of limits_config
	Overrides   string // limits of single tenants, the entries of overrides
	Config      string // further top-level sections
	MultiTenant bool   // refuse what names no tenant, instead of taking it for the tenant "fake"
}

// LogLine is one stored line, with its stream's labels apart from its own metadata.
type LogLine struct {
	Labels   map[string]string
	Metadata map[string]string
	Parsed   map[string]string // by the query itself, as after | json
	Line     string
	Time     time.Time
}

// StartLoki starts Loki on an empty store and returns when it is ready.
func StartLoki(tb testing.TB, o LokiOptions) *Loki {
	tb.Helper()
	path := binary(tb, "loki")
	dir := tb.TempDir()
	ports := proc.FreePorts(tb, 2)
	overrides, config := filepath.Join(dir, "overrides.yaml"), filepath.Join(dir, "loki.yaml")
	must(tb, os.WriteFile(overrides, []byte(section("overrides", o.Overrides)), 0o600))
	text := fmt.Sprintf(lokiConfig, o.MultiTenant, ports[0], ports[1], dir, overrides) + section("limits_config", o.Limits) + o.Config
	must(tb, os.WriteFile(config, []byte(text), 0o600))
	l := &Loki{
		URL:  fmt.Sprintf("http://127.0.0.1:%d", ports[0]),
		http: http.Client{Timeout: 30 * time.Second},
		cmd: proc.Cmd{Name: "loki", Path: path, Dir: dir, Args: []string{
			"-config.file=" + config,
			"-querier.split-queries-by-interval=720h", // by default a query over our week is 168 queries
		}},
	}
	l.start(tb)
	return l
}

// lokiConfig is what a server needs to be one alone, to be ready at once and to call nobody. The limits stay Loki's own.
const lokiConfig = `auth_enabled: %[1]t
server:
  http_listen_address: 127.0.0.1
  http_listen_port: %[2]d
  grpc_listen_address: 127.0.0.1
  grpc_listen_port: %[3]d
  log_level: warn
common:
  instance_addr: 127.0.0.1
  path_prefix: %[4]s/data
  replication_factor: 1
  ring: {kvstore: {store: inmemory}}
  storage: {filesystem: {chunks_directory: %[4]s/data/chunks, rules_directory: %[4]s/data/rules}}
schema_config:
  configs: [{from: 2024-01-01, store: tsdb, object_store: filesystem, schema: v13, index: {prefix: index_, period: 24h}}]
ingester:
  lifecycler: {min_ready_duration: 0s}
  query_store_max_look_back_period: 168h # else a line of more than 150 min ago is not found before it is flushed
# Whoever looks for schedulers by a ring or by DNS finds the first one after 10 s.
query_scheduler: {use_scheduler_ring: false}
frontend: {scheduler_address: "127.0.0.1:%[3]d"}
frontend_worker: {scheduler_address: "127.0.0.1:%[3]d"}
analytics: {reporting_enabled: false}
tracing: {enabled: false}
runtime_config: {file: %[5]s, period: 1s}
`

// section is a top-level section of these entries. An empty one would set everything in it to nothing.
func section(name, entries string) string {
	if entries == "" {
		return ""
	}
	var text strings.Builder
	text.WriteString(name + ":\n")
	for line := range strings.Lines(entries) {
		text.WriteString("  " + line)
	}
	return text.String() + "\n"
}

func (l *Loki) start(tb testing.TB) {
	tb.Helper()
	l.Process = proc.Start(tb, l.cmd)
	waitReady(tb, l.URL+"/ready", l.Process)
}

// Stop stops the server, so that clients see "connection refused" until Restart.
func (l *Loki) Stop(tb testing.TB) {
	tb.Helper()
	must(tb, l.Process.Stop())
}

// Restart starts a stopped server again, on the same address and with what it had stored.
func (l *Loki) Restart(tb testing.TB) {
	tb.Helper()
	l.start(tb)
}

// As is the same server, asked in the name of a tenant.
func (l *Loki) As(tenant string) *Loki {
	as := *l
	as.tenant = tenant
	return &as
}

// Push posts OTLP (protobuf) as an exporter would, and returns the answer as it is.
func (l *Loki) Push(tb testing.TB, otlp []byte) (status int, answer string) {
	tb.Helper()
	req, err := http.NewRequest("POST", l.URL+"/otlp/v1/logs", bytes.NewReader(otlp))
	must(tb, err)
	req.Header.Set("Content-Type", "application/x-protobuf")
	l.sign(req)
	resp, err := l.http.Do(req)
	must(tb, err)
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	must(tb, err)
	return resp.StatusCode, string(body)
}

// Lines runs a LogQL query for lines over the last week, the oldest first, at most 5000 of them.
func (l *Loki) Lines(tb testing.TB, logql string) []LogLine {
	tb.Helper()
	return l.lines(tb, logql, span(), 5000)
}

// AllLines is Lines from a time on and without a bound.
func (l *Loki) AllLines(tb testing.TB, logql string, from time.Time) []LogLine {
	tb.Helper()
	const page = 1000 // of long lines; an answer of more than 4 MiB does not pass between the parts of the server
	var all []LogLine
	for {
		query := span()
		query.Set("start", strconv.FormatInt(from.UnixNano(), 10))
		lines := l.lines(tb, logql, query, page)
		if len(lines) < page {
			return append(all, lines...)
		}
		// The page may end among lines of one time: they are the next one's.
		last := lines[len(lines)-1].Time
		if last.Equal(from) {
			tb.Fatalf("%s: more than %d lines of one time", logql, page)
		}
		from = last
		for lines[len(lines)-1].Time.Equal(last) {
			lines = lines[:len(lines)-1]
		}
		all = append(all, lines...)
	}
}

func (l *Loki) lines(tb testing.TB, logql string, query url.Values, limit int) []LogLine {
	tb.Helper()
	var data struct {
		Result []struct {
			Stream map[string]string
			Values []logValue
		}
	}
	query.Set("query", logql)
	query.Set("limit", strconv.Itoa(limit))
	query.Set("direction", "forward")
	l.get(tb, "/loki/api/v1/query_range", query, &data)
	var lines []LogLine
	for _, stream := range data.Result {
		for _, v := range stream.Values {
			lines = append(lines, LogLine{Labels: stream.Stream, Metadata: v.metadata, Parsed: v.parsed, Line: v.line, Time: v.time})
		}
	}
	slices.SortStableFunc(lines, func(a, b LogLine) int { return a.Time.Compare(b.Time) })
	return lines
}

// Query runs an instant query for numbers, such as sum(count_over_time(...)), at the server's present time.
func (l *Loki) Query(tb testing.TB, logql string) []Sample {
	tb.Helper()
	samples, err := l.TryQuery(logql)
	must(tb, err)
	return samples
}

// TryQuery is Query for a query that may fail.
func (l *Loki) TryQuery(logql string) ([]Sample, error) {
	var data struct {
		Result []struct {
			Metric map[string]string
			Value  point
		}
	}
	if err := l.try("/loki/api/v1/query", url.Values{"query": {logql}}, &data); err != nil {
		return nil, err
	}
	samples := make([]Sample, len(data.Result))
	for i, s := range data.Result {
		samples[i] = Sample{Labels: s.Metric, Value: s.Value.value}
	}
	return samples, nil
}

// Series lists the label sets of the streams that a selector matches, of all streams when it is empty.
func (l *Loki) Series(tb testing.TB, selector string) []map[string]string {
	tb.Helper()
	var series []map[string]string
	query := span()
	if selector != "" {
		query.Set("match[]", selector)
	}
	l.get(tb, "/loki/api/v1/series", query, &series)
	return series
}

// Discarded is what the server has refused so far, or taken and thrown away: the number of lines by reason, of all tenants
// when no one's name is used.
func (l *Loki) Discarded(tb testing.TB) map[string]float64 {
	tb.Helper()
	req, err := http.NewRequest("GET", l.URL+"/metrics", nil)
	must(tb, err)
	page, err := send(&l.http, req)
	must(tb, err)
	discarded := map[string]float64{}
	for line := range bytes.Lines(page) {
		m := discardedLine.FindSubmatch(line)
		if m == nil {
			continue
		}
		reason, tenant := string(m[1]), string(m[2])
		n, err := strconv.ParseFloat(string(m[3]), 64)
		must(tb, err)
		if n > 0 && (l.tenant == "" || l.tenant == tenant) {
			discarded[reason] += n
		}
	}
	return discarded
}

var discardedLine = regexp.MustCompile(`^loki_discarded_samples_total\{.*reason="([^"]*)".*tenant="([^"]*)".*\} (\S+)\n$`)

// span is a week until now; a little ahead, for a sender whose clock is.
func span() url.Values {
	now := time.Now()
	return url.Values{
		"start": {strconv.FormatInt(now.Add(-7*24*time.Hour).UnixNano(), 10)},
		"end":   {strconv.FormatInt(now.Add(10*time.Minute).UnixNano(), 10)},
	}
}

func (l *Loki) get(tb testing.TB, path string, query url.Values, data any) {
	tb.Helper()
	must(tb, l.try(path, query, data))
}

func (l *Loki) try(path string, query url.Values, data any) error {
	req, err := http.NewRequest("GET", l.URL+path+"?"+query.Encode(), nil)
	if err != nil {
		return err
	}
	req.Header.Set("X-Loki-Response-Encoding-Flags", "categorize-labels")
	l.sign(req)
	body, err := send(&l.http, req)
	if err != nil {
		return err
	}
	answer := struct{ Data any }{data}
	return json.Unmarshal(body, &answer)
}

func (l *Loki) sign(req *http.Request) {
	if l.tenant != "" {
		req.Header.Set("X-Scope-OrgID", l.tenant)
	}
}

// logValue is a line as the HTTP API spells it: ["nanoseconds", "line", {"structuredMetadata": {}, "parsed": {}}].
type logValue struct {
	time             time.Time
	line             string
	metadata, parsed map[string]string
}

func (v *logValue) UnmarshalJSON(b []byte) error {
	var (
		nanos string
		attrs struct{ StructuredMetadata, Parsed map[string]string }
	)
	triple := []any{&nanos, &v.line, &attrs}
	if err := json.Unmarshal(b, &triple); err != nil {
		return err
	}
	n, err := strconv.ParseInt(nanos, 10, 64)
	v.time, v.metadata, v.parsed = time.Unix(0, n), attrs.StructuredMetadata, attrs.Parsed
	return err
}
