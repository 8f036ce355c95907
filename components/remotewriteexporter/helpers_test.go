package remotewriteexporter

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"sort"
	"strings"
	"sync"
	"testing"

	"github.com/golang/snappy"
	"github.com/prometheus/prometheus/prompb"
	writev2 "github.com/prometheus/prometheus/prompb/io/prometheus/write/v2"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/confmap"
	"go.opentelemetry.io/collector/pdata/pmetric"

	"github.com/sluice-otel/sluice/components/remotewriteexporter/internal/metadatatest"
)

// received is a request as the backend saw it: one line for each sample, `name{labels} value@ms`, in the order of its series' names.
type received struct {
	header  http.Header
	samples []string
	bytes   int
}

// backend is a fake, because no real server answers a chosen status at a chosen request; what real ones do is in e2e/.
type backend struct {
	*httptest.Server
	mu       sync.Mutex
	requests []received
	// answer decides; nil is 204 for all.
	answer func(i int, r received, w http.ResponseWriter)
}

func newBackend(t *testing.T, answer func(i int, r received, w http.ResponseWriter)) *backend {
	b := &backend{answer: answer}
	b.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		r, err := decode(req)
		if err != nil {
			t.Error(err)
		}
		b.mu.Lock()
		defer b.mu.Unlock()
		b.requests = append(b.requests, r)
		if b.answer == nil {
			w.WriteHeader(http.StatusNoContent)
			return
		}
		b.answer(len(b.requests), r, w)
	}))
	t.Cleanup(b.Close)
	return b
}

// status answers one status to everything.
func status(code int, body string, headers ...string) func(int, received, http.ResponseWriter) {
	return func(_ int, _ received, w http.ResponseWriter) {
		for i := 0; i < len(headers); i += 2 {
			w.Header().Set(headers[i], headers[i+1])
		}
		w.WriteHeader(code)
		_, _ = io.WriteString(w, body)
	}
}

// sent is what all requests had, request by request.
func (b *backend) sent() (lines []string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, r := range b.requests {
		lines = append(lines, strings.Join(r.samples, "\n"))
	}
	return lines
}

func decode(req *http.Request) (received, error) {
	body, err := io.ReadAll(req.Body)
	if err != nil {
		return received{}, err
	}
	raw, err := snappy.Decode(nil, body)
	if err != nil {
		return received{}, err
	}
	r := received{header: req.Header, bytes: len(raw)}
	if strings.Contains(req.Header.Get("Content-Type"), messageV2) {
		err = r.v2(raw)
	} else {
		err = r.v1(raw)
	}
	sort.Strings(r.samples)
	return r, err
}

func (r *received) v1(raw []byte) error {
	var w prompb.WriteRequest
	if err := w.Unmarshal(raw); err != nil {
		return err
	}
	for _, s := range w.Timeseries {
		pairs := make([]string, 0, 2*len(s.Labels))
		for _, l := range s.Labels {
			pairs = append(pairs, l.Name, l.Value)
		}
		name := spell(pairs)
		for _, x := range s.Samples {
			r.samples = append(r.samples, fmt.Sprintf("%s %v@%d", name, x.Value, x.Timestamp))
		}
		for i := range s.Histograms {
			r.samples = append(r.samples, fmt.Sprintf("%s native %d@%d", name, s.Histograms[i].GetCountInt(), s.Histograms[i].Timestamp))
		}
	}
	return nil
}

func (r *received) v2(raw []byte) error {
	var w writev2.Request
	if err := w.Unmarshal(raw); err != nil {
		return err
	}
	for _, s := range w.Timeseries {
		pairs := make([]string, 0, len(s.LabelsRefs))
		for _, ref := range s.LabelsRefs {
			pairs = append(pairs, w.Symbols[ref])
		}
		name := spell(pairs)
		for _, x := range s.Samples {
			r.samples = append(r.samples, fmt.Sprintf("%s %v@%d", name, x.Value, x.Timestamp))
		}
		for i := range s.Histograms {
			r.samples = append(r.samples, fmt.Sprintf("%s native %d@%d", name, s.Histograms[i].GetCountInt(), s.Histograms[i].Timestamp))
		}
	}
	return nil
}

func spell(pairs []string) string {
	var name string
	var labels []string
	for i := 0; i < len(pairs); i += 2 {
		if pairs[i] == "__name__" {
			name = pairs[i+1]
			continue
		}
		labels = append(labels, pairs[i]+"="+pairs[i+1])
	}
	return name + "{" + strings.Join(labels, ",") + "}"
}

// rig is an exporter without its queue, and what it counts.
type rig struct {
	*testing.T
	w    *writer
	read *componenttest.Telemetry
}

func newRig(t *testing.T, endpoint, config string) *rig {
	t.Helper()
	return newRigOf(t, parse(t, "endpoint: "+endpoint+"\ntarget_info: {enabled: false}\n"+config))
}

func newRigOf(t *testing.T, cfg *Config) *rig {
	t.Helper()
	read := componenttest.NewTelemetry()
	t.Cleanup(func() { require.NoError(t, read.Shutdown(context.Background())) })
	w, err := newWriter(metadatatest.NewSettings(read), cfg)
	require.NoError(t, err)
	require.NoError(t, w.start(t.Context(), componenttest.NewNopHost()))
	t.Cleanup(func() { require.NoError(t, w.shutdown(context.Background())) })
	return &rig{T: t, w: w, read: read}
}

func parse(t testing.TB, text string) *Config {
	t.Helper()
	retrieved, err := confmap.NewRetrievedFromYAML([]byte(text))
	require.NoError(t, err)
	conf, err := retrieved.AsConf()
	require.NoError(t, err)
	cfg := createDefaultConfig().(*Config)
	require.NoError(t, conf.Unmarshal(cfg))
	require.NoError(t, cfg.Validate())
	return cfg
}

// gauge makes a batch of one metric with the points 0…n-1, each a series of its own.
func gauge(n int) pmetric.Metrics {
	md := pmetric.NewMetrics()
	m := md.ResourceMetrics().AppendEmpty().ScopeMetrics().AppendEmpty().Metrics().AppendEmpty()
	m.SetName("load")
	points := m.SetEmptyGauge().DataPoints()
	for i := range n {
		p := points.AppendEmpty()
		p.SetTimestamp(1e9)
		p.SetIntValue(int64(i))
		p.Attributes().PutStr("i", fmt.Sprintf("%04d", i))
	}
	return md
}

// lines is what gauge becomes, from one point to another.
func lines(from, to int) string {
	var all []string
	for i := from; i < to; i++ {
		all = append(all, fmt.Sprintf("load{i=%04d} %d@1000", i, i))
	}
	return strings.Join(all, "\n")
}
