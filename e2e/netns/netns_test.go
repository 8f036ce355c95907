package netns

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// scenario makes this binary play a test binary with other tests and another fate; see play.
const scenario = "NETNS_TEST_SCENARIO"

func TestMain(m *testing.M) {
	if name := os.Getenv(scenario); name != "" {
		code := play(name)
		fmt.Println("why:", state.why) // there is no namespace, if there is none
		os.Exit(code)
	}
	os.Exit(Main(m, func() error {
		network, err := os.Readlink("/proc/self/ns/net")
		return errors.Join(err, os.Setenv("NETNS_TEST_BEFORE", strconv.Itoa(os.Getpid())), os.Setenv("NETNS_TEST_NETWORK", network))
	}))
}

// needsNamespace skips a test where none is permitted: go test ./... must not take root. Any other reason to have none is
// a mistake of this package's, which must not pass as a skip.
func needsNamespace(t *testing.T) {
	t.Helper()
	if Inside() {
		return
	}
	require.True(t, notPermitted(state.why), state.why)
	t.Skipf("needs root or unprivileged user namespaces: %s", state.why)
}

// notPermitted says whether text tells of one of the ways in which kernels refuse namespaces.
func notPermitted(text string) bool {
	// Capabilities and seccomp; AppArmor and SELinux; a limit of 0 in /proc/sys/user.
	return slices.ContainsFunc([]syscall.Errno{syscall.EPERM, syscall.EACCES, syscall.ENOSPC}, func(e syscall.Errno) bool {
		return strings.Contains(text, e.Error())
	})
}

func TestAddressesAreUsable(t *testing.T) {
	needsNamespace(t)
	for _, i := range []int{1, 2, 30} {
		l, err := net.Listen("tcp", net.JoinHostPort(Addr(t, i), "4317"))
		require.NoError(t, err)
		defer l.Close()
		dialer := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(Addr(t, 7))}}
		c, err := dialer.Dial("tcp", l.Addr().String())
		require.NoError(t, err)
		defer c.Close()
		s, err := l.Accept()
		require.NoError(t, err)
		defer s.Close()
		assert.Equal(t, "10.99.0.7", s.RemoteAddr().(*net.TCPAddr).IP.String())
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err, "the usual loopback works too")
	require.NoError(t, l.Close())
}

func TestAddressesAreOnLoOnly(t *testing.T) {
	needsNamespace(t)
	all, err := net.Interfaces()
	require.NoError(t, err)
	for _, i := range all {
		addrs, err := i.Addrs()
		require.NoError(t, err)
		if i.Name != "lo" { // kernels add unused tunnel devices
			assert.Empty(t, addrs, i.Name)
			continue
		}
		have := fmt.Sprint(addrs)
		for n := 1; n <= addresses; n++ {
			assert.Contains(t, have, fmt.Sprintf("10.99.0.%d/24", n))
		}
	}
}

func TestNamespaceIsNotTheParents(t *testing.T) {
	needsNamespace(t)
	mine, err := os.Readlink("/proc/self/ns/net")
	require.NoError(t, err)
	// The parent has said: from a user namespace of its own, the child may not look at the parent's.
	parents := os.Getenv("NETNS_TEST_NETWORK")
	assert.NotEmpty(t, parents)
	assert.NotEqual(t, parents, mine)
}

func TestBeforeRanInTheParent(t *testing.T) {
	needsNamespace(t)
	assert.Equal(t, strconv.Itoa(os.Getppid()), os.Getenv("NETNS_TEST_BEFORE"))
}

func TestMarkerIsNotInherited(t *testing.T) {
	assert.Empty(t, os.Getenv(marker))
	_, err := os.Stat(fmt.Sprintf("/proc/self/fd/%d", reportFD))
	if err == nil { // the number may be in use again, but not by the pipe
		target, err := os.Readlink(fmt.Sprintf("/proc/self/fd/%d", reportFD))
		require.NoError(t, err)
		assert.NotContains(t, target, "pipe:")
	}
}

func TestExitCodeIsPassedThrough(t *testing.T) {
	needsNamespace(t)
	out, err := player(t, "exit 7").CombinedOutput()
	assert.Equal(t, 7, exitCode(t, err))
	assert.Contains(t, string(out), "inside=true")
}

func TestFailedBeforeRunsNothing(t *testing.T) {
	out, err := player(t, "before fails").CombinedOutput()
	assert.Equal(t, 1, exitCode(t, err))
	assert.Contains(t, string(out), "no compiler here")
	assert.NotContains(t, string(out), "inside=")
}

func TestSignalsArePassedThrough(t *testing.T) {
	needsNamespace(t)
	for _, tc := range []struct {
		scenario string
		want     int
	}{
		{"hang", 128 + int(syscall.SIGTERM)}, // the child dies of it
		{"hang until SIGTERM", 9},            // the child handles it
	} {
		cmd, out := startPlayer(t, tc.scenario)
		readUntil(t, out, "ready")
		require.NoError(t, cmd.Process.Signal(syscall.SIGTERM))
		assert.Equal(t, tc.want, exitCode(t, cmd.Wait()), tc.scenario)
	}
}

func TestChildDiesWithAKilledParent(t *testing.T) {
	needsNamespace(t)
	cmd, out := startPlayer(t, "hang")
	readUntil(t, out, "ready")
	require.NoError(t, cmd.Process.Kill())
	// The child holds the other end of the pipe: it ends when the child does.
	require.NoError(t, out.SetReadDeadline(time.Now().Add(10*time.Second)))
	_, err := io.ReadAll(out)
	require.NoError(t, err)
	_ = cmd.Wait()
}

func TestOtherUsersGetAUserNamespace(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root to become another user")
	}
	needsNamespace(t)
	// Another user can neither enter nor read where go test puts the binary.
	dir := t.TempDir()
	require.NoError(t, os.Chmod(filepath.Dir(dir), 0o755))
	cmd := player(t, "exit 7")
	binary, err := os.ReadFile(cmd.Path)
	require.NoError(t, err)
	cmd.Path, cmd.Dir = filepath.Join(dir, "netns.test"), dir
	require.NoError(t, os.WriteFile(cmd.Path, binary, 0o755))
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}

	out, err := cmd.CombinedOutput()
	if errors.Is(err, syscall.EPERM) || errors.Is(err, syscall.EINVAL) {
		t.Skipf("needs root: that of a user namespace has no other user to become: %v", err)
	}
	if notPermitted(string(out)) {
		t.Skipf("needs unprivileged user namespaces: %s", out)
	}
	assert.Equal(t, 7, exitCode(t, err), string(out))
	assert.Contains(t, string(out), "inside=true")
}

func TestWithoutPermissionTestsRunInPlace(t *testing.T) {
	const needs = "this test needs a network namespace of its own: it takes root"
	if !Inside() { // nobody has to forbid it: this process is such a case itself, and so is a player
		assert.Contains(t, askForAddr(), needs)
		out, err := player(t, "exit 7").CombinedOutput()
		assert.Equal(t, 7, exitCode(t, err), string(out))
		assert.Contains(t, string(out), "inside=false")
		return
	}
	for _, lanes := range []string{"", "2"} {
		// In a user namespace of its own, the player may forbid itself any further network namespace.
		cmd := player(t, "forbidden")
		cmd.Env = append(cmd.Env, lanesEnv+"="+lanes)
		cmd.SysProcAttr = &syscall.SysProcAttr{
			Cloneflags:  syscall.CLONE_NEWUSER,
			UidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Geteuid(), Size: 1}},
			GidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getegid(), Size: 1}},
		}
		out, err := cmd.CombinedOutput()
		if err != nil && cmd.Process == nil && notPermitted(err.Error()) {
			t.Skipf("needs a user namespace: %v", err)
		}
		assert.Equal(t, 7, exitCode(t, err), string(out))
		assert.Equal(t, 1, strings.Count(string(out), "inside=false"), string(out))
		assert.Contains(t, string(out), needs)
	}
}

// player is this binary in a scenario.
func player(t *testing.T, name string) *exec.Cmd {
	t.Helper()
	exe, err := os.Executable()
	require.NoError(t, err)
	cmd := exec.CommandContext(t.Context(), exe)
	cmd.Env = append(os.Environ(), scenario+"="+name, lanesEnv+"=")
	return cmd
}

func startPlayer(t *testing.T, name string) (*exec.Cmd, *os.File) {
	t.Helper()
	r, w, err := os.Pipe()
	require.NoError(t, err)
	t.Cleanup(func() { _ = r.Close() })
	cmd := player(t, name)
	cmd.Stdout, cmd.Stderr = w, w
	require.NoError(t, cmd.Start())
	require.NoError(t, w.Close())
	return cmd, r
}

func readUntil(t *testing.T, r *os.File, want string) {
	t.Helper()
	require.NoError(t, r.SetReadDeadline(time.Now().Add(10*time.Second)))
	var got []byte
	buf := make([]byte, 256)
	for !strings.Contains(string(got), want) {
		n, err := r.Read(buf)
		got = append(got, buf[:n]...)
		require.NoError(t, err, string(got))
	}
}

func exitCode(t *testing.T, err error) int {
	t.Helper()
	if err == nil {
		return 0
	}
	var exit *exec.ExitError
	require.ErrorAs(t, err, &exit)
	return exit.ExitCode()
}
