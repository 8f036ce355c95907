//go:build e2e

// Package e2e proves what the profiles promise, one file per promise, with the real binary, the shipped configuration and
// real servers. The tests run in a network namespace of their own, where 10.99.0.1 to 10.99.0.30 are addresses of pods.
package e2e

import (
	"os"
	"testing"

	"github.com/sluice-otel/sluice/e2e/backends"
	"github.com/sluice-otel/sluice/e2e/netns"
)

func TestMain(m *testing.M) {
	os.Exit(netns.Main(m, func() error { return backends.Build() }))
}
