package main

import (
	"archive/tar"
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

// entry is what a layer has under one name.
type entry struct {
	name     string // without the leading slash; a folder ends with one
	source   string // file on disk; empty for a folder and when data says it all
	data     []byte
	mode     int64
	uid, gid int
}

// entries reads one -layer.
func entries(spec, arch, user string) ([]entry, error) {
	found := map[string]entry{}
	for part := range strings.SplitSeq(spec, ",") {
		dst, src, ok := strings.Cut(strings.TrimSpace(part), "=")
		if !ok || !strings.HasPrefix(dst, "/") {
			return nil, fmt.Errorf("-layer: want /DESTINATION=SOURCE, got %q", part)
		}
		list, err := expand(dst, strings.ReplaceAll(src, "{arch}", arch), user)
		if err != nil {
			return nil, err
		}
		for _, e := range list {
			if _, twice := found[e.name]; twice {
				return nil, fmt.Errorf("-layer: /%s is there twice", e.name)
			}
			found[e.name] = e
		}
	}
	for name := range found {
		for dir := path.Dir(strings.TrimSuffix(name, "/")); dir != "."; dir = path.Dir(dir) {
			if _, ok := found[dir+"/"]; !ok {
				found[dir+"/"] = entry{name: dir + "/", mode: 0o755}
			}
		}
	}
	list := make([]entry, 0, len(found))
	for _, e := range found {
		list = append(list, e)
	}
	slices.SortFunc(list, func(a, b entry) int { return strings.Compare(a.name, b.name) })
	return list, nil
}

func expand(dst, src, user string) ([]entry, error) {
	folder := strings.HasSuffix(dst, "/")
	name := strings.TrimPrefix(path.Clean(dst), "/")
	switch {
	case name == "":
		return nil, fmt.Errorf("-layer: want a name below /, got %q", dst)
	case src == "" && folder:
		uid, gid, err := owner(user)
		return []entry{{name: name + "/", mode: 0o700, uid: uid, gid: gid}}, err
	case src == "":
		return nil, fmt.Errorf("-layer: want a source, got %q", dst+"=")
	case src == "@ca-certificates":
		data, err := caCertificates()
		return []entry{{name: name, data: data, mode: 0o644}}, err
	case strings.Contains(src, "*"):
		return glob(name, src, folder)
	}
	info, err := os.Stat(src)
	switch {
	case err != nil:
		return nil, err
	case info.IsDir() && folder:
		return tree(name, src)
	case info.IsDir():
		return nil, fmt.Errorf("-layer: %s is a folder: %s needs a slash at its end", src, dst)
	case folder:
		name = path.Join(name, filepath.Base(src))
	}
	e, err := regular(name, src, info)
	return []entry{e}, err
}

func glob(name, pattern string, folder bool) ([]entry, error) {
	matches, err := filepath.Glob(pattern)
	if err != nil {
		return nil, fmt.Errorf("-layer: %s: %w", pattern, err)
	}
	if len(matches) == 0 || !folder {
		return nil, fmt.Errorf("-layer: %s: want files that match and a destination that ends with a slash, got %d files", pattern, len(matches))
	}
	var list []entry
	for _, m := range matches {
		info, err := os.Stat(m)
		if err != nil {
			return nil, err
		}
		e, err := regular(path.Join(name, filepath.Base(m)), m, info)
		if err != nil {
			return nil, err
		}
		list = append(list, e)
	}
	return list, nil
}

func tree(name, root string) ([]entry, error) {
	var list []entry
	err := filepath.WalkDir(root, func(p string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(root, p)
		if err != nil {
			return err
		}
		e, err := regular(path.Join(name, filepath.ToSlash(rel)), p, info)
		list = append(list, e)
		return err
	})
	return list, err
}

// regular keeps of a file's mode whether it can be run: the rest is the umask of whoever checked it out.
func regular(name, source string, info fs.FileInfo) (entry, error) {
	if !info.Mode().IsRegular() {
		return entry{}, fmt.Errorf("-layer: %s is not a regular file", source)
	}
	mode := int64(0o644)
	if info.Mode()&0o100 != 0 {
		mode = 0o755
	}
	return entry{name: name, source: source, mode: mode}, nil
}

// owner wants numbers: an image without /etc/passwd has no names, and the kubelet cannot tell whether a name is root.
func owner(user string) (uid, gid int, err error) {
	u, g, ok := strings.Cut(user, ":")
	uid, errU := strconv.Atoi(u)
	gid, errG := strconv.Atoi(g)
	if !ok || errU != nil || errG != nil {
		return 0, 0, fmt.Errorf("-user: want UID:GID in numbers, got %q", user)
	}
	return uid, gid, nil
}

// writeTar writes entries as they are listed, with the same bytes wherever and whenever it runs.
func writeTar(w io.Writer, list []entry) error {
	tw := tar.NewWriter(w)
	for _, e := range list {
		if err := writeEntry(tw, e); err != nil {
			return err
		}
	}
	return tw.Close()
}

func writeEntry(tw *tar.Writer, e entry) (err error) {
	h := &tar.Header{Name: e.name, Mode: e.mode, Uid: e.uid, Gid: e.gid, ModTime: time.Unix(0, 0), Format: tar.FormatPAX}
	var content io.Reader = bytes.NewReader(e.data)
	switch {
	case strings.HasSuffix(e.name, "/"):
		h.Typeflag = tar.TypeDir
	case e.source == "":
		h.Typeflag, h.Size = tar.TypeReg, int64(len(e.data))
	default:
		f, errOpen := os.Open(e.source)
		if errOpen != nil {
			return errOpen
		}
		defer func() { err = errors.Join(err, f.Close()) }()
		info, errStat := f.Stat()
		if errStat != nil {
			return errStat
		}
		h.Typeflag, h.Size, content = tar.TypeReg, info.Size(), f
	}
	if err := tw.WriteHeader(h); err != nil {
		return err
	}
	_, err = io.Copy(tw, content)
	return err
}
