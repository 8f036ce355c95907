//go:build e2e

package e2e

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/sluice-otel/sluice/e2e/harness"
	"github.com/sluice-otel/sluice/e2e/tiers"
)

// canaries are what must never arrive, each under some name or in some text.
var canaries = map[string]string{
	"e-mail":          "ada.lovelace@canary.example",
	"card":            "4111111111111111",
	"card in blocks":  "4111-1111-1111-1111",
	"card, spaces":    "5500 0000 0000 0004",
	"ssn":             "078-05-1120",
	"iban":            "DE89 3704 0044 0532 0130 00",
	"bearer":          "Bearer canaryTokenABCDEF0123456789",
	"jwt":             "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJjYW5hcnkifQ.c2lnbmF0dXJl",
	"aws key":         "AKIAIOSFODNN7CANARY0",
	"query":           "token=canaryQueryToken",
	"e-mail, encoded": "ada.lovelace%40canary.example",
	"amex":            "3782 822463 10005",
	"mastercard 2":    "2223003122003222",
	"basic":           "Basic YWRhOmNhbmFyeQ==",
}

// unlisted stands for what no pattern knows: only the allowlist of keys holds it back.
const unlisted = "Ada-Lovelace-the-canary"

// Whatever an application puts where, nothing personal passes the tiers at which data enters.
func TestPIICanaryNeverArrives(t *testing.T) {
	k := tiers.StartKubernetes(t)
	for _, tier := range []struct{ profile, backend string }{{"agent", "backends/to-gateway"}, {"gateway", "backends/lgtm"}, {"local", "backends/otlp"}} {
		t.Run(tier.profile, func(t *testing.T) {
			sink := harness.StartSink(t, harness.SinkOptions{})
			n := newNodeLogs(t)
			c := tiers.Start(t, k, tiers.Tier{Profile: tier.profile, Backends: []string{tier.backend}, Env: tiers.With(tiers.ToSink(t, sink), n.env())})
			logs := canaryLogs()
			lines := 0
			if tier.profile != "gateway" { // it reads no files
				for _, text := range canaryTexts() {
					n.write(t, cartDir+"/0.log", containerd(text))
					lines++
				}
			}
			require.NoError(t, harness.SendTraces(t, c.OTLPGRPC, canaryTraces()))
			require.NoError(t, harness.SendLogs(t, c.OTLPGRPC, logs))
			sink.WaitSpans(t, 30*time.Second, harness.AtLeast[harness.SpanRecord](2), c.Proc)
			sink.WaitLogs(t, 30*time.Second, harness.AtLeast[harness.LogRecord](logs.LogRecordCount()+lines), c.Proc)

			everything := everythingIn(t, sink)
			for name, canary := range canaries {
				assertAbsent(t, everything, canary, name)
			}
			assertAbsent(t, everything, unlisted, "a value under a key that is not allowed")
			assertAbsent(t, everything, "canaryhunter2", "a secret that is called one")

			for _, s := range sink.Spans() {
				if s.Name != "login" {
					continue
				}
				// What was useful in it is still there, and what was removed is named.
				assert.Equal(t, "canary.example", s.Attrs["user.domain"])
				assert.Len(t, s.Attrs["enduser.pseudo.id"], 64)
				assert.Len(t, s.Attrs["user.hash"], 64)
				assert.Equal(t, "POST", s.Attrs["http.request.method"])
				assert.Contains(t, s.Attrs["redaction.redacted.keys"], "user.email")
				assert.Equal(t, "/login", s.Attrs["url.path"])
			}
			for _, r := range sink.LogRecords() {
				if _, structured := r.BodyValue.(map[string]any); structured || strings.Contains(r.Body, "structured") {
					assert.Contains(t, r.Body, `"message":"structured"`, "the allowlist of keys is not for bodies")
				}
				if strings.HasPrefix(r.Body, `{"order":`) {
					assert.True(t, json.Valid([]byte(r.Body)), "JSON stays JSON: %s", r.Body)
				}
			}
		})
	}
}

// What only looks personal passes unharmed.
func TestPIIPatternsLeaveTheRestAlone(t *testing.T) {
	lines := []string{
		"error reading secret: connection refused", "failed to get token: Unauthorized", "Unexpected token: function", "running basic validation",
		"golang.org/x/exp@v0.0.0-20240506185415-9bf2ced13842/maps.Keys(...)", "image app@sha256:4111111111111111111111111111111111111111111111111111111111111111",
		"pod 41111111-1111-4111-8111-111111111111 is ready", "request AB12CD34EF56AB78", "md5 DE12AB34CD56EF7890AB12CD34EF5678", "at 1772360430123456789 and 1772360430123456",
		"trace 4bf92f3577b34da6a3ce929d0e0e4736", "max_tokens: 4096, tokens used: 17", `{"token_count":17,"secrets":[]}`, "order 2026-03-01/0393 of 123-456-789", "https://example.com:8443/a@b",
	}
	n := newNodeLogs(t)
	sink := harness.StartSink(t, harness.SinkOptions{})
	for _, line := range lines {
		n.write(t, cartDir+"/0.log", containerd(line))
	}
	c := tiers.Start(t, nil, tiers.Tier{Profile: "local", Backends: []string{"backends/otlp"}, Env: tiers.With(tiers.ToSink(t, sink), n.env())})
	got := byBody(t, sink, len(lines), c.Proc)
	for _, line := range lines {
		assert.Contains(t, got, line)
	}
}

// A redaction that fails refuses: the sender learns of it, and nothing passes half cleaned.
func TestPIIExtractionFailsClosed(t *testing.T) {
	sink := harness.StartSink(t, harness.SinkOptions{})
	c := tiers.Start(t, nil, tiers.Tier{
		Profile: "local", Backends: []string{"backends/otlp"}, Env: tiers.ToSink(t, sink),
		// The shipped statements guard against every type, so one that cannot succeed stands for the bug to come.
		Override: `{processors: {transform/pii: {trace_statements: [{statements: ['set(span.attributes["a"], ParseJSON(span.name))']}]}}}`,
	})
	assert.Error(t, harness.SendTraces(t, c.OTLPGRPC, canaryTraces()))
	assert.Empty(t, sink.Spans())
}

// Values of types that nobody expects are cleaned too, and block nothing.
func TestPIIOfUnexpectedTypesIsRemoved(t *testing.T) {
	sink := harness.StartSink(t, harness.SinkOptions{})
	c := tiers.Start(t, nil, tiers.Tier{Profile: "local", Backends: []string{"backends/otlp"}, Env: tiers.ToSink(t, sink)})
	td := canaryTraces()
	for _, s := range td.ResourceSpans().At(0).ScopeSpans().At(0).Spans().All() {
		s.Attributes().PutEmptySlice("enduser.id").AppendEmpty().SetStr(unlisted)
		s.Attributes().PutEmptyMap("user.id").PutStr("id", unlisted)
		s.Attributes().PutEmptyBytes("user.email").FromRaw([]byte(unlisted))
		s.Attributes().PutInt("user.domain", 4111111111111111)
	}
	require.NoError(t, harness.SendTraces(t, c.OTLPGRPC, td))
	sink.WaitSpans(t, 30*time.Second, harness.AtLeast[harness.SpanRecord](2), c.Proc)
	everything := everythingIn(t, sink)
	assertAbsent(t, everything, unlisted, "a value under a key that is not allowed")
	assertAbsent(t, everything, "4111111111111111", "a card as a number")
}

// canaryTexts are lines and messages of free text.
func canaryTexts() []string {
	var texts []string
	for _, canary := range canaries {
		texts = append(texts,
			"mail to "+canary+" sent",
			`{"order":1,"note":"`+canary+`"}`,
			`{"order":2,"nested":{"list":["`+canary+`"]}}`)
	}
	return append(texts,
		`{"order":3,"password":"canaryhunter2"}`,
		`{"order":4,"db":{"Api_Key" : "canaryhunter2 with \"quotes\" canaryhunter2"}}`,
		`{"order":5,"headers":{"authorization":"canaryhunter2"}}`,
		"connecting with password=canaryhunter2 to db",
		`connecting with password="canaryhunter2 canaryhunter2" to db`,
		`{'password': 'canaryhunter2'}`,
		`password: "canaryhunter2"`,
		"GET /callback?access_token=canaryhunter2",
		"DB_PASSWORD=canaryhunter2 client_secret=canaryhunter2",
		`{"order":6,"raw":"{\"password\":\"canaryhunter2\"}"}`,
		"postgres://app:canaryhunter2@db:5432/shop",
		"Authorization: canaryhunter2",
		"Set-Cookie: sid=canaryhunter2; HttpOnly",
		"GET /reset?api-key=canaryhunter2&x=1",
	)
}

func canaryLogs() plog.Logs {
	var logs []harness.Log
	for _, text := range canaryTexts() {
		logs = append(logs, harness.Log{Service: "shop", Body: text, Attrs: map[string]any{"customer": unlisted, "exception.message": text}})
	}
	for _, canary := range canaries {
		logs = append(logs, harness.Log{Service: "shop", Body: map[string]any{"message": "structured", "note": canary, "list": []any{canary}, "password": "canaryhunter2"}})
	}
	return harness.Logs(logs...)
}

// canaryTraces has a span with every kind of value under keys that are not allowed, and one with canaries under keys that are.
func canaryTraces() ptrace.Traces {
	td := harness.Traces(
		harness.Span{TraceID: harness.TraceID(1), Service: "shop", Name: "login", ResourceAttrs: map[string]any{"customer": unlisted}, Attrs: map[string]any{
			"http.request.method": "POST", "url.path": "/login",
			"user.email": canaries["e-mail"], "enduser.id": unlisted, "user.id": unlisted, "user.name": unlisted,
			"customer.list": []any{unlisted}, "customer.map": map[string]any{"name": unlisted}, "customer.card": int64(4111111111111111),
		}},
		harness.Span{TraceID: harness.TraceID(2), Service: "shop", Name: "charge " + canaries["e-mail"] + " " + canaries["card"]},
	)
	spans := td.ResourceSpans()
	last := spans.At(spans.Len() - 1).ScopeSpans().At(0)
	last.Scope().Attributes().PutStr("customer", unlisted)
	span := last.Spans().At(last.Spans().Len() - 1)
	attrs := span.Attributes()
	all := strings.Join(values(canaries), " | ")
	for _, key := range []string{"db.query.text", "url.full", "exception.message", "http.target"} {
		attrs.PutStr(key, all)
	}
	attrs.PutInt("http.response.status_code", 4111111111111111) // a card as a number, under an allowed key
	attrs.PutEmptyMap("db.statement").PutStr("text", all)
	attrs.PutEmptySlice("http.route").AppendEmpty().SetStr(all)
	span.Status().SetCode(ptrace.StatusCodeError)
	span.Status().SetMessage("declined: " + all + " password=canaryhunter2")
	event := span.Events().AppendEmpty()
	event.SetName("mail to " + canaries["e-mail"])
	event.Attributes().PutStr("exception.message", all)
	event.Attributes().PutStr("customer", unlisted)
	span.SetEndTimestamp(pcommon.NewTimestampFromTime(time.Now()))
	return td
}

func values(m map[string]string) []string {
	var list []string
	for _, v := range m {
		list = append(list, v)
	}
	return list
}

// everythingIn is all that a sink was sent, as one text.
func everythingIn(t *testing.T, sink *harness.Sink) string {
	t.Helper()
	var b strings.Builder
	for _, td := range sink.Traces() {
		text, err := (&ptrace.JSONMarshaler{}).MarshalTraces(td)
		require.NoError(t, err)
		b.Write(text)
	}
	for _, ld := range sink.Logs() {
		text, err := (&plog.JSONMarshaler{}).MarshalLogs(ld)
		require.NoError(t, err)
		b.Write(text)
	}
	return b.String()
}

// assertAbsent says where in a long text something is that must not be there.
func assertAbsent(t *testing.T, text, part, name string) {
	t.Helper()
	if i := strings.Index(text, part); i >= 0 {
		t.Errorf("%s arrived: …%s…", name, text[max(0, i-120):min(len(text), i+len(part)+40)])
	}
}
