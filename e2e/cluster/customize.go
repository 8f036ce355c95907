package cluster

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// Intervals are what tests set so as not to wait for minutes: quick has them as the manifests spell them.
const (
	ScrapeInterval  = 5 * time.Second
	ClusterInterval = 10 * time.Second
	HostInterval    = 10 * time.Second
	LeaseDuration   = 15 * time.Second
)

const quick = `apiVersion: kustomize.config.k8s.io/v1beta1
kind: Kustomization
resources: [$DEPLOY/overlays/lgtm]
configMapGenerator:
  - name: sluice-backend
    namespace: sluice
    behavior: merge
    literals: [SCRAPE_INTERVAL=5s, CLUSTER_METRICS_INTERVAL=10s, LEASE_DURATION=15s, LEASE_RENEW_DEADLINE=10s]
  - name: sluice-cluster
    namespace: sluice-agent
    behavior: merge
    literals: [HOST_METRICS_INTERVAL=10s]
`

var (
	customizing sync.Mutex // one change of the installation at a time
	quickened   bool       // whether the intervals are short
)

// Quick makes the intervals short, unless they are already. It leaves alone what another test has customized since.
func (s *Sluice) Quick(tb testing.TB) {
	tb.Helper()
	customizing.Lock()
	done := quickened
	customizing.Unlock()
	if !done {
		s.Customize(tb, "")
	}
}

// Customize applies the quickstart's overlay as a user changes it: by a kustomization on top, in which the intervals are short and to
// which more may be added, with $DEPLOY for the folder of the manifests. It returns when all tiers are rolled out.
func (s *Sluice) Customize(tb testing.TB, more string) {
	tb.Helper()
	customizing.Lock()
	defer customizing.Unlock()
	s.customize(tb, more)
	for _, w := range tiers {
		s.WaitRollout(tb, w[0], w[1], 4*time.Minute)
	}
	quickened = true
}

// Restore takes back what a test has customized, when it ends, but for the intervals. Nobody waits for that.
func (s *Sluice) Restore(tb testing.TB) {
	tb.Helper()
	tb.Cleanup(func() {
		customizing.Lock()
		defer customizing.Unlock()
		s.customize(tb, "")
	})
}

func (s *Sluice) customize(tb testing.TB, more string) {
	tb.Helper()
	dir := tb.TempDir()
	// kustomize takes no absolute paths.
	deploy, err := filepath.Rel(dir, filepath.Join(repository(tb), "deploy", "kubernetes"))
	if err != nil {
		tb.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "kustomization.yaml"), []byte(strings.ReplaceAll(quick+more, "$DEPLOY", deploy)), 0o644); err != nil {
		tb.Fatal(err)
	}
	s.Kubectl(tb, "apply", "-k", dir)
}

// Scrapers customizes the number of scrapers.
func (s *Sluice) Scrapers(tb testing.TB, n int) {
	tb.Helper()
	s.Customize(tb, fmt.Sprintf("replicas: [{name: sluice-scraper, count: %d}]\ntransformers: [$DEPLOY/transformers]\n", n))
}
