package backends

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/sluice-otel/sluice/e2e/proc"
)

// operatorNamespace is where the operator's ServiceAccount is.
const operatorNamespace = "opentelemetry-operator-system"

// Operator is the OpenTelemetry Operator, run as a plain process with the role and the webhooks that it ships with.
type Operator struct {
	Process *proc.Process
}

// ApplyOperatorCRDs makes the operator's kinds known to the API server.
func (k *Kubernetes) ApplyOperatorCRDs(tb testing.TB) {
	tb.Helper()
	k.ApplyFile(tb, filepath.Join(operatorSource(tb), "config", "crd", "bases"))
	proc.Eventually(tb, time.Minute, func() error { // `kubectl wait` fails on one that has no conditions yet
		_, _, err := k.TryKubectl("", "get", "opentelemetrycollectors,targetallocators,instrumentations", "-A")
		return err
	}, k.APIServer)
}

// StartOperator starts the operator on an API server that has its CRDs, and returns when it is ready and the API server asks its webhooks. Those
// listen on every address, so a test wants a network namespace of its own.
func StartOperator(tb testing.TB, k *Kubernetes, args ...string) *Operator {
	tb.Helper()
	source := operatorSource(tb)
	dir := tb.TempDir()
	ports := proc.FreePorts(tb, 2)
	account := k.ServiceAccount(tb, operatorNamespace, "controller-manager")
	for _, name := range []string{"role.yaml", "role_binding.yaml", "auth_proxy_role.yaml", "auth_proxy_role_binding.yaml"} {
		rbac, err := os.ReadFile(filepath.Join(source, "config", "rbac", name))
		must(tb, err)
		k.Apply(tb, strings.ReplaceAll(string(rbac), "namespace: system", "namespace: "+operatorNamespace))
	}

	// Where the operator looks for it.
	certs := filepath.Join(dir, "k8s-webhook-server", "serving-certs")
	must(tb, os.MkdirAll(certs, 0o700))
	k.ca.issue(tb, "operator", "operator", nil, loopback)
	for from, to := range map[string]string{"operator.crt": "tls.crt", "operator.key": "tls.key"} {
		data, err := os.ReadFile(k.ca.file(from))
		must(tb, err)
		must(tb, os.WriteFile(filepath.Join(certs, to), data, 0o600))
	}
	health := fmt.Sprintf("%s:%d", loopback, ports[0])
	o := &Operator{Process: proc.Start(tb, proc.Cmd{
		Name: "operator", Path: binary(tb, "operator"), Dir: dir,
		Env: []string{"KUBECONFIG=" + account.Kubeconfig, "TMPDIR=" + dir, "NAMESPACE=" + operatorNamespace, "SERVICE_ACCOUNT_NAME=" + account.Name},
		Args: append([]string{
			"--metrics-addr=0", "--health-probe-addr=" + health, "--webhook-port=" + strconv.Itoa(ports[1]),
			"--enable-leader-election=false", "--zap-log-level=info",
		}, args...),
	})}
	waitReady(tb, "http://"+health+"/readyz", o.Process)
	k.Apply(tb, webhooks(tb, filepath.Join(source, "config", "webhook", "manifests.yaml"), k.CAFile, ports[1]))
	proc.Eventually(tb, time.Minute, func() error { // a webhook that has come is asked a moment later
		stdout, _, err := k.TryKubectl(probeCR, "apply", "--server-side", "--dry-run=server", "-o", "json", "-f", "-")
		if err == nil && !strings.Contains(stdout, `"upgradeStrategy": "automatic"`) {
			err = fmt.Errorf("the webhook's defaults are not there yet: %s", stdout)
		}
		return err
	}, o.Process)
	return o
}

// probeCR is one that the webhook adds defaults to.
const probeCR = `
apiVersion: opentelemetry.io/v1beta1
kind: OpenTelemetryCollector
metadata: {name: probe, namespace: ` + operatorNamespace + `}
spec:
  config:
    receivers: {otlp: {protocols: {grpc: {}}}}
    exporters: {nop: {}}
    service: {pipelines: {traces: {receivers: [otlp], exporters: [nop]}}}
`

// webhooks are the operator's configurations, with an address in the place of a Service: there is no network of pods.
func webhooks(tb testing.TB, path, caFile string, port int) string {
	tb.Helper()
	data, err := os.ReadFile(path)
	must(tb, err)
	ca, err := os.ReadFile(caFile)
	must(tb, err)
	var out strings.Builder
	decoder := yaml.NewDecoder(bytes.NewReader(data))
	for {
		var doc map[string]any
		if decoder.Decode(&doc) != nil {
			return out.String()
		}
		hooks, _ := doc["webhooks"].([]any)
		for _, hook := range hooks {
			client := hook.(map[string]any)["clientConfig"].(map[string]any)
			client["url"] = fmt.Sprintf("https://%s:%d%s", loopback, port, client["service"].(map[string]any)["path"])
			client["caBundle"] = base64.StdEncoding.EncodeToString(ca)
			delete(client, "service")
		}
		text, err := yaml.Marshal(doc)
		must(tb, err)
		out.WriteString("---\n" + string(text))
	}
}

// operatorSource is the folder of the operator's module: its manifests are there.
func operatorSource(tb testing.TB) string {
	tb.Helper()
	s, err := find("operator")
	must(tb, err)
	dir, err := sources(s.name, s.module)
	must(tb, err)
	return dir
}
