package cluster

import (
	"archive/tar"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
)

// Image is a container image with nothing in it but these files: one layer, as `FROM scratch` and COPY make it.
type Image struct {
	Name       string            // with registry and tag, as pods ask for it
	Files      map[string]string // path in the image → file here; executable, owned by root
	Entrypoint []string
	User       string // numeric, uid:gid
}

// Write makes an OCI archive of the image, which `ctr images import`, `kind load image-archive` and docker load take.
func (i Image) Write(file string) error {
	layer, err := os.CreateTemp(filepath.Dir(file), "layer-")
	if err != nil {
		return err
	}
	defer os.Remove(layer.Name())
	defer layer.Close()
	sum := sha256.New()
	if err := i.writeLayer(io.MultiWriter(layer, sum)); err != nil {
		return err
	}
	digest := hex.EncodeToString(sum.Sum(nil))
	size, err := layer.Seek(0, io.SeekCurrent)
	if err != nil {
		return err
	}
	if _, err := layer.Seek(0, io.SeekStart); err != nil {
		return err
	}
	out, err := os.Create(file)
	if err != nil {
		return err
	}
	defer out.Close()
	return i.writeArchive(tar.NewWriter(out), layer, digest, size)
}

type object = map[string]any

func (i Image) writeArchive(w *tar.Writer, layer io.Reader, digest string, size int64) error {
	const oci = "application/vnd.oci.image."
	blob := func(v object) (descriptor object, err error) {
		b, err := json.Marshal(v)
		if err != nil {
			return nil, err
		}
		digest := fmt.Sprintf("%x", sha256.Sum256(b))
		return object{"digest": "sha256:" + digest, "size": len(b)}, add(w, "blobs/sha256/"+digest, 0o644, int64(len(b)), bytes.NewReader(b))
	}
	config, err := blob(object{
		"architecture": runtime.GOARCH, "os": "linux",
		"config": object{"Entrypoint": i.Entrypoint, "User": i.User, "Env": []string{"PATH=/"}},
		"rootfs": object{"type": "layers", "diff_ids": []string{"sha256:" + digest}},
	})
	if err != nil {
		return err
	}
	config["mediaType"] = oci + "config.v1+json"
	manifest, err := blob(object{
		"schemaVersion": 2, "mediaType": oci + "manifest.v1+json", "config": config,
		"layers": []object{{"mediaType": oci + "layer.v1.tar", "digest": "sha256:" + digest, "size": size}},
	})
	if err != nil {
		return err
	}
	manifest["mediaType"] = oci + "manifest.v1+json"
	manifest["annotations"] = map[string]string{
		"io.containerd.image.name": i.Name, "org.opencontainers.image.ref.name": i.Name[strings.LastIndex(i.Name, ":")+1:],
	}
	index, err := json.Marshal(object{"schemaVersion": 2, "manifests": []object{manifest}})
	if err != nil {
		return err
	}
	const layout = `{"imageLayoutVersion":"1.0.0"}`
	if err := add(w, "blobs/sha256/"+digest, 0o644, size, layer); err != nil {
		return err
	}
	if err := add(w, "oci-layout", 0o644, int64(len(layout)), strings.NewReader(layout)); err != nil {
		return err
	}
	if err := add(w, "index.json", 0o644, int64(len(index)), bytes.NewReader(index)); err != nil {
		return err
	}
	return w.Close()
}

func (i Image) writeLayer(out io.Writer) error {
	w := tar.NewWriter(out)
	names := make([]string, 0, len(i.Files))
	made := map[string]bool{".": true}
	for name := range i.Files {
		names = append(names, strings.TrimPrefix(path.Clean(name), "/"))
	}
	slices.Sort(names)
	folder := func(name string, mode int64) error {
		if made[name] {
			return nil
		}
		made[name] = true
		return w.WriteHeader(&tar.Header{Typeflag: tar.TypeDir, Name: name + "/", Mode: mode})
	}
	if err := folder("tmp", 0o1777); err != nil {
		return err
	}
	for _, name := range names {
		var parents []string
		for dir := path.Dir(name); dir != "."; dir = path.Dir(dir) {
			parents = append(parents, dir)
		}
		slices.Reverse(parents)
		for _, dir := range parents {
			if err := folder(dir, 0o755); err != nil {
				return err
			}
		}
		if err := i.addFile(w, name); err != nil {
			return err
		}
	}
	return w.Close()
}

func (i Image) addFile(w *tar.Writer, name string) error {
	from, ok := i.Files["/"+name]
	if !ok {
		return fmt.Errorf("image %s: path %s has to begin with / and be clean", i.Name, name)
	}
	f, err := os.Open(from)
	if err != nil {
		return err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	return add(w, name, 0o755, info.Size(), f)
}

func add(w *tar.Writer, name string, mode, size int64, content io.Reader) error {
	if err := w.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: name, Mode: mode, Size: size}); err != nil {
		return err
	}
	_, err := io.Copy(w, content)
	return err
}
