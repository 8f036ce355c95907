//go:build e2e

package page

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sluice-otel/sluice/e2e/browser"
)

// serve runs the handler. Below /narrow it has each page in a frame of 400 pixels (windows of the browser have 500 at least), for which
// it lets go of the ban on frames. A script, where there is one, looks at the page from inside.
func serve(t *testing.T, src Source, script string) string {
	t.Helper()
	h := Handler(src, func() time.Time { return noon })
	if script != "" {
		h = browser.Scripted(h, script)
	}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if path, ok := strings.CutPrefix(r.URL.String(), "/narrow"); ok {
			w.Header().Set("Content-Type", "text/html")
			_, _ = w.Write([]byte(`<body style="margin:0"><iframe src="` + path + `" width="400" height="6000" style="border:0"></iframe>`))
			return
		}
		h.ServeHTTP(framed{w}, r)
	}))
	t.Cleanup(server.Close)
	return server.URL
}

// framed lets our own pages have the page in a frame.
type framed struct{ http.ResponseWriter }

func (f framed) WriteHeader(code int) {
	policy := f.Header().Get("Content-Security-Policy")
	f.Header().Set("Content-Security-Policy", strings.Replace(policy, "frame-ancestors 'none'", "frame-ancestors 'self'", 1))
	f.ResponseWriter.WriteHeader(code)
}

const metricPath = "/explain?metric=http.server.request.duration"

func TestBrowserShowsPages(t *testing.T) {
	f := func(path string, want ...string) {
		t.Helper()
		dom := text(browser.Run(t, "--dump-dom", serve(t, busy(), "")+path))
		for _, w := range want {
			assert.Contains(t, dom, w)
		}
	}
	f("/", "The limits file /etc/sluice/limits.yaml is refused", "48,211", "to another fold")
	f(metricPath, "user.id: about 47,900", "Budgets it charges")
	f("/api/v1/status", `"turned_away": 190333`)
}

// Nothing sticks out to the side, the style sheet holds and the colors follow the person's choice.
func TestBrowserLayout(t *testing.T) {
	const look = `
const full = document.querySelector('.bar i.bad'), root = document.documentElement;
top.document.documentElement.dataset.look = [innerWidth, root.scrollWidth, full ? full.getBoundingClientRect().width > 40 : '-', getComputedStyle(document.body).backgroundColor].join(' ');`
	src := busy()
	src.report.Metrics[1].Metric = strings.Repeat("verylongname", 900)
	src.folds.LimitsError = strings.Repeat("verylongword", 30)
	address := serve(t, src, look)
	f := func(path, scheme, want string) {
		t.Helper()
		dom := browser.Run(t, "--window-size=1280,900", "--blink-settings=preferredColorScheme="+scheme, "--dump-dom", address+path)
		_, after, _ := strings.Cut(dom, `data-look="`)
		got, _, _ := strings.Cut(after, `"`)
		assert.Equal(t, want, got, path)
	}
	const dark, light = "0", "1"
	f("/", light, "1280 1280 true rgb(251, 251, 250)")
	f("/", dark, "1280 1280 true rgb(20, 24, 28)")
	f("/narrow/", light, "400 400 true rgb(251, 251, 250)")
	f("/narrow"+metricPath, light, "400 400 true rgb(251, 251, 250)")
	f("/narrow/simulate", light, "400 400 - rgb(251, 251, 250)")
}

const fillIn = `
const box = document.querySelector('textarea');
if (box.value === '') { box.value = 'rules:\n  - {name: a}\n'; document.querySelector('button').click(); }`

// A person fills in the form and sends it.
func TestBrowserSimulates(t *testing.T) {
	src := busy()
	address := serve(t, src, fillIn)
	dom := browser.Run(t, "--virtual-time-budget=5000", "--dump-dom", address+"/simulate")
	assert.Equal(t, "rules:\n  - {name: a}\n", src.got)
	assert.Contains(t, text(dom), "13,400")
}

// Neither another site's form nor another name for our address gets through a real browser.
func TestBrowserRefusesOthers(t *testing.T) {
	src := busy()
	ours := serve(t, src, "")
	var visited atomic.Bool
	evil := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		visited.Store(true)
		w.Header().Set("Content-Type", "text/html")
		_, _ = w.Write([]byte(`<form method="post" enctype="text/plain" action="` + ours + `/api/v1/simulate"><input name="rules:" value="x"></form>
<script>document.forms[0].submit()</script>`))
	}))
	t.Cleanup(evil.Close)
	assert.Contains(t, browser.Run(t, "--virtual-time-budget=5000", "--dump-dom", evil.URL), "another web site")
	assert.True(t, visited.Load())
	assert.Empty(t, src.got)

	u, err := url.Parse(ours)
	require.NoError(t, err)
	dom := browser.Run(t, "--host-resolver-rules=MAP rebound.test 127.0.0.1", "--dump-dom", "http://rebound.test:"+u.Port()+"/")
	assert.Contains(t, dom, "answers only to localhost")
	assert.NotContains(t, dom, "checkout")
}

// For people to look at: go test -tags e2e -run Screenshots -artifacts.
func TestBrowserScreenshots(t *testing.T) {
	address, empty := serve(t, busy(), ""), serve(t, &fake{}, "")
	shots := []struct{ name, address, size, scheme string }{
		{"overview", address + "/", "1280,2700", "1"},
		{"overview-dark", address + "/", "1280,2700", "0"},
		{"overview-narrow", address + "/narrow/", "500,6000", "1"},
		{"explain", address + metricPath, "1280,900", "1"},
		{"explain-narrow", address + "/narrow" + metricPath, "500,1500", "1"},
		{"simulate", address + "/simulate", "1280,700", "1"},
		{"simulated", serve(t, busy(), fillIn) + "/simulate", "1280,900", "1"},
		{"empty", empty + "/", "1280,1100", "1"},
	}
	for _, shot := range shots {
		file := filepath.Join(t.ArtifactDir(), shot.name+".png")
		browser.Run(t, "--virtual-time-budget=3000", "--window-size="+shot.size, "--blink-settings=preferredColorScheme="+shot.scheme, "--screenshot="+file, shot.address)
		info, err := os.Stat(file)
		require.NoError(t, err)
		assert.Greater(t, info.Size(), int64(10_000), shot.name)
	}
}
