//go:build e2e

package cluster

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/sluice-otel/sluice/e2e/backends"
	"github.com/sluice-otel/sluice/e2e/proc"
)

// neverUsed are grants that nobody makes use of in this cluster, each with the reason why it is granted all the same.
var neverUsed = map[string][]string{}

// everythingMonitored makes the Target Allocator look for targets in all the ways that it has a grant for.
const everythingMonitored = `
apiVersion: monitoring.coreos.com/v1
kind: ServiceMonitor
metadata: {name: audit, namespace: audit}
spec:
  selector: {matchLabels: {app: nobody}}
  endpoints: [{port: http}]
  attachMetadata: {node: true}
`

// Every tier starts with the roles that are shipped: nothing that it asks for is refused, by the API server or by the kubelet, and nothing is
// granted that it does not ask for. First in this package, since other tests take roles away.
func TestAudit(t *testing.T) {
	s := StartSluice(t)
	audit := s.AuditLog(t)
	s.Namespace(t, "audit")
	s.Apply(t, everythingMonitored)
	accounts := [][2]string{
		{"sluice-agent", "sluice-agent"}, {"sluice", "sluice-gateway"}, {"sluice", "sluice-sampling"}, {"sluice", "sluice-scraper"}, {"sluice", "sluice-targetallocator"},
	}
	for _, a := range accounts {
		t.Run(a[1], func(t *testing.T) {
			user := "system:serviceaccount:" + a[0] + ":" + a[1]
			list := s.Kubectl(t, "get", backends.RolesAndBindings, "--all-namespaces", "-o", "json")
			grants := backends.Grants(t, list, a[0], a[1])
			// What is asked for now and then takes a minute: pages of kubelets, the lease.
			proc.Eventually(t, 2*time.Minute, func() error {
				for _, unused := range audit.Unused(t, user, grants) {
					if !slices.Contains(neverUsed[a[1]], unused) {
						return fmt.Errorf("%s may %s, and never did", a[1], unused)
					}
				}
				return nil
			})
			t.Logf("%d grants, never used: %q", len(grants), audit.Unused(t, user, grants))
			assert.Subset(t, grants, neverUsed[a[1]], "not granted, so there is nothing to explain")
			for _, call := range audit.Forbidden(t) {
				assert.False(t, strings.HasPrefix(call, user+" "), "refused: %s", call)
			}
		})
	}
}
