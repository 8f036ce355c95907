package durablestorageextension

import (
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
)

// go test keeps a log of the files that a test opens, to know when to run it again, and could not write it below the limit: without the flag there is
// none, and the package is run each time.
func init() {
	args := slices.DeleteFunc(slices.Clone(os.Args), func(arg string) bool { return strings.HasPrefix(arg, "-test.testlogfile=") })
	if self, err := os.Executable(); err == nil && len(args) < len(os.Args) {
		panic(syscall.Exec(self, args, os.Environ()))
	}
}

// limitFileSize makes writes beyond a size fail with EFBIG, until the returned function is called.
func limitFileSize(t *testing.T, size uint64) (lift func()) {
	t.Helper()
	signal.Ignore(syscall.SIGXFSZ)
	var before syscall.Rlimit
	require.NoError(t, syscall.Getrlimit(syscall.RLIMIT_FSIZE, &before))
	lift = func() {
		require.NoError(t, syscall.Setrlimit(syscall.RLIMIT_FSIZE, &before))
		signal.Reset(os.Signal(syscall.SIGXFSZ))
	}
	require.NoError(t, syscall.Setrlimit(syscall.RLIMIT_FSIZE, &syscall.Rlimit{Cur: size, Max: before.Max}))
	return lift
}
