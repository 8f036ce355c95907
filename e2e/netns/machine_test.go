package netns

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// playMachine is TestMain of a test binary that has a machine.
func playMachine(scenario string) int {
	o := Machine{
		SetUp: func() error { return os.Setenv("SET_UP_BY", strconv.Itoa(os.Getpid())) },
		After: func() { fmt.Println("after") },
	}
	switch scenario {
	case "before fails":
		o.Before = func() error { return errors.New("no compiler here") }
	case "set-up fails":
		o.SetUp = func() error { return errors.New("no disk here") }
	case "list":
		o.Before = func() error { return errors.New("no compiler here") }
		return o.run(tests(func() int { return 7 }))
	}
	return o.run(tests(func() int {
		self, err := os.Readlink("/proc/self")
		if err != nil || self != strconv.Itoa(os.Getpid()) {
			fmt.Println("/proc is another machine's:", self, err)
			return 4
		}
		fmt.Printf("inside=%t, set up by process %s, child of %d\n", Inside(), os.Getenv("SET_UP_BY"), os.Getppid())
		// As a container's shim does, the first leaves its parent, and keeps the output; the second is one to take in.
		cmd := exec.Command("sh", "-c", "setsid sleep 1000 & setsid true &")
		cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
		if err := cmd.Run(); err != nil {
			fmt.Println(err)
			return 2
		}
		switch scenario {
		case "hang":
			fmt.Println("ready")
			time.Sleep(time.Hour)
		case "zombies":
			return zombies()
		}
		return 7
	}))
}

// zombies is 0 when nobody who has ended waits for somebody to ask how.
func zombies() int {
	var found string
	for deadline := time.Now().Add(5 * time.Second); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		out, err := exec.Command("sh", "-c", "cat /proc/[0-9]*/stat").Output()
		if err != nil {
			continue // one went away between its name and its content
		}
		if found = string(out); !strings.Contains(found, ") Z ") {
			return 0
		}
	}
	fmt.Println(found)
	return 3
}

func needsRoot(t *testing.T) {
	t.Helper()
	needsNamespace(t)
	if os.Geteuid() != 0 || strings.Contains(uidMap(t), " 1\n") {
		t.Skip("needs root")
	}
}

// uidMap tells root from one who is called so in a user namespace.
func uidMap(t *testing.T) string {
	t.Helper()
	b, err := os.ReadFile("/proc/self/uid_map")
	require.NoError(t, err)
	return string(b)
}

func TestMachineIsSetUpByItsFirstProcess(t *testing.T) {
	needsRoot(t)
	cmd, out := startPlayer(t, "machine: exit")
	require.NoError(t, out.SetReadDeadline(time.Now().Add(20*time.Second)))
	said, err := io.ReadAll(out) // to its end, which comes when nobody can write any more
	require.NoError(t, err, "a process is left")
	assert.Contains(t, string(said), "inside=true, set up by process 1, child of 1\n")
	assert.Contains(t, string(said), "after\n")
	assert.Equal(t, 7, exitCode(t, cmd.Wait()))
}

func TestMachineEndsWithAKilledParent(t *testing.T) {
	needsRoot(t)
	cmd, out := startPlayer(t, "machine: hang")
	readUntil(t, out, "ready")
	require.NoError(t, cmd.Process.Kill())
	require.NoError(t, out.SetReadDeadline(time.Now().Add(20*time.Second)))
	_, err := io.ReadAll(out)
	require.NoError(t, err, "a process is left")
	_ = cmd.Wait()
}

func TestMachineEndsBySignal(t *testing.T) {
	needsRoot(t)
	cmd, out := startPlayer(t, "machine: hang")
	readUntil(t, out, "ready")
	require.NoError(t, cmd.Process.Signal(syscall.SIGTERM))
	require.NoError(t, out.SetReadDeadline(time.Now().Add(20*time.Second)))
	said, err := io.ReadAll(out)
	require.NoError(t, err, "a process is left")
	assert.Contains(t, string(said), "after")
	assert.Equal(t, 128+int(syscall.SIGTERM), exitCode(t, cmd.Wait()))
}

func TestMachineTakesInOrphans(t *testing.T) {
	needsRoot(t)
	out, err := player(t, "machine: zombies").CombinedOutput()
	assert.Equal(t, 0, exitCode(t, err), string(out))
}

func TestMachineThatCannotBeSetUpRunsNothing(t *testing.T) {
	needsRoot(t)
	for scenario, why := range map[string]string{"before fails": "no compiler here", "set-up fails": "no disk here"} {
		out, err := player(t, "machine: "+scenario).CombinedOutput()
		assert.Equal(t, 1, exitCode(t, err), scenario)
		assert.Contains(t, string(out), why)
		assert.Contains(t, string(out), "after")
		assert.NotContains(t, string(out), "inside=")
	}
}

func TestNoMachineIsMadeForAListOfTests(t *testing.T) {
	cmd := player(t, "machine: list")
	cmd.Args = append(cmd.Args, "-test.list=.")
	out, err := cmd.CombinedOutput()
	assert.Equal(t, 7, exitCode(t, err), string(out))
	assert.NotContains(t, string(out), "no compiler here")
}
