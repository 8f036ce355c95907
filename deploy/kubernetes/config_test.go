//go:build e2e

package kubernetes

import (
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sluice-otel/sluice/e2e/harness"
)

const configDir = "/etc/otelcol/"

// collectors calls f for every container that runs the collector.
func (r rendered) collectors(t *testing.T, f func(name string, w object, c container)) {
	t.Helper()
	n := 0
	for _, w := range r.workloads() {
		for _, c := range w.Spec.Template.Spec.Containers {
			if strings.HasPrefix(c.Image, "ghcr.io/sluice-otel/sluice:") {
				f(w.Metadata.Name+"/"+c.Name, w, c)
				n++
			}
		}
	}
	assert.GreaterOrEqual(t, n, 4)
}

// mounted lists the files that a container has below /etc/otelcol, with what is in them; of a Secret "".
func (r rendered) mounted(t *testing.T, w object, c container) map[string]string {
	t.Helper()
	files := map[string]string{}
	for _, m := range c.VolumeMounts {
		if m.MountPath+"/" != configDir {
			continue
		}
		i := slices.IndexFunc(w.Spec.Template.Spec.Volumes, func(v volume) bool { return v.Name == m.Name })
		require.GreaterOrEqual(t, i, 0, "a volume %s", m.Name)
		for _, s := range w.Spec.Template.Spec.Volumes[i].Projected.Sources {
			for _, item := range s.Secret.Items {
				files[item.Path] = ""
			}
			if s.ConfigMap.Name == "" {
				continue
			}
			data := r.exact(t, "ConfigMap", w.Metadata.Namespace, s.ConfigMap.Name).Data
			for _, item := range s.ConfigMap.Items {
				require.Contains(t, data, item.Key)
				require.NotContains(t, files, item.Path, "mounted twice")
				files[item.Path] = data[item.Key]
			}
		}
	}
	return files
}

// configs are the files that a container's arguments name, below configs/.
func (r rendered) configs(t *testing.T, w object, c container) (files []string) {
	t.Helper()
	env := r.env(t, w.Metadata.Namespace, c)
	for _, arg := range c.Args {
		path, ok := strings.CutPrefix(expand(arg, env), "--config="+configDir)
		require.True(t, ok, arg)
		files = append(files, path)
	}
	return files
}

func TestPodsSeeTheShippedFilesByteForByte(t *testing.T) {
	each(t, func(t *testing.T, all rendered) {
		used := map[string]bool{}
		all.collectors(t, func(name string, w object, c container) {
			files := all.mounted(t, w, c)
			for path, text := range files {
				if path != "secrets/authorization" {
					assert.Equal(t, read(t, "configs/"+path), text, "%s: %s", name, path)
				}
			}
			for _, path := range all.configs(t, w, c) {
				assert.Contains(t, files, path, "%s: --config", name)
			}
			for _, v := range w.Spec.Template.Spec.Volumes {
				for _, s := range v.Projected.Sources {
					used[w.Metadata.Namespace+"/"+stem(s.ConfigMap.Name)] = true
				}
			}
		})
		for _, o := range all.kind("ConfigMap") {
			id := o.Metadata.Namespace + "/" + stem(o.Metadata.Name)
			if slices.Contains([]string{"sluice/sluice-backend", "sluice/sluice-cluster", "sluice-agent/sluice-cluster", "sluice/sluice-targetallocator"}, id) {
				continue // no files of the collector
			}
			if id == "sluice-agent/sluice-scraper-config" {
				continue // the component per-node's
			}
			assert.True(t, used[id], "%s is in nobody's volume", id)
		}
	})
	// Without the Secret no pod of these starts.
	for _, w := range render(t, "otlp").kind("StatefulSet") {
		sources, _ := w.at(t, "spec", "template", "spec", "volumes", 0, "projected", "sources").([]any)
		require.NotEmpty(t, sources)
		assert.Equal(t, map[string]any{"secret": map[string]any{
			"name": "sluice-otlp", "items": []any{map[string]any{"key": "authorization", "path": "secrets/authorization"}},
		}}, sources[len(sources)-1])
	}
	// What the ConfigMaps do not have a pod cannot be told to use.
	all := render(t, "lgtm")
	gateway := all.get(t, "StatefulSet", "sluice", "sluice-gateway")
	files := all.mounted(t, gateway, gateway.Spec.Template.Spec.Containers[0])
	for _, pattern := range []string{"backends/*.yaml", "loki/*.yaml"} {
		paths, err := filepath.Glob(root(t, "configs/"+pattern))
		require.NoError(t, err)
		for _, path := range paths {
			if name := filepath.Base(filepath.Dir(path)) + "/" + filepath.Base(path); name != "backends/to-gateway.yaml" {
				assert.Contains(t, files, name)
			}
		}
	}
}

// inProfile matches what a profile reads from the environment: ${env:NAME} and ${env:NAME:-default}. That each is in the file's header
// is a test of configs/.
var inProfile = regexp.MustCompile(`\$\{env:([A-Z][A-Z0-9_]*)(:-)?`)

func TestEveryVariableIsOneThatAProfileReads(t *testing.T) {
	each(t, func(t *testing.T, all rendered) {
		all.collectors(t, func(name string, w object, c container) {
			read, required := map[string]bool{"GOMEMLIMIT": true}, map[string]bool{}
			for _, text := range slices.Concat(c.Args, values(c.Env)) {
				for _, m := range regexp.MustCompile(`\$\(([A-Z0-9_]+)\)`).FindAllStringSubmatch(text, -1) {
					read[m[1]], required[m[1]] = true, true
				}
			}
			mounted := all.mounted(t, w, c)
			for _, path := range all.configs(t, w, c) {
				_, body, _ := strings.Cut(mounted[path], "\n\n")
				for _, m := range inProfile.FindAllStringSubmatch(body, -1) {
					read[m[1]] = true
					if m[2] == "" && !strings.Contains(body, "${env:"+m[1]+":-") {
						required[m[1]] = true
					}
				}
			}
			env := all.env(t, w.Metadata.Namespace, c)
			for variable := range env {
				assert.True(t, read[variable], "%s sets %s, which nothing reads", name, variable)
			}
			for variable := range required {
				assert.NotEmpty(t, env[variable], "%s needs %s", name, variable)
			}
		})
	})
}

func values(env []variable) (values []string) {
	for _, v := range env {
		values = append(values, v.Value)
	}
	return values
}

// The binary takes the arguments and the environment of every pod; fields of the pod and the Secret are made up.
func TestTheBinaryAcceptsWhatPodsTellIt(t *testing.T) {
	fields := map[string]string{
		"<metadata.name>": "sluice-0", "<metadata.namespace>": "sluice", "<spec.nodeName>": "node-1", "<status.hostIP>": "127.0.0.1",
		"<metadata.labels['apps.kubernetes.io/pod-index']>": "0",
	}
	dir := t.TempDir()
	for name, text := range map[string]string{
		"token": "a-token", "ca.crt": "", "authorization": "Bearer a-token",
		"kubeconfig": `{"apiVersion": "v1", "kind": "Config", "current-context": "c",
			"clusters": [{"name": "c", "cluster": {"server": "https://127.0.0.1:1"}}],
			"users": [{"name": "c", "user": {"token": "a-token"}}],
			"contexts": [{"name": "c", "context": {"cluster": "c", "user": "c"}}]}`,
	} {
		write(t, filepath.Join(dir, name), text)
	}
	each(t, func(t *testing.T, all rendered) {
		all.collectors(t, func(name string, w object, c container) {
			env := all.env(t, w.Metadata.Namespace, c)
			for k, v := range env {
				for field, value := range fields {
					v = strings.ReplaceAll(v, field, value)
				}
				assert.NotContains(t, v, "<", "%s: %s is a field that this test does not know", name, k)
				env[k] = v
			}
			if host := env["HOST_ROOT"]; host != "" {
				assert.True(t, slices.ContainsFunc(c.VolumeMounts, func(m mount) bool { return m.MountPath == host }), "%s: %s", name, host)
				env["HOST_ROOT"] = "/"
			}
			// Outside of a cluster.
			maps.Copy(env, map[string]string{
				"K8S_AUTH_TYPE": "kubeConfig", "KUBECONFIG": filepath.Join(dir, "kubeconfig"), "SERVICEACCOUNT_DIR": dir,
				"STATE_DIR": filepath.Join(dir, "state"), "OTLP_AUTHORIZATION_FILE": filepath.Join(dir, "authorization"),
			})
			var files []string
			for _, path := range all.configs(t, w, c) {
				files = append(files, "configs/"+path)
			}
			output, err := harness.Validate(t, env, files...)
			assert.NoError(t, err, "%s: %s", name, output)
		})
	})
}

// A change of a file rolls the tiers that use it, and no others.
func TestAChangeRollsOnlyWhoUsesIt(t *testing.T) {
	dir := t.TempDir()
	require.NoError(t, os.CopyFS(filepath.Join(dir, "configs"), os.DirFS(root(t, "configs"))))
	require.NoError(t, os.CopyFS(filepath.Join(dir, "deploy/kubernetes"), os.DirFS(root(t, "deploy/kubernetes"))))
	templates := func() map[string]podTemplate {
		m := map[string]podTemplate{}
		for _, w := range decode(t, kustomize(t, filepath.Join(dir, "deploy/kubernetes/overlays/lgtm"))).workloads() {
			m[w.component()] = w.Spec.Template
		}
		return m
	}
	before := templates()
	change := func(file string, want ...string) {
		t.Helper()
		path := filepath.Join(dir, file)
		text, err := os.ReadFile(path)
		require.NoError(t, err)
		write(t, path, string(text)+"\n# changed\nCHANGED=1\n")
		after, rolled := templates(), []string{}
		for tier := range after {
			if !assert.ObjectsAreEqual(before[tier], after[tier]) {
				rolled = append(rolled, tier)
			}
		}
		assert.ElementsMatch(t, want, rolled, file)
		write(t, path, string(text))
	}
	change("configs/agent.yaml", "agent")
	change("configs/gateway.yaml", "gateway")
	change("configs/sampling.yaml", "sampling")
	change("configs/scraper.yaml", "scraper")
	change("configs/backends/to-gateway.yaml", "agent")
	change("configs/backends/to-sampling.yaml", "gateway")
	change("configs/backends/lgtm.yaml", "gateway", "sampling", "scraper")
	change("deploy/kubernetes/overlays/lgtm/backend.env", "gateway", "sampling", "scraper")
	change("deploy/kubernetes/overlays/lgtm/cluster.env", "agent", "gateway", "sampling", "scraper")
	change("deploy/kubernetes/tiers/targetallocator/targetallocator.yaml", "targetallocator")
	change("configs/local.yaml")
}
