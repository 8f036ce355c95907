// Package netns runs a test binary in a network namespace of its own, where addresses like those of pods exist and no
// port of the host is in the way, and in a mount namespace, where a test can have a volume that is soon full.
package netns

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"runtime"
	"syscall"
	"testing"
)

const (
	// marker tells the child that it is one. It is unset at once: programs that tests start are not children.
	marker = "SLUICE_NETNS_CHILD"
	// reportFD is where the child says that its network is ready, or why not.
	reportFD = 3
	ready    = "ready"

	// The marker's values: a child that runs tests, and one that only finds out whether there can be a namespace. See Machine for others.
	childOfMain = "1"
	probe       = "probe"
)

// child is how to start this binary again.
type child struct {
	marker string
	args   []string
	out    *os.File // for both streams, so that they stay in order; nil: this process's own
}

// wholeRun has all tests that this process was asked for.
func wholeRun() child { return child{marker: childOfMain, args: os.Args[1:]} }

// state is what Addr knows: whether this process is inside a namespace and, if not, why not.
var state = struct {
	inside bool
	why    string
}{why: "TestMain does not call netns.Main"}

// Main is the body of a TestMain: os.Exit(netns.Main(m, before)). It calls before, which may be nil, while the host's
// network is still there, for downloads and builds; what before learns goes to the tests by os.Setenv, because they run
// in another process: the same test binary in a new network namespace, with lo up and the addresses of Addr on it. Where
// namespaces are not permitted the tests run in this process, and those that call Addr fail. SLUICE_E2E_LANES says how many tests
// run at a time, each in a process and a namespace of its own; see lanes.
func Main(m *testing.M, before func() error) int { return run(m, before) }

// Addr is address number i of the namespace, 1 to 30: 10.99.0.i.
func Addr(tb testing.TB, i int) string {
	tb.Helper()
	if !state.inside {
		tb.Fatalf("this test needs a network namespace of its own: %s", state.why)
	}
	if i < 1 || i > addresses {
		tb.Fatalf("netns: there is no address number %d, only 1 to %d", i, addresses)
	}
	return address(i)
}

// Inside says whether the tests have a namespace of their own.
func Inside() bool { return state.inside }

type runner interface{ Run() int }

func run(m runner, before func() error) int {
	if os.Getenv(marker) != "" {
		return runChild(m)
	}
	if flagged("test.list") {
		return m.Run()
	}
	if before != nil {
		if err := before(); err != nil {
			fmt.Fprintln(os.Stderr, "netns: before the tests:", err)
			return 1
		}
	}
	signals := make(chan os.Signal, 8)
	// Before there is a child to pass them on to: from its first moment on, none may end the parent alone.
	signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGQUIT)
	defer signal.Stop(signals)
	if n := lanes(); n > 1 {
		code, err := runLanes(n, signals)
		if !errors.Is(err, errNoNamespace) {
			return code
		}
	}
	cmd, err := startChild(wholeRun())
	if err != nil {
		signal.Stop(signals)
		state.why = fmt.Sprintf("it takes root (CAP_SYS_ADMIN), or unprivileged user namespaces (sysctl "+
			"user.max_user_namespaces, kernel.unprivileged_userns_clone, kernel.apparmor_restrict_unprivileged_userns): %v", err)
		return m.Run()
	}
	return wait(cmd, signals)
}

func runChild(m runner) int {
	probing := os.Getenv(marker) == probe
	must(os.Unsetenv(marker))
	syscall.CloseOnExec(reportFD)
	report := os.NewFile(reportFD, "report")
	err := setUp()
	if err != nil {
		_, err = fmt.Fprint(report, err)
		must(err)
		return 0 // the parent runs the tests
	}
	_, err = fmt.Fprint(report, ready)
	must(err)
	must(report.Close())
	if probing {
		return 0
	}
	state.inside = true
	return m.Run()
}

// startChild starts this binary again in a namespace and returns once its network is there. Root in a container may lack
// CAP_SYS_ADMIN, and has the second chance that other users have.
func startChild(c child) (*exec.Cmd, error) {
	// Linux kills the child when the thread that forked it ends, not the process: this goroutine, TestMain's or a lane's, keeps
	// its thread to the end.
	runtime.LockOSThread()
	var errs []error
	if os.Geteuid() == 0 {
		cmd, err := startIn(c, &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET | syscall.CLONE_NEWNS})
		if err == nil {
			return cmd, nil
		}
		errs = append(errs, fmt.Errorf("network namespace: %w", err))
	}
	cmd, err := startIn(c, &syscall.SysProcAttr{
		Cloneflags:  syscall.CLONE_NEWNET | syscall.CLONE_NEWNS | syscall.CLONE_NEWUSER,
		UidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Geteuid(), Size: 1}},
		GidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getegid(), Size: 1}},
	})
	if err == nil {
		return cmd, nil
	}
	return nil, errors.Join(append(errs, fmt.Errorf("network namespace in a user namespace: %w", err))...)
}

func startIn(c child, attr *syscall.SysProcAttr) (*exec.Cmd, error) {
	exe, err := os.Executable()
	if err != nil {
		return nil, err
	}
	reader, writer, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	defer reader.Close()
	attr.Pdeathsig = syscall.SIGKILL
	cmd := exec.Command(exe, c.args...)
	cmd.Env = append(os.Environ(), marker+"="+c.marker)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	if c.out != nil {
		cmd.Stdout, cmd.Stderr = c.out, c.out
	}
	cmd.ExtraFiles = []*os.File{writer} // becomes reportFD
	cmd.SysProcAttr = attr
	err = cmd.Start()
	_ = writer.Close() // the child has its own; now its end is the end of the report
	if err != nil {
		return nil, err
	}
	report, err := io.ReadAll(reader)
	if err == nil && string(report) == ready {
		return cmd, nil
	}
	return nil, errors.Join(fmt.Errorf("setting up: %s", report), err, cmd.Wait())
}

// wait passes signals on to the child, and returns its exit code, or 128 plus the signal that ended it.
func wait(cmd *exec.Cmd, signals <-chan os.Signal) int {
	done := make(chan error, 1)
	go func() { done <- cmd.Wait() }()
	for {
		select {
		case s := <-signals:
			_ = cmd.Process.Signal(s) // one that is gone needs none
		case err := <-done:
			var exit *exec.ExitError
			if err != nil && !errors.As(err, &exit) {
				fmt.Fprintln(os.Stderr, "netns:", err)
				return 1
			}
			return exitOf(cmd)
		}
	}
}

// exitOf is the exit code of a process that has ended, or 128 plus the signal that ended it.
func exitOf(cmd *exec.Cmd) int {
	if status, ok := cmd.ProcessState.Sys().(syscall.WaitStatus); ok && status.Signaled() {
		return 128 + int(status.Signal())
	}
	return cmd.ProcessState.ExitCode()
}

// must is for the pipe to the parent: without it there is nobody to tell.
func must(err error) {
	if err != nil {
		panic(err)
	}
}
