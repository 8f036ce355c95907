package lokihintprocessor

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/client"
	"go.opentelemetry.io/collector/consumer/consumererror"
	"go.opentelemetry.io/collector/pdata/plog"
)

const byTeam = "{tenant: {from: [resource.team, resource.k8s.namespace.name], default: nobody}, labels: [resource.k8s.namespace.name]}"

// ofTeam is a resource with records of a team.
func ofTeam(team any, bodies ...string) plog.Logs {
	var records []record
	for _, body := range bodies {
		records = append(records, record{body: body})
	}
	return many(kv{"team", team}, records...)
}

// bodies are what a request has, in order.
func bodies(ld plog.Logs) string {
	var all []string
	for _, rl := range ld.ResourceLogs().All() {
		for _, sl := range rl.ScopeLogs().All() {
			for _, lr := range sl.LogRecords().All() {
				all = append(all, lr.Body().AsString())
			}
		}
	}
	return strings.Join(all, " ")
}

func (r request) tenant() string { return strings.Join(r.metadata.Get("x-scope-orgid"), ",") }

// sent is each request with its tenant.
func sent(requests []request) []string {
	var all []string
	for _, r := range requests {
		all = append(all, r.tenant()+": "+bodies(r.logs))
	}
	return all
}

// Every request is of one tenant, in the order in which they come.
func TestTenantsApart(t *testing.T) {
	r := newRig(t, byTeam)
	assert.Equal(t, []string{"a: 1 2 5", "b: 3", "nobody: 4 6"}, sent(r.send(join(
		ofTeam("a", "1", "2"), ofTeam("b", "3"), ofTeam("", "4"), ofTeam("a", "5"), ofTeam("x|y", "6")))))
	assert.Equal(t, []string{"a: 1 2"}, sent(r.send(join(ofTeam("a", "1"), ofTeam("a", "2")))))
	assert.Equal(t, map[string]int64{"": 1}, r.counted("invalid_tenant_records", "none"))
	assert.Equal(t, map[string]int64{"": 3}, r.counted("tenants", "none"))
}

func TestWhoseItIs(t *testing.T) {
	f := func(in kv, want string) {
		t.Helper()
		r := newRig(t, byTeam)
		assert.Equal(t, []string{want + ": x"}, sent(r.send(one(in, nil, nil))))
	}
	f(kv{"team", "a", "k8s.namespace.name", "n"}, "a")
	f(kv{"team", "", "k8s.namespace.name", "n"}, "n")
	f(kv{"team", kv{"a", 1}, "k8s.namespace.name", "n"}, "n")
	f(kv{"k8s_namespace_name", "n"}, "n")
	f(kv{"team", 7}, "7")
	f(kv{}, "nobody")
	// One that is none does not make way for the next source: records of a team must not be another's.
	f(kv{"team", "a:b", "k8s.namespace.name", "n"}, "nobody")
	f(kv{"team", "a\xff", "k8s.namespace.name", "n"}, "nobody")
	f(kv{"team", ".."}, "nobody")
	f(kv{"team", strings.Repeat("a", 151)}, "nobody")
	f(kv{"team", strings.Repeat("a", 150)}, strings.Repeat("a", 150))
	// A record's attribute is no tenant.
	r := newRig(t, byTeam)
	assert.Equal(t, []string{"nobody: x"}, sent(r.send(one(nil, kv{"team", "a"}, kv{"team", "a"}))))
}

// What a client sent along stays, but for a tenant of its own.
func TestClientMetadata(t *testing.T) {
	came := client.Info{Metadata: client.NewMetadata(map[string][]string{"X-Scope-OrgID": {"evil", "two"}, "Other": {"1", "2"}})}
	f := func(config string, in plog.Logs, want ...map[string][]string) {
		t.Helper()
		r := newRig(t, config)
		require.NoError(t, r.ConsumeLogs(client.NewContext(context.Background(), came), in))
		for i, request := range r.out.take() {
			got := map[string][]string{}
			for k := range request.metadata.Keys() {
				got[k] = request.metadata.Get(k)
			}
			assert.Equal(t, want[i], got)
		}
	}
	other := []string{"1", "2"}
	f("{}", ofTeam("a", "x"), map[string][]string{"x-scope-orgid": {"evil", "two"}, "other": other})
	f(byTeam, ofTeam("a", "x"), map[string][]string{"x-scope-orgid": {"a"}, "other": other})
	f(byTeam, join(ofTeam("a", "x"), ofTeam("", "x")), map[string][]string{"x-scope-orgid": {"a"}, "other": other}, map[string][]string{"x-scope-orgid": {"nobody"}, "other": other})
	f("{tenant: {default: all}}", ofTeam("a", "x"), map[string][]string{"x-scope-orgid": {"all"}, "other": other})
	f("{tenant: {default: all, metadata_key: Team}}", ofTeam("a", "x"), map[string][]string{"x-scope-orgid": {"evil", "two"}, "team": {"all"}, "other": other})
	assert.Equal(t, []string{"evil", "two"}, came.Metadata.Get("x-scope-orgid"), "the sender's own is as it was")
}

var (
	errLater = errors.New("later")
	errNever = consumererror.NewPermanent(errors.New("never"))
)

// refusing is the error for each tenant.
func refusing(of map[string]error) func(request) error {
	return func(r request) error { return of[r.tenant()] }
}

// When some tenants' requests are refused, the error has exactly what can be sent again.
func TestTenantsThatAreRefused(t *testing.T) {
	batch := func() plog.Logs { return join(ofTeam("a", "1"), ofTeam("b", "2"), ofTeam("a", "3"), ofTeam("c", "4")) }
	f := func(refuse map[string]error, failed string, permanent bool, wantErr ...error) {
		t.Helper()
		r := newRig(t, byTeam)
		r.out.refuse = refusing(refuse)
		err := r.ConsumeLogs(context.Background(), batch())
		for _, want := range wantErr {
			require.ErrorContains(t, err, strings.TrimPrefix(want.Error(), "Permanent error: "))
		}
		assert.Equal(t, permanent, consumererror.IsPermanent(err))
		var partial consumererror.Logs
		got := ""
		if errors.As(err, &partial) {
			got = bodies(partial.Data())
		}
		assert.Equal(t, failed, got)
		var taken []string
		for _, s := range sent(r.out.take()) {
			taken = append(taken, s[:1])
		}
		for tenant := range strings.SplitSeq("a b c", " ") {
			assert.Equal(t, refuse[tenant] == nil, slices.Contains(taken, tenant), "each is tried: %s", tenant)
		}
	}
	f(map[string]error{}, "", false)
	f(map[string]error{"b": errLater}, "2", false, errLater)
	f(map[string]error{"a": errLater, "c": errLater}, "1 3 4", false, errLater)
	f(map[string]error{"a": errNever}, "", true, errNever)
	f(map[string]error{"a": errNever, "b": errNever, "c": errNever}, "", true, errNever)
	f(map[string]error{"a": errNever, "b": errLater}, "2", false, errLater, errNever)
	f(map[string]error{"b": errNever, "a": errLater}, "1 3", false, errLater, errNever)
	// Who refuses a part of one says which.
	f(map[string]error{"a": consumererror.NewLogs(errLater, ofTeam("a", "3")), "b": errLater}, "3 2", false, errLater)
}

// One tenant's error goes through as it is.
func TestOneTenantThatIsRefused(t *testing.T) {
	for _, config := range []string{byTeam, "{}"} {
		for _, want := range []error{errLater, errNever} {
			r := newRig(t, config)
			r.out.refuse = func(request) error { return want }
			require.Equal(t, want, r.ConsumeLogs(context.Background(), ofTeam("a", "1")))
		}
	}
}

// What is sent again after a refusal comes out the same.
func TestSendingAgain(t *testing.T) {
	r := newRig(t, byTeam)
	r.out.refuse = refusing(map[string]error{"b": errLater})
	in := join(one(kv{"team", "a", "k8s.pod.name", "p"}, nil, kv{"_", 1}), one(kv{"team", "b", "k8s.pod.name", "p"}, nil, kv{"_", 1}))
	var partial consumererror.Logs
	require.ErrorAs(t, r.ConsumeLogs(context.Background(), in), &partial)
	first := r.shown(r.out.take()[0].logs)
	r.out.refuse = nil
	again := r.send(partial.Data())
	assert.Equal(t, "b", again[0].tenant())
	assert.Equal(t, strings.Replace(first, `team="a"`, `team="b"`, 1), r.shown(again[0].logs))
}

func TestATenantByHint(t *testing.T) {
	const config = "{tenant: {from: [resource.team, resource.org.id], default: nobody}, hints: {honor: [loki.tenant]}}"
	f := func(in, ofRecord kv, want string, honored int64) {
		t.Helper()
		r := newRig(t, config)
		got := r.send(one(append(kv{"team", "t", "org.id", "o", "evil", "e"}, in...), nil, ofRecord))
		assert.Equal(t, []string{want + ": x"}, sent(got))
		assert.NotContains(t, r.shown(got[0].logs), "loki_tenant")
		assert.Equal(t, honored, r.counted("hints", "action")["honored"])
	}
	f(nil, nil, "t", 0)
	f(kv{"loki.tenant", "org.id"}, nil, "o", 1)
	f(kv{"loki.tenant", "evil"}, nil, "t", 0)
	f(kv{"loki.tenant", "evil, org.id"}, nil, "o", 1)
	f(nil, kv{"loki.tenant", "org.id"}, "t", 0) // a record has no tenant
	r := newRig(t, config)
	assert.Equal(t, []string{"t: x"}, sent(r.send(one(kv{"loki.tenant", "org.id", "team", "t"}, nil, nil))), "one without a value")
	r = newRig(t, byTeam)
	assert.Equal(t, []string{"n: x"}, sent(r.send(one(kv{"loki.tenant", "team", "k8s.namespace.name", "n"}, nil, nil))))
}

// Records that are split by their labels stay their tenant's.
func TestTenantsOfWhatIsSplit(t *testing.T) {
	r := newRig(t, "{contract: generated, labels: [{name: level, from: [severity]}], tenant: {from: [resource.team], default: nobody}}")
	levels := func(team string) plog.Logs {
		return many(kv{"team", team}, record{body: team, level: 1}, record{body: team, level: 9}, record{body: team, level: 17}, record{body: team, level: 10})
	}
	for _, request := range r.send(join(levels("a"), levels("b"), levels("a"), levels("c"))) {
		tenant := request.tenant()
		n := map[string]int{"a": 8, "b": 4, "c": 4}[tenant]
		assert.Equal(t, strings.TrimSpace(strings.Repeat(tenant+" ", n)), bodies(request.logs))
		assert.Equal(t, 3*n/4, request.logs.ResourceLogs().Len())
	}
}

// A budget is a tenant's own.
func TestTenantsHaveBudgets(t *testing.T) {
	r := newRig(t, "{tenant: {from: [resource.team], default: nobody}, labels: [resource.k8s.pod.name], budget: {max_values: 1, max_tenants: 2}}")
	pods := func(team string, n int) (labels int) {
		for i := range n {
			out := r.through(one(kv{"team", team, "k8s.pod.name", fmt.Sprint(team, i)}, nil, nil))
			if r.store(out).Entries[0].Labels["k8s_pod_name"] != "" {
				labels++
			}
		}
		return labels
	}
	assert.Equal(t, 1, pods("a", 5))
	assert.Equal(t, 1, pods("b", 5))
	assert.Equal(t, 1, pods("c", 5))
	assert.Equal(t, 0, pods("d", 5), "c and d share one")
}
