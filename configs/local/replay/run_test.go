package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/sluice-otel/sluice/e2e/proc"
)

// The test binary is its own collector: with FAKE_COLLECTOR in the environment it listens, counts and obeys SIGTERM.
func TestMain(m *testing.M) {
	if mode := os.Getenv("FAKE_COLLECTOR"); mode != "" {
		os.Exit(fakeCollector(mode, os.Args[1], os.Args[2], os.Args[3]))
	}
	os.Exit(m.Run())
}

// fakeState is what the fake collector tells when it stops.
type fakeState struct {
	PodLogs string
	Spans   []string
}

func fakeCollector(mode, health, otlp, report string) int {
	if mode == "exit" {
		return 3
	}
	var mu sync.Mutex
	state := fakeState{PodLogs: os.Getenv("POD_LOGS_DIR")}
	gone := make(chan struct{})
	go serve(otlp, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		var req request
		if err := json.Unmarshal(body, &req); err != nil || mode == "refuse" {
			http.Error(w, "refused", http.StatusServiceUnavailable)
			return
		}
		mu.Lock()
		defer mu.Unlock()
		for _, rs := range req.ResourceSpans {
			for _, sp := range rs.ScopeSpans[0].Spans {
				state.Spans = append(state.Spans, sp.TraceID+" "+sp.EndTimeUnixNano)
			}
		}
		if mode == "die" {
			close(gone)
		}
	}))
	go serve(health, http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	stop, _ := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	select {
	case <-gone:
		return 4
	case <-stop.Done():
	}
	mu.Lock()
	defer mu.Unlock()
	b, _ := json.Marshal(state)
	if err := os.WriteFile(report, b, 0o644); err != nil {
		return 5
	}
	return 0
}

func serve(addr string, h http.Handler) {
	if err := http.ListenAndServe(addr, h); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(6)
	}
}

// lockedBuffer is read by the test while run writes.
type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// fakeRun is a run with the fake collector on free ports and the bundled sample.
func fakeRun(t *testing.T, mode string) (o options, out *lockedBuffer, report string) {
	t.Helper()
	t.Setenv("FAKE_COLLECTOR", mode)
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	out, report = &lockedBuffer{}, filepath.Join(t.TempDir(), "report.json")
	ports := proc.FreePorts(t, 2)
	o = options{
		root: t.TempDir(), work: filepath.Join(".work", "local"), templates: os.DirFS(".."),
		health: fmt.Sprintf("127.0.0.1:%d", ports[0]), otlp: fmt.Sprintf("127.0.0.1:%d", ports[1]),
		rate: 5000, loops: 2, drain: time.Millisecond, out: out,
	}
	o.collector = []string{self, o.health, o.otlp, report}
	return o, out, report
}

func wantError(t *testing.T, err error, parts ...string) {
	t.Helper()
	for _, part := range parts {
		if err == nil || !strings.Contains(err.Error(), part) {
			t.Errorf("error %v, want one with %q", err, part)
		}
	}
}

func TestRun(t *testing.T) {
	o, out, report := fakeRun(t, "serve")
	stale := filepath.Join(o.root, ".work", "local", "pods", "stale.log")
	if err := os.MkdirAll(filepath.Dir(stale), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(stale, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	before := time.Now()
	if err := run(context.Background(), o); err != nil {
		t.Fatal(err)
	}

	s := bundled(t)
	traces := len(s.events) - s.lines
	for _, want := range []string{o.otlp, fmt.Sprintf("replayed %d lines and %d traces in 2 loops", 2*s.lines, 2*traces), "stopped\n"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("%q is not in the output:\n%s", want, out)
		}
	}
	if _, err := os.Stat(stale); err == nil {
		t.Error("the old work folder is still there")
	}
	for name, data := range sampleFiles(t) {
		if strings.HasPrefix(name, "traces/") {
			continue
		}
		replayed := filepath.Join(o.root, ".work", "local", name)
		if isDockerConfig(name) {
			checkUnchanged(t, data, replayed)
			continue
		}
		checkReplayed(t, name, data, replayed, before)
	}

	var state fakeState
	b, err := os.ReadFile(report)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(b, &state); err != nil {
		t.Fatal(err)
	}
	if state.PodLogs != filepath.Join(".work", "local", "pods") {
		t.Errorf("POD_LOGS_DIR was %q", state.PodLogs)
	}
	ids := map[string]bool{}
	for _, sp := range state.Spans {
		id, end, _ := strings.Cut(sp, " ")
		ids[id] = true
		if at := time.Unix(0, unixNano(t, end)); at.Before(before.Add(-2*time.Second)) || at.After(time.Now()) {
			t.Errorf("a span ends at %s", at)
		}
	}
	if len(ids) != 2*traces {
		t.Errorf("%d trace ids in 2 loops, want %d", len(ids), 2*traces)
	}
}

// checkReplayed compares a replayed file, two loops of it, with its model: times apart, only ids differ.
func checkReplayed(t *testing.T, name, model, replayed string, since time.Time) {
	t.Helper()
	got, err := os.ReadFile(replayed)
	if err != nil {
		t.Error(err)
		return
	}
	if len(got) != 2*len(model) {
		t.Errorf("%s: %d bytes, want %d", name, len(got), 2*len(model))
		return
	}
	if id := orderRE.Find(got); id != nil && bytes.Contains(got[len(model):], id) {
		t.Errorf("%s: the second loop has %s again", name, id)
	}
	models := strings.SplitAfter(model+model, "\n")
	var last, lastModel time.Time
	for i, line := range strings.SplitAfter(string(got), "\n") {
		at, ok := lineTime(name, []byte(line))
		modelAt, _ := lineTime(name, []byte(models[i]))
		if !ok {
			continue
		}
		if at.Before(since.Truncate(time.Millisecond)) || at.Before(last.Truncate(time.Millisecond)) || at.After(time.Now()) {
			t.Errorf("%s: line %d is of %s", name, i, at)
		}
		if modelAt.Equal(lastModel) && !at.Equal(last) {
			t.Errorf("%s: line %d no longer shares the time of the line before", name, i)
		}
		last, lastModel = at, modelAt
	}
}

func TestRunInAnotherWorkFolder(t *testing.T) {
	for name, work := range map[string]string{"relative": filepath.Join("some", "where"), "absolute": t.TempDir()} {
		t.Run(name, func(t *testing.T) {
			o, out, report := fakeRun(t, "serve")
			o.work, o.loops = work, 1
			if err := run(context.Background(), o); err != nil {
				t.Fatal(err)
			}
			if !strings.Contains(out.String(), "log files in "+work+".") {
				t.Errorf("%q is not in the output:\n%s", work, out)
			}
			var state fakeState
			b, err := os.ReadFile(report)
			if err != nil {
				t.Fatal(err)
			}
			if err := json.Unmarshal(b, &state); err != nil {
				t.Fatal(err)
			}
			if state.PodLogs != filepath.Join(work, "pods") {
				t.Errorf("POD_LOGS_DIR was %q", state.PodLogs)
			}
			if files, err := os.ReadDir(filepath.Join(o.workDir(), "pods")); err != nil || len(files) == 0 {
				t.Errorf("%d pods in %s: %v", len(files), o.workDir(), err)
			}
			if _, err := os.Stat(filepath.Join(o.root, ".work")); err == nil {
				t.Error("the default folder was made, too")
			}
		})
	}
}

func TestRunRemovesNobodyElsesFiles(t *testing.T) {
	o, _, _ := fakeRun(t, "serve")
	o.work = t.TempDir()
	mine := filepath.Join(o.work, "docker", "precious") // would be removed in a work folder
	for _, dir := range []string{mine, filepath.Join(o.work, "thesis")} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	wantError(t, run(context.Background(), o), "not a work folder", "thesis")
	if _, err := os.Stat(mine); err != nil {
		t.Error(err)
	}
}

func TestRunStopsWhenTold(t *testing.T) {
	o, out, report := fakeRun(t, "serve")
	o.loops, o.rate = 0, 500
	ctx, cancel := context.WithCancel(context.Background())
	go func() {
		defer cancel()
		for i := 0; i < 1000 && !strings.Contains(out.String(), "Ctrl-C stops"); i++ {
			time.Sleep(10 * time.Millisecond)
		}
		time.Sleep(100 * time.Millisecond)
	}()
	if err := run(ctx, o); err != nil {
		t.Error(err)
	}
	if !strings.HasSuffix(out.String(), "stopped\n") || strings.Contains(out.String(), "replayed") {
		t.Errorf("output:\n%s", out)
	}
	if _, err := os.Stat(report); err != nil {
		t.Errorf("the collector was not stopped with SIGTERM: %v", err)
	}
}

func TestRunWithoutCollector(t *testing.T) {
	o, _, _ := fakeRun(t, "serve")
	o.collector = []string{"bin/otelcol"}
	wantError(t, run(context.Background(), o), "no collector", "make builds it")
}

func TestRunPortInUse(t *testing.T) {
	o, _, _ := fakeRun(t, "serve")
	l, err := net.Listen("tcp", o.health)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	wantError(t, run(context.Background(), o), "something listens on "+o.health, "HEALTH_ENDPOINT")
}

func TestRunCollectorThatDoesNotStart(t *testing.T) {
	o, _, _ := fakeRun(t, "exit")
	wantError(t, run(context.Background(), o), "exit status 3", "port that is in use")
}

func TestRunCollectorThatDies(t *testing.T) {
	o, _, _ := fakeRun(t, "die")
	o.loops, o.rate = 0, 500
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	wantError(t, run(ctx, o), "the collector ended (exit status 4)")
}

func TestRunTracesRefused(t *testing.T) {
	o, out, _ := fakeRun(t, "refuse")
	o.loops = 1
	wantError(t, run(context.Background(), o), "traces were not accepted")
	if !strings.Contains(out.String(), "503 Service Unavailable: refused") {
		t.Errorf("output:\n%s", out)
	}
}

func TestRate(t *testing.T) {
	const rate = 1000
	s := bundled(t)
	p := player{sample: s, dir: t.TempDir(), rate: rate, post: func(context.Context, []byte) error { return nil }}
	defer p.close()
	start := time.Now()
	if err := p.loop(context.Background()); err != nil {
		t.Fatal(err)
	}
	want := time.Duration(s.lines) * time.Second / rate
	if took := time.Since(start); took < want || p.lines != s.lines {
		t.Errorf("%d lines in %s, want %d in %s", p.lines, took, s.lines, want)
	}
}

func TestRotate(t *testing.T) {
	line := bytes.Repeat([]byte("x"), rotateAt/2)
	now := time.Date(2026, 3, 2, 9, 30, 0, 0, time.UTC)
	ls := func(path string) (names []string) {
		t.Helper()
		entries, err := os.ReadDir(filepath.Dir(path))
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range entries {
			names = append(names, e.Name())
		}
		return names
	}
	write := func(l *logFile, seconds ...int) {
		t.Helper()
		for _, s := range seconds {
			if err := l.write(line, now.Add(time.Duration(s)*time.Second)); err != nil {
				t.Fatal(err)
			}
		}
	}
	f := func(name string, seconds []int, want ...string) {
		t.Helper()
		path := filepath.Join(t.TempDir(), "pod", name)
		l, err := openLogFile(path)
		if err != nil {
			t.Fatal(err)
		}
		defer l.close()
		write(l, seconds...)
		if got := ls(path); strings.Join(got, " ") != strings.Join(want, " ") {
			t.Errorf("%s after %v: %q, want %q", name, seconds, got, want)
		}
	}
	f("0.log", []int{0, 1}, "0.log")
	f("0.log", []int{0, 1, 2}, "0.log", "0.log.20260302-093002")
	// The second rotation in one second waits: nothing is overwritten.
	f("0.log", []int{0, 1, 2, 2, 2, 2}, "0.log", "0.log.20260302-093002")
	f("0.log", []int{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12}, "0.log",
		"0.log.20260302-093006", "0.log.20260302-093008", "0.log.20260302-093010", "0.log.20260302-093012")
	f("a-json.log", []int{0, 1, 2, 3, 4}, "a-json.log", "a-json.log.1")
}

// TestChildDiesWithUs: only Linux can promise it.
func TestChildDiesWithUs(t *testing.T) {
	if runtime.GOOS == "linux" && !strings.Contains(fmt.Sprintf("%+v", childAttr()), "Pdeathsig:terminated") {
		t.Error("no Pdeathsig")
	}
	if !childAttr().Setpgid {
		t.Error("the child shares our process group: Ctrl-C would reach it twice")
	}
}
