package cluster

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// A folder stands for a hierarchy of version 2, which this machine may not have.
func TestControllersThatAreNotEnabledAreNamed(t *testing.T) {
	dir := t.TempDir()
	f := func(available, enabled string) error {
		t.Helper()
		require.NoError(t, os.WriteFile(filepath.Join(dir, "cgroup.controllers"), []byte(available+"\n"), 0o600))
		require.NoError(t, os.WriteFile(filepath.Join(dir, "cgroup.subtree_control"), []byte(enabled+"\n"), 0o600))
		return wantControllers(dir)
	}
	assert.NoError(t, f("cpuset cpu io memory pids", "cpuset cpu memory pids"))
	assert.ErrorContains(t, f("cpuset cpu io memory hugetlb pids rdma", "cpu memory pids"), "echo '+cpuset +hugetlb' >"+dir+"/cgroup.subtree_control")
	assert.Error(t, wantControllers(filepath.Join(dir, "nothing")))
}
