// Package tiers starts the shipped profiles the way a cluster would: each tier as its own ServiceAccount with the roles from
// deploy/, against a real API server, with its backend's addresses pointing at a test's sink.
package tiers

import (
	"maps"
	"os"
	"path/filepath"
	"testing"

	"github.com/sluice-otel/sluice/e2e/backends"
	"github.com/sluice-otel/sluice/e2e/harness"
)

// namespaces of the tiers' ServiceAccounts, as in deploy/kubernetes/tiers/*/rbac.yaml. The local profile has none.
var namespaces = map[string]string{"agent": "sluice-agent", "gateway": "sluice", "sampling": "sluice", "scraper": "sluice"}

// StartKubernetes starts an API server and gives the tiers their shipped roles.
func StartKubernetes(tb testing.TB) *backends.Kubernetes {
	tb.Helper()
	return withRoles(tb, backends.StartKubernetes(tb))
}

// StartKubernetesOn does so on an address that the endpoints of the Service kubernetes may have.
func StartKubernetesOn(tb testing.TB, address string) *backends.Kubernetes {
	tb.Helper()
	return withRoles(tb, backends.StartKubernetesOn(tb, address))
}

func withRoles(tb testing.TB, k *backends.Kubernetes) *backends.Kubernetes {
	tb.Helper()
	for tier, namespace := range namespaces {
		k.Namespace(tb, namespace)
		k.ApplyFile(tb, filepath.Join(harness.Root(tb), "deploy", "kubernetes", "tiers", tier, "rbac.yaml"))
	}
	return k
}

// Tier says what to start. A file is named as in configs/, without its ending: "agent", "backends/lgtm".
type Tier struct {
	Name     string // of the pod; the tier's when empty
	Profile  string
	Backends []string
	Configs  []string          // files, paths relative to the repository, in place of the profile's and the backends'
	Gates    []string          // feature gates; "-name" switches one off
	Env      map[string]string // wins over what Start chooses
	Override string            // YAML, merged last
	StateDir string
	// KnownCrash is as in harness.Options.
	KnownCrash string
	NoWait     bool // return at once, as for a tier that waits for something itself
}

// Start starts a profile and, unless told not to, waits until it is healthy. Without a cluster (k is nil) only profiles
// that need none start.
func Start(tb testing.TB, k *backends.Kubernetes, t Tier) *harness.Collector {
	tb.Helper()
	if t.Name == "" {
		t.Name = "sluice-" + t.Profile
	}
	dir := tb.TempDir()
	env := map[string]string{
		"POD_NAME":        t.Name,
		"POD_LOGS_DIR":    filepath.Join(dir, "pods"),
		"DOCKER_LOGS_DIR": filepath.Join(dir, "docker"),
		"K8S_NODE_NAME":   "node-1",
		// No kubelet runs here; an address that refuses at once keeps its error messages short.
		"KUBELET_ENDPOINT": "127.0.0.1:1",
	}
	if namespace := namespaces[t.Profile]; k != nil && namespace != "" {
		account := k.ServiceAccount(tb, namespace, "sluice-"+t.Profile)
		env["POD_NAMESPACE"] = namespace
		env["K8S_AUTH_TYPE"] = "kubeConfig"
		env["KUBECONFIG"] = account.Kubeconfig
		env["SERVICEACCOUNT_DIR"] = mount(tb, k, account)
	}
	maps.Copy(env, t.Env)
	configs := t.Configs
	if configs == nil {
		configs = append(configs, "configs/"+t.Profile+".yaml")
		for _, backend := range t.Backends {
			configs = append(configs, "configs/"+backend+".yaml")
		}
	}
	return harness.StartCollector(tb, harness.Options{
		Name: t.Name, Configs: configs, Override: t.Override, Env: env, StateDir: t.StateDir, NoWait: t.NoWait, Gates: t.Gates,
		KnownCrash: t.KnownCrash,
	})
}

// mount lays a token and the CA out as the kubelet mounts them.
func mount(tb testing.TB, k *backends.Kubernetes, a *backends.Account) string {
	tb.Helper()
	dir := tb.TempDir()
	ca, err := os.ReadFile(k.CAFile)
	if err == nil {
		err = os.WriteFile(filepath.Join(dir, "ca.crt"), ca, 0o600)
	}
	if err == nil {
		err = os.WriteFile(filepath.Join(dir, "token"), []byte(a.Token), 0o600)
	}
	if err != nil {
		tb.Fatal(err)
	}
	return dir
}

// ToSink points the variables of every backend file at a sink.
func ToSink(tb testing.TB, s *harness.Sink) map[string]string {
	tb.Helper()
	authorization := filepath.Join(tb.TempDir(), "authorization")
	if err := os.WriteFile(authorization, []byte("Bearer test-token"), 0o600); err != nil {
		tb.Fatal(err)
	}
	url := "http://" + s.HTTP
	return map[string]string{
		"GATEWAY_ENDPOINT":        s.GRPC,
		"PROMETHEUS_URL":          url,
		"LOKI_URL":                url,
		"TRACES_ENDPOINT":         s.GRPC,
		"VICTORIAMETRICS_URL":     url,
		"VICTORIALOGS_URL":        url,
		"VICTORIATRACES_URL":      url,
		"OTLP_ENDPOINT":           url,
		"OTLP_AUTHORIZATION_FILE": authorization,
	}
}

// With is a, with b's entries over it.
func With(a, b map[string]string) map[string]string {
	m := maps.Clone(a)
	maps.Copy(m, b)
	return m
}
