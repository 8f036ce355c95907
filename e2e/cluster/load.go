package cluster

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"testing"

	"github.com/sluice-otel/sluice/e2e/backends"
)

// object is what an API server reads.
type object = map[string]any

// LoadProgram makes an image of one static program and loads it, unless it has done so already. Pods name no command: it is the entry point.
// The tool is that of `make image`.
func (c *Cluster) LoadProgram(tb testing.TB, name, program string) {
	tb.Helper()
	if _, loaded := c.programs.Load(name); loaded {
		return
	}
	archive := filepath.Join(c.dir, "image-"+filepath.Base(program)+".tar")
	inside := "/" + filepath.Base(program)
	out, err := exec.Command(filepath.Join(c.dir, "bin", "image"), "-name", name, "-out", archive, "-gzip", "0", "-platform", "linux/"+runtime.GOARCH,
		"-entrypoint", inside, "-layer", inside+"="+program).CombinedOutput()
	if err != nil {
		tb.Fatalf("image %s: %v: %s", name, err, out)
	}
	c.LoadImage(tb, name, archive)
	c.programs.Store(name, true)
	_ = os.Remove(archive) // for the room; all of the folder goes away at the end
}

// LoadSluice loads what `make image` has written, and returns the image's name.
func (c *Cluster) LoadSluice(tb testing.TB) string {
	tb.Helper()
	root, err := backends.RepoRoot()
	if err != nil {
		tb.Fatal(err)
	}
	manifest, err := os.ReadFile(filepath.Join(root, "builder-config.yaml"))
	if err != nil {
		tb.Fatal(err)
	}
	version := regexp.MustCompile(`(?m)^  version: (\S+)$`).FindSubmatch(manifest)
	if version == nil {
		tb.Fatal("builder-config.yaml has no dist.version")
	}
	archive := filepath.Join(root, "bin", "sluice-image.tar")
	if _, err := os.Stat(archive); err != nil {
		tb.Fatalf("%v: run make image", err)
	}
	name := "ghcr.io/sluice-otel/sluice:" + string(version[1])
	if _, loaded := c.programs.Load(name); !loaded {
		c.LoadImage(tb, name, archive)
		c.programs.Store(name, true)
	}
	return name
}

// LoadImage gives the node an image, from an archive in the format of OCI or Docker that has it under this name. Pods find it with any
// imagePullPolicy but Always.
func (c *Cluster) LoadImage(tb testing.TB, name, archive string) {
	tb.Helper()
	if c.node == nil {
		loadExisting(tb, name, archive)
		return
	}
	if _, err := ctr("images", "import", archive); err != nil {
		tb.Fatal(err)
	}
	list, err := ctr("images", "list", "--quiet")
	if err != nil {
		tb.Fatal(err)
	}
	for line := range strings.Lines(list) {
		if strings.TrimSpace(line) == name {
			return
		}
	}
	tb.Fatalf("%s has no image %s; the node has\n%s", archive, name, list)
}

// buildPrograms builds what runs in pods and is ours, and the tool that makes images, into dir/bin.
func buildPrograms(dir string) error {
	root, err := backends.RepoRoot()
	if err != nil {
		return err
	}
	build := func(module string, packages ...string) error {
		cmd := exec.Command("go", append([]string{"build", "-trimpath", "-ldflags=-s -w", "-o", filepath.Join(dir, "bin") + "/"}, packages...)...)
		cmd.Dir = module
		cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
		if out, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("go build %s: %w\n%s", strings.Join(packages, " "), err, out)
		}
		return nil
	}
	if err := build(root, "./e2e/cluster/pause", "./e2e/cluster/demo"); err != nil {
		return err
	}
	return build(filepath.Join(root, "deploy", "image"), ".")
}
