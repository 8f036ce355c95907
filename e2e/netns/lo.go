package netns

import (
	"fmt"
	"net/netip"

	"golang.org/x/sys/unix"
)

// addresses is how many pod-like addresses there are.
const addresses = 30

func address(i int) string { return netip.AddrFrom4([4]byte{10, 99, 0, byte(i)}).String() }

// setUp makes mounts our own, brings lo up and puts the addresses on it, by the old ioctls: one alias lo:i for each address needs no netlink
// messages, and no `ip` command on the machine.
func setUp() error {
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("mounts of our own: %w", err)
	}
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer func() { _ = unix.Close(fd) }()

	lo, err := unix.NewIfreq("lo")
	if err != nil {
		return err
	}
	if err := unix.IoctlIfreq(fd, unix.SIOCGIFFLAGS, lo); err != nil {
		return fmt.Errorf("flags of lo: %w", err)
	}
	lo.SetUint16(lo.Uint16() | unix.IFF_UP)
	if err := unix.IoctlIfreq(fd, unix.SIOCSIFFLAGS, lo); err != nil {
		return fmt.Errorf("lo up: %w", err)
	}
	for i := 1; i <= addresses; i++ {
		alias := fmt.Sprintf("lo:%d", i)
		// The mask comes second: setting the address sets the mask of its class, /8.
		if err := set(fd, unix.SIOCSIFADDR, alias, [4]byte{10, 99, 0, byte(i)}); err != nil {
			return fmt.Errorf("address %s: %w", address(i), err)
		}
		if err := set(fd, unix.SIOCSIFNETMASK, alias, [4]byte{255, 255, 255, 0}); err != nil {
			return fmt.Errorf("mask of %s: %w", address(i), err)
		}
	}
	return nil
}

func set(fd int, request uint, alias string, value [4]byte) error {
	ifr, err := unix.NewIfreq(alias)
	if err != nil {
		return err
	}
	if err := ifr.SetInet4Addr(value[:]); err != nil {
		return err
	}
	return unix.IoctlIfreq(fd, request, ifr)
}
