//go:build e2e

package e2e

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httputil"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sluice-otel/sluice/e2e/backends"
	"github.com/sluice-otel/sluice/e2e/harness"
	"github.com/sluice-otel/sluice/e2e/netns"
	"github.com/sluice-otel/sluice/e2e/proc"
	"github.com/sluice-otel/sluice/e2e/tiers"
)

// allocatorRole is all that the allocator needs to find collectors: with monitors to watch it would be more.
const allocatorRole = `
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {name: sluice-targetallocator, namespace: sluice}
rules: [{apiGroups: [""], resources: [pods], verbs: [get, list, watch]}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: sluice-targetallocator, namespace: sluice}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: sluice-targetallocator}
subjects: [{kind: ServiceAccount, name: sluice-targetallocator, namespace: sluice}]
`

const allocatorConfig = `
collector_namespace: sluice
collector_selector: {matchlabels: {app.kubernetes.io/name: sluice-scraper}}
allocation_strategy: consistent-hashing
config:
  scrape_configs:
    - job_name: shop
      scrape_interval: 1s
      static_configs: [{targets: [%s]}]
`

// A real Target Allocator gives each target to one of two scrapers. A scraper waits for it, unready, instead of running
// without targets.
func TestScraperTargetAllocator(t *testing.T) {
	k := tiers.StartKubernetes(t)
	k.Apply(t, allocatorRole)
	var addrs []string
	for i := range 20 {
		addrs = append(addrs, servePage(t, netns.Addr(t, 2+i%4), nil).addr)
	}
	names := []string{"sluice-scraper-0", "sluice-scraper-1"}
	for _, name := range names {
		k.Pod(t, backends.PodSpec{Namespace: "sluice", Name: name, Labels: map[string]string{"app.kubernetes.io/name": "sluice-scraper"}})
	}

	front := netns.Addr(t, 1) + ":8080" // of the allocator's Service: so far nobody answers there
	var scrapers []*scraper
	for _, name := range names {
		s := &scraper{sink: harness.StartSink(t, harness.SinkOptions{})}
		s.Collector = tiers.Start(t, k, tiers.Tier{
			Name: name, Profile: "scraper", Backends: []string{"backends/lgtm"}, NoWait: true,
			Env: tiers.With(tiers.ToSink(t, s.sink), map[string]string{
				"SCRAPE_RECEIVERS": "[prometheus/allocator, otlp]", "TARGET_ALLOCATOR_URL": "http://" + front,
			}),
		})
		scrapers = append(scrapers, s)
	}
	for _, s := range scrapers {
		proc.Eventually(t, 30*time.Second, func() error {
			if n := strings.Count(s.Proc.Output(), "Failed to retrieve job list"); n < 3 {
				return fmt.Errorf("asked for targets %d times", n)
			}
			return nil
		}, s.Proc)
		resp, err := http.Get("http://" + s.Health)
		require.NoError(t, err)
		resp.Body.Close()
		// The whole collector waits, not only the receiver: that is why no OTLP gateway has it.
		assert.Equal(t, http.StatusServiceUnavailable, resp.StatusCode)
	}

	account := k.ServiceAccount(t, "sluice", "sluice-targetallocator")
	allocator := backends.StartTargetAllocator(t, fmt.Sprintf(allocatorConfig, "'"+strings.Join(addrs, "', '")+"'"), account.Kubeconfig)
	given := map[string]string{} // the allocator's word on who has which target
	proc.Eventually(t, 30*time.Second, func() error {
		clear(given)
		for _, name := range names {
			for _, addr := range assigned(t, allocator, name) {
				given[addr] += name
			}
		}
		if len(given) < len(addrs) {
			return fmt.Errorf("%d of %d targets given away", len(given), len(addrs))
		}
		return nil
	}, allocator.Process)
	forward(t, front, allocator.URL)

	for i, s := range scrapers {
		s.WaitHealthy(t)
		s.sink.WaitPoints(t, 45*time.Second, func(points []harness.Point) error {
			up := ups(points, "shop")
			for _, addr := range addrs {
				if mine := given[addr] == names[i]; mine != (up[addr] == 1) {
					return fmt.Errorf("%s: up of %s is %v, its own: %t", names[i], addr, up[addr], mine)
				}
			}
			return nil
		}, s.Proc, allocator.Process)
		assert.Greater(t, len(ups(s.sink.Points(), "shop")), 4, "%s has its part of the work", names[i])
	}
	assert.Empty(t, k.AuditLog.Forbidden(t))
}

// assigned asks the allocator for a collector's targets.
func assigned(t *testing.T, a *backends.TargetAllocator, collector string) []string {
	t.Helper()
	resp, err := http.Get(a.URL + "/jobs/shop/targets?collector_id=" + collector)
	require.NoError(t, err)
	defer resp.Body.Close()
	var groups []struct{ Targets []string }
	require.NoError(t, json.NewDecoder(resp.Body).Decode(&groups))
	var addrs []string
	for _, g := range groups {
		addrs = append(addrs, g.Targets...)
	}
	return addrs
}

// forward answers on an address with what a server answers.
func forward(t *testing.T, addr, to string) {
	t.Helper()
	target, err := url.Parse(to)
	require.NoError(t, err)
	serve(t, addr, nil, httputil.NewSingleHostReverseProxy(target))
}
