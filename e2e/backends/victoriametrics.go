package backends

import (
	"bytes"
	"encoding/json"
	"net/http"
	"net/url"
	"os/exec"
	"path/filepath"
	"regexp"
	"testing"
	"time"

	"github.com/sluice-otel/sluice/e2e/proc"
)

// VictoriaMetrics is Debian's server, which takes remote write at URL/api/v1/write. It is the one server that is not built here:
// its module pins dependencies that no longer resolve beside ours, and 1.79 is what people run who install the package.
type VictoriaMetrics struct {
	URL     string        // http://127.0.0.1:…
	Process *proc.Process // the newest one after Restart

	cmd  proc.Cmd
	http http.Client
}

// StoredSeries is a series with every sample that is stored, duplicates too, in the order of time. What is no number is left out: it is
// what a scraper writes when a target is gone.
type StoredSeries struct {
	Metric     map[string]string
	Values     []float64
	Timestamps []int64 // ms
}

// StartVictoriaMetrics starts the server on an empty store and returns when it is ready; flags come after our own.
func StartVictoriaMetrics(tb testing.TB, flags ...string) *VictoriaMetrics {
	tb.Helper()
	path, err := exec.LookPath("victoria-metrics")
	if err != nil {
		tb.Fatal("no VictoriaMetrics: apt-get install --no-install-recommends victoria-metrics")
	}
	dir := tb.TempDir()
	addr := proc.FreeAddress(tb)
	v := &VictoriaMetrics{URL: "http://" + addr, http: http.Client{Timeout: 30 * time.Second}}
	v.cmd = proc.Cmd{Name: "victoria-metrics", Path: path, Dir: dir, Args: append([]string{
		"-storageDataPath=" + filepath.Join(dir, "data"), "-httpListenAddr=" + addr, "-retentionPeriod=100y", "-memory.allowedBytes=64MB",
		"-search.latencyOffset=0s", "-loggerLevel=WARN",
	}, flags...)}
	v.start(tb)
	return v
}

func (v *VictoriaMetrics) start(tb testing.TB) {
	tb.Helper()
	v.Process = proc.Start(tb, v.cmd)
	waitReady(tb, v.URL+"/health", v.Process)
}

// Stop stops the server, which writes what it has taken; killed, it would forget the last seconds of what it has acknowledged.
func (v *VictoriaMetrics) Stop(tb testing.TB) {
	tb.Helper()
	must(tb, v.Process.Stop())
}

// Restart starts a stopped server again, on the same address and with what it had stored.
func (v *VictoriaMetrics) Restart(tb testing.TB) {
	tb.Helper()
	v.start(tb)
}

// Export lists the series that a selector matches, with all their samples as they are stored.
func (v *VictoriaMetrics) Export(tb testing.TB, selector string) []StoredSeries {
	tb.Helper()
	for _, path := range []string{"/internal/force_flush", "/api/v1/export?" + url.Values{"match[]": {selector}}.Encode()} {
		req, err := http.NewRequest("GET", v.URL+path, nil)
		must(tb, err)
		body, err := send(&v.http, req)
		must(tb, err)
		if path[1] == 'i' {
			continue // what has just come in is found only after a flush
		}
		var all []StoredSeries
		for line := range bytes.Lines(body) {
			s, err := parseExport(line)
			if err != nil {
				tb.Fatalf("VictoriaMetrics exports %q: %v", line, err)
			}
			all = append(all, s)
		}
		return all
	}
	return nil
}

// values finds the samples of an exported line. It is not in a label: quotes are escaped there. NaN among them is no JSON.
var values = regexp.MustCompile(`"values":\[[^\]]*\]`)

func parseExport(line []byte) (StoredSeries, error) {
	line = values.ReplaceAllFunc(line, func(v []byte) []byte { return bytes.ReplaceAll(v, []byte("NaN"), []byte("null")) })
	var raw struct {
		Metric     map[string]string
		Values     []*float64
		Timestamps []int64
	}
	if err := json.Unmarshal(line, &raw); err != nil {
		return StoredSeries{}, err
	}
	s := StoredSeries{Metric: raw.Metric}
	for i, v := range raw.Values {
		if v != nil {
			s.Values, s.Timestamps = append(s.Values, *v), append(s.Timestamps, raw.Timestamps[i])
		}
	}
	return s, nil
}
