package cluster

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
)

// scope is the lifetime of the cluster: what the helpers of e2e/backends and e2e/proc ask of a test, without a test. Cleanups are not
// run, because the end of the namespace ends every process, and whoever made the folder removes it.
type scope struct {
	testing.TB

	dir string

	mu     sync.Mutex
	count  int
	errors []string
}

// within calls f in a goroutine of its own and returns what f gave as reason to fail.
func (s *scope) within(f func()) error {
	done := make(chan struct{})
	go func() {
		defer close(done)
		f()
	}()
	<-done
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.errors) > 0 {
		return errors.New(strings.Join(s.errors, "\n"))
	}
	return nil
}

func (s *scope) Helper()        {}
func (s *scope) Cleanup(func()) {}
func (s *scope) Name() string   { return "cluster" }

func (s *scope) Failed() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.errors) > 0
}

func (s *scope) TempDir() string {
	s.mu.Lock()
	s.count++
	dir := filepath.Join(s.dir, fmt.Sprintf("%03d", s.count))
	s.mu.Unlock()
	if err := os.Mkdir(dir, 0o755); err != nil {
		s.Fatal(err)
	}
	return dir
}

func (s *scope) Log(args ...any)                 { fmt.Fprintln(os.Stderr, args...) }
func (s *scope) Logf(format string, args ...any) { fmt.Fprintf(os.Stderr, format+"\n", args...) }

func (s *scope) Error(args ...any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.errors = append(s.errors, strings.TrimSuffix(fmt.Sprintln(args...), "\n"))
}

func (s *scope) Errorf(format string, args ...any) { s.Error(fmt.Sprintf(format, args...)) }

func (s *scope) FailNow() {
	s.Error("failed")
	runtime.Goexit()
}

func (s *scope) Fatal(args ...any) {
	s.Error(args...)
	runtime.Goexit()
}

func (s *scope) Fatalf(format string, args ...any) {
	s.Errorf(format, args...)
	runtime.Goexit()
}
