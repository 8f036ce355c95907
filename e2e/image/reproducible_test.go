//go:build e2e

package image

import (
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sluice-otel/sluice/e2e/harness"
)

// copyTree copies what git would have committed: a checkout without what was built. The work tree as it is, so that it is the code under test that is tested.
func copyTree(t *testing.T, to string) {
	t.Helper()
	root := harness.Root(t)
	list := exec.CommandContext(t.Context(), "git", "ls-files", "-z", "--cached", "--others", "--exclude-standard")
	list.Dir = root
	names, err := list.Output()
	require.NoError(t, err)
	for name := range strings.SplitSeq(strings.TrimSuffix(string(names), "\x00"), "\x00") {
		from, err := os.Open(filepath.Join(root, name))
		if os.IsNotExist(err) {
			continue // deleted, not committed yet
		}
		require.NoError(t, err)
		info, err := from.Stat()
		require.NoError(t, err)
		target := filepath.Join(to, name)
		require.NoError(t, os.MkdirAll(filepath.Dir(target), 0o755))
		file, err := os.OpenFile(target, os.O_WRONLY|os.O_CREATE, info.Mode())
		require.NoError(t, err)
		_, err = io.Copy(file, from)
		require.NoError(t, err)
		require.NoError(t, file.Close())
		require.NoError(t, from.Close())
	}
}

// Two checkouts of one commit, in other folders, by people with other habits, make the same image; and so does this one, but for the commit that it names.
// They share Go's build cache, so this does not see what only the compiler would make different.
func TestImageIsReproducible(t *testing.T) {
	build := func(dir string, script string, env ...string) *image {
		t.Helper()
		copyTree(t, dir)
		cmd := exec.CommandContext(t.Context(), "bash", "-euc", `git init -q . && git add -A && git commit -qm 'A commit' && `+script)
		cmd.Dir = dir
		cmd.Env = append(os.Environ(), "GIT_CONFIG_GLOBAL=/dev/null", "GIT_CONFIG_SYSTEM=/dev/null",
			"GIT_AUTHOR_NAME=a", "GIT_AUTHOR_EMAIL=a@example.com", "GIT_AUTHOR_DATE=2026-01-01T00:00:00Z",
			"GIT_COMMITTER_NAME=a", "GIT_COMMITTER_EMAIL=a@example.com", "GIT_COMMITTER_DATE=2026-01-01T00:00:00Z")
		cmd.Env = append(cmd.Env, env...)
		out, err := cmd.CombinedOutput()
		require.NoError(t, err, string(out))
		return open(t, archive(t, dir))
	}
	one := build(t.TempDir(), "make image", "TZ=Asia/Tokyo", "LC_ALL=C")
	other := build(filepath.Join(t.TempDir(), "a", "deeper folder", "with blanks"), "umask 077; chmod -R go-rwx .; make image", "GOFLAGS=-buildvcs=auto", "TZ=America/Lima")
	assert.Equal(t, one.layers, other.layers)
	assert.Equal(t, one.config, other.config)
	assert.Equal(t, one.digest, other.digest)
	const revision = "org.opencontainers.image.revision"
	assert.Len(t, one.config.Config.Labels[revision], 40)
	assert.Equal(t, "2026-01-01T00:00:00Z", one.config.Created)

	here := built(t)
	assert.Equal(t, one.layers, here.layers, "bin/sluice-image.tar is not of this source, or depends on the commit: run make image")
}
