//go:build e2e

package e2e

import (
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sluice-otel/sluice/e2e/backends"
	"github.com/sluice-otel/sluice/e2e/harness"
	"github.com/sluice-otel/sluice/e2e/netns"
	"github.com/sluice-otel/sluice/e2e/proc"
	"github.com/sluice-otel/sluice/e2e/tiers"
)

// The job for the API server finds it through the EndpointSlice that it keeps of itself, trusts it by the mounted CA under
// its name in the cluster, and may read its metrics with no more than the shipped role.
func TestScraperAPIServer(t *testing.T) {
	k := tiers.StartKubernetesOn(t, netns.Addr(t, 1))
	s := startScraper(t, k, map[string]string{"SCRAPE_INTERVAL": "2s", "K8S_CLUSTER_NAME": "blue"})
	const job = "kubernetes-apiservers"
	apiserver, err := url.Parse(k.URL)
	require.NoError(t, err)
	want := map[string]string{
		"apiserver_request_total":                "Sum",
		"apiserver_storage_objects":              "Gauge",
		"apiserver_request_sli_duration_seconds": "Histogram",
	}
	points := s.sink.WaitPoints(t, 30*time.Second, func(points []harness.Point) error {
		if up := ups(points, job); up[apiserver.Host] != 1 {
			return fmt.Errorf("up: %v", up)
		}
		missing := maps.Clone(want)
		for _, p := range points {
			if p.Resource["service.name"] == job && missing[p.Name] == p.Type {
				delete(missing, p.Name)
			}
		}
		if len(missing) > 0 {
			return fmt.Errorf("no %v", missing)
		}
		return nil
	}, s.Proc)
	for _, p := range points {
		require.Equal(t, "blue", p.Resource["k8s.cluster.name"], p.Name)
		require.Equal(t, job, p.Resource["service.name"], "nothing else is here to scrape: %s", p.Name)
		require.Equal(t, apiserver.Host, p.Resource["service.instance.id"])
	}
	assert.Empty(t, k.AuditLog.Forbidden(t), "calls that the shipped role does not allow")
}

// scraper is the scraper tier, with a sink of its own and the Prometheus API of its receiver switched on, where it says
// what it would scrape.
type scraper struct {
	*harness.Collector
	sink *harness.Sink
	api  string
}

func startScraper(t *testing.T, k *backends.Kubernetes, env map[string]string) *scraper {
	t.Helper()
	s := &scraper{sink: harness.StartSink(t, harness.SinkOptions{}), api: proc.FreeAddress(t)}
	s.Collector = tiers.Start(t, k, tiers.Tier{
		Profile: "scraper", Backends: []string{"backends/lgtm"},
		Env: tiers.With(tiers.With(tiers.ToSink(t, s.sink), map[string]string{
			"SCRAPE_RECEIVERS": "[prometheus, otlp]", // no Target Allocator here
			"SCRAPE_INTERVAL":  "1s",
		}), env),
		Override: "receivers: {prometheus: {api_server: {enabled: true, server_config: {endpoint: '" + s.api + "'}}}}",
	})
	return s
}

// scrapeTargets is the answer of /api/v1/targets.
type scrapeTargets struct {
	Active  []scrapeTarget `json:"activeTargets"`
	Dropped []scrapeTarget `json:"droppedTargets"`
}

type scrapeTarget struct {
	Job       string `json:"scrapePool"`
	URL       string `json:"scrapeUrl"`
	Interval  string `json:"scrapeInterval"`
	LastError string
	Labels    map[string]string
	Found     map[string]string `json:"discoveredLabels"`
}

func (s *scraper) targets(t *testing.T) scrapeTargets {
	t.Helper()
	resp, err := http.Get("http://" + s.api + "/api/v1/targets")
	require.NoError(t, err)
	defer resp.Body.Close()
	var answer struct{ Data scrapeTargets }
	require.NoError(t, json.NewDecoder(resp.Body).Decode(&answer))
	return answer.Data
}

// by lists a job's targets by one of their labels, as "URL every interval".
func (s scrapeTargets) by(job, label string) map[string]string {
	m := map[string]string{}
	for _, target := range s.Active {
		if target.Job == job {
			key := target.Labels[label]
			if m[key] != "" {
				m[key] += " and "
			}
			m[key] += target.URL + " every " + target.Interval
		}
	}
	return m
}

// same is an error that says what is missing and what is too much.
func same(got, want map[string]string) error {
	var problems []string
	for key, value := range want {
		if got[key] != value {
			problems = append(problems, fmt.Sprintf("%s: %q, want %q", key, got[key], value))
		}
	}
	for key, value := range got {
		if _, ok := want[key]; !ok {
			problems = append(problems, fmt.Sprintf("%s: %q, want none", key, value))
		}
	}
	if len(problems) == 0 {
		return nil
	}
	slices.Sort(problems)
	return errors.New(strings.Join(problems, "; "))
}

// ups is the newest value of up for each instance of a job.
func ups(points []harness.Point, job string) map[string]float64 {
	up := map[string]float64{}
	for _, p := range points {
		if p.Name == "up" && p.Resource["service.name"] == job {
			up[p.Resource["service.instance.id"].(string)] = p.Value
		}
	}
	return up
}

// metricsPage is a target that counts how often each path was asked for.
type metricsPage struct {
	addr string // host:port

	mu   sync.Mutex
	hits map[string]int
}

// servePage serves a page of metrics under every path, on a free port; with a certificate over TLS.
func servePage(t *testing.T, ip string, cert *tls.Certificate) *metricsPage {
	t.Helper()
	p := &metricsPage{hits: map[string]int{}}
	p.addr = serve(t, ip+":0", cert, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		p.mu.Lock()
		p.hits[r.URL.Path]++
		p.mu.Unlock()
		_, _ = fmt.Fprintf(w, "# TYPE page_size gauge\npage_size{path=%q} 1\n", r.URL.Path)
	}))
	return p
}

// count is how often a path was asked for.
func (p *metricsPage) count(path string) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.hits[path]
}

// total is how often any path was.
func (p *metricsPage) total() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	n := 0
	for _, hits := range p.hits {
		n += hits
	}
	return n
}

// mostScrapes is how often a target of an interval can have been scraped since a start: the first time is somewhere in its
// first interval.
func mostScrapes(start time.Time, interval time.Duration) int {
	return int(time.Since(start)/interval) + 1
}

func (p *metricsPage) ip() string   { return p.addr[:strings.IndexByte(p.addr, ':')] }
func (p *metricsPage) port() string { return p.addr[strings.IndexByte(p.addr, ':')+1:] }

func (p *metricsPage) portNumber(t *testing.T) int {
	t.Helper()
	n, err := strconv.Atoi(p.port())
	require.NoError(t, err)
	return n
}

// withPort puts a page's port where annotations say %port.
func withPort(annotations map[string]string, p *metricsPage) map[string]string {
	m := maps.Clone(annotations)
	for key, value := range m {
		m[key] = strings.ReplaceAll(value, "%port", p.port())
	}
	return m
}

// serve serves on addr, with a certificate over TLS, and returns host:port.
func serve(t *testing.T, addr string, cert *tls.Certificate, handler http.Handler) string {
	t.Helper()
	l, err := net.Listen("tcp", addr)
	require.NoError(t, err)
	server := httptest.NewUnstartedServer(handler)
	_ = server.Listener.Close()
	server.Listener = l
	server.Config.ErrorLog = log.New(io.Discard, "", 0) // who refuses a certificate says so itself
	if cert == nil {
		server.Start()
	} else {
		server.TLS = &tls.Config{Certificates: []tls.Certificate{*cert}}
		server.StartTLS()
	}
	t.Cleanup(server.Close)
	return l.Addr().String()
}

// annotations are prometheus.io/scrape: "true" and the pairs.
func annotations(pairs ...string) map[string]string {
	m := map[string]string{"prometheus.io/scrape": "true"}
	for pair := range slices.Chunk(pairs, 2) {
		m["prometheus.io/"+pair[0]] = pair[1]
	}
	return m
}
