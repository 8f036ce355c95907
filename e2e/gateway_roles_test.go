//go:build e2e

package e2e

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sluice-otel/sluice/e2e/backends"
	"github.com/sluice-otel/sluice/e2e/harness"
	"github.com/sluice-otel/sluice/e2e/proc"
	"github.com/sluice-otel/sluice/e2e/tiers"
)

// The gateway's role is exactly what it does: nothing it asks for is refused, and nothing is granted that it does not ask for.
func TestGatewayNothingForbiddenNothingUnused(t *testing.T) {
	k := tiers.StartKubernetes(t)
	sink := harness.StartSink(t, harness.SinkOptions{})
	k.Kubectl(t, event("marker", "default", "something to read"), "create", "-f", "-")
	gateway := tiers.Start(t, k, tiers.Tier{
		Profile: "gateway", Backends: []string{"backends/lgtm", "backends/to-sampling"},
		Env: tiers.With(tiers.ToSink(t, sink), map[string]string{"CLUSTER_METRICS_INTERVAL": clusterInterval.String()}),
	})
	sink.WaitLogs(t, 20*time.Second, told("marker", 1), gateway.Proc)

	require.Contains(t, grants(t, k, "sluice", "sluice-gateway"), "watch pods")
	proc.Eventually(t, 15*time.Second, func() error { // the lease is renewed after 2 s
		if unused := unusedGrants(t, k, "sluice", "sluice-gateway"); len(unused) > 0 {
			return fmt.Errorf("granted, but never asked for: %q", unused)
		}
		return nil
	}, gateway.Proc)
	assert.Empty(t, k.Forbidden(t))
	assert.Empty(t, linesOf(gateway, "forbidden"))
}

// unusedGrants are what the roles of an account allow and the account did not ask for so far.
func unusedGrants(t *testing.T, k *backends.Kubernetes, namespace, account string) []string {
	t.Helper()
	used := calls(t, k, "system:serviceaccount:"+namespace+":"+account)
	return slices.DeleteFunc(grants(t, k, namespace, account), func(call string) bool { return slices.Contains(used, call) })
}

// grants are what the roles named like an account allow, as "verb resource", with the group as kubectl spells it.
func grants(t *testing.T, k *backends.Kubernetes, namespace, account string) []string {
	t.Helper()
	var roles struct {
		Items []struct {
			Metadata struct{ Name string }
			Rules    []struct{ APIGroups, Resources, Verbs []string }
		}
	}
	require.NoError(t, json.Unmarshal([]byte(k.Kubectl(t, "", "get", "clusterroles,roles", "-n", namespace, "-o", "json")), &roles))
	var list []string
	for _, role := range roles.Items {
		if role.Metadata.Name != account {
			continue
		}
		for _, rule := range role.Rules {
			for _, verb := range rule.Verbs {
				for _, resource := range rule.Resources {
					list = append(list, verb+" "+qualified(resource, rule.APIGroups[0]))
				}
			}
		}
	}
	return list
}

// calls are what a user asked the API server for, spelled like grants, unless that was refused.
func calls(t *testing.T, k *backends.Kubernetes, user string) []string {
	t.Helper()
	log, err := os.ReadFile(k.AuditLog)
	require.NoError(t, err)
	var list []string
	for line := range strings.Lines(string(log)) {
		var e struct {
			Verb           string
			User           struct{ Username string }
			ObjectRef      struct{ Resource, Subresource, APIGroup string }
			ResponseStatus struct{ Code int }
		}
		if json.Unmarshal([]byte(line), &e) != nil || e.User.Username != user || e.ResponseStatus.Code == http.StatusForbidden {
			continue // the last line may be half written
		}
		resource := e.ObjectRef.Resource
		if e.ObjectRef.Subresource != "" {
			resource += "/" + e.ObjectRef.Subresource
		}
		list = append(list, e.Verb+" "+qualified(resource, e.ObjectRef.APIGroup))
	}
	return list
}

func qualified(resource, group string) string {
	if group == "" {
		return resource
	}
	return resource + "." + group
}
