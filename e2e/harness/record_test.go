package harness

import (
	"context"
	"fmt"
	"runtime"
	"strings"
	"testing"
)

// recorder is a test that is expected to fail.
type recorder struct {
	testing.TB
	dir          string
	ctx          context.Context
	cleanups     []func()
	said, logged string
	failed       bool
}

// record runs a test that is expected to fail, with its clean-ups, and returns what it said.
func record(t *testing.T, test func(testing.TB)) *recorder {
	t.Helper()
	r := &recorder{TB: t, dir: t.TempDir(), ctx: t.Context()}
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer func() {
			for i := len(r.cleanups) - 1; i >= 0; i-- {
				r.cleanups[i]()
			}
		}()
		test(r)
	}()
	<-done
	if !r.failed {
		t.Error("the test was expected to fail")
	}
	return r
}

func (r *recorder) Helper()                  {}
func (r *recorder) TempDir() string          { return r.dir }
func (r *recorder) Context() context.Context { return r.ctx }
func (r *recorder) Cleanup(f func())         { r.cleanups = append(r.cleanups, f) }
func (r *recorder) Failed() bool             { return r.failed }

func (r *recorder) Logf(format string, args ...any) { r.logged += fmt.Sprintf(format, args...) }

func (r *recorder) Errorf(format string, args ...any) {
	r.failed = true
	r.said += strings.TrimSpace(fmt.Sprintf(format, args...)) + "\n"
}

func (r *recorder) Fatalf(format string, args ...any) {
	r.Errorf(format, args...)
	runtime.Goexit()
}

func (r *recorder) Fatal(args ...any) {
	r.Errorf("%s", fmt.Sprint(args...))
	runtime.Goexit()
}
