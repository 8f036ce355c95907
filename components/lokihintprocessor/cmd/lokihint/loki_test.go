//go:build e2e

package main

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"

	"github.com/sluice-otel/sluice/e2e/backends"
)

// printed is what print says belongs under a key.
func printed(t *testing.T, key string, args ...string) string {
	t.Helper()
	status, out, problem := lokihint(t, "", append([]string{"print"}, args...)...)
	require.Zero(t, status, problem)
	var tree map[string]any
	require.NoError(t, yaml.Unmarshal([]byte(out), &tree))
	if tree[key] == nil {
		return ""
	}
	text, err := yaml.Marshal(tree[key])
	require.NoError(t, err)
	return string(text)
}

// A Loki that has loaded what print prints makes the labels; one that has not does not, and verify says so.
func TestVerifyOfRealLoki(t *testing.T) {
	plain := backends.StartLoki(t, backends.LokiOptions{})
	f := func(loki *backends.Loki, config string, want ...string) {
		t.Helper()
		status, out, problem := lokihint(t, "", "verify", "--config", "testdata/"+config+".yaml", "--loki", loki.URL)
		assert.Empty(t, problem)
		assert.Equal(t, strings.HasPrefix(want[0], "ok: "), status == 0, "%d %s", status, out)
		for _, w := range want {
			assert.Contains(t, out, w)
		}
	}
	loaded := func(config string) *backends.Loki {
		return backends.StartLoki(t, backends.LokiOptions{Limits: printed(t, "limits_config", "--config", "testdata/"+config+".yaml")})
	}

	f(plain, "default", `ok: Loki makes the labels that the configuration says: {k8s_deployment_name="probe-1", k8s_namespace_name="probe-0", service_name="lokihint-probe"}`)
	f(plain, "generated", "Loki makes no label namespace of the resource attribute namespace\n", "Loki makes k8s_pod_name a label, although it is none of the processor's\n",
		"To do: load what `lokihint print` prints")
	f(plain, "list", "Loki makes no label team of the resource attribute team\n")
	f(plain, "many", "Loki does not take the record: ", "has 16 label names; limit 15\nTo do: load what")
	f(plain, "default", "ok: ") // whatever was sent before
	f(loaded("many"), "many", "ok: ")
	f(loaded("list"), "list", `ok: `, `{service_name="lokihint-probe", team="probe-0"}`)
	generated := loaded("generated")
	f(generated, "generated", `ok: `, `{app="probe-1", job="probe-0/probe-1", level="debug", namespace="probe-0", owner=`)
	f(generated, "default", "Loki makes no label k8s_deployment_name of the resource attribute k8s.deployment.name\n", "To do: contract: default needs Loki's own list")
}

// The tenant's overrides are in the way of what everybody else has.
func TestVerifyOfTenants(t *testing.T) {
	loki := backends.StartLoki(t, backends.LokiOptions{MultiTenant: true, Overrides: printed(t, "overrides", "--config", "testdata/tenants.yaml", "--format", "tenant")})
	f := func(wantStatus int, wantOut string, args ...string) {
		t.Helper()
		status, out, problem := lokihint(t, "", append([]string{"verify", "--loki", loki.URL}, args...)...)
		assert.Equal(t, wantStatus, status, out)
		assert.Contains(t, out+problem, wantOut)
	}

	f(0, "ok: ", "--config", "testdata/tenants.yaml")
	f(0, "ok: ", "--config", "testdata/tenants.yaml", "--tenant", "everyone")
	f(1, "`lokihint print --format tenant --tenant blue` prints", "--config", "testdata/tenants.yaml", "--tenant", "blue")
	f(0, "ok: ", "--config", "testdata/default.yaml", "--tenant", "blue")
	f(0, "ok: ", "--config", "testdata/default.yaml", "--header", "X-Scope-OrgID=blue")
	f(2, "401 no org id: set --tenant", "--config", "testdata/default.yaml")
}
