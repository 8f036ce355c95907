package cluster

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// The machine's only network interface besides lo, and its address. Nothing answers behind it, and there is no default route.
const (
	nodeInterface = "eth0"
	nodeAddress   = "10.99.1.1"
	serviceCIDR   = "10.96.0.0/16"
)

// ground is what the node stands on, all of it in the namespaces of the machine: folders of its own where Kubernetes has fixed ones, and a
// network.
type ground struct{ dir string }

func (g ground) lay() error {
	for _, step := range []func() error{g.folders, g.kernelSettings, g.network, g.share} {
		if err := step(); err != nil {
			return err
		}
	}
	return nil
}

func (g ground) path(elem ...string) string {
	return filepath.Join(append([]string{g.dir}, elem...)...)
}

// folders puts an overlay in memory on /var, so that folders can be made there which the host never sees, and folders on disk on those that
// grow.
func (g ground) folders() error {
	memory := g.path("memory")
	if err := mount("tmpfs", memory, "tmpfs", 0, "mode=755"); err != nil {
		return err
	}
	upper, work := filepath.Join(memory, "upper"), filepath.Join(memory, "work")
	if err := errors.Join(os.Mkdir(upper, 0o755), os.Mkdir(work, 0o755)); err != nil {
		return err
	}
	if err := mount("overlay", "/var", "overlay", 0, "lowerdir=/var,upperdir="+upper+",workdir="+work); err != nil {
		return err
	}
	if err := mount("tmpfs", "/run", "tmpfs", unix.MS_NOSUID|unix.MS_NODEV, "mode=755"); err != nil {
		return err
	}
	for _, dir := range []string{
		"/var/lib/kubelet", "/var/lib/containerd", "/var/lib/cni", "/var/lib/sluice", "/var/lib/volumes", "/var/log/pods", "/var/log/containers",
	} {
		own := g.path("disk", strings.ReplaceAll(dir[1:], "/", "-"))
		if err := os.MkdirAll(own, 0o755); err != nil {
			return err
		}
		if err := mount(own, dir, "", unix.MS_BIND, ""); err != nil {
			return err
		}
	}
	return nil
}

// kernelSettings lets the kubelet write the settings that it wants, into files: the kernel is the host's, too.
func (g ground) kernelSettings() error {
	for _, name := range []string{
		"vm/overcommit_memory", "vm/panic_on_oom", "kernel/panic", "kernel/panic_on_oops", "kernel/keys/root_maxkeys", "kernel/keys/root_maxbytes",
	} {
		setting := filepath.Join("/proc/sys", name)
		value, err := os.ReadFile(setting)
		if errors.Is(err, os.ErrNotExist) {
			continue
		}
		if err != nil {
			return err
		}
		own := g.path("memory", strings.ReplaceAll(name, "/", "-"))
		if err := os.WriteFile(own, value, 0o644); err != nil {
			return err
		}
		if err := unix.Mount(own, setting, "", unix.MS_BIND, ""); err != nil {
			return fmt.Errorf("%s: %w", setting, err)
		}
	}
	return nil
}

// network has a route to the addresses of Services: without one there is no packet that kube-proxy's rules could send elsewhere.
func (g ground) network() error {
	for _, args := range []string{
		"link add " + nodeInterface + " type veth peer name uplink",
		"link set uplink up",
		"link set " + nodeInterface + " up",
		"address add " + nodeAddress + "/24 dev " + nodeInterface,
		"route add " + serviceCIDR + " dev " + nodeInterface + " src " + nodeAddress,
	} {
		if out, err := exec.Command("ip", strings.Fields(args)...).CombinedOutput(); err != nil {
			return fmt.Errorf("ip %s: %w: %s", args, err, out)
		}
	}
	return os.WriteFile("/proc/sys/net/ipv4/ip_forward", []byte("1"), 0o644)
}

// share is what a kubelet asks for before it lets a pod see mounts that come later. Nothing of it reaches the host, whose mounts are other ones.
func (g ground) share() error {
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_SHARED, ""); err != nil {
		return fmt.Errorf("shared mounts: %w", err)
	}
	return nil
}

func mount(source, target, kind string, flags uintptr, data string) error {
	if err := os.MkdirAll(target, 0o755); err != nil {
		return err
	}
	if err := unix.Mount(source, target, kind, flags, data); err != nil {
		return fmt.Errorf("mount %s on %s: %w", source, target, err)
	}
	return nil
}
