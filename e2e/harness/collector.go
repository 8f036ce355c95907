// Package harness is what the end-to-end tests are made of: the built collector as a process, a sink that plays the
// backend and can be made to fail, senders that play the applications, and a reader of the collector's own metrics.
package harness

import (
	"errors"
	"fmt"
	"maps"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/sluice-otel/sluice/e2e/proc"
)

// healthTimeout is generous: a collector starts in a second, but not beside a full test run on two cores.
const healthTimeout = 60 * time.Second

// Options say how to start a collector.
type Options struct {
	Name     string            // for messages and the log file; "otelcol" when empty
	Configs  []string          // --config arguments in order of merging; paths are relative to the repository
	Override string            // YAML, merged last
	Env      map[string]string // wins over the ports and paths that the harness chooses
	Gates    []string          // feature gates; "-name" switches one off
	StateDir string            // a directory of the test when empty
	NoWait   bool              // return at once, for a collector that is expected not to become healthy
	// KnownCrash is a text that the output of a crash has which is known, and does not fail the test: a fault of upstream's, that is named where it is set.
	KnownCrash string
}

// Collector is a running collector. Its endpoints are host:port, and stay the same over Restart.
type Collector struct {
	OTLPGRPC, OTLPHTTP     string
	JaegerGRPC, JaegerHTTP string
	Zipkin                 string
	Health, ZPages, PProf  string
	LimiterPage            string
	MetricsAddr            string // where the collector's own metrics are, path /metrics
	StateDir               string
	Proc                   *proc.Process // the newest one after Restart

	name       string
	args       []string
	env        []string
	noWait     bool
	knownCrash string
	healthy    time.Time // when it was seen to be
}

// StartCollector starts bin/otelcol and waits until its health check answers. The collector is stopped when the test
// ends; a crash, or a line of level panic or fatal in its log, fails the test.
func StartCollector(tb testing.TB, o Options) *Collector {
	tb.Helper()
	dir := tb.TempDir()
	env := freeEndpoints(tb)
	env["STATE_DIR"] = o.StateDir
	if o.StateDir == "" {
		env["STATE_DIR"] = filepath.Join(dir, "state")
	}
	maps.Copy(env, o.Env)
	if err := os.MkdirAll(env["STATE_DIR"], 0o755); err != nil {
		tb.Fatal(err)
	}

	configs := slices.Clone(o.Configs)
	if o.Override != "" {
		file := filepath.Join(dir, "override.yaml")
		if err := os.WriteFile(file, []byte(o.Override), 0o600); err != nil {
			tb.Fatal(err)
		}
		configs = append(configs, file)
	}

	c := &Collector{
		OTLPGRPC:    env["OTLP_GRPC_ENDPOINT"],
		OTLPHTTP:    env["OTLP_HTTP_ENDPOINT"],
		JaegerGRPC:  env["JAEGER_GRPC_ENDPOINT"],
		JaegerHTTP:  env["JAEGER_HTTP_ENDPOINT"],
		Zipkin:      env["ZIPKIN_ENDPOINT"],
		Health:      env["HEALTH_ENDPOINT"],
		ZPages:      env["ZPAGES_ENDPOINT"],
		PProf:       env["PPROF_ENDPOINT"],
		LimiterPage: env["LIMITER_PAGE"],
		MetricsAddr: net.JoinHostPort(env["METRICS_HOST"], env["METRICS_PORT"]),
		StateDir:    env["STATE_DIR"],
		name:        o.Name,
		args:        arguments(configs, o.Gates),
		env:         assignments(env),
		noWait:      o.NoWait,
		knownCrash:  o.KnownCrash,
	}
	if c.name == "" {
		c.name = "otelcol"
	}
	c.start(tb)
	return c
}

func (c *Collector) start(tb testing.TB) {
	tb.Helper()
	// Registered before the process's own clean-up, so that it runs after the process is gone and its log complete.
	var p *proc.Process
	_ = tb.TempDir() // and before its log is removed
	tb.Cleanup(func() {
		if !c.crashedAsKnown(p) {
			assertNoCrash(tb, p)
		}
	})
	p = proc.Start(tb, proc.Cmd{Name: c.name, Path: Binary(tb), Args: c.args, Env: c.env, Dir: Root(tb)})
	c.Proc = p
	if !c.noWait {
		c.WaitHealthy(tb)
	}
}

// WaitHealthy waits until the health check answers 200, and fails at once if the collector exits.
func (c *Collector) WaitHealthy(tb testing.TB) {
	tb.Helper()
	proc.Eventually(tb, healthTimeout, func() error {
		resp, err := direct.Get("http://" + c.Health + "/")
		if err != nil {
			return fmt.Errorf("health check: %w", err)
		}
		defer resp.Body.Close()
		if resp.StatusCode != http.StatusOK {
			return fmt.Errorf("health check: %s", resp.Status)
		}
		return nil
	}, c.Proc)
	c.healthy = time.Now()
}

// Kill is kill -9, and waits until the collector is gone.
func (c *Collector) Kill() { c.Proc.Kill() }

// handlesSignals is how long after its start a collector listens for signals at the latest: it is healthy before it does, and SIGTERM ends it at once
// between the two (otelcol/collector.go, Run).
const handlesSignals = time.Second

// Stop asks the collector to stop, as Kubernetes does, and fails the test unless it ends with exit code 0.
func (c *Collector) Stop(tb testing.TB) {
	tb.Helper()
	time.Sleep(time.Until(c.healthy.Add(handlesSignals)))
	if err := c.Proc.Stop(); err != nil {
		tb.Errorf("%s: stop: %v", c.name, err)
	}
}

// Restart starts the collector again with the same configuration, ports and state; one that still runs is stopped first.
func (c *Collector) Restart(tb testing.TB) {
	tb.Helper()
	if !c.Proc.Exited() {
		c.Stop(tb)
	}
	c.start(tb)
}

// CrashedAsKnown says whether it is gone with its known crash.
func (c *Collector) CrashedAsKnown() bool { return c.crashedAsKnown(c.Proc) }

func (c *Collector) crashedAsKnown(p *proc.Process) bool {
	return p != nil && c.knownCrash != "" && p.Exited() && strings.Contains(p.Output(), c.knownCrash)
}

// Launch starts a collector again that is gone, and does not wait until it is healthy.
func (c *Collector) Launch(tb testing.TB) {
	tb.Helper()
	noWait := c.noWait
	c.noWait = true
	c.start(tb)
	c.noWait = noWait
}

// Validate runs `otelcol validate` over the configs with only the given variables set (and PATH and HOME), and returns
// what it printed.
func Validate(tb testing.TB, env map[string]string, configs ...string) (output string, err error) {
	tb.Helper()
	cmd := exec.CommandContext(tb.Context(), Binary(tb), append([]string{"validate"}, arguments(configs, nil)...)...)
	cmd.Dir = Root(tb)
	cmd.Env = append([]string{"PATH=" + os.Getenv("PATH"), "HOME=" + os.Getenv("HOME")}, assignments(env)...)
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// Root is the directory of the repository.
func Root(tb testing.TB) string {
	tb.Helper()
	dir, err := os.Getwd()
	if err != nil {
		tb.Fatal(err)
	}
	for {
		mod, err := os.ReadFile(filepath.Join(dir, "go.mod"))
		if err == nil && strings.HasPrefix(string(mod), "module github.com/sluice-otel/sluice\n") {
			return dir
		}
		parent := filepath.Dir(dir)
		if parent == dir {
			tb.Fatal("not inside the repository: no go.mod of github.com/sluice-otel/sluice above the working directory")
		}
		dir = parent
	}
}

// Binary is the path of bin/otelcol.
func Binary(tb testing.TB) string {
	tb.Helper()
	path := filepath.Join(Root(tb), "bin", "otelcol")
	if _, err := os.Stat(path); err != nil {
		tb.Fatal("bin/otelcol is missing: run make build")
	}
	return path
}

// freeEndpoints gives every endpoint that the profiles take from the environment a free port.
func freeEndpoints(tb testing.TB) map[string]string {
	tb.Helper()
	names := []string{
		"OTLP_GRPC_ENDPOINT", "OTLP_HTTP_ENDPOINT", "HEALTH_ENDPOINT", "ZPAGES_ENDPOINT", "PPROF_ENDPOINT",
		"JAEGER_GRPC_ENDPOINT", "JAEGER_HTTP_ENDPOINT", "ZIPKIN_ENDPOINT", "LIMITER_PAGE",
	}
	ports := proc.FreePorts(tb, len(names)+1)
	env := map[string]string{"METRICS_HOST": "127.0.0.1"}
	for i, name := range names {
		env[name] = net.JoinHostPort("127.0.0.1", strconv.Itoa(ports[i]))
	}
	env["METRICS_PORT"] = strconv.Itoa(ports[len(names)])
	return env
}

func arguments(configs, gates []string) []string {
	var args []string
	if len(gates) > 0 {
		args = append(args, "--feature-gates="+strings.Join(gates, ","))
	}
	for _, c := range configs {
		args = append(args, "--config="+c)
	}
	return args
}

func assignments(env map[string]string) []string {
	list := make([]string, 0, len(env))
	for name, value := range env {
		list = append(list, name+"="+value)
	}
	slices.Sort(list)
	return list
}

// crashLine matches what the collector's logger, console or JSON, prints of level dpanic, panic or fatal, and what
// net/http says when it recovers a handler. A Go panic needs no pattern: it ends the process with exit code 2.
var crashLine = regexp.MustCompile(`(?m)^(?:` +
	`\S+\t(?i:dpanic|panic|fatal)\t|` +
	`\{"level":"(?i:dpanic|panic|fatal)"|` +
	`(?:\S+\t|\d{4}/\d\d/\d\d |\{"level").*http: panic serving).*$`)

func assertNoCrash(tb testing.TB, p *proc.Process) {
	tb.Helper()
	if p == nil { // it could not be started, and the test has failed
		return
	}
	var exit *exec.ExitError
	if errors.As(p.Stop(), &exit) && exit.ExitCode() == 2 {
		tb.Errorf("%s crashed; its output ends:\n%s", p.Name, p.Tail())
	}
	for _, line := range crashLine.FindAllString(p.Output(), 10) {
		tb.Errorf("%s logged: %s", p.Name, line)
	}
}
