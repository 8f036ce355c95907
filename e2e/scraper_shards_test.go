//go:build e2e

package e2e

import (
	"fmt"
	"maps"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluice-otel/sluice/e2e/backends"
	"github.com/sluice-otel/sluice/e2e/harness"
	"github.com/sluice-otel/sluice/e2e/netns"
	"github.com/sluice-otel/sluice/e2e/proc"
	"github.com/sluice-otel/sluice/e2e/tiers"
)

// The five jobs' targets are split among the replicas: none is left out, none is scraped twice.
func TestScraperShards(t *testing.T) {
	k := tiers.StartKubernetesOn(t, netns.Addr(t, 1))
	var pages []*metricsPage
	var manifests strings.Builder
	for i := range 20 {
		pages = append(pages, servePage(t, netns.Addr(t, 2+i%4), nil))
		name := fmt.Sprintf("target-%d", i)
		if i < 14 {
			k.Pod(t, backends.PodSpec{Namespace: "shop", Name: name, IP: pages[i].ip(), Annotations: annotations("port", pages[i].port())})
			continue
		}
		annotatedService{name: name, annotations: annotations()}.create(t, k, pages[i], &manifests)
	}
	k.Apply(t, manifests.String())
	for i := range 6 { // no kubelet answers there, but targets they are
		makeNode(t, k, fmt.Sprintf("node-%d", i), fmt.Sprintf("10.99.1.%d", i), "10250")
	}
	// As many as there are objects of each kind; node targets are those of two jobs.
	want := map[string]int{
		"kubernetes-apiservers": 1, "kubernetes-nodes": 6, "kubernetes-nodes-cadvisor": 6,
		"kubernetes-pods": 14, "kubernetes-service-endpoints": 6,
	}

	var shards []*scraper
	for i := range 2 {
		shards = append(shards, startScraper(t, k, map[string]string{"SCRAPE_SHARDS": "2", "SCRAPE_SHARD": strconv.Itoa(i)}))
	}
	proc.Eventually(t, 30*time.Second, func() error {
		got := map[string]int{}
		for _, s := range shards {
			for _, target := range s.targets(t).Active {
				got[target.Job]++
			}
		}
		if !maps.Equal(got, want) {
			return fmt.Errorf("targets of both shards: %v", got)
		}
		return nil
	}, shards[0].Proc, shards[1].Proc)

	found := map[string]bool{}
	shardOf := map[string]int{} // by the address of a page
	for i, s := range shards {
		active := s.targets(t).Active
		require.NotEmpty(t, active, "shard %d", i)
		for _, target := range active {
			id := target.Job + " " + target.URL
			require.False(t, found[id], "both shards have %s", id)
			found[id], shardOf[target.Labels["instance"]] = true, i
		}
	}
	for i, s := range shards {
		s.sink.WaitPoints(t, 30*time.Second, func(points []harness.Point) error {
			up := ups(points, "kubernetes-pods")
			maps.Copy(up, ups(points, "kubernetes-service-endpoints"))
			for _, p := range pages {
				if _, scraped := up[p.addr]; scraped != (shardOf[p.addr] == i) {
					return fmt.Errorf("shard %d scraped %s: %t; it belongs to %d", i, p.addr, scraped, shardOf[p.addr])
				}
			}
			return nil
		}, s.Proc)
	}
}
