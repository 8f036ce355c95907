package netns

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"
)

// Volume is a small file system in memory. Nobody outside of the test binary and its programs sees it.
type Volume struct {
	Dir string

	ballast string
}

// NewVolume makes a volume of so many bytes, which goes away with the test. Without a namespace of our own the test is skipped, and says why.
func NewVolume(tb testing.TB, bytes int) *Volume {
	tb.Helper()
	if !state.inside {
		tb.Skipf("NOT TESTED: a small volume needs a mount namespace: %s", state.why)
	}
	dir := filepath.Join(tb.TempDir(), "volume")
	if err := os.Mkdir(dir, 0o755); err != nil {
		tb.Fatal(err)
	}
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, fmt.Sprintf("size=%d", bytes)); err != nil {
		tb.Fatalf("a volume of %d bytes: %v", bytes, err)
	}
	tb.Cleanup(func() {
		if err := unix.Unmount(dir, unix.MNT_DETACH); err != nil {
			tb.Errorf("unmount %s: %v", dir, err)
		}
	})
	return &Volume{Dir: dir, ballast: filepath.Join(dir, "ballast")}
}

// Fill leaves no byte free.
func (v *Volume) Fill(tb testing.TB) {
	tb.Helper()
	f, err := os.OpenFile(v.ballast, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		tb.Fatal(err)
	}
	defer f.Close()
	for size := 1 << 20; size > 0; {
		if _, err := f.Write(make([]byte, size)); errors.Is(err, unix.ENOSPC) {
			size /= 2
		} else if err != nil {
			tb.Fatal(err)
		}
	}
}

// Free gives back what Fill took.
func (v *Volume) Free(tb testing.TB) {
	tb.Helper()
	if err := os.Remove(v.ballast); err != nil {
		tb.Fatal(err)
	}
}
