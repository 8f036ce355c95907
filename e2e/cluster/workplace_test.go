//go:build e2e

package cluster

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// left is which of a workplace's folder and control groups are there.
func left(t *testing.T, w *workplace) []string {
	t.Helper()
	v1, v2, err := cgroupMounts()
	require.NoError(t, err)
	var found []string
	for _, path := range append(append(v1, v2...), filepath.Dir(w.dir)) {
		if path = filepath.Join(path, filepath.Base(w.dir)); exists(path) {
			found = append(found, path)
		}
	}
	return found
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

func TestWhatAKilledRunLeavesIsRemovedByTheNext(t *testing.T) {
	if os.Getenv(KubeconfigEnv) != "" {
		t.Skip("nothing is booted that could be left")
	}
	t.Setenv("TMPDIR", t.TempDir())
	t.Setenv(workEnv, "")
	var killed, running, next workplace
	require.NoError(t, killed.claim())
	require.NoError(t, running.claim())
	assert.Equal(t, running.dir, os.Getenv(workEnv))
	v1, v2, err := cgroupMounts()
	require.NoError(t, err)
	groupsIn := v1
	if len(v1) == 0 {
		groupsIn = v2
	}
	require.Len(t, left(t, &killed), len(groupsIn)+1)
	require.NoError(t, os.Mkdir(filepath.Join(groupsIn[0], filepath.Base(killed.dir), "kubepods"), 0o755))
	require.NoError(t, os.WriteFile(filepath.Join(killed.dir, "image.tar"), []byte("x"), 0o600))
	require.NoError(t, killed.lock.Close()) // as the kernel does

	require.NoError(t, next.claim())
	assert.Empty(t, left(t, &killed))
	assert.NotEmpty(t, left(t, &running), "one that runs is left alone")
	running.close()
	next.close()
	assert.Empty(t, append(left(t, &running), left(t, &next)...))
}
