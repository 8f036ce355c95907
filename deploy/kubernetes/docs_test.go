//go:build e2e

package kubernetes

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// The quickstart is one block of commands right below its heading, which the cluster tests run as it stands.
func TestTheQuickstart(t *testing.T) {
	m := regexp.MustCompile("(?s)\n## Kubernetes quickstart\n.*?\n```sh\n(.*?)```\n").FindStringSubmatch(read(t, "README.md"))
	require.NotNil(t, m)
	all, waited := render(t, "lgtm"), 0
	for line := range strings.Lines(m[1]) {
		line = strings.TrimSpace(line)
		if dir, ok := strings.CutPrefix(line, "kubectl apply -k "); ok {
			assert.Equal(t, "deploy/kubernetes/overlays/lgtm", dir)
			continue
		}
		f := regexp.MustCompile(`^kubectl -n (\S+) rollout status (\w+)/(\S+) --timeout=5m$`).FindStringSubmatch(line)
		require.NotNil(t, f, line)
		kind := map[string]string{"daemonset": "DaemonSet", "deployment": "Deployment", "statefulset": "StatefulSet"}[f[2]]
		all.exact(t, kind, f[1], f[3])
		waited++
	}
	assert.Len(t, all.workloads(), waited)
}

func TestTheREADME(t *testing.T) {
	text := read(t, "deploy/kubernetes/README.md")
	row := func(name string) []string {
		m := regexp.MustCompile(`(?m)^\| ` + name + ` \|(.*)\|$`).FindStringSubmatch(text)
		require.NotNil(t, m, name)
		cells := strings.Split(m[1], "|")
		require.Len(t, cells, 5)
		return cells
	}
	all := render(t, "lgtm")
	for i, name := range []string{"agent", "gateway", "sampling", "scraper", "targetallocator"} {
		for _, w := range all.workloads() {
			if w.component() != name {
				continue
			}
			assert.Contains(t, row("Kind")[i], w.Kind)
			c := w.Spec.Template.Spec.Containers[0]
			want := strings.NewReplacer("Mi", " MiB", "Gi", " GiB").Replace(c.Resources.Requests["memory"] + ", " + c.Resources.Limits["memory"])
			assert.Equal(t, want, strings.TrimSpace(row("Memory: request, limit")[i]), name)
			cpu := map[string]string{"100m": "0.1", "50m": "0.05"}[c.Resources.Requests["cpu"]]
			assert.Equal(t, cpu, strings.TrimSpace(row("CPU: request")[i]), name)
			for _, claim := range w.Spec.VolumeClaimTemplates {
				assert.Contains(t, row("State")[i], strings.Replace(claim.Spec.Resources.Requests["storage"], "Gi", " GiB", 1))
			}
		}
	}
	for _, file := range []string{"deploy/kubernetes/README.md", "docs/adr/0016-kubernetes-manifests.md"} {
		for _, m := range regexp.MustCompile(`\]\(([^)#:]+)[^):]*\)`).FindAllStringSubmatch(read(t, file), -1) {
			_, err := os.Stat(filepath.Join(filepath.Dir(root(t, file)), m[1]))
			assert.NoError(t, err, "%s: a link to %s", file, m[1])
		}
	}
}
