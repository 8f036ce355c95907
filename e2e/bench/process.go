package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

const (
	startTimeout = time.Minute
	stopTimeout  = time.Minute
	tailBytes    = 4 << 10

	// ready is what the collector logs when everything has started.
	ready = "Everything is ready."

	// tick is the unit of CPU time in /proc: USER_HZ, which is 100 wherever Go runs on Linux.
	tick = 10 * time.Millisecond
)

// process is a running collector.
type process struct {
	cmd     *exec.Cmd
	logFile string
	done    chan struct{} // closed when it is gone
	err     error         // how it ended; read after done
}

// startProcess starts the collector and waits until it reads files. It works in dir, where what it prints is kept.
func startProcess(ctx context.Context, binary, dir string, args, env []string) (*process, error) {
	p := &process{logFile: filepath.Join(dir, "otelcol.log"), done: make(chan struct{})}
	out, err := os.Create(p.logFile)
	if err != nil {
		return nil, err
	}
	defer out.Close()
	p.cmd = exec.Command(binary, args...)
	p.cmd.Dir = dir
	p.cmd.Env = append([]string{"PATH=" + os.Getenv("PATH"), "HOME=" + os.Getenv("HOME")}, env...)
	p.cmd.Stdout, p.cmd.Stderr = out, out
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := p.cmd.Start(); err != nil {
		return nil, err
	}
	go func() {
		p.err = p.cmd.Wait()
		close(p.done)
	}()
	err = p.wait(ctx, startTimeout, 50*time.Millisecond, func() (bool, error) {
		b, err := os.ReadFile(p.logFile)
		return bytes.Contains(b, []byte(ready)), err
	})
	if err != nil {
		_ = p.stop() // the first error is the one to report
		return nil, fmt.Errorf("start: %w", err)
	}
	return p, nil
}

// wait polls until ok says yes. It fails when ok does, after the timeout, and at once when the collector is gone.
func (p *process) wait(ctx context.Context, timeout, interval time.Duration, ok func() (bool, error)) error {
	deadline := time.After(timeout)
	for {
		yes, err := ok()
		if yes && err == nil {
			return nil
		}
		pause := interval
		if err != nil {
			pause = time.Second // for a collector that is just ending: that would be the reason
		}
		select {
		case <-time.After(pause):
			if err != nil {
				return err
			}
		case <-ctx.Done():
			return ctx.Err()
		case <-p.done:
			return p.ended()
		case <-deadline:
			return fmt.Errorf("not done after %s; the collector's output ends:\n%s", timeout, p.tail())
		}
	}
}

// stop asks with SIGTERM, insists with SIGKILL, and returns how the collector ended.
func (p *process) stop() error {
	_ = p.cmd.Process.Signal(syscall.SIGTERM) // one that is gone already says so below
	select {
	case <-p.done:
	case <-time.After(stopTimeout):
		_ = p.cmd.Process.Kill()
		<-p.done
		return fmt.Errorf("the collector did not stop within %s", stopTimeout)
	}
	if p.err != nil {
		return p.ended()
	}
	return nil
}

func (p *process) ended() error {
	return fmt.Errorf("the collector ended: %v; its output ends:\n%s", p.err, p.tail()) //nolint:errorlint // nil when it exited with 0
}

func (p *process) tail() string {
	b, _ := os.ReadFile(p.logFile)
	return string(b[max(0, len(b)-tailBytes):])
}

// cpu is the time that the running collector has used so far, user and system.
func (p *process) cpu() (time.Duration, error) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", p.cmd.Process.Pid))
	if err != nil {
		return 0, err
	}
	return parseStat(string(b))
}

// parseStat adds utime and stime of a line of /proc/<pid>/stat. They are counted from behind the name, which may have
// blanks in it.
func parseStat(line string) (time.Duration, error) {
	fields := strings.Fields(line[strings.LastIndexByte(line, ')')+1:])
	if len(fields) < 13 {
		return 0, errors.New("/proc stat: too few fields")
	}
	user, err := strconv.ParseInt(fields[11], 10, 64)
	system, err2 := strconv.ParseInt(fields[12], 10, 64)
	return time.Duration(user+system) * tick, errors.Join(err, err2)
}

// memory is a field of the running collector's /proc/<pid>/status, in bytes. The peak is not taken from rusage: that begins
// with the peak of the process that forked.
func (p *process) memory(field string) (int64, error) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.cmd.Process.Pid))
	if err != nil {
		return 0, err
	}
	return parseStatus(string(b), field)
}

func parseStatus(status, field string) (int64, error) {
	_, rest, found := strings.Cut(status, "\n"+field+":")
	value, _, unit := strings.Cut(rest, " kB\n")
	if !found || !unit {
		return 0, errors.New("/proc status: no " + field)
	}
	kib, err := strconv.ParseInt(strings.TrimSpace(value), 10, 64)
	return kib << 10, err
}
