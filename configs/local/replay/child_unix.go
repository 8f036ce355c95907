//go:build unix && !linux

package main

import "syscall"

// childAttr puts the collector into a process group of its own, so that Ctrl-C reaches it only through us.
func childAttr() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true}
}
