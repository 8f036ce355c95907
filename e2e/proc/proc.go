// Package proc runs programs for the end-to-end tests: real processes with their output kept in a file, stopped when
// the test ends and shown when it failed.
package proc

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// tailBytes is how much of a program's output a failed test prints.
const tailBytes = 16 << 10

// Cmd says what to start.
type Cmd struct {
	Name  string        // for messages and the log file
	Path  string        // the program
	Args  []string      // without the program
	Env   []string      // NAME=value, added to a minimal environment (PATH, HOME): nothing of the developer's shell leaks in
	Dir   string        // working directory; the process's own when empty
	Grace time.Duration // from SIGTERM to SIGKILL at the end of the test; 15 s when zero
}

// Process is a started program.
type Process struct {
	Name    string
	LogFile string

	cmd   *exec.Cmd
	done  chan struct{}
	err   error
	grace time.Duration
}

// Start starts the program and arranges that it is gone, and on failure its output shown, when the test ends.
func Start(tb testing.TB, c Cmd) *Process {
	tb.Helper()
	logFile := filepath.Join(tb.TempDir(), strings.ReplaceAll(c.Name, "/", "_")+".log")
	out, err := os.Create(logFile)
	if err != nil {
		tb.Fatalf("%s: %v", c.Name, err)
	}
	defer out.Close()

	cmd := exec.Command(c.Path, c.Args...)
	cmd.Dir = c.Dir
	cmd.Env = append([]string{"PATH=" + os.Getenv("PATH"), "HOME=" + os.Getenv("HOME")}, c.Env...)
	cmd.Stdout, cmd.Stderr = out, out
	// A killed test binary takes its children with it; a group of its own keeps a terminal's Ctrl-C away from them.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	if err := startPinned(cmd); err != nil {
		tb.Fatalf("%s: %v", c.Name, err)
	}

	p := &Process{Name: c.Name, LogFile: logFile, cmd: cmd, done: make(chan struct{}), grace: c.Grace}
	if p.grace == 0 {
		p.grace = 15 * time.Second
	}
	go func() {
		p.err = cmd.Wait()
		close(p.done)
	}()
	tb.Cleanup(func() {
		_ = p.Stop() // how it ended is for tests that stop it themselves
		if tb.Failed() {
			tb.Logf("---- last output of %s\n%s", p.Name, p.Tail())
		}
	})
	return p
}

// Pid is the process's number.
func (p *Process) Pid() int { return p.cmd.Process.Pid }

// Signal sends a signal; a process that is already gone is no error.
func (p *Process) Signal(s syscall.Signal) {
	_ = p.cmd.Process.Signal(s)
}

// Kill is kill -9, and waits until the process is gone.
func (p *Process) Kill() {
	p.Signal(syscall.SIGKILL)
	<-p.done
}

// Stop asks with SIGTERM, insists with SIGKILL after the grace time, and returns how the process ended.
func (p *Process) Stop() error {
	p.Signal(syscall.SIGTERM)
	select {
	case <-p.done:
	case <-time.After(p.grace):
		p.Kill()
		return errors.Join(p.err, fmt.Errorf("%s did not stop within %s of SIGTERM", p.Name, p.grace))
	}
	return p.err
}

// Wait waits for the process to end by itself.
func (p *Process) Wait(timeout time.Duration) error {
	select {
	case <-p.done:
		return p.err
	case <-time.After(timeout):
		return fmt.Errorf("%s is still running after %s", p.Name, timeout)
	}
}

// Exited says whether the process is gone.
func (p *Process) Exited() bool {
	select {
	case <-p.done:
		return true
	default:
		return false
	}
}

// Output is everything the program has printed so far.
func (p *Process) Output() string {
	b, _ := os.ReadFile(p.LogFile)
	return string(b)
}

// Tail is the end of Output.
func (p *Process) Tail() string {
	s := p.Output()
	if len(s) > tailBytes {
		s = "…" + s[len(s)-tailBytes:]
	}
	return s
}

// Eventually polls until ok returns nil, and fails the test with ok's last error after the timeout. A condition over
// processes fails at once when one of them is gone.
func Eventually(tb testing.TB, timeout time.Duration, ok func() error, need ...*Process) {
	tb.Helper()
	deadline := time.Now().Add(timeout)
	for {
		err := ok()
		if err == nil {
			return
		}
		for _, p := range need {
			if p.Exited() {
				tb.Fatalf("%s exited (%v) while waiting: %v", p.Name, p.err, err)
			}
		}
		if time.Now().After(deadline) {
			tb.Fatalf("after %s: %v", timeout, err)
		}
		time.Sleep(100 * time.Millisecond)
	}
}

// FreePorts returns n TCP ports of 127.0.0.1 that nobody listens on, for this test alone until it ends. They are below those that Linux gives to
// whoever asks for any (ip_local_port_range, from 32768): such a one may be gone to an outgoing connection before a program listens on it, or
// while it is restarted.
func FreePorts(tb testing.TB, n int) []int {
	tb.Helper()
	const first, end = 10000, 32768
	ports := make([]int, 0, n)
	for range 100 * (n + 1) {
		if len(ports) == n {
			return ports
		}
		port := first + rand.IntN(end-first)
		if claimPort(tb, port) {
			ports = append(ports, port)
		}
	}
	tb.Fatalf("no %d free ports from %d to %d", n, first, end-1)
	return nil
}

// FreeAddress is "127.0.0.1:" and one of FreePorts.
func FreeAddress(tb testing.TB) string {
	tb.Helper()
	return loopback(FreePorts(tb, 1)[0])
}

func loopback(port int) string { return fmt.Sprintf("127.0.0.1:%d", port) }

// claimPort says whether nobody listens on the port or has claimed it. A claim is an abstract socket, which other processes in this network namespace
// see, and which goes with the process.
func claimPort(tb testing.TB, port int) bool {
	claim, err := net.Listen("unix", fmt.Sprintf("@sluice-test-port-%d", port))
	if err != nil {
		return false
	}
	l, err := net.Listen("tcp", loopback(port))
	if err != nil {
		_ = claim.Close()
		return false
	}
	_ = l.Close()
	tb.Cleanup(func() { _ = claim.Close() })
	return true
}
