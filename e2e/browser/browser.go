// Package browser opens pages as people do: with Chromium, though without a window.
package browser

import (
	"bytes"
	"context"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"
)

// Run runs the browser with these arguments too and gives what it prints. It must have no complaint about a page's policy.
func Run(tb testing.TB, args ...string) string {
	tb.Helper()
	profile, err := os.MkdirTemp("", "sluice-chromium-*") //nolint:usetesting // the browser's children may still write while it is removed
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = os.RemoveAll(profile) })
	ctx, cancel := context.WithTimeout(tb.Context(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, program(tb), append([]string{
		"--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run", "--disable-background-networking",
		"--hide-scrollbars", "--enable-logging=stderr", "--user-data-dir=" + profile,
	}, args...)...)
	cmd.WaitDelay = 5 * time.Second
	var out, log bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &log
	if err := cmd.Run(); err != nil {
		tb.Fatalf("%s: %v\n%s", cmd.Path, err, log.String())
	}
	if strings.Contains(log.String(), "Content Security Policy") {
		tb.Errorf("the page breaks its own policy:\n%s", log.String())
	}
	return out.String()
}

// program is the browser, under one of the names that distributions give it; the Makefile and .ci/run know them too.
func program(tb testing.TB) string {
	tb.Helper()
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome"} {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	tb.Fatal("no browser: apt-get install --no-install-recommends chromium fonts-dejavu-core")
	return ""
}

// Scripted gives each page a script that acts in it as a person would. Inline scripts are let through the page's policy, the rest of
// it holds.
func Scripted(pages http.Handler, script string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		rec := httptest.NewRecorder()
		pages.ServeHTTP(rec, r)
		for key, value := range rec.Header() {
			w.Header()[key] = value
		}
		w.Header().Del("Content-Length") // the page gets longer
		w.Header().Set("Content-Security-Policy", rec.Header().Get("Content-Security-Policy")+"; script-src 'unsafe-inline'")
		w.WriteHeader(rec.Code)
		_, _ = w.Write([]byte(strings.Replace(rec.Body.String(), "</body>", "<script>"+script+"</script></body>", 1)))
	})
}
