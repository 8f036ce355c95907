//go:build e2e

package cluster

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
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
	var killed, running, next, last workplace
	claim := func(w *workplace) {
		t.Helper()
		require.NoError(t, w.claim())
		t.Cleanup(func() { assert.NoError(t, removeCgroup(filepath.Base(w.dir))) }) // no later run looks into this TMPDIR
	}
	claim(&killed)
	claim(&running)
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

	claim(&next)
	assert.Empty(t, left(t, &killed))
	assert.NotEmpty(t, left(t, &running), "one that runs is left alone")

	// A process that does not end: the folder stays, so that the next run knows of the group.
	process := exec.CommandContext(t.Context(), "sleep", "60")
	require.NoError(t, process.Start())
	group := filepath.Join(groupsIn[0], filepath.Base(running.dir), "cgroup.procs")
	require.NoError(t, os.WriteFile(group, []byte(strconv.Itoa(process.Process.Pid)), 0o644))
	running.close()
	assert.DirExists(t, running.dir)
	require.NoError(t, process.Process.Kill())
	_ = process.Wait()
	next.close()
	claim(&last)
	last.close()
	assert.Empty(t, slices.Concat(left(t, &running), left(t, &next), left(t, &last)))
}
