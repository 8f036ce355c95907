package durablestorageextension

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component/componenttest"
)

// child runs a test of this package in a process of its own, where it finds a folder under the name of the variable.
func child(t *testing.T, test, variable, dir string) *exec.Cmd {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^"+test+"$", "-test.count=1")
	cmd.Env = append(os.Environ(), variable+"="+dir)
	return cmd
}

// A process that is killed while its volume is full, again and again, loses nothing of what it took, and comes to an end of it.
func TestKilledOnAFullVolume(t *testing.T) {
	dir := volume(t, "size=5m")
	notes := t.TempDir()
	require.NoError(t, os.Symlink(dir, filepath.Join(notes, "volume")))
	r := rand.New(rand.NewPCG(1, 1))
	for range 8 {
		cmd := child(t, "TestWriteUntilKilled", "WRITE_UNTIL_KILLED", notes)
		require.NoError(t, cmd.Start())
		time.Sleep(time.Duration(500+r.IntN(1500)) * time.Millisecond)
		require.NoError(t, cmd.Process.Signal(syscall.SIGKILL))
		require.Error(t, cmd.Wait())
	}
	assert.Contains(t, read(t, notes, "refused"), "no space left on device", "it was never full")
	taken := strings.Fields(read(t, notes, "taken"))
	require.NotEmpty(t, taken)
	tel := componenttest.NewTelemetry()
	b := newBackend(true)
	start(t, dir, b, 2, tel)
	require.EventuallyWithT(t, func(c *assert.CollectT) {
		arrived := map[string]int{}
		for _, name := range append(strings.Fields(read(t, notes, "arrived")), b.names()...) {
			arrived[strings.TrimRight(name, "x")]++
		}
		for _, name := range taken {
			assert.Positive(c, arrived[name], "%s is lost", name)
		}
	}, 20*time.Second, 20*time.Millisecond)
	found := counts(t, tel)
	delete(found, damagedTorn)
	assert.Empty(t, found)
	before := len(strings.Fields(read(t, notes, "arrived")))
	t.Logf("%d taken, %d arrived before, %d at the end", len(taken), before, len(b.names()))
	// 5 %; all of them, when what was delivered is not noted while the volume is full.
	assert.Less(t, before+len(b.names()), len(taken)+len(taken)/2)
}

func read(t *testing.T, dir, name string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(dir, name))
	if !errors.Is(err, os.ErrNotExist) {
		require.NoError(t, err)
	}
	return string(text)
}

// TestWriteUntilKilled is not a test, but the process that TestKilledOnAFullVolume kills: faster than the backend, which is away half of the time.
func TestWriteUntilKilled(t *testing.T) {
	dir := os.Getenv("WRITE_UNTIL_KILLED")
	if dir == "" {
		t.Skip("the process that another test kills")
	}
	note := func(name, line string) {
		f, err := os.OpenFile(filepath.Join(dir, name), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
		require.NoError(t, err)
		_, err = f.WriteString(line + "\n")
		require.NoError(t, err)
		require.NoError(t, f.Close())
	}
	tel := componenttest.NewTelemetry()
	b := newBackend(false)
	b.arrival = func(name string) {
		note("arrived", strings.TrimRight(name, "x"))
		time.Sleep(2 * time.Millisecond)
	}
	exp := start(t, filepath.Join(dir, "volume"), b, 3, tel)
	go func() {
		for open := true; ; open = !open {
			time.Sleep(400 * time.Millisecond)
			b.set(open)
		}
	}()
	for n := 0; ; n++ {
		name := fmt.Sprintf("%d-%d-", os.Getpid(), n)
		if err := exp.ConsumeTraces(context.Background(), spans(name+strings.Repeat("x", 1+n%7*9000))); err != nil {
			note("refused", err.Error())
			time.Sleep(5 * time.Millisecond)
			continue
		}
		note("taken", name)
	}
}
