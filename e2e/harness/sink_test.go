package harness

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/pmetric"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// eachClient runs a test with a sink and a client of it for every protocol, with and without compression.
func eachClient(t *testing.T, test func(t *testing.T, sink *Sink, client *Client)) {
	t.Helper()
	for _, protocol := range []Protocol{GRPC, HTTPProtobuf, HTTPJSON} {
		for _, gz := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s gzip=%t", protocol, gz), func(t *testing.T) {
				sink := StartSink(t, SinkOptions{})
				endpoint := sink.HTTP
				if protocol == GRPC {
					endpoint = sink.GRPC
				}
				test(t, sink, NewClient(t, endpoint, ClientOptions{
					Protocol: protocol, Gzip: gz, Headers: map[string]string{"X-Scope-Orgid": "tenant"},
				}))
			})
		}
	}
}

func TestSinkKeepsLogs(t *testing.T) {
	at := time.Date(2026, 11, 21, 10, 0, 0, 5, time.UTC)
	sent := Logs(
		Log{
			Service: "shop", Body: "hello", Severity: plog.SeverityNumberWarn, SeverityText: "WARN", Time: at,
			TraceID: TraceID(1), SpanID: SpanID(2), Attrs: map[string]any{"n": 1}, ResourceAttrs: map[string]any{"a": "b"},
		},
		Log{Service: "cart", Body: map[string]any{"k": []any{"v", 2.5}}, Time: at},
	)
	eachClient(t, func(t *testing.T, sink *Sink, client *Client) {
		require.NoError(t, client.SendLogs(sent))
		assert.Equal(t, []plog.Logs{sent}, sink.Logs())

		got := sink.WaitLogs(t, 5*time.Second, AtLeast[LogRecord](2))
		require.Len(t, got, 2)
		assert.Equal(t, LogRecord{
			Origin: Origin{
				Resource: map[string]any{"a": "b", "service.name": "shop"}, Scope: scopeName, ScopeAttrs: map[string]any{},
			},
			Attrs: map[string]any{"n": int64(1)}, Body: "hello", BodyValue: "hello", SeverityText: "WARN", SeverityNumber: 13,
			Time: at, Observed: at, TraceID: TraceID(1).String(), SpanID: SpanID(2).String(),
		}, got[0])
		assert.JSONEq(t, `{"k":["v",2.5]}`, got[1].Body)
		assert.Equal(t, map[string]any{"k": []any{"v", 2.5}}, got[1].BodyValue)
		assert.Empty(t, got[1].TraceID)

		requests := sink.Requests()
		require.Len(t, requests, 1)
		assert.Equal(t, "logs", requests[0].Signal)
		assert.Equal(t, 2, requests[0].Items)
		assert.Positive(t, requests[0].Bytes)
		assert.True(t, requests[0].Accepted)
		assert.True(t, strings.HasPrefix(requests[0].Client, "127.0.0.1:"), requests[0].Client)
		assert.Equal(t, "tenant", sink.Headers()[0].Get("X-Scope-OrgID"))
		assert.Contains(t, []string{"/v1/logs", "/opentelemetry.proto.collector.logs.v1.LogsService/Export"}, sink.Paths()[0])
		assert.Equal(t, Counts{Requests: 1, Accepted: 1}, sink.Counts())

		sink.Reset()
		assert.Empty(t, sink.LogRecords())
		assert.Equal(t, Counts{}, sink.Counts())
		require.NoError(t, client.SendLogs(Logs(Log{Body: "again"})))
		assert.Equal(t, "again", sink.LogRecords()[0].Body)
	})
}

func TestSinkKeepsTraces(t *testing.T) {
	start := time.Date(2026, 11, 21, 10, 0, 0, 0, time.UTC)
	root := Span{
		TraceID: TraceID(1), SpanID: SpanID(1), Service: "shop", Name: "GET /", Kind: ptrace.SpanKindServer,
		Start: start, Duration: time.Second, Error: true, TraceState: "ot=th:8", Attrs: map[string]any{"ok": false},
	}
	sent := Traces(root, Span{TraceID: TraceID(1), Parent: SpanID(1), Service: "shop", Name: "inner"}, Span{
		TraceID: TraceID(2), Service: "cart", Name: "other",
	})
	eachClient(t, func(t *testing.T, sink *Sink, client *Client) {
		require.NoError(t, client.SendTraces(sent))
		assert.Equal(t, []ptrace.Traces{sent}, sink.Traces())
		got := sink.WaitSpans(t, 5*time.Second, AtLeast[SpanRecord](3))
		assert.Equal(t, SpanRecord{
			Origin: Origin{Resource: map[string]any{"service.name": "shop"}, Scope: scopeName, ScopeAttrs: map[string]any{}},
			Attrs:  map[string]any{"ok": false}, Name: "GET /", Kind: "Server",
			TraceID: TraceID(1).String(), SpanID: SpanID(1).String(), TraceState: "ot=th:8",
			Start: start, End: start.Add(time.Second), Status: "Error",
		}, got[0])
		assert.Equal(t, SpanID(1).String(), got[1].Parent)
		assert.Len(t, got[1].SpanID, 16, "spans without an id get one")
		assert.NotEqual(t, got[1].SpanID, got[2].SpanID)
		assert.Equal(t, "Internal", got[1].Kind)
	})
}

func TestSinkKeepsMetrics(t *testing.T) {
	at := time.Date(2026, 11, 21, 10, 0, 0, 0, time.UTC)
	sent := Metrics(
		Sample{Service: "shop", Name: "requests", Unit: "1", Counter: true, Value: 7, Start: at, Time: at.Add(time.Second)},
		Sample{Service: "shop", Name: "requests", Unit: "1", Counter: true, Value: 8, Attrs: map[string]any{"route": "/"}},
		Sample{Service: "shop", Name: "temperature", Value: 0.5},
	)
	assert.Equal(t, 2, sent.MetricCount(), "samples of one name share a metric")
	eachClient(t, func(t *testing.T, sink *Sink, client *Client) {
		require.NoError(t, client.SendMetrics(sent))
		assert.Equal(t, []pmetric.Metrics{sent}, sink.Metrics())
		got := sink.WaitPoints(t, 5*time.Second, AtLeast[Point](3))
		assert.Equal(t, Point{
			Origin: Origin{Resource: map[string]any{"service.name": "shop"}, Scope: scopeName, ScopeAttrs: map[string]any{}},
			Name:   "requests", Unit: "1", Type: "Sum", Temporality: "Cumulative", Monotonic: true,
			Attrs: map[string]any{}, Start: at, Time: at.Add(time.Second), Value: 7,
		}, got[0])
		assert.Equal(t, "Gauge", got[2].Type)
		assert.Empty(t, got[2].Temporality)
	})
}

func TestSinkTakesPrefixesAndRefusesNonsense(t *testing.T) {
	sink := StartSink(t, SinkOptions{})
	f := func(path, contentType, encoding, body string, want int) {
		t.Helper()
		header := http.Header{"Content-Type": {contentType}, "Content-Encoding": {encoding}}
		_, err := post(t.Context(), direct, "http://"+sink.HTTP+path, header, []byte(body))
		if want == http.StatusOK {
			require.NoError(t, err)
			return
		}
		var answer *HTTPError
		require.ErrorAs(t, err, &answer)
		assert.Equal(t, want, answer.Status, answer.Body)
	}
	f("/otlp/v1/logs", typeJSON, "", "{}", 200)
	f("/v1/logs", "application/json; charset=utf-8", "", "{}", 200)
	f("/v1/profiles", typeJSON, "", "{}", 400)
	f("/v1/logs", "text/plain", "", "{}", 400)
	f("/v1/logs", "", "", "{}", 400)
	f("/v1/logs", typeJSON, "", "{", 400)
	f("/v1/logs", typeProto, "", "{", 400)
	f("/v1/logs", typeJSON, "gzip", "{}", 400)
	f("/v1/logs", typeJSON, "zstd", "{}", 400)
	assert.Equal(t, Counts{Requests: 9, Accepted: 2, Rejected: 7}, sink.Counts())
	assert.Equal(t, "/otlp/v1/logs", sink.Paths()[0])
}

func TestSinkLimitsMessages(t *testing.T) {
	big := Logs(Log{Body: strings.Repeat("x", 2<<20)})
	small := StartSink(t, SinkOptions{MaxRecvMiB: 1})
	err := SendLogs(t, small.GRPC, big)
	assert.Equal(t, codes.ResourceExhausted, status.Code(err), "%v", err)
	require.NoError(t, SendLogs(t, StartSink(t, SinkOptions{}).GRPC, big))
}

func TestSinkListensWhereItIsTold(t *testing.T) {
	sink := StartSink(t, SinkOptions{})
	sink.Refuse() // its ports are free now
	other := StartSink(t, SinkOptions{GRPCAddr: sink.GRPC, HTTPAddr: sink.HTTP})
	assert.Equal(t, sink.GRPC, other.GRPC)
	require.NoError(t, SendLogs(t, sink.GRPC, Logs(Log{Body: "x"})))
	assert.Len(t, other.LogRecords(), 1)
}

func TestFlattenHistograms(t *testing.T) {
	data := pmetric.NewMetrics()
	metrics := data.ResourceMetrics().AppendEmpty().ScopeMetrics().AppendEmpty().Metrics()

	m := metrics.AppendEmpty()
	m.SetName("latency")
	m.SetEmptyHistogram().SetAggregationTemporality(pmetric.AggregationTemporalityDelta)
	h := m.Histogram().DataPoints().AppendEmpty()
	h.SetCount(3)
	h.SetSum(1.5)
	h.ExplicitBounds().FromRaw([]float64{1})
	h.BucketCounts().FromRaw([]uint64{2, 1})
	e := h.Exemplars().AppendEmpty()
	e.SetTraceID(TraceID(3))
	e.SetDoubleValue(0.25)
	e.FilteredAttributes().PutStr("k", "v")

	m = metrics.AppendEmpty()
	x := m.SetEmptyExponentialHistogram().DataPoints().AppendEmpty()
	x.SetCount(4)
	x.SetScale(2)

	m = metrics.AppendEmpty()
	s := m.SetEmptySummary().DataPoints().AppendEmpty()
	s.SetCount(5)
	q := s.QuantileValues().AppendEmpty()
	q.SetQuantile(0.5)
	q.SetValue(9)

	m = metrics.AppendEmpty()
	g := m.SetEmptyGauge().DataPoints().AppendEmpty()
	g.SetIntValue(6)
	g.SetFlags(pmetric.DefaultDataPointFlags.WithNoRecordedValue(true))

	got := flattenMetrics(data)
	require.Len(t, got, 4)
	assert.Equal(t, "Histogram Delta 3 1.5 [1] [2 1]", fmt.Sprint(
		got[0].Type, " ", got[0].Temporality, " ", got[0].Count, got[0].Sum, got[0].Bounds, got[0].Buckets))
	assert.Equal(t, []Exemplar{{TraceID: TraceID(3).String(), Value: 0.25, Attrs: map[string]any{"k": "v"}}}, got[0].Exemplars)
	assert.Equal(t, "ExponentialHistogram", got[1].Type)
	assert.EqualValues(t, 2, got[1].Scale)
	assert.Equal(t, map[float64]float64{0.5: 9}, got[2].Quantiles)
	assert.True(t, got[3].NoValue)
	assert.True(t, got[3].IsInt)
	assert.InDelta(t, 6, got[3].Value, 0)
	assert.True(t, got[3].Time.IsZero())
}

func TestSDKTracerReachesTheSink(t *testing.T) {
	sink := StartSink(t, SinkOptions{})
	provider := NewSDKTracer(t, sink.GRPC, "sdk-app", DialFrom("127.0.0.9"))
	_, span := provider.Tracer("app").Start(context.Background(), "work")
	span.End()
	require.NoError(t, provider.ForceFlush(t.Context()))
	got := sink.Spans()
	require.Len(t, got, 1)
	assert.Equal(t, "work", got[0].Name)
	assert.Equal(t, "sdk-app", got[0].Resource["service.name"])
	assert.True(t, strings.HasPrefix(sink.Requests()[0].Client, "127.0.0.9:"))
}

func TestClientsConnectFromTheAddressTheyAreGiven(t *testing.T) {
	sink := StartSink(t, SinkOptions{})
	grpcClient := NewClient(t, sink.GRPC, ClientOptions{LocalAddr: "127.0.0.7"})
	require.NoError(t, grpcClient.SendLogs(Logs(Log{Body: "x"})))
	httpClient := NewClient(t, sink.HTTP, ClientOptions{LocalAddr: "127.0.0.8", Protocol: HTTPProtobuf})
	require.NoError(t, httpClient.SendLogs(Logs(Log{Body: "x"})))
	requests := sink.Requests()
	assert.True(t, strings.HasPrefix(requests[0].Client, "127.0.0.7:"), requests[0].Client)
	assert.True(t, strings.HasPrefix(requests[1].Client, "127.0.0.8:"), requests[1].Client)
}

func TestIDs(t *testing.T) {
	seen := map[string]bool{}
	lastDigit := map[byte]int{}
	for seed := range uint64(1600) {
		id := TraceID(seed).String()
		require.Equal(t, id, TraceID(seed).String())
		require.False(t, seen[id], "seed %d", seed)
		seen[id] = true
		lastDigit[id[len(id)-1]]++
	}
	for digit, n := range lastDigit {
		assert.InDelta(t, 100, n, 40, "ids ending in %c", digit)
	}
	assert.Len(t, lastDigit, 16)
}
