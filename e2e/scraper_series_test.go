//go:build e2e

package e2e

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sluice-otel/sluice/e2e/backends"
	"github.com/sluice-otel/sluice/e2e/harness"
	"github.com/sluice-otel/sluice/e2e/keptseries"
	"github.com/sluice-otel/sluice/e2e/netns"
	"github.com/sluice-otel/sluice/e2e/proc"
	"github.com/sluice-otel/sluice/e2e/tiers"
)

// Of what API server, kubelet and cAdvisor serve, nine series in ten and more do not reach Prometheus, and every one of the
// list of kept series does, with its labels and as a series of its own.
func TestScraperSeries(t *testing.T) {
	k := tiers.StartKubernetesOn(t, netns.Addr(t, 1))
	for _, resources := range []string{"pods,services,secrets,configmaps", "deployments,jobs,ingresses", "nodes,clusterroles"} {
		k.Kubectl(t, "", "get", "-A", resources)
	}
	pages := map[string]string{"/metrics": recorded(t, "kubelet.txt"), "/metrics/cadvisor": manyPods(recorded(t, "cadvisor.txt"), 10)}
	cert := k.Certificate(t, "node-1", netns.Addr(t, 2))
	kubelet := serve(t, netns.Addr(t, 2)+":0", &cert, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		// cAdvisor says when it measured.
		_, _ = io.WriteString(w, strings.ReplaceAll(pages[r.URL.Path], " @\n", fmt.Sprintf(" %d\n", time.Now().UnixMilli())))
	}))
	_, port, _ := strings.Cut(kubelet, ":")
	makeNode(t, k, "node-1", netns.Addr(t, 2), port)

	p := backends.StartPrometheus(t, recommended(t))
	s := tiers.Start(t, k, tiers.Tier{
		Profile: "scraper", Backends: []string{"backends/lgtm"},
		Env: map[string]string{"PROMETHEUS_URL": p.URL, "SCRAPE_RECEIVERS": "[prometheus, otlp]", "SCRAPE_INTERVAL": "5s"},
	})
	apiserver := get(t, k, k.URL+"/metrics")
	jobs := keptseries.Load(t)
	var before, after int
	var table strings.Builder
	row := func(name string, before, after int) float64 {
		fewer := 100 - 100*float64(after)/float64(before)
		fmt.Fprintf(&table, "\n%-26s %6d %6d  %4.1f %% fewer", name, before, after, fewer)
		return fewer
	}
	for _, c := range []struct {
		job, page string
		grows     bool // it counts requests of more kinds as time goes by
	}{
		{"kubernetes-apiservers", apiserver, true},
		{"kubernetes-nodes", pages["/metrics"], false},
		{"kubernetes-nodes-cadvisor", pages["/metrics/cadvisor"], false},
	} {
		page, err := harness.ParseMetrics(strings.ReplaceAll(c.page, " @\n", "\n"))
		require.NoError(t, err)
		stored := arrive(t, jobs[c.job], c.job, page, c.grows, p, s)
		before, after = before+len(page), after+stored
		row(c.job, len(page), stored)
	}
	fewer := row("all", before, after)
	t.Logf("series before and after:%s", &table)
	assert.Greater(t, fewer, 90.0)
	assert.Empty(t, k.AuditLog.Forbidden(t), "calls that the shipped role does not allow")
}

// arrive waits until Prometheus has all that is kept of a page, and says how many series it has of the job.
func arrive(t *testing.T, j keptseries.Job, job string, page harness.Page, grows bool, p *backends.Prometheus, s *harness.Collector) int {
	t.Helper()
	want := j.Of(t, page)
	var all []backends.Sample
	var got map[string]harness.Series
	proc.Eventually(t, 30*time.Second, func() error {
		all = p.Query(t, `{job="`+job+`"}`)
		got = j.Of(t, j.FromBackend(all))
		for key := range want {
			if _, ok := got[key]; !ok {
				return fmt.Errorf("%s: %d series, of the page %d, %s is missing", job, len(got), len(want), key)
			}
		}
		return nil
	}, s.Proc, p.Process)
	for _, series := range j.FromBackend(all) {
		if !j.Has(series) {
			assert.Fail(t, "not in the list", "%s: %s %v", job, series.Name, series.Labels)
		}
	}
	if !grows {
		assert.Len(t, got, len(want), job)
		for key, series := range want {
			assert.InDelta(t, series.Value, got[key].Value, 0, "%s: %s", job, key)
		}
	}
	j.CheckLabels(t, job, got)
	return len(all)
}

// get reads a page as the scraper would.
func get(t *testing.T, k *backends.Kubernetes, url string) string {
	t.Helper()
	ca, err := os.ReadFile(k.CAFile)
	require.NoError(t, err)
	roots := x509.NewCertPool()
	require.True(t, roots.AppendCertsFromPEM(ca))
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}}
	defer transport.CloseIdleConnections()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	require.NoError(t, err)
	req.Header.Set("Authorization", "Bearer "+k.ServiceAccount(t, "sluice", "sluice-scraper").Token)
	resp, err := (&http.Client{Transport: transport}).Do(req)
	require.NoError(t, err)
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	require.Equal(t, http.StatusOK, resp.StatusCode, string(body))
	return string(body)
}

// recorded is a page that a real kubelet served, with @ for the time of a sample that says its own.
func recorded(t *testing.T, file string) string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("testdata", "scraper", file))
	require.NoError(t, err)
	return regexp.MustCompile(`(?m) \d{13}$`).ReplaceAllString(string(b), " @")
}

var (
	podOfSeries = regexp.MustCompile(`\bpod="([^"]+)"`)
	kubeID      = regexp.MustCompile(`[0-9a-f]{8}[0-9a-f-]{28,56}`)
	startTime   = regexp.MustCompile(`(?m)^container_start_time_seconds(\{container="[^"]+",)(.*)\} .*$`)
)

// manyPods is a fake: cAdvisor's page for a node with so many of each recorded pod, with names and ids of their own. It also
// has the disk operations of each container that the recorded kernel did not count.
func manyPods(page string, n int) string {
	page = startTime.ReplaceAllStringFunc(page, func(line string) string {
		m := startTime.FindStringSubmatch(line)
		lines := []string{line}
		for _, name := range []string{"container_fs_reads_total", "container_fs_reads_bytes_total", "container_fs_writes_total", "container_fs_writes_bytes_total"} {
			lines = append(lines, name+m[1]+`device="/dev/vda",`+m[2]+"} 1 @")
		}
		for _, operation := range []string{"Read", "Write"} {
			lines = append(lines, "container_blkio_device_usage_total"+m[1]+`device="/dev/vda",`+m[2]+`,major="254",minor="0",operation="`+operation+`"} 1 @`)
		}
		return strings.Join(lines, "\n")
	})
	var b strings.Builder
	for line := range strings.Lines(page) {
		m := podOfSeries.FindStringSubmatch(line)
		if m == nil {
			b.WriteString(line)
			continue
		}
		for i := range n {
			line := strings.Replace(line, m[0], fmt.Sprintf(`pod="%s%d"`, m[1], i), 1)
			b.WriteString(kubeID.ReplaceAllStringFunc(line, func(id string) string { return fmt.Sprintf("%02x", i) + id[2:] }))
		}
	}
	return b.String()
}
