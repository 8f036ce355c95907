package netns

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"regexp"
	"strconv"
	"sync"
	"syscall"
)

// lanesEnv is how many tests run at a time: tests against servers mostly wait for them.
const lanesEnv = "SLUICE_E2E_LANES"

var errNoNamespace = errors.New("there can be no network namespace")

// lanes is 1, all tests one after the other in one process, unless the environment says otherwise. Who names tests by -run has few.
func lanes() int {
	n, err := strconv.Atoi(os.Getenv(lanesEnv))
	if err != nil || flagged("test.run") || flagged("test.bench") || flagged("test.fuzz") {
		return 1
	}
	return n
}

// flagged says whether the command line sets a flag.
func flagged(name string) bool {
	if !flag.Parsed() {
		flag.Parse()
	}
	f := flag.Lookup(name)
	return f != nil && f.Value.String() != ""
}

// pool hands tests out to lanes, and keeps what became of them.
type pool struct {
	mu      sync.Mutex
	left    []string
	running map[*exec.Cmd]struct{}
	ended   os.Signal
	code    int
}

// runLanes runs each test in a process of its own, n at a time. What one prints comes as a whole when it has ended: without -v only when it
// has failed, as always. The exit code is that of the last test that failed.
func runLanes(n int, signals <-chan os.Signal) (int, error) {
	tried, err := startChild(child{marker: probe})
	if err != nil {
		return 0, errNoNamespace
	}
	if err := tried.Wait(); err != nil {
		return 1, err
	}
	names, err := listTests()
	if err != nil {
		fmt.Fprintln(os.Stderr, "netns: the tests' names:", err)
		return 1, err
	}
	p := &pool{left: names, running: map[*exec.Cmd]struct{}{}}
	done := make(chan struct{})
	defer close(done)
	go p.pass(signals, done)
	var all sync.WaitGroup
	for range n {
		all.Go(func() {
			for name, more := p.next(); more; name, more = p.next() {
				p.run(name)
			}
		})
	}
	all.Wait()
	p.mu.Lock()
	defer p.mu.Unlock()
	if sig, ok := p.ended.(syscall.Signal); ok && p.code == 0 {
		return 128 + int(sig), nil // whatever those say that it ended
	}
	return p.code, nil
}

var testName = regexp.MustCompile(`(?m)^(?:Test|Fuzz|Example).*$`)

func listTests() ([]string, error) {
	exe, err := os.Executable()
	if err != nil {
		return nil, err
	}
	out, err := exec.Command(exe, "-test.list", ".").Output()
	return testName.FindAllString(string(out), -1), err
}

// pass passes signals on to all that run; after one, no test is started any more.
func (p *pool) pass(signals <-chan os.Signal, done <-chan struct{}) {
	for {
		select {
		case <-done:
			return
		case s := <-signals:
			p.mu.Lock()
			p.ended = s
			for cmd := range p.running {
				_ = cmd.Process.Signal(s)
			}
			p.mu.Unlock()
		}
	}
}

func (p *pool) next() (string, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.left) == 0 || p.ended != nil {
		return "", false
	}
	name := p.left[0]
	p.left = p.left[1:]
	return name, true
}

func (p *pool) run(name string) {
	code, out, err := p.runTest(name)
	p.mu.Lock()
	defer p.mu.Unlock()
	if err != nil {
		fmt.Fprintf(os.Stderr, "netns: %s: %v\n", name, err)
		code = max(code, 1)
	}
	if code != 0 {
		p.code = code
	}
	if f := flag.Lookup("test.v"); code != 0 || f != nil && f.Value.String() != "false" {
		_, _ = os.Stdout.Write(bytes.TrimSuffix(out, []byte("PASS\n"))) // go test says it once for all
	}
}

func (p *pool) runTest(name string) (int, []byte, error) {
	// A file and no pipe: a server that outlives its test would hold a pipe open, and the end of the test up.
	out, err := os.CreateTemp("", "netns-*.out")
	if err != nil {
		return 1, nil, err
	}
	defer out.Close()
	if err := os.Remove(out.Name()); err != nil {
		return 1, nil, err
	}
	cmd, err := startChild(child{marker: childOfMain, out: out, args: append(os.Args[1:len(os.Args):len(os.Args)], "-test.run=^"+regexp.QuoteMeta(name)+"$")})
	if err != nil {
		return 1, nil, err
	}
	p.mu.Lock()
	p.running[cmd] = struct{}{}
	if p.ended != nil { // while it was starting
		_ = cmd.Process.Signal(p.ended)
	}
	p.mu.Unlock()
	err = cmd.Wait()
	p.mu.Lock()
	delete(p.running, cmd)
	p.mu.Unlock()
	if exit := (*exec.ExitError)(nil); errors.As(err, &exit) {
		err = nil // its exit code says it
	}
	if _, seekErr := out.Seek(0, io.SeekStart); seekErr != nil {
		return exitOf(cmd), nil, errors.Join(err, seekErr)
	}
	said, readErr := io.ReadAll(out)
	return exitOf(cmd), said, errors.Join(err, readErr)
}
