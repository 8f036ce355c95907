//go:build e2e

package e2e

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sluice-otel/sluice/e2e/backends"
	"github.com/sluice-otel/sluice/e2e/harness"
	"github.com/sluice-otel/sluice/e2e/podlogs"
	"github.com/sluice-otel/sluice/e2e/tiers"
)

// rounds is how often a test stops the agent; make soak has it do so more often.
func rounds(t *testing.T) int {
	n, err := strconv.Atoi(fromEnv("SLUICE_SOAK_ROUNDS", "4"))
	require.NoError(t, err, "SLUICE_SOAK_ROUNDS")
	return n
}

// seed makes a run's choices, all but those that the clock has a part in, the ones of an earlier run.
func seed(t *testing.T) uint64 {
	n, err := strconv.ParseUint(fromEnv("SLUICE_SOAK_SEED", strconv.FormatUint(rand.Uint64()%1e6, 10)), 10, 64)
	require.NoError(t, err, "SLUICE_SOAK_SEED")
	t.Logf("SLUICE_SOAK_SEED=%d", n)
	return n
}

func fromEnv(name, otherwise string) string {
	if v := os.Getenv(name); v != "" {
		return v
	}
	return otherwise
}

// soak is a node whose containers write and rotate, whatever happens to its agent.
type soak struct {
	t     *testing.T
	fleet *podlogs.Fleet
	sink  *harness.Sink
	agent *harness.Collector
	tally *tally
	pick  *rand.Rand

	perSecond int
	patience  time.Duration // how long nothing new may come before what is missing counts as lost
	stopWrite func()
	diary     []string // what was done to the agent, for whoever has to find out why a record is missing
}

type soakOptions struct {
	fleet     podlogs.Options
	perSecond int
	patience  time.Duration
	start     func(env map[string]string) *harness.Collector
}

func startSoak(t *testing.T, o soakOptions) *soak {
	t.Helper()
	dir := t.TempDir()
	o.fleet.PodsDir, o.fleet.DockerDir, o.fleet.Seed = filepath.Join(dir, "pods"), filepath.Join(dir, "docker"), seed(t)
	fleet, err := podlogs.New(o.fleet)
	require.NoError(t, err)
	s := &soak{
		t: t, fleet: fleet, sink: harness.StartSink(t, harness.SinkOptions{}), tally: newTally(fleet),
		pick: rand.New(rand.NewPCG(o.fleet.Seed, 42)), perSecond: o.perSecond, patience: o.patience, stopWrite: func() {},
	}
	s.agent = o.start(tiers.With(tiers.ToSink(t, s.sink), map[string]string{
		"POD_LOGS_DIR": o.fleet.PodsDir, "DOCKER_LOGS_DIR": o.fleet.DockerDir,
	}))
	t.Cleanup(func() {
		s.stopWrite()
		_ = fleet.Close()
		if t.Failed() {
			t.Logf("---- what happened\n%s", strings.Join(s.diary, "\n"))
		}
	})
	return s
}

// shipped starts the agent as a cluster does; the override is for what a test cannot do without.
func shipped(t *testing.T, k *backends.Kubernetes, override string) func(map[string]string) *harness.Collector {
	return func(env map[string]string) *harness.Collector {
		return tiers.Start(t, k, tiers.Tier{Profile: "agent", Backends: []string{"backends/to-gateway"}, Env: env, Override: override})
	}
}

func (s *soak) note(format string, args ...any) {
	s.diary = append(s.diary, clock(time.Now())+" "+fmt.Sprintf(format, args...))
}

// write lets the containers write until stopWrite is called.
func (s *soak) write() {
	s.stopWrite()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.fleet.Run(ctx, s.perSecond) }()
	s.stopWrite = func() {
		cancel()
		if err := <-done; err != nil {
			s.t.Errorf("the containers could not write: %v", err)
		}
		s.stopWrite = func() {}
	}
}

// pause waits for a time of chance.
func (s *soak) pause(least, most time.Duration) {
	time.Sleep(least + time.Duration(s.pick.Int64N(int64(most-least))))
}

func (s *soak) chance(percent int) bool { return s.pick.IntN(100) < percent }

// rotate rotates every nth container.
func (s *soak) rotate(n int) {
	s.t.Helper()
	s.note("rotate one file in %d", n)
	for i := s.pick.IntN(n); i < s.fleet.Len(); i += n {
		require.NoError(s.t, s.fleet.Rotate(i))
	}
}

// settle ends the records that are open and waits until all there are have come. It gives up when nothing new comes for
// a while, and says whether all came. A test calls it before it rotates a second time: see podlogs.Fleet.Rotate.
func (s *soak) settle() bool {
	s.t.Helper()
	require.NoError(s.t, s.fleet.Finish())
	target := s.fleet.Counts()
	last, since := -1, time.Now()
	for {
		s.tally.read(s.sink)
		n, list := s.tally.missing(target)
		if n == 0 {
			return true
		}
		if s.agent.Proc.Exited() {
			s.t.Fatalf("the agent is gone, and %d records are missing", n)
		}
		if n != last {
			last, since = n, time.Now()
		}
		if time.Since(since) > s.patience {
			s.note("%d records are missing, and for %s none of them came, among them\n  %s", n, s.patience, strings.Join(list, "\n  "))
			return false
		}
		time.Sleep(50 * time.Millisecond)
	}
}

// verdict ends the writing, waits for the rest and holds what came against the ledger.
func (s *soak) verdict(tolerated ...string) {
	s.t.Helper()
	s.stopWrite()
	s.settle()
	s.agent.Stop(s.t)
	s.tally.read(s.sink)
	s.tally.report(s.t)
	s.tally.assertWhole(s.t, tolerated...)
	assert.NotContains(s.t, s.agent.Proc.Output(), podlogs.Canary)
}
