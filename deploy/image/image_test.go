package main

import (
	"flag"
	"os"
	"path/filepath"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/google/go-containerregistry/pkg/v1/validate"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func parsed(t *testing.T, args ...string) *options {
	t.Helper()
	f := flag.NewFlagSet("", flag.ContinueOnError)
	o := flags(f)
	require.NoError(t, f.Parse(args))
	return o
}

var small = []string{"-name", "example.com:5000/a/b:1", "-out", "x.tar", "-entrypoint", "/app", "-label", "a=b", "-label", "empty=", "-env", "C=d", "-layer", "/app=app-{arch}", "-layer", "/conf=conf"}

func smallTree(t *testing.T) {
	t.Helper()
	t.Chdir(put(t, map[string]string{"app-amd64*": "amd", "app-arm64*": "arm", "conf": "c"}))
}

// unpacked is the archive as a folder, read with the library.
func unpacked(t *testing.T, archive string) layout.Path {
	t.Helper()
	dir := t.TempDir()
	untar(t, archive, dir)
	p, err := layout.FromPath(dir)
	require.NoError(t, err)
	return p
}

func TestArchiveIsAnImageForEverybody(t *testing.T) {
	smallTree(t)
	require.NoError(t, run(parsed(t, small...)))
	index, err := unpacked(t, "x.tar").ImageIndex()
	require.NoError(t, err)
	require.NoError(t, validate.Index(index))
	m, err := index.IndexManifest()
	require.NoError(t, err)
	require.Len(t, m.Manifests, 1)
	assert.Equal(t, map[string]string{"io.containerd.image.name": "example.com:5000/a/b:1", "org.opencontainers.image.ref.name": "1"}, m.Manifests[0].Annotations)
	oci, err := index.Image(m.Manifests[0].Digest)
	require.NoError(t, err)
	config, err := oci.ConfigFile()
	require.NoError(t, err)
	assert.Equal(t, v1.Config{User: "65532:65532", Entrypoint: []string{"/app"}, Env: []string{"C=d"}, Labels: map[string]string{"a": "b"}, WorkingDir: "/"}, config.Config)

	// The same as older Dockers read it.
	docker, err := tarball.ImageFromPath("x.tar", nil)
	require.NoError(t, err)
	require.NoError(t, validate.Image(docker))
	want, err := oci.ConfigName()
	require.NoError(t, err)
	have, err := docker.ConfigName()
	require.NoError(t, err)
	assert.Equal(t, want, have)
}

func TestSeveralPlatformsAreAnIndex(t *testing.T) {
	smallTree(t)
	require.NoError(t, run(parsed(t, append(small, "-platform", "linux/amd64,linux/arm64")...)))
	top, err := unpacked(t, "x.tar").ImageIndex()
	require.NoError(t, err)
	require.NoError(t, validate.Index(top))
	m, err := top.IndexManifest()
	require.NoError(t, err)
	inner, err := top.ImageIndex(m.Manifests[0].Digest)
	require.NoError(t, err)
	m, err = inner.IndexManifest()
	require.NoError(t, err)
	var platforms, first, second []string
	for _, d := range m.Manifests {
		platforms = append(platforms, d.Platform.String())
		img, err := inner.Image(d.Digest)
		require.NoError(t, err)
		layers, err := img.Layers()
		require.NoError(t, err)
		for n, into := range []*[]string{&first, &second} {
			digest, err := layers[n].Digest()
			require.NoError(t, err)
			*into = append(*into, digest.String())
		}
	}
	assert.Equal(t, []string{"linux/amd64", "linux/arm64"}, platforms)
	assert.NotEqual(t, first[0], first[1], "the program is the platform's")
	assert.Equal(t, second[0], second[1], "what is the same for both is stored once")
}

func TestDigestDependsOnContentOnly(t *testing.T) {
	digest := func(args ...string) string {
		t.Helper()
		b, err := build(parsed(t, append(small, args...)...))
		require.NoError(t, err)
		d, err := b.digest()
		require.NoError(t, err)
		return d.String()
	}
	smallTree(t)
	one := digest()
	smallTree(t)
	assert.Equal(t, one, digest())
	assert.NotEqual(t, one, digest("-label", "a=c"))
	require.NoError(t, os.WriteFile("conf", []byte("d"), 0o600))
	assert.NotEqual(t, one, digest())
}

func TestOptionsThatAreWrong(t *testing.T) {
	smallTree(t)
	f := func(want string, args ...string) {
		t.Helper()
		assert.ErrorContains(t, run(parsed(t, append(small, args...)...)), want)
		assert.NoFileExists(t, "x.tar")
	}
	f("-name, -out and -layer are needed", "-name", "")
	f(`-name: want a tag, got "example.com:5000/a"`, "-name", "example.com:5000/a")
	f("-gzip must be 0 to 9, got 10", "-gzip", "10")
	f(`-user: want UID:GID in numbers, got "app"`, "-user", "app")
	f(`-platform: want os/architecture, got "amd64"`, "-platform", "amd64")
	f(`-created: want RFC 3339, got "today"`, "-created", "today")
	f(`-label: want name=value, got "a"`, "-label", "a")
	f("/conf=", "-layer", "/conf=")
	f("no such file", "-layer", "/other=other")
	left, err := filepath.Glob(".image-*")
	require.NoError(t, err)
	assert.Empty(t, left)
}
