package page

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

const form = "application/x-www-form-urlencoded"

// ask sends one request to the handler, as to localhost if the change does not say otherwise.
func ask(src Source, method, target, body string, change func(*http.Request)) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, target, strings.NewReader(body))
	r.Host = "localhost:9411"
	if change != nil {
		change(r)
	}
	w := httptest.NewRecorder()
	Handler(src, func() time.Time { return noon }).ServeHTTP(w, r)
	return w
}

func get(t *testing.T, src Source, target string) string {
	t.Helper()
	w := ask(src, http.MethodGet, target, "", nil)
	require.Equal(t, http.StatusOK, w.Code, w.Body.String())
	return w.Body.String()
}

func TestHost(t *testing.T) {
	f := func(host string, want int) {
		t.Helper()
		for _, target := range []string{"/", "/api/v1/status", "/nowhere"} {
			if want == http.StatusOK && target == "/nowhere" {
				continue
			}
			w := ask(busy(), http.MethodGet, target, "", func(r *http.Request) { r.Host = host })
			assert.Equal(t, want, w.Code, "%s of %s", target, host)
			if want == http.StatusForbidden {
				assert.Contains(t, w.Body.String(), "localhost, 127.0.0.1 and [::1]")
				assert.NotContains(t, w.Body.String(), "checkout")
			}
		}
	}
	f("localhost", http.StatusOK)
	f("LocalHost:9411", http.StatusOK)
	f("127.0.0.1:9411", http.StatusOK)
	f("127.0.0.1", http.StatusOK)
	f("[::1]:9411", http.StatusOK)
	f("[::1]", http.StatusOK)
	f("127.0.0.2:9411", http.StatusOK) // page: takes any loopback address
	f("", http.StatusForbidden)
	f("evil.example", http.StatusForbidden)
	f("evil.example:9411", http.StatusForbidden)
	f("localhost.evil.example:9411", http.StatusForbidden)
	f("127.0.0.1.evil.example", http.StatusForbidden)
	f("10.0.0.7:9411", http.StatusForbidden)
	f("[::1]evil.example", http.StatusForbidden)
	f("localhost:9411:evil.example", http.StatusForbidden)
}

func TestOrigin(t *testing.T) {
	f := func(header, value string, want int) {
		t.Helper()
		for target, body := range map[string]string{"/simulate": "limits=rules:", "/api/v1/simulate": "rules:"} {
			src := busy()
			w := ask(src, http.MethodPost, target, body, func(r *http.Request) {
				r.Header.Set("Content-Type", form)
				if header != "" {
					r.Header.Set(header, value)
				}
			})
			assert.Equal(t, want, w.Code, "%s with %s: %s", target, header, value)
			if want == http.StatusForbidden {
				assert.Contains(t, w.Body.String(), "another web site")
				assert.Empty(t, src.got)
			}
		}
	}
	f("", "", http.StatusOK) // curl
	f("Origin", "http://localhost:9411", http.StatusOK)
	f("Sec-Fetch-Site", "same-origin", http.StatusOK)
	f("Origin", "http://localhost:3000", http.StatusForbidden)
	f("Origin", "https://evil.example", http.StatusForbidden)
	f("Origin", "null", http.StatusForbidden)
	f("Sec-Fetch-Site", "cross-site", http.StatusForbidden)
	f("Sec-Fetch-Site", "same-site", http.StatusForbidden)
}

func TestMethod(t *testing.T) {
	f := func(method, target string, want int, allow string) {
		t.Helper()
		w := ask(busy(), method, target, "", nil)
		assert.Equal(t, want, w.Code, "%s %s", method, target)
		assert.Equal(t, allow, w.Header().Get("Allow"))
		if allow != "" {
			assert.Contains(t, w.Body.String(), "takes "+strings.ReplaceAll(allow, ", ", " and "))
		}
	}
	f("HEAD", "/", http.StatusOK, "")
	f("POST", "/", http.StatusMethodNotAllowed, "GET, HEAD")
	for _, target := range []string{"/explain", "/api/v1/status", "/api/v1/explain"} {
		f("POST", target, http.StatusMethodNotAllowed, "GET, HEAD")
	}
	f("DELETE", "/", http.StatusMethodNotAllowed, "GET, HEAD")
	f("PUT", "/simulate", http.StatusMethodNotAllowed, "GET, HEAD, POST")
	f("OPTIONS", "/api/v1/status", http.StatusMethodNotAllowed, "GET, HEAD")
	f("GET", "/api/v1/simulate", http.StatusMethodNotAllowed, "POST")
	f("GET", "/nowhere", http.StatusNotFound, "")
	f("GET", "/api/v1/", http.StatusNotFound, "")
	f("GET", "//", http.StatusNotFound, "")
}

// The browser is told to take nothing from elsewhere, and the page has nothing to take.
func TestSelfContained(t *testing.T) {
	for _, target := range []string{"/", "/explain?metric=queue.size", "/simulate"} {
		w := ask(busy(), http.MethodGet, target, "", nil)
		policy := w.Header().Get("Content-Security-Policy")
		assert.Contains(t, policy, "default-src 'none'")
		assert.Contains(t, policy, "frame-ancestors 'none'")
		assert.NotContains(t, policy, "unsafe")
		assert.Equal(t, "no-store", w.Header().Get("Cache-Control"))
		assert.Equal(t, "nosniff", w.Header().Get("X-Content-Type-Options"))
		assert.Empty(t, w.Header().Get("Access-Control-Allow-Origin"))
		body := w.Body.String()
		for _, foreign := range []string{"<script", "<img", "<iframe", "http://", "https://", " style=", "url(", "@import"} {
			assert.NotContains(t, body, foreign, target)
		}
	}
}

func TestExplainPage(t *testing.T) {
	assert.Contains(t, get(t, busy(), "/explain"), `name="metric"`)

	body := get(t, busy(), "/explain?metric=http.server.request.duration")
	assert.Contains(t, body, "5,000 series in 1 place")
	assert.Contains(t, body, "user.id: about 47,900")
	assert.Contains(t, body, "Rule per-service has no room for checkout, http.server.request.duration: 5,000 of 5,000 series")

	w := ask(busy(), http.MethodGet, "/explain?metric=http.server", "", nil)
	assert.Equal(t, http.StatusNotFound, w.Code)
	assert.Contains(t, w.Body.String(), "No series of this metric is counted now")
	assert.Contains(t, w.Body.String(), `value="http.server"`, "to correct it")
}

func TestSimulatePage(t *testing.T) {
	assert.Contains(t, get(t, busy(), "/simulate"), `<textarea id="limits"`)

	f := func(file string, want int, texts ...string) *fake {
		t.Helper()
		src := busy()
		w := ask(src, http.MethodPost, "/simulate", url.Values{"limits": {file}}.Encode(), func(r *http.Request) { r.Header.Set("Content-Type", form) })
		assert.Equal(t, want, w.Code)
		for _, text := range texts {
			assert.Contains(t, w.Body.String(), text)
		}
		return src
	}
	src := f("rules:\r\n  - {name: <b>}\r\n", http.StatusOK, "13,400", "per-service", "Cannot be told: values are counted", "- {name: &lt;b&gt;}")
	assert.Equal(t, "rules:\n  - {name: <b>}\n", src.got)
	f("<script>", http.StatusUnprocessableEntity, "The limits file is refused: rules: must be a list", "&lt;script&gt;</textarea>")
	src = f(" \r\n", http.StatusUnprocessableEntity, "The limits file is empty")
	assert.Empty(t, src.got)
	f("rules:"+strings.Repeat("漢", maxFile/3-2), http.StatusOK)
	f("rules:"+strings.Repeat("x", maxFile), http.StatusRequestEntityTooLarge, "1 MiB")
	f("rules:"+strings.Repeat("漢", maxFile), http.StatusRequestEntityTooLarge, "1 MiB")

	w := ask(busy(), http.MethodPost, "/simulate", "limits=%zz", func(r *http.Request) { r.Header.Set("Content-Type", form) })
	assert.Equal(t, http.StatusBadRequest, w.Code)
}

func TestTop(t *testing.T) {
	f := func(target string, code, want int) {
		t.Helper()
		src := busy()
		w := ask(src, http.MethodGet, target, "", nil)
		assert.Equal(t, code, w.Code, target)
		assert.Equal(t, want, src.asked, target)
		if code == http.StatusBadRequest {
			assert.Contains(t, w.Body.String(), "from 1 to 500")
		}
	}
	f("/", http.StatusOK, 20)
	f("/?top=7", http.StatusOK, 7)
	f("/api/v1/status?top=500", http.StatusOK, 500)
	f("/?top=0", http.StatusBadRequest, 0)
	f("/api/v1/status?top=501", http.StatusBadRequest, 0)
	f("/explain?metric=x&top=many", http.StatusBadRequest, 0)
	f("/api/v1/explain?metric=x&top=-1", http.StatusBadRequest, 0)
}

// fields decodes what tools get.
func fields(t *testing.T, w *httptest.ResponseRecorder, want int) map[string]any {
	t.Helper()
	assert.Equal(t, want, w.Code, w.Body.String())
	assert.Equal(t, "application/json", w.Header().Get("Content-Type"))
	var out map[string]any
	require.NoError(t, json.Unmarshal(w.Body.Bytes(), &out))
	return out
}

func TestAPI(t *testing.T) {
	f := func(method, target, body string, want int) map[string]any {
		t.Helper()
		return fields(t, ask(busy(), method, target, body, nil), want)
	}
	status := f("GET", "/api/v1/status", "", http.StatusOK)
	assert.InDelta(t, 128_400, status["series"], 0)
	assert.Equal(t, "2026-11-21T12:00:00Z", status["time"])
	budget := status["budgets"].([]any)[0].(map[string]any)
	assert.InDelta(t, 48_211, budget["demand"], 0)
	assert.Equal(t, map[string]any{"key": "resource.service.name", "value": "checkout"}, budget["per"].([]any)[0])
	values := status["budgets"].([]any)[1].(map[string]any)
	assert.Equal(t, "values", values["unit"])
	assert.Equal(t, []any{map[string]any{"key": "metric", "value": "cart.items"}}, values["per"])
	assert.InDelta(t, 4400, status["dropped"].(map[string]any)["gauge"], 0)
	attribute := status["attributes"].([]any)[0].(map[string]any)
	assert.Equal(t, "user.id", attribute["attribute"])
	assert.Equal(t, "http.server.request.duration", attribute["metric"])

	explained := f("GET", "/api/v1/explain?metric=queue.size", "", http.StatusOK)
	assert.Len(t, explained["places"], 1)
	assert.NotEmpty(t, explained["findings"])

	simulated := f("POST", "/api/v1/simulate", "rules:", http.StatusOK)
	assert.InDelta(t, 13_400, simulated["rules"].([]any)[0].(map[string]any)["series_over"], 0)
	assert.Contains(t, simulated["rules"].([]any)[1].(map[string]any)["unknown"], "observe")

	refused := func(method, target, body string, want int, text string) {
		t.Helper()
		assert.Contains(t, f(method, target, body, want)["error"], text)
	}
	refused("GET", "/api/v1/explain", "", http.StatusBadRequest, "?metric=NAME")
	refused("GET", "/api/v1/explain?metric=x", "", http.StatusNotFound, "No series of this metric")
	refused("GET", "/api/v1/other", "", http.StatusNotFound, "/api/v1/status")
	refused("POST", "/api/v1/simulate", "max: 1", http.StatusUnprocessableEntity, "rules: must be a list")
	refused("POST", "/api/v1/simulate", "", http.StatusUnprocessableEntity, "empty")
	refused("POST", "/api/v1/simulate", strings.Repeat("x", maxFile+1), http.StatusRequestEntityTooLarge, "1 MiB")
}
