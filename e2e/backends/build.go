// Package backends builds the real servers that the end-to-end tests run against, each at the version that a nested
// module pins, and starts them on free ports of 127.0.0.1.
package backends

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"time"
)

const rootModule = "github.com/sluice-otel/sluice"

// Build makes sure that the named servers are in the cache. Without a name it is all but those that only e2e/cluster needs.
func Build(names ...string) error {
	if len(names) == 0 {
		for _, s := range servers {
			if !s.node {
				names = append(names, s.name)
			}
		}
	}
	for _, name := range names {
		if _, err := Binary(name); err != nil {
			return err
		}
	}
	return nil
}

// Binary builds a server unless the cache has it, and returns its path.
func Binary(name string) (string, error) {
	s, err := find(name)
	if err != nil {
		return "", err
	}
	root, err := RepoRoot()
	if err != nil {
		return "", err
	}
	b, err := newBuild(s, root)
	if err != nil {
		return "", fmt.Errorf("%s: %w", name, err)
	}
	if b.done() {
		return b.out, nil
	}
	// One lock for all servers: two builds at once would only take turns on the same cores.
	unlock, err := lock(filepath.Join(root, ".cache", "backends"))
	if err != nil {
		return "", err
	}
	defer unlock()
	if b.done() { // somebody else built it while we waited
		return b.out, nil
	}
	if err := b.run(); err != nil {
		return "", fmt.Errorf("building %s %s: %w", name, b.version, err)
	}
	return b.out, nil
}

// build is one server at one version with one set of flags.
type build struct {
	server
	version string
	dir     string   // the nested module
	out     string   // the binary
	args    []string // of go
	env     []string // added to our own
}

func newBuild(s server, root string) (*build, error) {
	b := &build{server: s, dir: filepath.Join(root, "e2e", "backends", s.dir)}
	mod, err := os.ReadFile(filepath.Join(b.dir, "go.mod"))
	if err != nil {
		return nil, err
	}
	sum, err := os.ReadFile(filepath.Join(b.dir, "go.sum"))
	if err != nil {
		return nil, err
	}
	if b.version, err = pinned(mod, s.module); err != nil {
		return nil, err
	}

	ldflags := "-s -w"
	if s.ldflags != nil {
		ldflags += " " + s.ldflags(b.version)
	}
	b.args = []string{"build", "-mod=readonly", "-trimpath", "-buildvcs=false", "-ldflags", ldflags}
	// The developer's own Go settings must not change what is built, or the cache key would lie.
	b.env = []string{"CGO_ENABLED=0", "GOFLAGS=", "GOWORK=off", "GOOS=" + runtime.GOOS, "GOARCH=" + runtime.GOARCH}
	goVersion, err := b.goCmd("env", "GOVERSION").Output()
	if err != nil {
		return nil, fmt.Errorf("go env GOVERSION: %w", err)
	}

	key := sha256.New()
	_, _ = fmt.Fprintf(key, "%s\n%s\n%q\n%q\n%s\n%s", mod, sum, b.args, b.env, goVersion, s.pkg)
	b.out = filepath.Join(root, ".cache", "backends", fmt.Sprintf("%s-%s-%x", s.name, b.version, key.Sum(nil)[:5]), s.name)
	return b, nil
}

func (b *build) goCmd(args ...string) *exec.Cmd {
	cmd := exec.Command("go", args...)
	cmd.Dir = b.dir
	cmd.Env = append(os.Environ(), b.env...)
	return cmd
}

func (b *build) done() bool {
	_, err := os.Stat(b.out)
	return err == nil
}

func (b *build) run() error {
	if err := os.MkdirAll(filepath.Dir(b.out), 0o755); err != nil {
		return err
	}
	fmt.Fprintf(os.Stderr, "building %s %s, about %s the first time …\n", b.name, b.version, b.cold)
	start := time.Now()

	half := b.out + ".half" // never seen under its final name, so a killed build leaves nothing that looks whole
	// The go command looks only at the head of a file that is there already, and may take half of one for whole.
	if err := os.RemoveAll(half); err != nil {
		return err
	}
	cmd := b.goCmd(append(b.args, "-o", half, b.pkg)...)
	// When a test binary is killed, as after its timeout, the compiler stops too. Linux ties this signal to the thread
	// that forked.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGINT}
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%w\n%s", err, out)
	}
	if err := os.Rename(half, b.out); err != nil {
		return err
	}
	fmt.Fprintf(os.Stderr, "built %s %s in %s\n", b.name, b.version, time.Since(start).Round(time.Second))
	return nil
}

// pinned finds the version that a go.mod requires of a module.
func pinned(mod []byte, module string) (string, error) {
	lines := bufio.NewScanner(bytes.NewReader(mod))
	for lines.Scan() {
		f := strings.Fields(strings.TrimPrefix(strings.TrimSpace(lines.Text()), "require "))
		if len(f) >= 2 && f[0] == module && strings.HasPrefix(f[1], "v") {
			return f[1], nil
		}
	}
	return "", fmt.Errorf("go.mod does not require %s", module)
}

// lock takes the folder's lock, which the kernel gives back even when we are killed.
func lock(dir string) (unlock func(), err error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	f, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return nil, err
	}
	if err := flock(f, syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		fmt.Fprintln(os.Stderr, "waiting for another process that builds servers …")
		if err := flock(f, syscall.LOCK_EX); err != nil {
			f.Close()
			return nil, fmt.Errorf("lock %s: %w", f.Name(), err)
		}
	}
	return func() { f.Close() }, nil
}

func flock(f *os.File, how int) error {
	for {
		if err := syscall.Flock(int(f.Fd()), how); err != syscall.EINTR {
			return err
		}
	}
}

// RepoRoot is the folder of this repository. It walks up from the working directory, because a test binary built with -trimpath does not
// know where its source was.
func RepoRoot() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for {
		mod, err := os.ReadFile(filepath.Join(dir, "go.mod"))
		if err == nil && bytes.HasPrefix(mod, []byte("module "+rootModule+"\n")) {
			return dir, nil
		}
		up := filepath.Dir(dir)
		if up == dir {
			return "", errors.New("not inside the repository: no folder above has the go.mod of " + rootModule)
		}
		dir = up
	}
}

// sources is the folder of a module, in the version that a server is built with.
func sources(name, module string) (string, error) {
	s, err := find(name)
	if err != nil {
		return "", err
	}
	root, err := RepoRoot()
	if err != nil {
		return "", err
	}
	b, err := newBuild(s, root)
	if err != nil {
		return "", err
	}
	out, err := b.goCmd("mod", "download", "-json", module).Output()
	var answer struct{ Dir, Error string }
	if err := errors.Join(err, json.Unmarshal(out, &answer)); err != nil {
		return "", fmt.Errorf("sources of %s: %w %s", module, err, answer.Error)
	}
	return answer.Dir, nil
}
