package podlogs

import (
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// kubeletPeriod is how often the kubelet looks at log files: no file can be rotated twice within it.
const kubeletPeriod = 10 * time.Second

func (c *Container) rotate() error {
	if err := c.file.Close(); err != nil {
		return err
	}
	if !c.opts.WallClock { // else who calls keeps to the period
		c.clock = c.clock.Add(kubeletPeriod)
	}
	rotate := c.rotateKubelet
	if c.Runtime == Docker {
		rotate = c.rotateDocker
	}
	if err := rotate(); err != nil {
		return err
	}
	c.gen++
	return c.create()
}

// rotateKubelet deletes the excess, compresses what earlier rotations left plain, and only then renames the file.
func (c *Container) rotateKubelet() error {
	current := filepath.Join(c.Dir, c.name)
	old, err := filepath.Glob(current + ".*")
	if err != nil {
		return err
	}
	slices.Sort(old) // by time, as it is in the name
	for keep := c.keep(5) - 2; len(old) > keep; old = old[1:] {
		if err := os.Remove(old[0]); err != nil {
			return err
		}
	}
	for _, file := range old {
		if strings.HasSuffix(file, ".gz") {
			continue
		}
		if err := compress(file); err != nil {
			return err
		}
	}
	return os.Rename(current, current+c.clock.Format(".20060102-150405"))
}

// rotateDocker counts the files up.
func (c *Container) rotateDocker() error {
	current := filepath.Join(c.Dir, c.name)
	for i := c.keep(3) - 1; i > 1; i-- {
		err := os.Rename(fmt.Sprintf("%s.%d", current, i-1), fmt.Sprintf("%s.%d", current, i))
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			return err
		}
	}
	return os.Rename(current, current+".1")
}

func (c *Container) keep(byDefault int) int {
	if c.opts.KeepFiles > 0 {
		return c.opts.KeepFiles
	}
	return byDefault
}

// compress works under a third name, as the kubelet does: readers see the .tmp.
func compress(file string) error {
	in, err := os.Open(file)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.Create(file + ".tmp")
	if err != nil {
		return err
	}
	defer out.Close()
	zip, err := gzip.NewWriterLevel(out, gzip.BestSpeed) // the test's CPU is the agent's
	if err != nil {
		return err
	}
	if _, err := io.Copy(zip, in); err != nil {
		return err
	}
	if err := errors.Join(zip.Close(), os.Rename(file+".tmp", file+".gz")); err != nil {
		return err
	}
	return os.Remove(file)
}
