//go:build e2e

// Package smoke proves without root that the binary is what the manifest says and that every shipped profile runs.
package smoke

import (
	"debug/elf"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"

	"github.com/sluice-otel/sluice/e2e/harness"
)

type entry struct{ GoMod, Import string }

type manifest struct {
	Dist                                                                struct{ Name, Version string }
	Receivers, Processors, Exporters, Connectors, Extensions, Providers []entry
}

func readManifest(t *testing.T) manifest {
	t.Helper()
	var m manifest
	require.NoError(t, yaml.Unmarshal(read(t, "builder-config.yaml"), &m))
	return m
}

func read(t *testing.T, name string) []byte {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(harness.Root(t), name))
	require.NoError(t, err)
	return data
}

func (m manifest) kinds() map[string][]entry {
	return map[string][]entry{
		"receivers": m.Receivers, "processors": m.Processors, "exporters": m.Exporters,
		"connectors": m.Connectors, "extensions": m.Extensions, "providers": m.Providers,
	}
}

type listed struct {
	Name   string
	Scheme string
	Module string
}

// components is what `otelcol components` prints.
func components(t *testing.T) (buildinfo struct{ Command, Version string }, kinds map[string][]listed) {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), harness.Binary(t), "components").Output()
	require.NoError(t, err)
	var all map[string]yaml.Node
	require.NoError(t, yaml.Unmarshal(out, &all))
	info := all["buildinfo"]
	require.NoError(t, info.Decode(&buildinfo))
	kinds = map[string][]listed{}
	for kind := range readManifest(t).kinds() {
		node := all[kind]
		var list []listed
		require.NoError(t, node.Decode(&list), kind)
		kinds[kind] = list
	}
	return buildinfo, kinds
}

func TestManifestIsWhatTheBinaryHas(t *testing.T) {
	m := readManifest(t)
	info, kinds := components(t)
	assert.Equal(t, m.Dist.Name, info.Command)
	assert.Equal(t, m.Dist.Version, info.Version)
	for kind, entries := range m.kinds() {
		var want, have []string
		for _, e := range entries {
			want = append(want, e.GoMod)
		}
		for _, c := range kinds[kind] {
			have = append(have, c.Module)
		}
		slices.Sort(want)
		slices.Sort(have)
		want = slices.Compact(want) // ours are all in one module
		have = slices.Compact(have) // a component with an alias is printed twice
		assert.Equal(t, want, have, kind)
	}
}

// One version of the collector: the Makefile's variable, the manifest, the generated module and the builder.
func TestManifestHasOneVersion(t *testing.T) {
	version := string(regexp.MustCompile(`(?m)^OTELCOL_VERSION := (v0\.\d+\.\d+)$`).FindSubmatch(read(t, "Makefile"))[1])
	generated := strings.Split(string(read(t, "distro/go.mod")), "\n")
	for kind, entries := range readManifest(t).kinds() {
		for _, e := range entries {
			assert.True(t, slices.Contains(generated, "\t"+e.GoMod), "distro/go.mod does not require %s: run `make generate`", e.GoMod)
			module, v, _ := strings.Cut(e.GoMod, " ")
			// Providers are of the stable set, v1.x of the same release; ours are in this repository.
			if kind != "providers" && module != "github.com/sluice-otel/sluice" {
				assert.Equal(t, version, v, module)
			}
		}
	}
	assert.Contains(t, string(read(t, ".ci/tools/builder/go.mod")), "go.opentelemetry.io/collector/cmd/builder "+version)
}

func TestBinaryIsStaticAndTrimmed(t *testing.T) {
	f, err := elf.Open(harness.Binary(t))
	require.NoError(t, err)
	defer func() { _ = f.Close() }()
	for _, p := range f.Progs {
		assert.NotEqual(t, elf.PT_INTERP, p.Type, "it asks for a dynamic loader, which an empty image does not have")
	}
	assert.Nil(t, f.Section(".symtab"), "it has a symbol table")
	out, err := exec.CommandContext(t.Context(), "go", "version", "-m", harness.Binary(t)).Output()
	require.NoError(t, err)
	assert.Contains(t, string(out), "-trimpath=true")
	assert.Contains(t, string(out), "CGO_ENABLED=0")
}

func TestManifestEntriesHaveAReason(t *testing.T) {
	lines := strings.Split(string(read(t, "builder-config.yaml")), "\n")
	for i, line := range lines {
		if strings.HasPrefix(strings.TrimSpace(line), "- gomod:") {
			assert.True(t, strings.HasPrefix(strings.TrimSpace(lines[i-1]), "# "), "no comment says why %s is in", path.Base(line))
		}
	}
}
