package main

import "syscall"

// childAttr puts the collector into a process group of its own, so that Ctrl-C reaches it only through us, and ends it
// with us even when we are killed.
func childAttr() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGTERM}
}
