package main

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// put writes files below a new folder and returns it. A name that ends with * can be run.
func put(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		mode := os.FileMode(0o600)
		if name[len(name)-1] == '*' {
			name, mode = name[:len(name)-1], 0o700
		}
		p := filepath.Join(dir, name)
		require.NoError(t, os.MkdirAll(filepath.Dir(p), 0o755))
		require.NoError(t, os.WriteFile(p, []byte(text), mode))
	}
	return dir
}

func TestEntries(t *testing.T) {
	t.Chdir(put(t, map[string]string{"bin/amd64/app*": "x", "conf/a.yaml": "a", "conf/b.yaml": "b", "conf/b_test.go": "", "conf/sub/c.yaml": "c"}))
	f := func(spec string, want ...string) {
		t.Helper()
		list, err := entries(spec, "amd64", "65532:1")
		require.NoError(t, err, spec)
		var have []string
		for _, e := range list {
			text := e.name
			if e.mode == 0o755 && e.source != "" {
				text += "*"
			}
			if e.uid != 0 {
				assert.Equal(t, []int64{65532, 1, 0o700}, []int64{int64(e.uid), int64(e.gid), e.mode})
				text += "~"
			}
			have = append(have, text)
		}
		assert.Equal(t, want, have, spec)
	}
	f("/app=bin/{arch}/app", "app*")
	f("/usr/bin/app=bin/amd64/app", "usr/", "usr/bin/", "usr/bin/app*")
	f("/etc/=conf/*.yaml", "etc/", "etc/a.yaml", "etc/b.yaml")
	f("/etc/=conf/a.yaml", "etc/", "etc/a.yaml")
	f("/etc/=conf", "etc/", "etc/a.yaml", "etc/b.yaml", "etc/b_test.go", "etc/sub/", "etc/sub/c.yaml")
	f("/var/lib/x/=, /app=bin/amd64/app", "app*", "var/", "var/lib/", "var/lib/x/~")
	f("/ca.crt=@ca-certificates", "ca.crt")
}

func TestEntriesThatAreWrong(t *testing.T) {
	t.Chdir(put(t, map[string]string{"a.yaml": "", "b.yaml": "", "conf/a.yaml": ""}))
	require.NoError(t, os.Symlink("a.yaml", "conf/link.yaml"))
	f := func(spec, want string) {
		t.Helper()
		_, err := entries(spec, "amd64", "65532:65532")
		assert.ErrorContains(t, err, want, spec)
	}
	f("/app", `want /DESTINATION=SOURCE, got "/app"`)
	f("app=a.yaml", `want /DESTINATION=SOURCE, got "app=a.yaml"`)
	f("/=a.yaml", `want a name below /, got "/"`)
	f("/app=nothing", "nothing: no such file")
	f("/etc/=*.json", "got 0 files")
	f("/etc=*.yaml", "got 2 files")
	f("/etc=conf", "conf is a folder: /etc needs a slash")
	f("/etc/=conf", "link.yaml is not a regular file")
	f("/etc/=a.yaml,/etc/a.yaml=b.yaml", "/etc/a.yaml is there twice")
	_, err := entries("/data/=", "amd64", "nobody")
	assert.ErrorContains(t, err, `-user: want UID:GID in numbers, got "nobody"`)
}

// What differs between two checkouts of one commit does not show: times, umask, the order of a folder.
func TestTarDependsOnContentOnly(t *testing.T) {
	write := func(dir string) []byte {
		t.Helper()
		t.Chdir(dir)
		list, err := entries("/app=app,/etc/=conf,/data/=", "amd64", "1:1")
		require.NoError(t, err)
		var b bytes.Buffer
		require.NoError(t, writeTar(&b, list))
		return b.Bytes()
	}
	files := map[string]string{"app*": "x", "conf/a": "1", "conf/z/b": "2"}
	one, other := put(t, files), put(t, files)
	require.NoError(t, os.Chmod(filepath.Join(other, "app"), 0o775))
	require.NoError(t, os.Chmod(filepath.Join(other, "conf/a"), 0o664))
	require.NoError(t, os.Chtimes(filepath.Join(other, "conf/a"), time.Now(), time.Now().Add(-time.Hour)))
	a := write(one)
	assert.Equal(t, a, write(other))
	require.NoError(t, os.Chmod(filepath.Join(other, "conf/a"), 0o775))
	assert.NotEqual(t, a, write(other), "whether a file can be run is content")
}
