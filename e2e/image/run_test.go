//go:build e2e

package image

import (
	"bytes"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sluice-otel/sluice/e2e/proc"
)

// contained is a command in the unpacked image: its root with /proc, its user, its environment and nothing else. That is less than a container, which
// e2e/cluster has, and needs no container runtime.
func (i *image) contained(t *testing.T, root string, env map[string]string, args ...string) *exec.Cmd {
	t.Helper()
	require.NoError(t, os.MkdirAll(filepath.Join(root, "proc"), 0o755))
	user := fmt.Sprintf("%d:%d", uid, uid)
	namespaces, chroot := []string{"--mount"}, "chroot --userspec="+user
	if os.Getuid() != 0 { // whoever runs the test is the image's user in a namespace
		namespaces, chroot = append(namespaces, "--user", fmt.Sprintf("--map-user=%d", uid), fmt.Sprintf("--map-group=%d", uid), "--keep-caps"), "chroot"
	}
	script := `mount --rbind /proc "$0/proc" && exec ` + chroot + ` "$0" "$@"`
	cmd := exec.CommandContext(t.Context(), "unshare", append(append(namespaces, "sh", "-c", script, root, i.config.Config.Entrypoint[0]), args...)...)
	cmd.Env = append([]string{}, i.config.Config.Env...)
	for k, v := range env {
		cmd.Env = append(cmd.Env, k+"="+v)
	}
	return cmd
}

// What a pod mounts and sets beside the image, with a cluster that is not there.
func mounted(t *testing.T, root string) map[string]string {
	t.Helper()
	dir := filepath.Join(root, "mnt")
	require.NoError(t, os.Mkdir(dir, 0o755))
	for name, text := range map[string]string{
		"token": "a-token", "ca.crt": "", "authorization": "Bearer a-token",
		"kubeconfig": `{"apiVersion": "v1", "kind": "Config", "current-context": "c", "clusters": [{"name": "c", "cluster": {"server": "https://127.0.0.1:1"}}],
			"users": [{"name": "c", "user": {"token": "a-token"}}], "contexts": [{"name": "c", "context": {"cluster": "c", "user": "c"}}]}`,
	} {
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644))
	}
	return map[string]string{
		"K8S_NODE_NAME": "node-1", "POD_NAME": "sluice-0", "K8S_AUTH_TYPE": "kubeConfig", "KUBECONFIG": "/mnt/kubeconfig",
		"SERVICEACCOUNT_DIR": "/mnt", "OTLP_ENDPOINT": "http://127.0.0.1:1", "OTLP_AUTHORIZATION_FILE": "/mnt/authorization",
	}
}

func TestImageAcceptsItsProfiles(t *testing.T) {
	i := built(t)
	root := i.unpack(t)
	env := mounted(t, root)
	for _, tier := range []string{"agent", "gateway", "sampling", "scraper", "local"} {
		for _, backend := range []string{"lgtm", "victoria", "otlp", "debug"} {
			args := []string{"validate", "--config=/etc/otelcol/" + tier + ".yaml", "--config=/etc/otelcol/backends/" + backend + ".yaml"}
			if tier == "gateway" {
				args = append(args, "--config=/etc/otelcol/backends/to-sampling.yaml")
			}
			out, err := i.contained(t, root, env, args...).CombinedOutput()
			assert.NoError(t, err, "%s %s: %s", tier, backend, out)
		}
	}
}

// Configurations may name time zones; an empty image has none.
func TestImageKnowsTimeZones(t *testing.T) {
	i := built(t)
	root := i.unpack(t)
	f := func(zone string) error {
		out, err := i.contained(t, root, nil, "validate", "--config=yaml:"+strings.NewReplacer("ZONE", zone).Replace(`{receivers: {otlp: {protocols: {grpc: {}}}}, exporters: {nop: {}},
			processors: {transform: {log_statements: ['set(log.time, Time("2026-01-01", "%Y-%m-%d", "ZONE"))']}},
			service: {pipelines: {logs: {receivers: [otlp], processors: [transform], exporters: [nop]}}}}`)).CombinedOutput()
		t.Logf("%s: %s", zone, out)
		return err
	}
	assert.NoError(t, f("Europe/Berlin"))
	assert.Error(t, f("Europe/Atlantis"))
}

// It starts as its user, with its state where the profiles put it, and writes nowhere else.
func TestImageRuns(t *testing.T) {
	i := built(t)
	root := i.unpack(t)
	ports := proc.FreePorts(t, 9)
	env := map[string]string{"METRICS_PORT": strconv.Itoa(ports[8]), "STATE_DIR": "/var/lib/sluice", "POD_LOGS_DIR": "/var/log/pods", "DOCKER_LOGS_DIR": "/var/lib/docker/containers"}
	for n, name := range []string{"HEALTH", "OTLP_GRPC", "OTLP_HTTP", "JAEGER_GRPC", "JAEGER_HTTP", "ZIPKIN", "ZPAGES", "PPROF"} {
		env[name+"_ENDPOINT"] = "127.0.0.1:" + strconv.Itoa(ports[n])
	}
	cmd := i.contained(t, root, env, "--config=/etc/otelcol/local.yaml", "--config=/etc/otelcol/backends/debug.yaml")
	var output bytes.Buffer
	cmd.Stdout, cmd.Stderr = &output, &output
	require.NoError(t, cmd.Start())
	exited := make(chan error, 1)
	go func() { exited <- cmd.Wait() }()
	healthy := false
	for deadline := time.Now().Add(time.Minute); !healthy && time.Now().Before(deadline); time.Sleep(50 * time.Millisecond) {
		select {
		case err := <-exited:
			require.Fail(t, "it ended", "%v\n%s", err, output.String())
		default:
		}
		if resp, err := http.Get("http://" + env["HEALTH_ENDPOINT"]); err == nil {
			healthy = resp.StatusCode == http.StatusOK
			resp.Body.Close()
		}
	}
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", cmd.Process.Pid))
	require.NoError(t, err)
	if os.Getuid() == 0 {
		assert.Regexp(t, `(?m)^Uid:\s65532\s`, string(status))
	}
	time.Sleep(300 * time.Millisecond) // it listens for signals a little later than it is healthy
	require.NoError(t, cmd.Process.Signal(syscall.SIGTERM))
	assert.NoError(t, <-exited, output.String())
	require.True(t, healthy, output.String())
	state, err := os.ReadDir(filepath.Join(root, "var/lib/sluice"))
	require.NoError(t, err)
	assert.NotEmpty(t, state)
}
