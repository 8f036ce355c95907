//go:build e2e

// Package image proves what `make image` has written: bin/sluice-image.tar, read by other code than the one that wrote it.
package image

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"os"
	"path"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sluice-otel/sluice/e2e/harness"
)

type descriptor struct {
	MediaType, Digest string
	Size              int64
	Platform          struct{ OS, Architecture string }
	Annotations       map[string]string
}

type config struct {
	OS, Architecture, Created string
	Config                    struct {
		User, WorkingDir     string
		Entrypoint, Cmd, Env []string
		Labels               map[string]string
	}
}

// file is what a layer has under a name; a folder's name ends with a slash.
type file struct {
	header tar.Header
	data   []byte
}

// image is one platform's image, with the layers laid over each other.
type image struct {
	name, digest string // of what index.json names
	layers       []string
	config       config
	files        map[string]file
}

// readTar is all of an archive, by name.
func readTar(t *testing.T, r io.Reader) (names []string, files map[string]file) {
	t.Helper()
	files = map[string]file{}
	for tr := tar.NewReader(r); ; {
		h, err := tr.Next()
		if errors.Is(err, io.EOF) {
			return names, files
		}
		require.NoError(t, err)
		data, err := io.ReadAll(tr)
		require.NoError(t, err)
		require.NotContains(t, files, h.Name, "twice in one archive")
		names = append(names, h.Name)
		files[h.Name] = file{*h, data}
	}
}

// archive is `make image`'s, below a copy of the repository.
func archive(t *testing.T, root string) map[string]file {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(root, "bin", "sluice-image.tar"))
	require.NoError(t, err, "run make image")
	_, files := readTar(t, bytes.NewReader(data))
	return files
}

func blob(t *testing.T, files map[string]file, digest string) []byte {
	t.Helper()
	f, ok := files["blobs/"+strings.Replace(digest, ":", "/", 1)]
	require.True(t, ok, "no blob %s", digest)
	sum := sha256.Sum256(f.data)
	require.Equal(t, digest, "sha256:"+hex.EncodeToString(sum[:]))
	return f.data
}

func parse(t *testing.T, data []byte, into any) {
	t.Helper()
	require.NoError(t, json.Unmarshal(data, into))
}

// open reads this machine's image out of an archive.
func open(t *testing.T, files map[string]file) *image {
	t.Helper()
	var index struct{ Manifests []descriptor }
	parse(t, files["index.json"].data, &index)
	require.Len(t, index.Manifests, 1)
	top := index.Manifests[0]
	i := &image{name: top.Annotations["io.containerd.image.name"], digest: top.Digest, files: map[string]file{}}
	digest := top.Digest
	if strings.Contains(top.MediaType, "index") {
		parse(t, blob(t, files, top.Digest), &index)
		for _, m := range index.Manifests {
			if m.Platform.OS == "linux" && m.Platform.Architecture == runtime.GOARCH {
				digest = m.Digest
			}
		}
	}
	var manifest struct {
		Config descriptor
		Layers []descriptor
	}
	parse(t, blob(t, files, digest), &manifest)
	parse(t, blob(t, files, manifest.Config.Digest), &i.config)
	for _, l := range manifest.Layers {
		require.Equal(t, "application/vnd.oci.image.layer.v1.tar+gzip", l.MediaType)
		i.layers = append(i.layers, l.Digest)
		plain, err := gzip.NewReader(bytes.NewReader(blob(t, files, l.Digest)))
		require.NoError(t, err)
		names, content := readTar(t, plain)
		for _, name := range names {
			if before, ok := i.files[name]; ok {
				require.Equal(t, before.header, content[name].header, "layers do not agree on %s", name)
			}
			i.files[name] = content[name]
		}
	}
	return i
}

// unpack lays the image out as a root file system, as a container has it.
func (i *image) unpack(t *testing.T) string {
	t.Helper()
	root := t.TempDir()
	for name, f := range i.files {
		target := filepath.Join(root, filepath.FromSlash(name))
		require.NoError(t, os.MkdirAll(filepath.Dir(target), 0o755))
		if strings.HasSuffix(name, "/") {
			require.NoError(t, os.MkdirAll(target, 0o755))
			require.NoError(t, os.Chmod(target, f.header.FileInfo().Mode()))
		} else {
			require.NoError(t, os.WriteFile(target, f.data, f.header.FileInfo().Mode()))
		}
		if os.Getuid() == 0 { // otherwise the user namespace maps whoever runs the test to the image's user
			require.NoError(t, os.Lchown(target, f.header.Uid, f.header.Gid))
		}
	}
	for dir := root; strings.HasPrefix(dir, os.TempDir()) && dir != os.TempDir(); dir = path.Dir(dir) {
		require.NoError(t, os.Chmod(dir, 0o755)) // the image's user has to get there
	}
	return root
}

func built(t *testing.T) *image {
	t.Helper()
	return open(t, archive(t, harness.Root(t)))
}
