package netns

import (
	"errors"
	"fmt"
	"os"
	"os/signal"
	"runtime"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// More values of marker.
const (
	firstOfMachine = "machine"
	testsOfMachine = "tests"
)

// Machine is for tests that run a whole machine: as Main, and with processes of their own. Their first process is this
// binary, too; it takes in orphans and does nothing else. When it ends, or the parent, or is killed, the kernel ends
// every process that descends from it, and with the last one go the mounts and the network. It takes root.
type Machine struct {
	Before func() error // in the parent, while the host's network is still there
	SetUp  func() error // in the namespaces, by the first process; mounts are its own, and lo is up
	After  func()       // in the parent, when nothing of the machine runs any more
}

// Main is the body of a TestMain: os.Exit(machine.Main(m)). Where namespaces are not permitted no test runs.
func (o Machine) Main(m *testing.M) int { return o.run(m) }

func (o Machine) run(m runner) int {
	switch os.Getenv(marker) {
	case firstOfMachine:
		return o.runFirst()
	case testsOfMachine:
		must(os.Unsetenv(marker))
		state.inside = true
		return m.Run()
	}
	if flagged("test.list") {
		return m.Run()
	}
	if o.After != nil {
		defer o.After()
	}
	if o.Before != nil {
		if err := o.Before(); err != nil {
			fmt.Fprintln(os.Stderr, "netns: before the tests:", err)
			return 1
		}
	}
	signals := make(chan os.Signal, 8)
	signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGQUIT)
	defer signal.Stop(signals)
	runtime.LockOSThread() // see startChild
	cmd, err := startIn(child{marker: firstOfMachine, args: os.Args[1:]}, &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET | syscall.CLONE_NEWNS | syscall.CLONE_NEWPID})
	if err != nil {
		fmt.Fprintln(os.Stderr, "netns: a machine of its own takes root (CAP_SYS_ADMIN):", err)
		return 1
	}
	return wait(cmd, signals)
}

func (o Machine) runFirst() int {
	must(os.Unsetenv(marker))
	syscall.CloseOnExec(reportFD)
	report := os.NewFile(reportFD, "report")
	err := errors.Join(setUp(), ownProc())
	if err == nil && o.SetUp != nil {
		err = o.SetUp()
	}
	if err != nil {
		_, err = fmt.Fprint(report, err)
		must(err)
		return 1
	}
	_, err = fmt.Fprint(report, ready)
	must(err)
	must(report.Close())
	return runTests()
}

// ownProc is a /proc that knows only the machine's processes.
func ownProc() error {
	if err := unix.Mount("proc", "/proc", "proc", unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC, ""); err != nil {
		return fmt.Errorf("a /proc of its own: %w", err)
	}
	return nil
}

// runTests starts the tests and waits for them, and for whatever was left to the first process of its namespace.
func runTests() int {
	signals := make(chan os.Signal, 8)
	signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGQUIT)
	exe, err := os.Executable()
	must(err)
	p, err := os.StartProcess(exe, os.Args, &os.ProcAttr{
		Env: append(os.Environ(), marker+"="+testsOfMachine), Files: []*os.File{os.Stdin, os.Stdout, os.Stderr},
	})
	must(err)
	go func() {
		for s := range signals {
			_ = p.Signal(s) // one that is gone needs none
		}
	}()
	for {
		var status syscall.WaitStatus
		pid, err := syscall.Wait4(-1, &status, 0, nil)
		switch {
		case errors.Is(err, syscall.EINTR) || pid != p.Pid && err == nil:
			continue
		case err != nil:
			panic(err)
		case status.Signaled():
			return 128 + int(status.Signal())
		}
		return status.ExitStatus()
	}
}
