package cluster

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// LoadProgram makes an image of one static program and loads it, unless it has done so already. Pods name no command: it is the entry point.
func (c *Cluster) LoadProgram(tb testing.TB, name, program string) {
	tb.Helper()
	if _, loaded := c.programs.LoadOrStore(name, true); loaded {
		return
	}
	c.LoadFiles(tb, Image{
		Name: name, Files: map[string]string{"/" + filepath.Base(program): program}, Entrypoint: []string{"/" + filepath.Base(program)},
	})
}

// LoadFiles makes an image and loads it.
func (c *Cluster) LoadFiles(tb testing.TB, i Image) {
	tb.Helper()
	archive := filepath.Join(c.dir, "image-"+strings.NewReplacer("/", "_", ":", "_").Replace(i.Name)+".tar")
	if err := i.Write(archive); err != nil {
		tb.Fatal(err)
	}
	defer os.Remove(archive)
	c.LoadImage(tb, i.Name, archive)
}

// LoadImage gives the node an image, from an archive in the format of OCI or Docker that has it under this name. Pods find it with any
// imagePullPolicy but Always.
func (c *Cluster) LoadImage(tb testing.TB, name, archive string) {
	tb.Helper()
	if c.node == nil {
		c.loadExisting(tb, name, archive)
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
