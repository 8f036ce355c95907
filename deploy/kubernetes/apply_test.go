//go:build e2e

package kubernetes

import (
	"context"
	"encoding/json"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sluice-otel/sluice/e2e/backends"
	"github.com/sluice-otel/sluice/e2e/harness"
)

// A real API server judges every object and, with Pod Security admission, every pod that would be made. It knows each field and each
// rule of its version, so there is no check against schemas beside it.
func TestTheAPIServerTakesEveryOverlay(t *testing.T) {
	k := backends.StartKubernetes(t)
	k.ApplyFile(t, filepath.Join("base", "namespaces.yaml")) // in a dry run nothing has a namespace that is not there
	each(t, func(t *testing.T, all rendered) {
		text := kustomizedAgain(t, all)
		out, err := kubectl(t, k, text, "apply", "--server-side", "--dry-run=server", "-f", "-")
		require.NoError(t, err, out)
		assert.NotContains(t, out, "Warning", "as of Pod Security")
		assert.Equal(t, len(all), strings.Count(out, "(server dry run)"))
		for _, w := range all.workloads() {
			out, err := kubectl(t, k, pod(t, w, w.Metadata.Namespace), "create", "--dry-run=server", "-f", "-")
			assert.NoError(t, err, "%s: %s", w.Metadata.Name, out)
		}
	})

	all := render(t, "lgtm")
	// The agent is where it is because it may not be elsewhere.
	out, err := kubectl(t, k, pod(t, all.get(t, "DaemonSet", "sluice-agent", "sluice-agent"), "sluice"), "create", "--dry-run=server", "-f", "-")
	assert.Error(t, err)
	for _, why := range []string{`violates PodSecurity "restricted:latest"`, "hostPort", "hostPath", "runAsUser=0", "DAC_READ_SEARCH"} {
		assert.Contains(t, out, why)
	}
	// A field that the API does not have is refused, not ignored.
	text := strings.ReplaceAll(kustomizedAgain(t, all), `"podManagementPolicy"`, `"podManagmentPolicy"`)
	out, err = kubectl(t, k, text, "apply", "--server-side", "--dry-run=server", "-f", "-")
	assert.Error(t, err)
	assert.Contains(t, out, "podManagmentPolicy")

	// For good, in the ways that people do it, and once more.
	for _, how := range [][]string{{"apply", "-k"}, {"apply", "-k"}, {"apply", "--server-side", "--force-conflicts", "-k"}} {
		out, err = kubectl(t, k, "", append(how, filepath.Join("overlays", "lgtm"))...)
		require.NoError(t, err, out)
	}
	out, err = kubectl(t, k, "", "diff", "-k", filepath.Join("overlays", "lgtm"))
	assert.NoError(t, err, "nothing is left to do: %s", out)

	// What the README sets by hand before there are fewer samplers is taken back by the next apply.
	for _, set := range []string{"sluice-gateway SAMPLING_REPLICAS=1", "sluice-sampling SAMPLING_KEEP_ON_STOP=false"} {
		name, variable, _ := strings.Cut(set, " ")
		out, err = kubectl(t, k, "", "-n", "sluice", "set", "env", "statefulset/"+name, variable)
		require.NoError(t, err, out)
	}
	out, err = kubectl(t, k, "", "apply", "-k", filepath.Join("overlays", "lgtm"))
	require.NoError(t, err, out)
	out, err = kubectl(t, k, "", "diff", "-k", filepath.Join("overlays", "lgtm"))
	assert.NoError(t, err, "nothing of it stays: %s", out)
}

// kustomizedAgain is the YAML of what was rendered.
func kustomizedAgain(t *testing.T, all rendered) string {
	t.Helper()
	var b strings.Builder
	for _, o := range all {
		var v any
		require.NoError(t, o.node.Decode(&v))
		text, err := json.Marshal(v)
		require.NoError(t, err)
		b.Write(text)
		b.WriteString("\n---\n")
	}
	return b.String()
}

// pod is what a controller would make of a workload's template, in a namespace. A StatefulSet's label and volumes are added as it does.
func pod(t *testing.T, w object, namespace string) string {
	t.Helper()
	template, ok := w.at(t, "spec", "template").(map[string]any)
	require.True(t, ok)
	spec := template["spec"].(map[string]any)
	for _, claim := range w.Spec.VolumeClaimTemplates {
		spec["volumes"] = append(spec["volumes"].([]any), map[string]any{
			"name": claim.Metadata.Name, "persistentVolumeClaim": map[string]any{"claimName": claim.Metadata.Name + "-0"},
		})
	}
	labels := template["metadata"].(map[string]any)["labels"].(map[string]any)
	labels["apps.kubernetes.io/pod-index"] = "0"
	text, err := json.Marshal(map[string]any{
		"apiVersion": "v1", "kind": "Pod", "spec": spec,
		"metadata": map[string]any{"name": w.Metadata.Name + "-0", "namespace": namespace, "labels": labels},
	})
	require.NoError(t, err)
	return string(text)
}

// kubectl runs it as admin, also where an error is expected, and returns all that it printed.
func kubectl(t *testing.T, k *backends.Kubernetes, stdin string, args ...string) (string, error) {
	t.Helper()
	program, err := backends.Binary("kubectl")
	require.NoError(t, err)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.Env = append(cmd.Environ(), "KUBECONFIG="+k.AdminKubeconfig, "HOME="+t.TempDir())
	cmd.Dir = filepath.Join(harness.Root(t), "deploy", "kubernetes")
	cmd.Stdin = strings.NewReader(stdin)
	out, err := cmd.CombinedOutput()
	return string(out), err
}
