package netns

import (
	"errors"
	"fmt"
	"os"
	"os/signal"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"
)

// tests stands for a *testing.M.
type tests func() int

func (f tests) Run() int { return f() }

// play is TestMain of the test binary that a scenario describes.
func play(name string) int {
	if scenario, ok := strings.CutPrefix(name, "machine: "); ok {
		return playMachine(scenario)
	}
	var before func() error
	end := tests(func() int { return 7 })
	switch name {
	case "exit 7":
	case "before fails":
		before = func() error { return errors.New("no compiler here") }
	case "hang":
		end = func() int { time.Sleep(time.Hour); return 0 }
	case "hang until SIGTERM":
		end = func() int {
			c := make(chan os.Signal, 1)
			signal.Notify(c, syscall.SIGTERM)
			fmt.Println("ready")
			<-c
			return 9
		}
	case "lanes":
		end = playLanes
	case "forbidden":
		if err := os.WriteFile("/proc/sys/user/max_net_namespaces", []byte("0"), 0o644); err != nil {
			fmt.Println(err)
			return 2
		}
		end = func() int {
			fmt.Println(askForAddr())
			return 7
		}
	default:
		fmt.Println("no such scenario:", name)
		return 2
	}
	if flagged("test.list") {
		return run(end, before)
	}
	return run(tests(func() int {
		fmt.Printf("inside=%t\n", Inside())
		if name == "hang" {
			fmt.Println("ready")
		}
		return end()
	}), before)
}

// failing records what Addr says.
type failing struct {
	testing.TB
	said string
}

func (f *failing) Helper() {}

func (f *failing) Fatalf(format string, args ...any) {
	f.said = fmt.Sprintf(format, args...)
	runtime.Goexit()
}

func askForAddr() string {
	f := &failing{}
	done := make(chan struct{})
	go func() {
		defer close(done)
		Addr(f, 1)
	}()
	<-done
	return strings.TrimSpace(f.said)
}
