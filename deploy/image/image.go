package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

type platformImage struct {
	platform v1.Platform
	image    v1.Image
}

// built is an image for one or more platforms.
type built struct {
	name   string
	images []platformImage
	index  v1.ImageIndex // nil for one platform
}

func build(o *options) (*built, error) {
	if _, _, err := owner(o.user); err != nil {
		return nil, err
	}
	if i := strings.LastIndex(o.name, ":"); i < 0 || strings.Contains(o.name[i:], "/") {
		return nil, fmt.Errorf("-name: want a tag, got %q", o.name)
	}
	b := &built{name: o.name}
	for text := range strings.SplitSeq(o.platforms, ",") {
		p, err := v1.ParsePlatform(text)
		if err != nil || p.OS == "" || p.Architecture == "" {
			return nil, fmt.Errorf("-platform: want os/architecture, got %q", text)
		}
		img, err := buildOne(o, *p)
		if err != nil {
			return nil, err
		}
		b.images = append(b.images, platformImage{*p, img})
	}
	if len(b.images) > 1 {
		b.index = empty.Index
		for _, i := range b.images {
			b.index = mutate.AppendManifests(b.index, mutate.IndexAddendum{Add: i.image, Descriptor: v1.Descriptor{Platform: &i.platform}})
		}
	}
	return b, nil
}

func buildOne(o *options, p v1.Platform) (v1.Image, error) {
	config, err := configFile(o, p)
	if err != nil {
		return nil, err
	}
	img, err := mutate.ConfigFile(mutate.ConfigMediaType(mutate.MediaType(empty.Image, types.OCIManifestSchema1), types.OCIConfigJSON), config)
	if err != nil {
		return nil, err
	}
	for _, spec := range o.layers {
		list, err := entries(spec, p.Architecture, o.user)
		if err != nil {
			return nil, err
		}
		layer, err := tarball.LayerFromOpener(func() (io.ReadCloser, error) { return stream(list), nil },
			tarball.WithMediaType(types.OCILayer), tarball.WithCompressionLevel(o.gzip), tarball.WithCompressedCaching)
		if err != nil {
			return nil, err
		}
		img, err = mutate.Append(img, mutate.Addendum{Layer: layer, History: v1.History{Created: config.Created, CreatedBy: destinations(spec)}})
		if err != nil {
			return nil, err
		}
	}
	return img, nil
}

func configFile(o *options, p v1.Platform) (*v1.ConfigFile, error) {
	created, err := time.Parse(time.RFC3339, o.created)
	if err != nil {
		return nil, fmt.Errorf("-created: want RFC 3339, got %q", o.created)
	}
	labels := map[string]string{}
	for _, l := range o.labels {
		k, v, ok := strings.Cut(l, "=")
		if !ok || k == "" {
			return nil, fmt.Errorf("-label: want name=value, got %q", l)
		}
		if v != "" {
			labels[k] = v
		}
	}
	return &v1.ConfigFile{
		OS: p.OS, Architecture: p.Architecture, Variant: p.Variant,
		Created: v1.Time{Time: created.UTC()},
		RootFS:  v1.RootFS{Type: "layers"},
		Config:  v1.Config{User: o.user, Entrypoint: o.entrypoint, Cmd: o.cmd, Env: o.env, Labels: labels, WorkingDir: "/"},
	}, nil
}

// destinations leaves out of a layer's specification where its files lay while it was built.
func destinations(spec string) string {
	var names []string
	for part := range strings.SplitSeq(spec, ",") {
		dst, _, _ := strings.Cut(strings.TrimSpace(part), "=")
		names = append(names, dst)
	}
	return "image -layer " + strings.Join(names, " ")
}

// stream makes a layer's tar anew for each reader: nothing of the size of a binary is kept uncompressed.
func stream(list []entry) io.ReadCloser {
	r, w := io.Pipe()
	go func() { w.CloseWithError(writeTar(w, list)) }()
	return r
}

// write makes an OCI layout and packs it. Older Dockers do not know the layout and read manifest.json, which names the same blobs; it can name one
// platform only, the first.
func (b *built) write(out string) (err error) {
	dir, err := os.MkdirTemp(filepath.Dir(out), ".image-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	path, err := layout.Write(dir, empty.Index)
	if err != nil {
		return err
	}
	names := layout.WithAnnotations(map[string]string{
		"io.containerd.image.name":          b.name, // containerd, Docker
		"org.opencontainers.image.ref.name": b.name[strings.LastIndex(b.name, ":")+1:],
	})
	if b.index != nil {
		err = path.AppendIndex(b.index, names)
	} else {
		err = path.AppendImage(b.images[0].image, names, layout.WithPlatform(b.images[0].platform))
	}
	if err != nil {
		return err
	}
	if err := b.writeDockerManifest(dir); err != nil {
		return err
	}
	return pack(dir, out)
}

func (b *built) writeDockerManifest(dir string) error {
	m, err := b.images[0].image.Manifest()
	if err != nil {
		return err
	}
	blob := func(h v1.Hash) string { return "blobs/" + h.Algorithm + "/" + h.Hex }
	d := tarball.Descriptor{Config: blob(m.Config.Digest), RepoTags: []string{b.name}}
	for _, l := range m.Layers {
		d.Layers = append(d.Layers, blob(l.Digest))
	}
	data, err := json.Marshal(tarball.Manifest{d})
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, "manifest.json"), data, 0o600)
}

func pack(dir, out string) error {
	list, err := tree("", dir)
	if err != nil {
		return err
	}
	for i := range list {
		list[i].mode = 0o644 // the library writes some as executable
	}
	slices.SortFunc(list, func(a, b entry) int { return strings.Compare(a.name, b.name) })
	f, err := os.Create(out + ".part")
	if err != nil {
		return err
	}
	if err := errors.Join(writeTar(f, list), f.Close()); err != nil {
		return err
	}
	return os.Rename(out+".part", out)
}

func (b *built) digest() (v1.Hash, error) {
	if b.index != nil {
		return b.index.Digest()
	}
	return b.images[0].image.Digest()
}

func (b *built) summary() string {
	var s strings.Builder
	digest, err := b.digest()
	if err != nil {
		return err.Error()
	}
	fmt.Fprintf(&s, "%s@%s\n", b.name, digest)
	for _, i := range b.images {
		if b.index != nil {
			d, _ := i.image.Digest()
			fmt.Fprintf(&s, " %s %s\n", i.platform, d)
		}
		m, err := i.image.Manifest()
		if err != nil {
			return err.Error()
		}
		config, err := i.image.ConfigFile()
		if err != nil {
			return err.Error()
		}
		for n, l := range m.Layers {
			fmt.Fprintf(&s, "  %-8s %s\n", megabytes(l.Size), strings.TrimPrefix(config.History[n].CreatedBy, "image -layer "))
		}
	}
	return s.String()
}

func megabytes(n int64) string {
	switch {
	case n < 1e6:
		return fmt.Sprintf("%.1f kB", float64(n)/1e3)
	default:
		return fmt.Sprintf("%.1f MB", float64(n)/1e6)
	}
}
