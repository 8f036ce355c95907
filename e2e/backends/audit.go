package backends

import (
	"bytes"
	"encoding/json"
	"net/http"
	"os"
	"slices"
	"testing"
)

// auditPolicy logs every call once, when it was answered, without bodies.
const auditPolicy = `apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived]
rules: [{level: Metadata}]
`

// auditEvent is what we read of an audit.k8s.io/v1 Event.
type auditEvent struct {
	Verb       string `json:"verb"`
	RequestURI string `json:"requestURI"`
	User       struct {
		Username string `json:"username"`
	} `json:"user"`
	ObjectRef *struct {
		Resource    string `json:"resource"`
		APIGroup    string `json:"apiGroup"`
		Subresource string `json:"subresource"`
	} `json:"objectRef"`
	ResponseStatus struct {
		Code int `json:"code"`
	} `json:"responseStatus"`
}

// resource is spelled as in `kubectl auth can-i`: deployments.apps, pods/log, or a path like /metrics.
func (e *auditEvent) resource() string {
	if e.ObjectRef == nil {
		return e.RequestURI
	}
	s := e.ObjectRef.Resource
	if e.ObjectRef.APIGroup != "" {
		s += "." + e.ObjectRef.APIGroup
	}
	if e.ObjectRef.Subresource != "" {
		s += "/" + e.ObjectRef.Subresource
	}
	return s
}

// Forbidden lists the calls that were answered 403 so far, each once, as "user verb resource". The API server writes
// a call down just after its answer, so a test that waits for a line has to poll.
func (k *Kubernetes) Forbidden(tb testing.TB) []string {
	tb.Helper()
	b, err := os.ReadFile(k.AuditLog)
	must(tb, err)
	var calls []string
	for line := range bytes.Lines(b) {
		if !bytes.HasSuffix(line, []byte("\n")) {
			break // still being written
		}
		var e auditEvent
		if err := json.Unmarshal(line, &e); err != nil {
			tb.Fatalf("audit log: %v: %s", err, line)
		}
		call := e.User.Username + " " + e.Verb + " " + e.resource()
		if e.ResponseStatus.Code == http.StatusForbidden && !slices.Contains(calls, call) {
			calls = append(calls, call)
		}
	}
	return calls
}
