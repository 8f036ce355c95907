package main

import (
	"archive/tar"
	"debug/buildinfo"
	"errors"
	"io"
	"os"
	"path/filepath"
	"runtime/debug"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func untar(t *testing.T, archive, dir string) {
	t.Helper()
	f, err := os.Open(archive)
	require.NoError(t, err)
	defer f.Close()
	for tr := tar.NewReader(f); ; {
		h, err := tr.Next()
		if errors.Is(err, io.EOF) {
			return
		}
		require.NoError(t, err)
		p := filepath.Join(dir, filepath.FromSlash(h.Name))
		require.NoError(t, os.MkdirAll(filepath.Dir(p), 0o755))
		data, err := io.ReadAll(tr)
		require.NoError(t, err)
		require.NoError(t, os.WriteFile(p, data, 0o600))
	}
}

func TestModulesAreThoseThatWereLinked(t *testing.T) {
	info := &buildinfo.BuildInfo{Deps: []*debug.Module{
		{Path: "example.com/a", Version: "v1.0.0", Sum: "h1:AA=="},
		{Path: "example.com/ours", Version: "v0.0.0", Replace: &debug.Module{Path: "../", Version: "(devel)"}},
		{Path: "example.com/b", Version: "v1.0.0", Replace: &debug.Module{Path: "example.com/fork", Version: "v2.0.0+incompatible", Sum: "h1:AQ=="}},
	}}
	assert.Equal(t, []module{
		{"example.com/a", "v1.0.0", "h1:AA=="},
		{"example.com/ours", "v9", ""},
		{"example.com/fork", "v2.0.0+incompatible", "h1:AQ=="},
	}, modulesOf(info, "v9"))
	c := component(module{"example.com/fork", "v2.0.0+incompatible", "h1:AQ=="})
	assert.Equal(t, "pkg:golang/example.com/fork@v2.0.0%2Bincompatible", c.PackageURL)
	require.NotNil(t, c.Hashes)
	assert.Equal(t, "01", (*c.Hashes)[0].Value)
	assert.Nil(t, component(module{path: "a", version: "v1"}).Hashes)
}

func TestLicenses(t *testing.T) {
	apache, err := os.ReadFile("../../LICENSE")
	require.NoError(t, err)
	f := func(files map[string]string, want ...string) {
		t.Helper()
		licenses, err := licensesIn(put(t, files))
		require.NoError(t, err)
		var have []string
		for _, l := range licenses {
			have = append(have, l.License.ID)
		}
		assert.Equal(t, want, have)
	}
	f(map[string]string{"LICENSE": string(apache)}, "Apache-2.0")
	f(map[string]string{"COPYING.txt": string(apache), "licence.md": string(apache)}, "Apache-2.0")
	f(map[string]string{"LICENSE": "do what you like"})
	f(map[string]string{"main.go": string(apache), "license.go": string(apache)})
	_, err = licensesIn("")
	assert.ErrorContains(t, err, "go mod download")
}

func TestSbomWantsItsFlags(t *testing.T) {
	assert.ErrorContains(t, sbom([]string{"-binary", "x"}), "-binary, -module, -version and -out are needed")
}
