package backends

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/sluice-otel/sluice/e2e/proc"
)

// TargetAllocator is the OpenTelemetry Operator's, run as a plain process.
type TargetAllocator struct {
	URL     string // http://127.0.0.1:…
	Process *proc.Process
}

// StartTargetAllocator starts the allocator with a config (YAML text) and returns when it serves scrape configs. The
// config needs collector_namespace, and either a scrape job or prometheus_cr.enabled: then the monitoring CRDs must be
// there. It looks for collectors as the user of the kubeconfig file, every 5 s.
func StartTargetAllocator(tb testing.TB, config string, kubeconfig string) *TargetAllocator {
	tb.Helper()
	path := binary(tb, "targetallocator")
	dir := tb.TempDir()
	configFile := filepath.Join(dir, "targetallocator.yaml")
	must(tb, os.WriteFile(configFile, []byte(config), 0o600))
	addr := proc.FreeAddress(tb)
	a := &TargetAllocator{URL: "http://" + addr}
	a.Process = proc.Start(tb, proc.Cmd{Name: "targetallocator", Path: path, Dir: dir, Args: []string{
		"--config-file=" + configFile,
		"--kubeconfig-path=" + kubeconfig,
		"--listen-addr=" + addr,
	}})
	waitReady(tb, a.URL+"/readyz", a.Process)
	return a
}

// MonitorCRDs is a folder with the definitions of ServiceMonitor, PodMonitor, Probe and ScrapeConfig, which come with the Prometheus Operator, in
// the version that the allocator is built with: monitoring.coreos.com_servicemonitors.yaml and so on. It may ask the network.
func MonitorCRDs() (string, error) {
	dir, err := sources("targetallocator", "github.com/prometheus-operator/prometheus-operator")
	return filepath.Join(dir, "example", "prometheus-operator-crd"), err
}
