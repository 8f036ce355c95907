package backends

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/sluice-otel/sluice/e2e/proc"
)

// Jaeger is a server that takes OTLP over gRPC at OTLP and keeps spans in memory, every one as often as it came. What it
// has is gone when it stops: an outage of it is something in front of it that refuses.
type Jaeger struct {
	URL     string // http://127.0.0.1:…, of queries
	OTLP    string // host:port, gRPC
	Process *proc.Process

	admin string
	http  http.Client
}

// StartJaeger starts Jaeger and returns when it is ready.
func StartJaeger(tb testing.TB) *Jaeger {
	tb.Helper()
	path := binary(tb, "jaeger")
	var addr [7]string
	for i, port := range proc.FreePorts(tb, len(addr)) {
		addr[i] = fmt.Sprintf("127.0.0.1:%d", port)
	}
	j := &Jaeger{URL: "http://" + addr[0], OTLP: addr[1], admin: "http://" + addr[2], http: http.Client{Timeout: time.Minute}}
	j.Process = proc.Start(tb, proc.Cmd{
		Name: "jaeger", Path: path, Dir: tb.TempDir(), Env: []string{"SPAN_STORAGE_TYPE=memory", "OTEL_TRACES_SAMPLER=always_off"},
		Args: []string{
			"--query.http-server.host-port=" + addr[0],
			"--collector.otlp.grpc.host-port=" + addr[1],
			"--admin.http.host-port=" + addr[2],
			"--collector.otlp.http.host-port=" + addr[3],
			"--collector.http-server.host-port=" + addr[4],
			"--collector.grpc-server.host-port=" + addr[5],
			"--query.grpc-server.host-port=" + addr[6],
			// Behind its receiver Jaeger has a queue, of 2000 spans by default. Spans that find it full are thrown away, and the sender is
			// told that they were taken. One request of ours may be larger than that.
			"--collector.queue-size=1000000",
			"--log-level=warn",
		},
	})
	waitReady(tb, "http://"+addr[2]+"/", j.Process)
	return j
}

// Spans counts how often each span of a service is stored, by trace and span ID. Both are in lower case hexadecimal digits,
// as OTLP has them.
func (j *Jaeger) Spans(tb testing.TB, service string) map[[2]string]int {
	tb.Helper()
	now := time.Now()
	query := url.Values{
		"service": {service}, "limit": {"10000000"}, "raw": {"true"},
		"start": {strconv.FormatInt(now.Add(-24*time.Hour).UnixMicro(), 10)},
		"end":   {strconv.FormatInt(now.Add(time.Hour).UnixMicro(), 10)},
	}
	req, err := http.NewRequest("GET", j.URL+"/api/traces?"+query.Encode(), nil)
	must(tb, err)
	body, err := send(&j.http, req)
	must(tb, err)
	var answer struct {
		Data []struct {
			Spans []struct{ TraceID, SpanID string }
		}
	}
	must(tb, json.Unmarshal(body, &answer))
	spans := map[[2]string]int{}
	for _, trace := range answer.Data {
		for _, s := range trace.Spans {
			spans[[2]string{padded(s.TraceID, 32), padded(s.SpanID, 16)}]++
		}
	}
	return spans
}

// padded has the zeros in front that Jaeger leaves out.
func padded(id string, digits int) string {
	return strings.Repeat("0", max(digits-len(id), 0)) + id
}

// Counted sums one of Jaeger's own metrics, such as jaeger_collector_spans_dropped_total.
func (j *Jaeger) Counted(tb testing.TB, name string) float64 {
	tb.Helper()
	req, err := http.NewRequest("GET", j.admin+"/metrics", nil)
	must(tb, err)
	page, err := send(&j.http, req)
	must(tb, err)
	sum := 0.0
	for line := range bytes.Lines(page) {
		rest, ok := bytes.CutPrefix(line, []byte(name))
		if !ok || len(rest) == 0 || rest[0] != '{' && rest[0] != ' ' {
			continue
		}
		fields := bytes.Fields(rest)
		n, err := strconv.ParseFloat(string(fields[len(fields)-1]), 64)
		must(tb, err)
		sum += n
	}
	return sum
}
