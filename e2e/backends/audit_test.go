package backends

import (
	"slices"
	"testing"
)

// A role counts when it is bound to the account, whatever its name.
func TestGrants(t *testing.T) {
	const list = `{"items": [
		{"kind": "ClusterRole", "metadata": {"name": "reader"}, "rules": [{"apiGroups": ["", "apps"], "resources": ["pods/log"], "verbs": ["get", "list"]}, {"nonResourceURLs": ["/metrics"], "verbs": ["get"]}]},
		{"kind": "ClusterRole", "metadata": {"name": "shop"}, "rules": [{"apiGroups": [""], "resources": ["secrets"], "verbs": ["get"]}]},
		{"kind": "Role", "metadata": {"name": "lease", "namespace": "a"}, "rules": [{"apiGroups": ["coordination.k8s.io"], "resources": ["leases"], "verbs": ["update"]}]},
		{"kind": "Role", "metadata": {"name": "lease", "namespace": "b"}, "rules": [{"apiGroups": [""], "resources": ["events"], "verbs": ["delete"]}]},
		{"kind": "ClusterRoleBinding", "metadata": {"name": "x"}, "roleRef": {"kind": "ClusterRole", "name": "reader"}, "subjects": [{"kind": "ServiceAccount", "name": "shop", "namespace": "a"}]},
		{"kind": "ClusterRoleBinding", "metadata": {"name": "y"}, "roleRef": {"kind": "ClusterRole", "name": "shop"}, "subjects": [{"kind": "ServiceAccount", "name": "shop", "namespace": "b"}]},
		{"kind": "RoleBinding", "metadata": {"name": "z", "namespace": "a"}, "roleRef": {"kind": "Role", "name": "lease"}, "subjects": [{"kind": "ServiceAccount", "name": "shop", "namespace": "a"}]}
	]}`
	want := []string{"get pods.apps/log", "get pods/log", "get /metrics", "list pods.apps/log", "list pods/log", "update leases.coordination.k8s.io"}
	got := Grants(t, list, "a", "shop")
	slices.Sort(want)
	slices.Sort(got)
	if !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}
