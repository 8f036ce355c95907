package cluster

import (
	"bufio"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// cgroupMounts lists where the kernel shows its control groups: one place for each controller of version 1, and that of version 2, which has
// controllers only where version 1 is not in use.
func cgroupMounts() (v1, v2 []string, err error) {
	f, err := os.Open("/proc/self/mounts")
	if err != nil {
		return nil, nil, err
	}
	defer f.Close()
	for lines := bufio.NewScanner(f); lines.Scan(); {
		switch fields := strings.Fields(lines.Text()); fields[2] {
		case "cgroup":
			v1 = append(v1, fields[1])
		case "cgroup2":
			v2 = append(v2, fields[1])
		}
	}
	if len(v1)+len(v2) == 0 {
		return nil, nil, errors.New("no control groups are mounted")
	}
	return v1, v2, nil
}

// makeCgroup makes a group of this name at the top of every hierarchy, because a kubelet does not make its root.
func makeCgroup(name string) error {
	mounts, v2, err := cgroupMounts()
	if err != nil {
		return err
	}
	if len(mounts) == 0 {
		mounts = v2
		for _, m := range v2 {
			if err := wantControllers(m); err != nil {
				return err
			}
		}
	}
	for _, m := range mounts {
		if err := os.Mkdir(filepath.Join(m, name), 0o755); err != nil {
			return err
		}
		// Version 1 takes no process into a cpuset without processors and memory.
		for _, file := range []string{"cpuset.cpus", "cpuset.mems"} {
			value, err := os.ReadFile(filepath.Join(m, file))
			if errors.Is(err, os.ErrNotExist) {
				continue
			}
			if err := errors.Join(err, os.WriteFile(filepath.Join(m, name, file), value, 0o644)); err != nil {
				return err
			}
		}
	}
	return nil
}

// wantControllers says what a kubelet's root would lack below this group of version 2: the kubelet itself ends without saying what to do. Nothing
// is changed, since the group is the host's.
func wantControllers(dir string) error {
	available, err := os.ReadFile(filepath.Join(dir, "cgroup.controllers"))
	if err != nil {
		return err
	}
	enabled, err := os.ReadFile(filepath.Join(dir, "cgroup.subtree_control"))
	if err != nil {
		return err
	}
	var missing []string
	for _, c := range []string{"cpu", "cpuset", "memory", "hugetlb", "pids"} {
		if slices.Contains(strings.Fields(string(available)), c) && !slices.Contains(strings.Fields(string(enabled)), c) {
			missing = append(missing, "+"+c)
		}
	}
	if len(missing) > 0 {
		return fmt.Errorf("control groups below %[1]s lack what a kubelet wants: echo '%[2]s' >%[1]s/cgroup.subtree_control", dir, strings.Join(missing, " "))
	}
	return nil
}

// removeCgroup removes a group and those in it. No process may be left in them, but the kernel needs a moment after the last one.
func removeCgroup(name string) error {
	v1, v2, err := cgroupMounts()
	if err != nil {
		return err
	}
	for _, m := range append(v1, v2...) { // runc makes some of its own in version 2
		var dirs []string
		err := filepath.WalkDir(filepath.Join(m, name), func(path string, d fs.DirEntry, err error) error {
			if err == nil && d.IsDir() {
				dirs = append(dirs, path)
			}
			return nil // one that is not there needs no removal
		})
		if err != nil {
			return err
		}
		for i := len(dirs) - 1; i >= 0; i-- {
			if err := removeSoon(dirs[i]); err != nil {
				return fmt.Errorf("control group: %w", err)
			}
		}
	}
	return nil
}

func removeSoon(dir string) error {
	for deadline := time.Now().Add(5 * time.Second); ; time.Sleep(50 * time.Millisecond) {
		err := os.Remove(dir)
		if err == nil || errors.Is(err, os.ErrNotExist) || time.Now().After(deadline) {
			return err
		}
	}
}
