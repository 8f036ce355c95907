//go:build e2e

package image

import (
	"archive/tar"
	"bytes"
	"crypto/x509"
	"debug/buildinfo"
	"debug/elf"
	"encoding/json"
	"encoding/pem"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"

	"github.com/sluice-otel/sluice/e2e/harness"
)

const (
	repository = "ghcr.io/sluice-otel/sluice"
	caFile     = "etc/ssl/certs/ca-certificates.crt"
	zones      = "usr/share/zoneinfo.zip"
	billFile   = "usr/share/doc/sluice/sbom.cdx.json"
	uid        = 65532
)

// dist is what the manifest says of the product.
func dist(t *testing.T) (d struct{ Version, Description string }) {
	t.Helper()
	var m struct {
		Dist struct{ Version, Description string }
	}
	data, err := os.ReadFile(filepath.Join(harness.Root(t), "builder-config.yaml"))
	require.NoError(t, err)
	require.NoError(t, yaml.Unmarshal(data, &m))
	require.NotEmpty(t, m.Dist.Version)
	return m.Dist
}

func TestImageSaysWhatItIs(t *testing.T) {
	i, d := built(t), dist(t)
	assert.Equal(t, repository+":"+d.Version, i.name)
	assert.Equal(t, "linux/"+runtime.GOARCH, i.config.OS+"/"+i.config.Architecture)
	c := i.config.Config
	assert.Equal(t, "65532:65532", c.User, "numbers: the kubelet's runAsNonRoot refuses names")
	assert.Equal(t, []string{"/otelcol"}, c.Entrypoint)
	assert.Empty(t, c.Cmd)
	assert.Equal(t, []string{"ZONEINFO=/" + zones}, c.Env)
	const label = "org.opencontainers.image."
	for name, want := range map[string]string{
		"title": "Sluice", "version": d.Version, "description": d.Description, "licenses": "Apache-2.0",
		"vendor": "The Sluice authors", "source": "https://github.com/sluice-otel/sluice", "documentation": "https://github.com/sluice-otel/sluice#image",
	} {
		assert.Equal(t, want, c.Labels[label+name], name)
		delete(c.Labels, label+name)
	}
	if revision, ok := c.Labels[label+"revision"]; ok { // not when there were changes
		assert.Regexp(t, `^[0-9a-f]{40}$`, revision)
		assert.Equal(t, i.config.Created, c.Labels[label+"created"])
	}
	delete(c.Labels, label+"revision")
	delete(c.Labels, label+"created")
	assert.Empty(t, c.Labels)
}

// All files, and nothing else: no shell, no package manager, no tests of ours.
func TestImageHasTheProfilesByteForByte(t *testing.T) {
	root, i := harness.Root(t), built(t)
	want := map[string]bool{"otelcol": true, caFile: true, zones: true, billFile: true}
	for _, pattern := range []string{"*.yaml", "backends/*.yaml", "loki/*.yaml"} {
		matches, err := filepath.Glob(filepath.Join(root, "configs", pattern))
		require.NoError(t, err)
		require.NotEmpty(t, matches, pattern)
		for _, m := range matches {
			rel, err := filepath.Rel(filepath.Join(root, "configs"), m)
			require.NoError(t, err)
			name := "etc/otelcol/" + filepath.ToSlash(rel)
			want[name] = true
			data, err := os.ReadFile(m)
			require.NoError(t, err)
			assert.True(t, bytes.Equal(data, i.files[name].data), "%s is not configs/%s: run make image", name, rel)
		}
	}
	for name, f := range i.files {
		h := f.header
		assert.Zero(t, h.ModTime.Unix(), name)
		if name == "var/lib/sluice/" {
			assert.Equal(t, []int64{uid, uid, 0o700}, []int64{int64(h.Uid), int64(h.Gid), h.Mode}, name)
			continue
		}
		assert.True(t, h.Uid == 0 && h.Gid == 0, "%s belongs to %d:%d, who could change it", name, h.Uid, h.Gid)
		mode := int64(0o644)
		if h.Typeflag == tar.TypeDir || name == "otelcol" {
			mode = 0o755
		}
		assert.Equal(t, mode, h.Mode, name)
		if h.Typeflag != tar.TypeDir {
			assert.Equal(t, byte(tar.TypeReg), h.Typeflag, name)
			assert.True(t, want[name], "nobody asked for %s", name)
			delete(want, name)
		}
	}
	assert.Empty(t, want, "missing")
}

func TestImageHasTheBuiltBinary(t *testing.T) {
	data := built(t).files["otelcol"].data
	want, err := os.ReadFile(harness.Binary(t))
	require.NoError(t, err)
	assert.True(t, bytes.Equal(want, data), "bin/otelcol is another one: run make image")
	f, err := elf.NewFile(bytes.NewReader(data))
	require.NoError(t, err)
	for _, p := range f.Progs {
		assert.NotEqual(t, elf.PT_INTERP, p.Type, "it asks for a dynamic loader, which is not there")
	}
	libraries, err := f.ImportedLibraries()
	assert.NoError(t, err)
	assert.Empty(t, libraries)
}

func TestImageHasRoots(t *testing.T) {
	var n int
	for rest := built(t).files[caFile].data; ; n++ {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			assert.Empty(t, bytes.TrimSpace(rest))
			break
		}
		c, err := x509.ParseCertificate(block.Bytes)
		require.NoError(t, err)
		assert.True(t, c.IsCA, c.Subject)
	}
	assert.Greater(t, n, 80)
}

// bill is the bill of materials, as far as it matters here.
type bill struct {
	BomFormat    string
	SerialNumber string
	Metadata     struct {
		Timestamp string
		Component struct{ Name, Version string }
	}
	Components []struct {
		Name, Version, Purl string
		Evidence            struct{ Licenses []any }
	}
}

// Compared with what the linker wrote into the binary, as `go version -m` prints it.
func TestBillNamesEveryModule(t *testing.T) {
	i, root := built(t), harness.Root(t)
	text, err := os.ReadFile(filepath.Join(root, "bin", "sluice-image-"+runtime.GOARCH+".cdx.json"))
	require.NoError(t, err)
	assert.True(t, bytes.Equal(text, i.files[billFile].data), "the file beside the image is not the one in it")
	var b bill
	require.NoError(t, json.Unmarshal(text, &b))
	assert.Equal(t, "CycloneDX", b.BomFormat)
	assert.Empty(t, b.SerialNumber+b.Metadata.Timestamp, "differs from build to build")
	version := "v" + dist(t).Version
	assert.Equal(t, version, b.Metadata.Component.Version)

	info, err := buildinfo.Read(bytes.NewReader(i.files["otelcol"].data))
	require.NoError(t, err)
	assert.Equal(t, info.Main.Path, b.Metadata.Component.Name)
	want := []string{"std " + strings.TrimPrefix(info.GoVersion, "go")}
	for _, d := range info.Deps {
		switch r := d.Replace; {
		case r == nil:
			want = append(want, d.Path+" "+d.Version)
		case strings.HasPrefix(r.Path, "."):
			want = append(want, d.Path+" "+version)
		default:
			want = append(want, r.Path+" "+r.Version)
		}
	}
	require.Greater(t, len(want), 400)
	var have []string
	for _, c := range b.Components {
		if c.Name == "golang.org/x/crypto/x509roots/fallback" {
			continue // the certificates
		}
		have = append(have, c.Name+" "+c.Version)
		assert.Equal(t, "pkg:golang/"+c.Name+"@"+strings.ReplaceAll(c.Version, "+", "%2B"), c.Purl)
		assert.True(t, len(c.Evidence.Licenses) > 0 || c.Name == "std", "no license found in %s", c.Name)
	}
	slices.Sort(want)
	slices.Sort(have)
	assert.Equal(t, want, have)
	assert.Len(t, b.Components, len(have)+1, "the certificates")
}

var (
	imageName = regexp.MustCompile(regexp.QuoteMeta(repository) + `[:@]([\w.-]+)`)
	newTag    = regexp.MustCompile(`(?s)` + regexp.QuoteMeta(repository) + `\s+newTag:\s*["']?([\w.-]+)`)
)

// One version: whatever in deploy/ and README names the image names the version of builder-config.yaml.
func TestImageHasOneVersion(t *testing.T) {
	root, version := harness.Root(t), dist(t).Version
	f := func(name string) int {
		data, err := os.ReadFile(filepath.Join(root, name))
		require.NoError(t, err)
		found := append(imageName.FindAllStringSubmatch(string(data), -1), newTag.FindAllStringSubmatch(string(data), -1)...)
		for _, m := range found {
			assert.Equal(t, version, m[1], "%s: %s", name, m[0])
		}
		return len(found)
	}
	assert.Positive(t, f("README.md"), "the README does not name the image")
	require.NoError(t, fs.WalkDir(os.DirFS(root), "deploy", func(p string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() && slices.Contains([]string{".yaml", ".yml", ".md"}, path.Ext(p)) {
			f(p)
		}
		return err
	}))
}
