package netns

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

func TestVolumeIsFullAndFreeAgain(t *testing.T) {
	v := NewVolume(t, 1<<20)
	file := filepath.Join(v.Dir, "file")
	v.Fill(t)
	require.ErrorIs(t, os.WriteFile(file, []byte("x"), 0o600), unix.ENOSPC)
	v.Free(t)
	require.NoError(t, os.WriteFile(file, []byte("x"), 0o600))
}
