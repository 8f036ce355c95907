package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"syscall"
	"time"
)

const (
	startTimeout = time.Minute
	stopTimeout  = 15 * time.Second
)

// collector is the child process.
type collector struct {
	cmd  *exec.Cmd
	done chan struct{} // closed when it is gone
	err  error         // how it ended; read after done
}

// workFolders is what is in the work folder, and the variable that tells the collector where.
var workFolders = map[string]string{"pods": "POD_LOGS_DIR", "docker": "DOCKER_LOGS_DIR", "state": "STATE_DIR"}

// removeWork removes what an earlier run left. A folder with anything else in it is none of ours: -work /var/lib would be
// the end of every container on the machine.
func removeWork(dir string) error {
	entries, err := os.ReadDir(dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	for _, e := range entries {
		if workFolders[e.Name()] == "" {
			return fmt.Errorf("%s is not a work folder, as it has %s: give -work a new or an empty one", dir, e.Name())
		}
	}
	return os.RemoveAll(dir)
}

// startCollector makes the work folder afresh and starts the collector on it.
func startCollector(o options) (*collector, error) {
	// Somebody else's answer to the health check would look like ours.
	if conn, err := net.DialTimeout("tcp", o.health, time.Second); err == nil {
		conn.Close()
		return nil, fmt.Errorf("something listens on %s already, perhaps another collector: stop it, or set HEALTH_ENDPOINT", o.health)
	}
	if err := removeWork(o.workDir()); err != nil {
		return nil, err
	}
	c := &collector{done: make(chan struct{})}
	c.cmd = exec.Command(o.collector[0], o.collector[1:]...)
	c.cmd.Dir = o.root
	c.cmd.Stdout, c.cmd.Stderr = os.Stdout, os.Stderr
	c.cmd.Env = os.Environ()
	if os.Getenv("LOG_LEVEL") == "" {
		c.cmd.Env = append(c.cmd.Env, "LOG_LEVEL=warn") // the terminal is for the records
	}
	for sub, name := range workFolders {
		if err := os.MkdirAll(filepath.Join(o.workDir(), sub), 0o755); err != nil {
			return nil, err
		}
		c.cmd.Env = append(c.cmd.Env, name+"="+filepath.Join(o.work, sub))
	}
	if !filepath.IsAbs(c.cmd.Path) {
		c.cmd.Path = filepath.Join(o.root, c.cmd.Path)
	}
	if _, err := os.Stat(c.cmd.Path); err != nil {
		return nil, fmt.Errorf("no collector: %w (make builds it)", err)
	}
	c.cmd.SysProcAttr = childAttr()
	// Linux ties a child's death signal to the thread that started it: keep this one until the goroutine ends.
	runtime.LockOSThread()
	if err := c.cmd.Start(); err != nil {
		return nil, err
	}
	go func() {
		c.err = c.cmd.Wait()
		close(c.done)
	}()
	return c, nil
}

// waitHealthy returns nil when the collector is up, or when ctx has ended.
func (c *collector) waitHealthy(ctx context.Context, addr string) error {
	client := http.Client{Timeout: time.Second}
	deadline := time.Now().Add(startTimeout)
	for ctx.Err() == nil {
		if resp, err := client.Get("http://" + addr + "/"); err == nil {
			resp.Body.Close()
			if resp.StatusCode == http.StatusOK {
				return nil
			}
		}
		select {
		case <-c.done:
			return fmt.Errorf("%w before it was up; its last lines say why, and most often it is a port that is in use", c.exitError())
		case <-time.After(100 * time.Millisecond):
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("the collector is not healthy on %s after %s", addr, startTimeout)
		}
	}
	return nil
}

// exitError tells of a collector that ended without being asked to; nil while it runs.
func (c *collector) exitError() error {
	select {
	case <-c.done:
	default:
		return nil
	}
	var exit *exec.ExitError
	if c.err != nil && !errors.As(c.err, &exit) {
		return c.err
	}
	return fmt.Errorf("the collector ended (%s)", c.cmd.ProcessState) // "exit status 1", "signal: killed"
}

// stop ends the collector as Kubernetes would: SIGTERM, and SIGKILL when it takes too long. A collector that had ended
// before is no error here.
func (c *collector) stop() error {
	select {
	case <-c.done:
		return nil
	default:
	}
	_ = c.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-c.done:
		if c.err != nil {
			return c.exitError()
		}
		return nil
	case <-time.After(stopTimeout):
		_ = c.cmd.Process.Kill()
		<-c.done
		return fmt.Errorf("the collector did not stop within %s of SIGTERM and was killed", stopTimeout)
	}
}
