package backends

import (
	"bytes"
	"encoding/json"
	"net/http"
	"os"
	"slices"
	"strings"
	"testing"
)

// auditPolicy logs every call once, when it was answered. Of bodies it has those of reviews only: that is how a kubelet asks whether somebody
// may read its statistics.
const auditPolicy = `apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived]
rules:
  - level: RequestResponse
    resources: [{group: authorization.k8s.io, resources: [subjectaccessreviews]}]
  - level: Metadata
`

// Call is something that the API server, or a kubelet in its name, was asked for.
type Call struct {
	User, Verb string
	// Resource is spelled as in `kubectl auth can-i`: deployments.apps, pods/log, or a path like /metrics.
	Resource string
	Refused  bool // answered 403
}

func (c Call) String() string { return c.User + " " + c.Verb + " " + c.Resource }

// Audit is the file of an API server's audit log, one event of audit.k8s.io/v1 on a line. A call is written down just after its answer, so a
// test that waits for one has to poll.
type Audit string

// Calls lists what was asked for so far, each once.
func (a Audit) Calls(tb testing.TB) []Call {
	tb.Helper()
	b, err := os.ReadFile(string(a))
	must(tb, err)
	var calls []Call
	seen := map[Call]bool{}
	for line := range bytes.Lines(b) {
		if !bytes.HasSuffix(line, []byte("\n")) {
			break // still being written
		}
		var e auditEvent
		if err := json.Unmarshal(line, &e); err != nil {
			tb.Fatalf("audit log: %v: %s", err, line)
		}
		for _, c := range e.calls() {
			if !seen[c] {
				seen[c] = true
				calls = append(calls, c)
			}
		}
	}
	return calls
}

// Forbidden are the calls that were refused, as "user verb resource".
func (a Audit) Forbidden(tb testing.TB) []string {
	tb.Helper()
	var refused []string
	for _, c := range a.Calls(tb) {
		if c.Refused {
			refused = append(refused, c.String())
		}
	}
	return refused
}

// Unused are the grants, as Grants spells them, that a user never made use of.
func (a Audit) Unused(tb testing.TB, user string, grants []string) []string {
	tb.Helper()
	used := map[string]bool{}
	for _, c := range a.Calls(tb) {
		if c.User == user && !c.Refused {
			used[c.Verb+" "+c.Resource] = true
		}
	}
	return slices.DeleteFunc(slices.Clone(grants), func(grant string) bool { return used[grant] })
}

type auditEvent struct {
	Verb       string
	RequestURI string
	User       struct{ Username string }
	ObjectRef  *struct{ Resource, APIGroup, Subresource string }

	ResponseStatus struct{ Code int }
	ResponseObject struct {
		Spec struct {
			User                  string
			ResourceAttributes    *struct{ Verb, Group, Resource, Subresource string }
			NonResourceAttributes *struct{ Path, Verb string }
		}
		Status struct{ Allowed bool }
	}
}

// calls are the call itself and, of a review, the one that it is about.
func (e *auditEvent) calls() []Call {
	path, _, _ := strings.Cut(e.RequestURI, "?")
	own := Call{e.User.Username, e.Verb, path, e.ResponseStatus.Code == http.StatusForbidden}
	if o := e.ObjectRef; o != nil {
		own.Resource = spelled(o.Resource, o.Subresource, o.APIGroup)
	}
	review := e.ResponseObject
	refused := !review.Status.Allowed
	if r := review.Spec.ResourceAttributes; r != nil {
		return []Call{own, {review.Spec.User, r.Verb, spelled(r.Resource, r.Subresource, r.Group), refused}}
	}
	if r := review.Spec.NonResourceAttributes; r != nil {
		return []Call{own, {review.Spec.User, r.Verb, r.Path, refused}}
	}
	return []Call{own}
}

func spelled(resource, subresource, group string) string {
	if group != "" {
		resource += "." + group
	}
	if subresource != "" {
		resource += "/" + subresource
	}
	return resource
}

// RolesAndBindings is what Grants wants to know, for `kubectl get`.
const RolesAndBindings = "clusterroles,roles,clusterrolebindings,rolebindings"

// Grants are what the roles that are bound to a ServiceAccount allow, as "verb resource", but not what its groups may do, as everybody who is
// known; list is what `kubectl get RolesAndBindings --all-namespaces -o json` prints.
func Grants(tb testing.TB, list, namespace, account string) []string {
	tb.Helper()
	type subject struct{ Kind, Name, Namespace string }
	var objects struct {
		Items []struct {
			Kind     string
			Metadata struct{ Name, Namespace string }
			Rules    []struct{ APIGroups, Resources, NonResourceURLs, Verbs []string }
			RoleRef  struct{ Kind, Name string }
			Subjects []subject
		}
	}
	must(tb, json.Unmarshal([]byte(list), &objects))
	bound := map[subject]bool{} // the roles
	for _, o := range objects.Items {
		if slices.Contains(o.Subjects, subject{"ServiceAccount", account, namespace}) {
			role := subject{Kind: o.RoleRef.Kind, Name: o.RoleRef.Name}
			if role.Kind == "Role" {
				role.Namespace = o.Metadata.Namespace
			}
			bound[role] = true
		}
	}
	var grants []string
	for _, o := range objects.Items {
		if !bound[subject{o.Kind, o.Metadata.Name, o.Metadata.Namespace}] {
			continue
		}
		for _, rule := range o.Rules {
			for _, verb := range rule.Verbs {
				for _, group := range rule.APIGroups {
					for _, resource := range rule.Resources {
						resource, subresource, _ := strings.Cut(resource, "/")
						grants = append(grants, verb+" "+spelled(resource, subresource, group))
					}
				}
				for _, path := range rule.NonResourceURLs {
					grants = append(grants, verb+" "+path)
				}
			}
		}
	}
	return grants
}
