package remotewriteexporter

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/consumer/consumererror"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	"go.opentelemetry.io/otel/sdk/metric/metricdata/metricdatatest"

	"github.com/sluice-otel/sluice/components/remotewriteexporter/internal/metadatatest"
)

// counts reads a counter by the values of its attributes, without that of the exporter.
func (r *rig) counts(name string) map[string]int {
	r.Helper()
	m, err := r.read.GetMetric("otelcol_exporter_remote_write_" + name)
	if err != nil {
		return map[string]int{}
	}
	got := map[string]int{}
	for _, p := range m.Data.(metricdata.Sum[int64]).DataPoints {
		var values []string
		for _, kv := range p.Attributes.ToSlice() {
			if kv.Key != "exporter" {
				values = append(values, kv.Value.AsString())
			}
		}
		got[strings.Join(values, " ")] = int(p.Value)
	}
	return got
}

func TestWhatIsSent(t *testing.T) {
	b := newBackend(t, nil)
	r := newRig(t, b.URL+"/api/v1/write", "headers: {X-Scope-OrgID: shop}\nexternal_labels: {cluster.name: blue}")
	require.NoError(t, r.w.push(t.Context(), gauge(2)))
	assert.Equal(t, []string{"load{cluster_name=blue,i=0000} 0@1000\nload{cluster_name=blue,i=0001} 1@1000"}, b.sent())
	h := b.requests[0].header
	assert.Equal(t, "application/x-protobuf", h.Get("Content-Type"))
	assert.Equal(t, "snappy", h.Get("Content-Encoding"))
	assert.Equal(t, "0.1.0", h.Get("X-Prometheus-Remote-Write-Version"))
	assert.Equal(t, "shop", h.Get("X-Scope-OrgID"))
	assert.Regexp(t, `^[a-z]+/.+`, h.Get("User-Agent"))
	assert.Equal(t, map[string]int{"sample": 2}, r.counts("written_samples"))
	assert.Equal(t, map[string]int{"written": 1}, r.counts("requests"))
}

func TestWhatIsSentWithVersion2(t *testing.T) {
	b := newBackend(t, status(204, "", "X-Prometheus-Remote-Write-Samples-Written", "2"))
	r := newRig(t, b.URL, "protobuf_message: io.prometheus.write.v2.Request")
	require.NoError(t, r.w.push(t.Context(), gauge(2)))
	assert.Equal(t, []string{lines(0, 2)}, b.sent())
	assert.Equal(t, "application/x-protobuf;proto=io.prometheus.write.v2.Request", b.requests[0].header.Get("Content-Type"))
	assert.Equal(t, "2.0.0", b.requests[0].header.Get("X-Prometheus-Remote-Write-Version"))
	assert.Equal(t, map[string]int{"sample": 2}, r.counts("written_samples"))
}

// Every kind of failure that may pass keeps the whole batch, with the delay that was asked for.
func TestKept(t *testing.T) {
	for _, c := range []struct {
		code    int
		headers []string
		outcome string
		want    string
	}{
		{429, []string{"Retry-After", "7"}, "throttled", "Throttle (7s)"},
		{503, []string{"Retry-After", time.Now().Add(time.Hour).UTC().Format(http.TimeFormat)}, "unavailable", "Throttle (5m0s)"},
		{500, nil, "unavailable", "answered 500: because"},
		{401, nil, "refused", "answered 401: because"},
		{404, nil, "refused", "answered 404: because"},
	} {
		b := newBackend(t, status(c.code, "because", c.headers...))
		r := newRig(t, b.URL, "")
		err := r.w.push(t.Context(), gauge(2))
		require.ErrorContains(t, err, c.want)
		assert.False(t, consumererror.IsPermanent(err))
		assert.Equal(t, map[string]int{c.outcome: 1}, r.counts("requests"))
		assert.Empty(t, r.counts("rejected_samples"))
		assert.Empty(t, r.counts("written_samples"))
	}
	gone := httptest.NewServer(http.NotFoundHandler())
	gone.Close()
	r := newRig(t, gone.URL+"/?token=secret", "")
	err := r.w.push(t.Context(), gauge(2))
	require.ErrorContains(t, err, "connection refused")
	assert.NotContains(t, err.Error(), "secret")
	assert.False(t, consumererror.IsPermanent(err))
	assert.Equal(t, map[string]int{"unavailable": 1}, r.counts("requests"))
}

// A request that hangs ends with the timeout, and is kept.
func TestTimeout(t *testing.T) {
	release := make(chan struct{})
	b := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-release }))
	defer b.Close()
	defer close(release)
	r := newRig(t, b.URL, "timeout: 50ms")
	err := r.w.push(t.Context(), gauge(2))
	require.Error(t, err)
	assert.False(t, consumererror.IsPermanent(err))
}

// A redirect is not followed: its host would get the credentials.
func TestRedirect(t *testing.T) {
	other := newBackend(t, nil)
	b := newBackend(t, status(307, "", "Location", other.URL))
	r := newRig(t, b.URL, "headers: {Authorization: secret}")
	err := r.w.push(t.Context(), gauge(2))
	require.ErrorContains(t, err, "redirected to "+other.URL)
	assert.False(t, consumererror.IsPermanent(err))
	assert.Empty(t, other.sent())
}

// prometheus1 is how Prometheus answers 1.0: one sample that it does not like, and it stores none of the request.
func prometheus1(stored *[]string, bad func(sample string) bool) func(int, received, http.ResponseWriter) {
	return func(_ int, r received, w http.ResponseWriter) {
		if slices.ContainsFunc(r.samples, bad) {
			status(400, "out of order sample")(0, r, w)
			return
		}
		*stored = append(*stored, r.samples...)
		w.WriteHeader(http.StatusNoContent)
	}
}

// One bad sample costs itself, not its request, and what is stored is stored once and in order.
func TestOneBadSample(t *testing.T) {
	for _, at := range []int{0, 1, 499, 500, 999} {
		var stored []string
		b := newBackend(t, prometheus1(&stored, func(s string) bool { return strings.Contains(s, fmt.Sprintf("i=%04d}", at)) }))
		r := newRig(t, b.URL, "")
		require.NoError(t, r.w.push(t.Context(), gauge(1000)))
		want := strings.Split(lines(0, 1000), "\n")
		assert.Equal(t, slices.Delete(want, at, at+1), stored)
		assert.Equal(t, map[string]int{"out_of_order": 1}, r.counts("rejected_samples"))
		assert.Equal(t, map[string]int{"sample": 999}, r.counts("written_samples"))
		assert.LessOrEqual(t, len(b.sent()), 2*11)
	}
}

// Several bad ones, too; what all bad ones cost is bounded.
func TestManyBadSamples(t *testing.T) {
	var stored []string
	b := newBackend(t, prometheus1(&stored, func(s string) bool { return strings.Contains(s, "99}") || strings.Contains(s, "i=0000}") }))
	r := newRig(t, b.URL, "")
	require.NoError(t, r.w.push(t.Context(), gauge(512)))
	assert.Equal(t, 512-6, len(stored)) //nolint:testifylint // Len would print them all
	assert.Equal(t, map[string]int{"out_of_order": 6}, r.counts("rejected_samples"))

	b = newBackend(t, status(400, "too old sample"))
	r = newRig(t, b.URL, "")
	err := r.w.push(t.Context(), gauge(4000))
	require.ErrorContains(t, err, "too old sample")
	assert.True(t, consumererror.IsPermanent(err), "nothing of it was taken, the queue's own metrics should say so")
	assert.Equal(t, map[string]int{"too_old": 4000}, r.counts("rejected_samples"))
	assert.Less(t, len(b.sent()), maxSplits+2)
	assert.Greater(t, len(b.sent()), maxSplits/2)
}

// The half of a batch that is good arrives whatever the other half costs.
func TestGoodHalf(t *testing.T) {
	var stored []string
	b := newBackend(t, prometheus1(&stored, func(s string) bool { return s < "load{i=2000}" || strings.HasPrefix(s, "load{i=3333}") }))
	r := newRig(t, b.URL, "")
	require.NoError(t, r.w.push(t.Context(), gauge(4000)))
	assert.Equal(t, 1999, len(stored)) //nolint:testifylint // Len would print them all
}

// Requests are no larger than max_request_bytes, in order, and not converted twice once the exporter knows what a point costs.
func TestMaxRequestBytes(t *testing.T) {
	b := newBackend(t, nil)
	r := newRig(t, b.URL, "max_request_bytes: 4096")
	for range 2 {
		b.requests = nil
		require.NoError(t, r.w.push(t.Context(), gauge(1000)))
		assert.Equal(t, lines(0, 1000), strings.Join(b.sent(), "\n"))
		for _, req := range b.requests {
			assert.LessOrEqual(t, req.bytes, 4096)
		}
	}
	assert.Less(t, len(b.requests), 14, "43 bytes a point, 4096 a request")
}

// What is too large for the backend is halved until it fits, and smaller from then on.
func TestTooLarge(t *testing.T) {
	for _, refuse := range []func(int, received, http.ResponseWriter){
		status(413, "nginx"), status(400, "too big unpacked request; mustn't exceed `-maxInsertRequestSize=2000` bytes"),
	} {
		b := newBackend(t, func(i int, r received, w http.ResponseWriter) {
			if r.bytes > 2000 {
				refuse(i, r, w)
				return
			}
			w.WriteHeader(204)
		})
		r := newRig(t, b.URL, "")
		require.NoError(t, r.w.push(t.Context(), gauge(1000)))
		written := r.counts("written_samples")["sample"]
		assert.Equal(t, 1000, written)
		assert.Empty(t, r.counts("rejected_samples"))
		splits := r.counts("requests")["split"]
		assert.Less(t, splits, 10)
		require.NoError(t, r.w.push(t.Context(), gauge(1000)))
		assert.Equal(t, splits, r.counts("requests")["split"])
	}
	b := newBackend(t, status(413, ""))
	r := newRig(t, b.URL, "")
	require.Error(t, r.w.push(t.Context(), gauge(3)))
	assert.Equal(t, map[string]int{"too_large": 3}, r.counts("rejected_samples"))
}

// After a failure in the middle only the rest is sent again.
func TestResume(t *testing.T) {
	down := true
	b := newBackend(t, func(i int, _ received, w http.ResponseWriter) {
		if i >= 3 && down {
			w.WriteHeader(503)
			return
		}
		w.WriteHeader(204)
	})
	r := newRig(t, b.URL, "max_request_bytes: 4096")
	require.NoError(t, r.w.push(t.Context(), gauge(10))) // learn what a point is
	err := r.w.push(t.Context(), gauge(1000))
	var left consumererror.Metrics
	require.ErrorAs(t, err, &left)
	require.ErrorContains(t, err, "answered 503")
	sent := b.sent()
	require.Len(t, sent, 3)
	first := strings.Count(sent[1], "\n") + 1
	assert.Equal(t, 1000-first, left.Data().DataPointCount())
	down = false
	require.NoError(t, r.w.push(t.Context(), left.Data()))
	assert.Equal(t, lines(first, 1000), strings.Join(b.sent()[3:], "\n"))
	assert.Equal(t, map[string]int{"sample": 1010}, r.counts("written_samples"))
}

// What cannot be sent is counted once, however often the others are tried.
func TestUnsentIsCountedOnce(t *testing.T) {
	b := newBackend(t, status(503, ""))
	r := newRig(t, b.URL, "")
	md := gauge(3)
	md.ResourceMetrics().At(0).ScopeMetrics().At(0).Metrics().At(0).Gauge().DataPoints().AppendEmpty()
	for range 3 {
		err := r.w.push(t.Context(), md)
		var left consumererror.Metrics
		if errors.As(err, &left) {
			md = left.Data()
		}
	}
	assert.Equal(t, 3, md.DataPointCount())
	assert.Equal(t, map[string]int{"no_value": 1}, r.counts("unsent_points"))
	assert.Equal(t, []string{lines(0, 3), lines(0, 3), lines(0, 3)}, b.sent())
}

// 2.0 backends say what they have written, and the rest is given up; those that do not say have written nothing.
func TestWrittenHeaders(t *testing.T) {
	const v2 = "protobuf_message: io.prometheus.write.v2.Request"
	b := newBackend(t, status(400, "out of order sample for series x", "X-Prometheus-Remote-Write-Samples-Written", "7"))
	r := newRig(t, b.URL, v2)
	require.NoError(t, r.w.push(t.Context(), gauge(10)))
	assert.Equal(t, map[string]int{"sample": 7}, r.counts("written_samples"))
	assert.Equal(t, map[string]int{"out_of_order": 3}, r.counts("rejected_samples"))
	assert.Equal(t, map[string]int{"partial": 1}, r.counts("requests"))

	b = newBackend(t, status(204, "", "X-Prometheus-Remote-Write-Samples-Written", "9"))
	r = newRig(t, b.URL, v2)
	require.NoError(t, r.w.push(t.Context(), gauge(10)))
	assert.Equal(t, map[string]int{"not_written": 1}, r.counts("rejected_samples"))

	b = newBackend(t, nil)
	r = newRig(t, b.URL, v2)
	err := r.w.push(t.Context(), gauge(10))
	require.ErrorContains(t, err, "does not speak remote write 2.0")
	assert.False(t, consumererror.IsPermanent(err))
	assert.Equal(t, map[string]int{"unconfirmed": 1}, r.counts("requests"))
	assert.Empty(t, r.counts("written_samples"))
}

// Batches without points need no request.
func TestEmpty(t *testing.T) {
	b := newBackend(t, nil)
	r := newRig(t, b.URL, "")
	require.NoError(t, r.w.push(t.Context(), gauge(0)))
	assert.Empty(t, b.sent())
}

func TestMetricsHaveTheExporter(t *testing.T) {
	b := newBackend(t, nil)
	r := newRig(t, b.URL, "")
	require.NoError(t, r.w.push(context.Background(), gauge(5)))
	id := attribute.String("exporter", r.w.tel.id)
	metadatatest.AssertEqualExporterRemoteWriteWrittenSamples(t, r.read, []metricdata.DataPoint[int64]{
		{Value: 5, Attributes: attribute.NewSet(id, attribute.String("kind", "sample"))},
	}, metricdatatest.IgnoreTimestamp())
}
