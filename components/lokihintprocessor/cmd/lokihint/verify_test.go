package main

import (
	"context"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/plog"
	"google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/protobuf/proto"

	"github.com/sluice-otel/sluice/components/lokihintprocessor/internal/config"
	"github.com/sluice-otel/sluice/components/lokihintprocessor/internal/lokimodel"
)

// answer is what a server that is no good Loki says: to logs, and to questions.
type answer struct {
	push, series int
	text         string
}

// server has the requests' headers, too. What comes of a good Loki, end-to-end tests show.
func server(t *testing.T, a answer) (address string, header *http.Header) {
	header = &http.Header{}
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		*header = r.Header
		code := a.series
		if r.URL.Path == "/base/otlp/v1/logs" {
			code = a.push
		}
		w.WriteHeader(code)
		if code != http.StatusNoContent {
			_, _ = w.Write([]byte(a.text))
		}
	}))
	t.Cleanup(s.Close)
	return s.URL + "/base", header
}

func TestVerifyErrors(t *testing.T) {
	f := func(a answer, want string, args ...string) {
		t.Helper()
		address, _ := server(t, a)
		status, out, problem := lokihint(t, "", append([]string{"verify", "--config", "testdata/default.yaml", "--loki", address}, args...)...)
		assert.Equal(t, 2, status)
		assert.Empty(t, out)
		assert.Contains(t, problem, want)
	}

	f(answer{push: 401, text: "no org id\n"}, "/base/otlp/v1/logs: 401 no org id: set --tenant, or --header Authorization=")
	f(answer{push: 403}, "set --tenant")
	f(answer{push: 404, text: "404 page not found"}, "must be the base address of a Loki 3")
	f(answer{push: 429, text: "limit"}, "429 limit: the tenant is at a limit")
	f(answer{push: 260, text: "blocked"}, "260 blocked")
	f(answer{push: 302, text: "elsewhere"}, "302")
	f(answer{push: 503, text: "later"}, "503 later")
	f(answer{push: 204, series: 500, text: "broken"}, "/base/loki/api/v1/series: 500 broken")
	f(answer{push: 204, series: 401, text: "no org id"}, "401 no org id: set --tenant")
	f(answer{push: 204, series: 200, text: "<html>"}, "no answer of Loki")
	f(answer{}, "verify: --tenant must be a tenant of Loki, got \"a b\"", "--tenant", "a b")
	f(answer{}, "verify: invalid value \"a\" for flag -header: must be K=V", "--header", "a")
	f(answer{}, "verify: --loki must be http://HOST:PORT or https://HOST:PORT, got \"loki:3100\"", "--loki", "loki:3100")
	f(answer{}, "verify: --loki must be", "--loki", "")
	f(answer{}, "verify: --loki must be", "--loki", "://")
	f(answer{}, "verify: --loki must be", "--loki", "http://")
	f(answer{}, "--loki must be the address of a running Loki: ", "--loki", "http://127.0.0.1:1")
	f(answer{}, "no such file", "--config", "testdata/none.yaml")
}

// A password in the address is not told.
func TestVerifyKeepsSecrets(t *testing.T) {
	address, header := server(t, answer{push: 503})
	_, _, problem := lokihint(t, "", "verify", "--config", "testdata/default.yaml", "--loki", strings.Replace(address, "://", "://me:secret@", 1))
	assert.Contains(t, problem, "503")
	assert.NotContains(t, problem, "secret")
	assert.Equal(t, "Basic bWU6c2VjcmV0", header.Get("Authorization"))
}

func TestVerifySendsHeaders(t *testing.T) {
	f := func(wantTenant string, args ...string) {
		t.Helper()
		address, header := server(t, answer{push: 503})
		status, _, _ := lokihint(t, "", append([]string{"verify", "--loki", address, "--header", "X-One=1=1", "--header", "X-Two=2"}, args...)...)
		assert.Equal(t, 2, status)
		assert.Equal(t, "1=1", header.Get("X-One"))
		assert.Equal(t, "2", header.Get("X-Two"))
		assert.Equal(t, wantTenant, header.Get("X-Scope-OrgID"))
	}

	f("", "--config", "testdata/default.yaml")
	f("blue", "--config", "testdata/default.yaml", "--tenant", "blue")
	f("everyone", "--config", "testdata/tenants.yaml")
	f("blue", "--config", "testdata/tenants.yaml", "--tenant", "blue")
}

// What Loki refuses, it does as the configuration of one of the two is wrong.
func TestVerifyRefusal(t *testing.T) {
	f := func(text, want string) {
		t.Helper()
		address, _ := server(t, answer{push: 400, text: text})
		status, out, problem := lokihint(t, "", "verify", "--config", "testdata/generated.yaml", "--loki", address, "--tenant", "blue")
		assert.Equal(t, 1, status)
		assert.Empty(t, problem)
		assert.Equal(t, "Loki does not take the record: "+want+"\nTo do: load what `lokihint print` prints into Loki's configuration (if Loki has overrides for the tenant blue, what "+
			"`lokihint print --format tenant --tenant blue` prints), or set the processor's contract to what Loki has.\n", out)
	}
	message, err := proto.Marshal(&status.Status{Message: "17 label names; limit 15"})
	require.NoError(t, err)

	f(string(message), "17 label names; limit 15")
	f("plain text\n", "plain text")
}

func TestVerifyFindsNothing(t *testing.T) {
	address, _ := server(t, answer{push: 204, series: 200, text: `{"status":"success","data":[]}`})
	status, out, problem := lokihint(t, "", "verify", "--config", "testdata/default.yaml", "--loki", address, "--timeout", "300ms")
	assert.Equal(t, 1, status)
	assert.Empty(t, problem)
	assert.Contains(t, out, `Loki took the record, but has no stream with service_name="lokihint-probe"`)
}

// Loki may need a while until it has the stream.
func TestVerifyAsksAgain(t *testing.T) {
	var asked atomic.Int32
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasSuffix(r.URL.Path, "series") && asked.Add(1) > 2 {
			w.WriteHeader(http.StatusTeapot)
		}
		_, _ = w.Write([]byte(`{"status":"success","data":[]}`))
	}))
	defer s.Close()
	status, _, problem := lokihint(t, "", "verify", "--config", "testdata/default.yaml", "--loki", s.URL)
	assert.Equal(t, 2, status)
	assert.Contains(t, problem, "418")
}

// A server that does not answer is none that has no stream; one that has answered before is.
func TestVerifyTimeout(t *testing.T) {
	f := func(answers int32, wantStatus int, wantOut, wantProblem string) {
		t.Helper()
		ctx, cancel := context.WithCancel(t.Context())
		var asked atomic.Int32
		s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if strings.HasSuffix(r.URL.Path, "series") && asked.Add(1) > answers {
				<-ctx.Done()
			}
			_, _ = w.Write([]byte(`{"status":"success","data":[]}`))
		}))
		defer s.Close()
		defer cancel()
		status, out, problem := lokihint(t, "", "verify", "--config", "testdata/default.yaml", "--loki", s.URL, "--timeout", "700ms")
		assert.Equal(t, wantStatus, status)
		assert.Contains(t, out, wantOut)
		assert.Contains(t, problem, wantProblem)
	}

	f(0, 2, "", "deadline exceeded")
	f(1, 1, "has no stream", "")
}

var (
	now       = time.Date(2026, 11, 2, 12, 0, 0, 0, time.UTC)
	plainLoki = lokimodel.Defaults(config.DefaultIndex())
)

// allLabels: sources are all that can be a label with contract: default; labels are their names and service_name, in order.
func allLabels() (sources, labels []string) {
	for _, key := range config.DefaultIndex() {
		name, _ := config.Name(key)
		labels = append(labels, name)
		if key != "service.name" {
			sources = append(sources, "resource."+key)
		}
	}
	slices.Sort(labels)
	return sources, labels
}

func TestCompare(t *testing.T) {
	l, err := load(t.Context(), source{files: []string{"testdata/generated.yaml"}})
	require.NoError(t, err)
	f := func(got []map[string]string, want ...string) {
		t.Helper()
		assert.Equal(t, want, compare(l, map[string]string{"service_name": "s", "namespace": "n"}, got))
	}
	right := map[string]string{"service_name": "s", "namespace": "n"}
	missing := map[string]string{"service_name": "s"}
	other := map[string]string{"service_name": "s", "namespace": "m", "pod": "p"}

	f([]map[string]string{right})
	f([]map[string]string{other, right, missing})
	f([]map[string]string{{"service_name": "s", "namespace": "n", "__stream_shard__": "0", "__time_shard__": "1_2"}})
	f([]map[string]string{other, missing}, "Loki makes no label namespace of the resource attribute namespace")
	f([]map[string]string{{"namespace": "n"}}, "Loki makes no label service_name of the resource attribute service.name")
	f([]map[string]string{other}, `Loki gives the label namespace the value "m", not "n" of the resource attribute namespace`, "Loki makes pod a label, although it is none of the processor's")
	f(nil, `Loki took the record, but has no stream with service_name="lokihint-probe"`)
}

// The probe has all labels, and what Loki would make labels of beside them.
func TestProbe(t *testing.T) {
	f := func(text string, want ...string) {
		t.Helper()
		l, err := load(t.Context(), source{files: []string{"yaml:processors::loki_hint: " + text}})
		require.NoError(t, err)
		outcome, counters, err := process(t.Context(), l, []plog.Logs{probe(l, "", now)})
		require.NoError(t, err)
		require.Len(t, outcome, 1)
		result := l.loki().Store(outcome[0].logs)
		require.Empty(t, result.Refused)
		require.Len(t, result.Entries, 1)
		assert.Empty(t, result.Entries[0].Refused)
		assert.Equal(t, want, slices.Sorted(maps.Keys(result.Entries[0].Labels)))
		assert.Equal(t, "lokihint-probe", result.Entries[0].Labels["service_name"])
		assert.Equal(t, l.cfg.Tenant.Default, outcome[0].tenant)
		for _, c := range counters {
			assert.NotEqual(t, "demoted_records", c.name)
		}
	}

	f("{}", "service_name")
	f("{labels: [resource.k8s.pod.name, resource.k8s.job.name]}", "k8s_job_name", "k8s_pod_name", "service_name")
	f("{contract: generated, labels: [{name: level, from: [severity]}, record.stream, {name: a, from: [resource.b, record.c]}, {name: j, join: [level, a]}]}",
		"a", "j", "level", "service_name", "stream")
	f("{contract: generated, labels: [{name: level, from: [severity], values: [odd]}, {name: stream, from: [record.io], values: [out]}]}", "level", "service_name", "stream")
	f("{contract: generated, labels: [{name: level, from: [resource.level, severity], values: [warn]}]}", "level", "service_name")
	f("{contract: generated, hints: {honor: [resource.a, record.b]}}", "a", "b", "service_name")
	f("{contract: generated, labels: [resource.service.name.x, resource.the.team], tenant: {from: [resource.the.team], default: everyone}}", "service_name", "service_name_x", "the_team")
	f("{contract: list, index: [service.name, x], labels: [resource.x]}", "service_name", "x")
	sources, labels := allLabels()
	f("{max_value_bytes: 16, max_labels: 17, labels: ["+strings.Join(sources, ", ")+"]}", labels...)
}

// Loki takes the probe also when nobody told it what to index.
func TestProbeOnPlainLoki(t *testing.T) {
	for _, file := range []string{"generated", "list", "tenants"} {
		l, err := load(t.Context(), source{files: []string{"testdata/" + file + ".yaml"}})
		require.NoError(t, err)
		outcome, _, err := process(t.Context(), l, []plog.Logs{probe(l, "", now)})
		require.NoError(t, err)
		result := plainLoki.Store(outcome[0].logs)
		require.Len(t, result.Entries, 1)
		assert.Empty(t, result.Entries[0].Refused)
		assert.Contains(t, result.Entries[0].Labels, "k8s_pod_name")
	}
}
