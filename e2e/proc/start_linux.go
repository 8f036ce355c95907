package proc

import (
	"os/exec"
	"runtime"
)

// starter runs every fork on one OS thread that lives as long as the test binary: Linux ties Pdeathsig to the thread
// that forked, and Go ends threads when it likes.
var starter = func() chan func() {
	work := make(chan func())
	go func() {
		runtime.LockOSThread()
		for f := range work {
			f()
		}
	}()
	return work
}()

func startPinned(cmd *exec.Cmd) error {
	done := make(chan error)
	starter <- func() { done <- cmd.Start() }
	return <-done
}
