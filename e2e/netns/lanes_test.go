package netns

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// meeting is where the tests of the scenario lanes leave files, to know of each other.
const meeting = "NETNS_TEST_MEETING"

// playLanes are the tests of a test binary: two that wait for each other, one that fails, one that passes, one that the next ones wait for.
func playLanes() int {
	if flagged("test.list") {
		fmt.Println("TestLeft\nTestRight\nBenchmarkNone\nTestFails\nTestPasses")
		return 0
	}
	name := strings.Trim(flag.Lookup("test.run").Value.String(), "^$")
	network, err := os.Readlink("/proc/self/ns/net")
	fmt.Println("this is", name, "in", network, err)
	file := func(of string) string { return filepath.Join(os.Getenv(meeting), of) }
	if err := os.WriteFile(file(name), []byte(network), 0o600); err != nil {
		fmt.Println(err)
		return 1
	}
	others := map[string]string{"TestLeft": "TestRight", "TestRight": "TestLeft"}
	switch name {
	case "TestLeft", "TestRight":
		for range 1000 {
			if theirs, err := os.ReadFile(file(others[name])); err == nil && len(theirs) > 0 {
				if _, err := os.Stat(file("hang")); err == nil {
					time.Sleep(time.Hour)
				}
				if string(theirs) == network {
					fmt.Println("both are in", network)
					return 5
				}
				return 0
			}
			time.Sleep(10 * time.Millisecond)
		}
		return 4
	case "TestFails":
		return 3
	}
	return 0
}

func TestLanes(t *testing.T) {
	needsNamespace(t)
	f := func(want int, lanes string, args ...string) string {
		t.Helper()
		cmd := player(t, "lanes")
		cmd.Args = append(cmd.Args, args...)
		cmd.Env = append(cmd.Env, lanesEnv+"="+lanes, meeting+"="+t.TempDir())
		out, err := cmd.CombinedOutput()
		assert.Equal(t, want, exitCode(t, err), string(out))
		return string(out)
	}
	out := f(3, "2")
	assert.Contains(t, out, "inside=true\nthis is TestFails")
	assert.Equal(t, 1, strings.Count(out, "this is"), "what passes says nothing:\n%s", out)

	out = f(3, "2", "-test.v")
	for _, name := range []string{"TestLeft", "TestRight", "TestFails", "TestPasses"} {
		assert.Equal(t, 1, strings.Count(out, "this is "+name+" in"), out)
	}
	assert.NotContains(t, out, "BenchmarkNone")

	out = f(0, "2", "-test.run=^TestPasses$")
	assert.Contains(t, out, "this is TestPasses", "in one process as always")
}

func TestLanesPassSignalsOn(t *testing.T) {
	needsNamespace(t)
	dir := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(dir, "hang"), nil, 0o600))
	cmd := player(t, "lanes")
	cmd.Env = append(cmd.Env, lanesEnv+"=2", meeting+"="+dir)
	require.NoError(t, cmd.Start())
	for _, name := range []string{"TestLeft", "TestRight"} {
		require.Eventually(t, func() bool {
			_, err := os.Stat(filepath.Join(dir, name))
			return err == nil
		}, 10*time.Second, 10*time.Millisecond)
	}
	require.NoError(t, cmd.Process.Signal(syscall.SIGTERM))
	assert.Equal(t, 128+int(syscall.SIGTERM), exitCode(t, cmd.Wait()))
	assert.NoFileExists(t, filepath.Join(dir, "TestFails"), "no test is started after a signal")
}
