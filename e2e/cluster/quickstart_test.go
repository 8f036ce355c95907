//go:build e2e

package cluster

import "testing"

func TestQuickstart(t *testing.T) {
	StartSluice(t)
}
