//go:build e2e

package e2e

import (
	"errors"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/sluice-otel/sluice/e2e/harness"
	"github.com/sluice-otel/sluice/e2e/proc"
)

// A collector whose API server does not answer (a fake: it accepts and is silent): spans have to wait for their metadata, and the other signals' port is open.
const startGate = `
receivers:
  otlp: {protocols: {grpc: {endpoint: '${env:OTLP_GRPC_ENDPOINT}'}}}
processors:
  start_gate:
  k8sattributes: {auth_type: kubeConfig, wait_for_metadata: true, wait_for_metadata_timeout: 1h}
exporters:
  nop:
service:
  telemetry: {metrics: {level: none}}
  pipelines:
    logs: {receivers: [otlp], exporters: [nop]}
    metrics: {receivers: [otlp], exporters: [nop]}
    traces: {receivers: [otlp], processors: [PROCESSORS], exporters: [nop]}
`

// What comes in over a port that is open before its pipeline has started is refused, retryably. Without start_gate it is acknowledged and passes k8sattributes
// without metadata, or ends the process.
func TestStartGate(t *testing.T) {
	silent, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { _ = silent.Close() })
	kubeconfig := filepath.Join(t.TempDir(), "kubeconfig")
	require.NoError(t, os.WriteFile(kubeconfig, []byte(`
apiVersion: v1
kind: Config
clusters: [{name: a, cluster: {server: "http://`+silent.Addr().String()+`"}}]
contexts: [{name: a, context: {cluster: a, user: a}}]
current-context: a
users: [{name: a, user: {}}]
`), 0o600))
	assert.ErrorContains(t, whileStarting(t, kubeconfig, "start_gate, k8sattributes"), "the collector is still starting: try again")
	assert.NoError(t, whileStarting(t, kubeconfig, "k8sattributes"), "the gate is not needed any more")
}

// whileStarting sends a span to a collector that waits for metadata and listens. Which pipeline is started first is chance, so it tries again until it listens.
func whileStarting(t *testing.T, kubeconfig, processors string) error {
	t.Helper()
	for range 60 {
		c := harness.StartCollector(t, harness.Options{
			Override: strings.Replace(startGate, "PROCESSORS", processors, 1), Env: map[string]string{"KUBECONFIG": kubeconfig}, NoWait: true,
		})
		proc.Eventually(t, time.Minute, func() error {
			if !strings.Contains(c.Proc.Output(), "k8s filtering") {
				return errors.New("k8sattributes has not begun to start")
			}
			return nil
		}, c.Proc)
		conn, err := net.DialTimeout("tcp", c.OTLPGRPC, time.Second)
		if err == nil {
			_ = conn.Close()
			td := ptrace.NewTraces()
			td.ResourceSpans().AppendEmpty().ScopeSpans().AppendEmpty().Spans().AppendEmpty().SetName("a")
			err = harness.SendTraces(t, c.OTLPGRPC, td)
			c.Kill()
			return err
		}
		c.Kill()
	}
	t.Fatal("it never listened while it waited")
	return nil
}
