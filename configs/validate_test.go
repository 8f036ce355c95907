package configs

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sluice-otel/sluice/e2e/harness"
)

// required is what the profiles need beside their defaults, with a kubeconfig and an account that lead nowhere:
// `validate` builds the pipelines but starts nothing.
func required(t *testing.T) map[string]string {
	t.Helper()
	dir := t.TempDir()
	write := func(name, text string) string {
		path := filepath.Join(dir, name)
		require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
		return path
	}
	write("token", "a-service-account-token")
	write("ca.crt", "")
	return map[string]string{
		"K8S_NODE_NAME": "node-1",
		"POD_NAME":      "sluice-0",
		"K8S_AUTH_TYPE": "kubeConfig",
		"KUBECONFIG": write("kubeconfig", `{"apiVersion": "v1", "kind": "Config", "current-context": "c",
			"clusters": [{"name": "c", "cluster": {"server": "https://127.0.0.1:1"}}],
			"users": [{"name": "c", "user": {"token": "a-token"}}],
			"contexts": [{"name": "c", "context": {"cluster": "c", "user": "c"}}]}`),
		"SERVICEACCOUNT_DIR":      dir,
		"OTLP_ENDPOINT":           "http://127.0.0.1:1",
		"OTLP_AUTHORIZATION_FILE": write("authorization", "Bearer a-vendor-token"),
		"STATE_DIR":               filepath.Join(dir, "state"),
	}
}

func TestTheBinaryAcceptsEveryTierWithEveryBackend(t *testing.T) {
	env := required(t)
	accept := func(files ...string) {
		t.Run(fmt.Sprint(files), func(t *testing.T) {
			t.Parallel()
			for i := range files {
				files[i] = "configs/" + files[i]
			}
			output, err := harness.Validate(t, env, files...)
			assert.NoError(t, err, output)
		})
	}
	for _, tier := range tiers(t) {
		for _, backend := range backends(t) {
			if backend.path != "backends/to-sampling.yaml" {
				accept(tier.path, backend.path)
			}
		}
	}
	for _, backend := range []string{"lgtm", "victoria", "otlp", "debug"} {
		accept("gateway.yaml", "backends/"+backend+".yaml", "backends/to-sampling.yaml")
	}
}

func TestAMissingVariableIsAClearFailure(t *testing.T) {
	f := func(tier, backend, unset, want string) {
		t.Helper()
		env := maps.Clone(required(t))
		delete(env, unset)
		output, err := harness.Validate(t, env, "configs/"+tier, "configs/backends/"+backend)
		assert.Error(t, err, "%s without %s", tier, unset)
		assert.Contains(t, output, want, "%s without %s", tier, unset)
	}
	f("agent.yaml", "debug.yaml", "K8S_NODE_NAME", `envvar "K8S_NODE_NAME" is not set`)
	f("scraper.yaml", "debug.yaml", "POD_NAME", "prometheus/allocator::target_allocator: CollectorID is not a valid ID")
	f("local.yaml", "otlp.yaml", "OTLP_ENDPOINT", "otlp_http/vendor: at least one endpoint must be specified")
	f("local.yaml", "otlp.yaml", "OTLP_AUTHORIZATION_FILE", "open /etc/otelcol/secrets/authorization: no such file or directory")
	f("agent.yaml", "debug.yaml", "K8S_AUTH_TYPE", "/var/run/secrets/kubernetes.io/serviceaccount/ca.crt could not be read")
}

// The headers of otlp.yaml show how a vendor's own headers are added.
func TestTheCoralogixExampleIsAccepted(t *testing.T) {
	output, err := harness.Validate(t, required(t), "configs/agent.yaml", "configs/backends/otlp.yaml",
		"yaml:exporters::otlp_http/vendor::headers::CX-Application-Name: shop",
		"yaml:exporters::otlp_http/vendor::headers::CX-Subsystem-Name: production")
	assert.NoError(t, err, output)
}
