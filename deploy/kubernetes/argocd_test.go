//go:build e2e

package kubernetes

import (
	"maps"
	"path/filepath"
	"slices"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"
)

// Argo CD builds the kustomization at `path` with what `kustomize` adds to it. Its own CRD is not to be had here.
func TestArgoCDApplications(t *testing.T) {
	paths, err := filepath.Glob(root(t, "deploy/argocd/*.yaml"))
	require.NoError(t, err)
	require.NotEmpty(t, paths)
	for _, path := range paths {
		t.Run(filepath.Base(path), func(t *testing.T) {
			var app struct {
				Kind string
				Spec struct {
					Source struct {
						Path           string
						TargetRevision string `yaml:"targetRevision"`
						Kustomize      struct {
							Patches []struct {
								Target map[string]string
								Patch  string
							}
						}
					}
					SyncPolicy struct {
						SyncOptions []string `yaml:"syncOptions"`
					} `yaml:"syncPolicy"`
				}
			}
			text := read(t, "deploy/argocd/"+filepath.Base(path))
			require.NoError(t, yaml.Unmarshal([]byte(text), &app))
			assert.Equal(t, []string{"ServerSideApply=true", "PruneLast=true"}, app.Spec.SyncPolicy.SyncOptions)
			dir, err := filepath.Rel("deploy/kubernetes", app.Spec.Source.Path)
			require.NoError(t, err)
			kustomization, err := yaml.Marshal(map[string]any{
				"resources": []string{"HERE/" + dir}, "patches": app.Spec.Source.Kustomize.Patches,
			})
			require.NoError(t, err)

			before, after := render(t, dir), render(t, overlay(t, string(kustomization)))
			assert.Len(t, after, len(before))
			for _, p := range app.Spec.Source.Kustomize.Patches {
				if p.Target["kind"] != "ConfigMap" {
					continue
				}
				a, b := before.get(t, "ConfigMap", "sluice", p.Target["name"]), after.get(t, "ConfigMap", "sluice", p.Target["name"])
				assert.NotEqual(t, a.Data, b.Data)
				assert.ElementsMatch(t, slices.Collect(maps.Keys(a.Data)), slices.Collect(maps.Keys(b.Data)))
				assert.NotEqual(t, a.Metadata.Name, b.Metadata.Name, "a new hash: who uses it is rolled")
			}
			assert.Equal(t, "v"+version(t), app.Spec.Source.TargetRevision)
		})
	}
}
