//go:build e2e

package kubernetes

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sluice-otel/sluice/e2e/harness"
)

// env is what a container's process has in its environment, as far as the manifests say: fields of the pod as <field>, and of a Secret
// nothing. References in values are filled in.
func (r rendered) env(t *testing.T, namespace string, c container) map[string]string {
	t.Helper()
	env := map[string]string{}
	for _, from := range c.EnvFrom {
		if name := from.ConfigMapRef.Name; name != "" {
			for k, v := range r.exact(t, "ConfigMap", namespace, name).Data {
				env[k] = v
			}
		}
	}
	for _, v := range c.Env {
		switch ref := v.ValueFrom.ConfigMapKeyRef; {
		case ref.Name != "":
			data := r.exact(t, "ConfigMap", namespace, ref.Name).Data
			require.Contains(t, data, ref.Key)
			env[v.Name] = data[ref.Key]
		case v.ValueFrom.FieldRef.FieldPath != "":
			env[v.Name] = "<" + v.ValueFrom.FieldRef.FieldPath + ">"
		default:
			env[v.Name] = expand(v.Value, env)
		}
	}
	return env
}

// exact finds an object by its whole name.
func (r rendered) exact(t *testing.T, kind, namespace, name string) object {
	t.Helper()
	for _, o := range r {
		if o.Kind == kind && o.Metadata.Namespace == namespace && o.Metadata.Name == name {
			return o
		}
	}
	require.Fail(t, "missing", "%s %s/%s", kind, namespace, name)
	return object{}
}

// expand fills in $(NAME) as the kubelet does.
func expand(text string, env map[string]string) string {
	for name, value := range env {
		text = strings.ReplaceAll(text, "$("+name+")", value)
	}
	return text
}

// root is the file of the repository.
func root(t *testing.T, name string) string {
	t.Helper()
	return filepath.Join(harness.Root(t), name)
}

func read(t *testing.T, name string) string {
	t.Helper()
	data, err := os.ReadFile(root(t, name))
	require.NoError(t, err)
	return string(data)
}
