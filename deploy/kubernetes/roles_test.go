//go:build e2e

package kubernetes

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sluice-otel/sluice/e2e/backends"
)

// granted lists what the ClusterRoles of a file allow, as "verb resource.group".
func granted(t *testing.T, file string) (calls []string) {
	t.Helper()
	for _, o := range decode(t, read(t, "deploy/kubernetes/"+file)) {
		rules, _ := o.at(t, "rules").([]any)
		for i := range rules {
			for _, group := range o.at(t, "rules", i, "apiGroups").([]any) {
				for _, resource := range o.at(t, "rules", i, "resources").([]any) {
					for _, verb := range o.at(t, "rules", i, "verbs").([]any) {
						calls = append(calls, strings.TrimSuffix(fmt.Sprintf("%v %v.%v", verb, resource, group), "."))
					}
				}
			}
		}
	}
	return calls
}

// used lists what a user did by its role, from the audit log; what anybody may do (discovery, asking what one may do) is left out.
func used(t *testing.T, k *backends.Kubernetes, user string) (calls []string) {
	t.Helper()
	text, err := os.ReadFile(k.AuditLog)
	require.NoError(t, err)
	for line := range strings.Lines(string(text)) {
		var e struct {
			Verb           string
			User           struct{ Username string }
			ObjectRef      struct{ Resource, APIGroup string }
			ResponseStatus struct{ Code int }
		}
		if json.Unmarshal([]byte(line), &e) != nil || e.User.Username != user || e.ObjectRef.Resource == "" || e.ResponseStatus.Code == http.StatusForbidden {
			continue // the last line may be half written
		}
		call := strings.TrimSuffix(e.Verb+" "+e.ObjectRef.Resource+"."+e.ObjectRef.APIGroup, ".")
		if e.ObjectRef.APIGroup != "authorization.k8s.io" && !slices.Contains(calls, call) {
			calls = append(calls, call)
		}
	}
	return calls
}
