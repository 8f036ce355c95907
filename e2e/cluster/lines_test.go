//go:build e2e

package cluster

import (
	"encoding/json"
	"fmt"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sluice-otel/sluice/e2e/proc"
	"github.com/sluice-otel/sluice/e2e/soak"
)

// lineID is a line of the demo application: which start of a container, and its number there.
type lineID struct {
	run string
	seq int
}

func (l lineID) String() string { return fmt.Sprintf("line %d of run %s", l.seq, l.run) }

var plainLine = regexp.MustCompile(`^demo run=([a-z]{8}) seq=([0-9]+) (order taken|last line|long x+ end=([0-9]+))$`)

// longLine is how long a long line is: three pieces of what the runtime writes at once.
const longLine = 40 << 10

// readLine says which line of the demo application this is, and whether it is the last one of its run. An error says what is wrong with it: a
// piece of a line, or two in one.
func readLine(text string) (id lineID, last bool, err error) {
	if strings.HasPrefix(text, "{") {
		var l struct {
			Level, Msg, Run string
			Seq             int
		}
		err := json.Unmarshal([]byte(text), &l)
		if err == nil && (l.Level != "info" || l.Msg != "order taken" || len(l.Run) != 8) {
			err = fmt.Errorf("%.200q is not what the application writes", text)
		}
		return lineID{l.Run, l.Seq}, false, err
	}
	m := plainLine.FindStringSubmatch(text)
	if m == nil {
		return id, false, fmt.Errorf("%d bytes that are no line of the application: %.200q", len(text), text)
	}
	if m[4] != "" && (len(text) != longLine || m[4] != m[2]) {
		return id, false, fmt.Errorf("a long line of %d bytes: %.60q … %q", len(text), text, text[len(text)-20:])
	}
	id.run = m[1]
	id.seq, err = strconv.Atoi(m[2])
	return id, m[3] == "last line", err
}

// storedLines are the lines of a namespace in Loki: how often each is there, and which is the last one of each run that ended well.
func (s *Sluice) storedLines(t *testing.T, namespace string, from time.Time) (lines map[lineID]int, last map[string]int) {
	t.Helper()
	lines, last = map[lineID]int{}, map[string]int{}
	for _, l := range s.Loki.AllLines(t, `{k8s_namespace_name="`+namespace+`", k8s_container_name="demo"} | log_iostream="stdout"`, from) {
		id, end, err := readLine(l.Line)
		require.NoError(t, err, "in %s of %s", l.Metadata["k8s_pod_name"], l.Time)
		lines[id]++
		if end {
			last[id.run] = id.seq
		}
	}
	return lines, last
}

// written adds the lines of a run to a set.
func written(lines map[lineID]struct{}, run string, last int) {
	for seq := 1; seq <= last; seq++ {
		lines[lineID{run, seq}] = struct{}{}
	}
}

// turns counts the log files of a namespace's pods that the kubelet has put aside.
type turns struct {
	pattern string
	mu      sync.Mutex
	files   map[string]bool
}

// watchTurns looks until the test ends. It is the only way to know: the kubelet keeps few of them, and none of a pod that is gone.
func watchTurns(t *testing.T, namespace string) *turns {
	t.Helper()
	w := &turns{pattern: "/var/log/pods/" + namespace + "_*/*/*.log.2*", files: map[string]bool{}}
	done := make(chan struct{})
	t.Cleanup(func() { close(done) })
	go func() {
		for {
			select {
			case <-done:
				return
			case <-time.After(200 * time.Millisecond):
				w.look()
			}
		}
	}()
	return w
}

func (w *turns) look() {
	found, _ := filepath.Glob(w.pattern) // it is a good one
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, f := range found {
		w.files[strings.TrimSuffix(strings.TrimSuffix(f, ".tmp"), ".gz")] = true
	}
}

func (w *turns) count() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.files)
}

// Lines of a container whose log is turned again and again, that is killed, and whose pod is deleted while it writes: each arrives, and whole.
func TestNoLineIsLost(t *testing.T) {
	s := StartSluice(t)
	if !s.Own() {
		t.Skip("NOT TESTED: the files and containers of another cluster's nodes are not within reach")
	}
	s.Namespace(t, "lines")
	turned := watchTurns(t, "lines")
	start := time.Now()
	demo := s.DeployDemo(t, "lines", "writer", DemoOptions{LinesPerSecond: 20})
	first := demo.Pods(t)[0]
	lines := map[lineID]struct{}{}
	write := func(bursts int) DemoCounts {
		var counts DemoCounts
		for range bursts {
			counts = demo.Write(t, first, 700) // more than the kubelet lets a file grow
			turnedBefore := turned.count()
			proc.Eventually(t, 30*time.Second, func() error {
				if turned.count() == turnedBefore {
					return fmt.Errorf("the log has not been turned after %d lines", counts.LastLine)
				}
				return nil
			})
		}
		return counts
	}
	killed := map[string]int{}
	for round := range 2 {
		counts := write(2)
		for range 5 { // and amid a burst of lines it dies
			counts = demo.Write(t, first, 20)
		}
		s.killContainer(t, "lines", "writer", round+1)
		killed[counts.Run] = counts.LastLine
	}
	write(2)
	demo.Write(t, first, 500)
	ended := demo.Counts(t, first)
	s.Kubectl(t, "-n", "lines", "delete", "pod", first)
	s.WaitRollout(t, "lines", "deployment/writer", time.Minute)
	second := demo.Pods(t)[0]
	require.NotEqual(t, first, second)
	now := demo.Write(t, second, 10)

	for run, n := range killed {
		written(lines, run, n)
	}
	written(lines, ended.Run, ended.LastLine)
	written(lines, now.Run, now.LastLine)
	require.Len(t, killed, 2)
	var tally soak.Tally
	proc.Eventually(t, 30*time.Second, func() error {
		stored, last := s.storedLines(t, "lines", start)
		if n := last[ended.Run]; n > 0 {
			assert.GreaterOrEqual(t, n, ended.LastLine)
			written(lines, ended.Run, n)
		}
		for id := range stored { // those after it was asked
			if n, ok := killed[id.run]; ok && id.seq > n {
				killed[id.run] = id.seq
				written(lines, id.run, id.seq)
			}
		}
		tally = soak.Count(lines, stored, lineID.String)
		tally.Written = len(lines)
		if tally.Lost > 0 {
			return fmt.Errorf("%d of %d lines are not there, such as %v", tally.Lost, len(lines), tally.Sample)
		}
		if last[ended.Run] == 0 {
			return fmt.Errorf("of the deleted pod %d lines are there, but not its last one", ended.LastLine)
		}
		return nil
	})
	t.Logf("%d lines, each there, %d of them again; the log was turned %d times, killed twice and deleted", tally.Written, tally.Duplicated, turned.count())
	assert.GreaterOrEqual(t, turned.count(), 6)
	assert.Zero(t, tally.Duplicated)
}

// killContainer is kill -9 of the container of an application's only pod, and waits until its next start is ready.
func (s *Sluice) killContainer(t *testing.T, namespace, app string, restarts int) {
	t.Helper()
	before := s.pods(t, namespace, app)[0]
	_, err := ctr("tasks", "kill", "--signal", "SIGKILL", before.container())
	require.NoError(t, err)
	s.WaitFor(t, namespace, "pod/"+before.Metadata.Name, fmt.Sprintf("jsonpath={.status.containerStatuses[0].restartCount}=%d", restarts), time.Minute)
	s.WaitFor(t, namespace, "pod/"+before.Metadata.Name, "condition=Ready", time.Minute)
}
