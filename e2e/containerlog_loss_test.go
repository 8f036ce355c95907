//go:build e2e

package e2e

import (
	"errors"
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sluice-otel/sluice/e2e/podlogs"
	"github.com/sluice-otel/sluice/e2e/proc"
	"github.com/sluice-otel/sluice/e2e/tiers"
)

const (
	// inOrder has the exporter send one request after the other, so that they arrive in the pipeline's order.
	inOrder = `
exporters:
  otlp_grpc/gateway_logs:
    sending_queue: {num_consumers: 1}
`
	// impatient keeps the pauses between attempts below a test's outages, and lets few stops fall between two polls.
	impatient = `
receivers: {filelog: {poll_interval: 100ms}}
exporters:
  otlp_grpc/gateway_logs:
    retry_on_failure: {initial_interval: 100ms, max_interval: 500ms}
`
	// fullQueue is full soon, and then holds the reader back.
	fullQueue = impatient + `
    sending_queue: {sizer: requests, queue_size: 10, batch: {flush_timeout: 20ms, min_size: 0}}
`
	// noQueue gives every error of the sink back to the reader.
	noQueue = `
exporters:
  otlp_grpc/gateway_logs:
    retry_on_failure: {enabled: false}
    sending_queue: {enabled: false}
`
)

// node has records that stay open for up to seven seconds: containerlog gives some in pieces, after five.
func node(containers, perSecond int) podlogs.Options {
	return podlogs.Options{Containers: containers, LongPercent: 3, MostOpen: 7 * perSecond}
}

func TestContainerLogKeepsEveryLineInOrder(t *testing.T) {
	s := startSoak(t, soakOptions{
		fleet: node(200, 500), perSecond: 500, patience: 20 * time.Second, start: shipped(t, tiers.StartKubernetes(t), inOrder),
	})
	s.write()
	for range 4 {
		s.pause(time.Second, 3*time.Second)
		s.rotate(2)
		s.pause(time.Second, 2*time.Second)
		if !s.settle() {
			break
		}
	}
	s.verdict()
	assert.Zero(t, s.tally.duplicates, "nothing was stopped, nothing may come twice")
}

func TestContainerLogOutlivesKill(t *testing.T) {
	stopAtRandom(t, func(s *soak) { s.agent.Kill() })
}

func TestContainerLogOutlivesTermination(t *testing.T) {
	stopAtRandom(t, func(s *soak) { s.agent.Stop(s.t) })
}

// stopAtRandom stops and starts the agent while the containers write: in the middle of a record, while files are rotated,
// while the sink takes nothing.
func stopAtRandom(t *testing.T, stop func(*soak)) {
	s := startSoak(t, soakOptions{
		fleet: node(30, 150), perSecond: 150, patience: 20 * time.Second, start: shipped(t, tiers.StartKubernetes(t), impatient),
	})
	s.write()
	inside := 0
	for round := range rounds(t) {
		s.note("round %d", round)
		rotateWhen := s.pick.IntN(4) // 3: not at all
		rotateIf := func(when int) {
			if when == rotateWhen {
				s.rotate(2)
			}
		}
		s.pause(300*time.Millisecond, 1500*time.Millisecond)
		if s.chance(50) {
			s.note("a burst")
			require.NoError(t, s.fleet.Write(300))
		}
		refusing := s.chance(50)
		if refusing {
			s.refuse()
		}
		rotateIf(0)
		if s.chance(40) {
			s.stopInsideRecords()
		}
		s.pause(0, 500*time.Millisecond)
		inside += s.fleet.Open()
		s.note("stop, with %d streams inside a record", s.fleet.Open())
		stop(s)
		rotateIf(1)
		s.pause(0, 500*time.Millisecond)
		if refusing && s.chance(50) {
			s.sink.Heal(t)
			refusing = false
		}
		s.agent.Restart(t)
		s.note("started")
		rotateIf(2)
		s.write()
		if refusing {
			s.pause(0, 500*time.Millisecond)
		}
		s.sink.Heal(t)
		if !s.settle() {
			break
		}
	}
	s.verdict("order")
	t.Logf("%d times a stream was inside a record when the agent was stopped", inside)
	assert.Positive(t, inside, "the agent was never stopped inside a record")
}

// refuse makes the sink fail in one of its ways.
func (s *soak) refuse() {
	way := s.pick.IntN(3)
	s.note("refuse in way %d", way)
	switch way {
	case 0:
		s.sink.Refuse()
	case 1:
		s.sink.Status(http.StatusServiceUnavailable, 0)
	case 2:
		s.sink.CloseConnection()
	}
}

// stopInsideRecords stops the writing until the next start, and waits until the agent holds beginnings of records: what
// continues them comes only after the stop.
func (s *soak) stopInsideRecords() {
	s.t.Helper()
	for s.fleet.Open() == 0 {
		time.Sleep(20 * time.Millisecond)
	}
	s.stopWrite()
	proc.Eventually(s.t, 10*time.Second, func() error {
		if s.fleet.Open() > 0 && s.agent.Metric(s.t, "otelcol_processor_containerlog_held_records", nil) == 0 {
			return errors.New("the agent holds no record, but files end inside one")
		}
		return nil
	}, s.agent.Proc)
	s.note("the agent holds %v records", s.agent.Metric(s.t, "otelcol_processor_containerlog_held_records", nil))
}

// The reader is held back by a queue that is full, or is given the sink's errors: what it has read and cannot deliver has
// to outlive the stop.
func TestContainerLogOutlivesStopsWhileRefused(t *testing.T) {
	k := tiers.StartKubernetes(t)
	f := func(name, override string, blocked func(*soak) error) {
		t.Run(name, func(t *testing.T) {
			s := startSoak(t, soakOptions{
				fleet: node(30, 150), perSecond: 150, patience: 20 * time.Second, start: shipped(t, k, override),
			})
			s.write()
			for round := range rounds(t) {
				s.note("round %d", round)
				if s.stopWhileRefused(blocked); !s.settle() {
					break
				}
			}
			s.verdict("order")
		})
	}
	f("full queue", fullQueue, func(s *soak) error {
		size := s.agent.Metric(s.t, "otelcol_exporter_queue_size", map[string]string{"exporter": "otlp_grpc/gateway_logs"})
		if size < 10 {
			return fmt.Errorf("%v requests are in the queue", size)
		}
		return nil
	})
	f("no queue", noQueue, func(s *soak) error {
		if n := s.agent.Metric(s.t, "otelcol_processor_containerlog_refusals", nil); n < 3 {
			return fmt.Errorf("containerlog was refused %v times", n)
		}
		return nil
	})
}

// stopWhileRefused stops the agent once or twice without letting it deliver anything.
func (s *soak) stopWhileRefused(blocked func(*soak) error) {
	s.t.Helper()
	s.pause(0, time.Second)
	s.sink.Status(http.StatusServiceUnavailable, 0)
	stops := 1 + s.pick.IntN(2)
	rotateBefore := s.pick.IntN(3)
	for i := range stops {
		proc.Eventually(s.t, 30*time.Second, func() error { return blocked(s) }, s.agent.Proc)
		s.pause(0, time.Second)
		if i == rotateBefore {
			s.rotate(2)
		}
		kill := s.chance(50)
		s.note("stop %d of %d, by kill -9: %t, with %d streams inside a record", i+1, stops, kill, s.fleet.Open())
		if kill {
			s.agent.Kill()
		} else {
			s.agent.Stop(s.t)
		}
		s.agent.Restart(s.t)
		s.note("started")
	}
	s.pause(0, 500*time.Millisecond)
	s.sink.Heal(s.t)
}
