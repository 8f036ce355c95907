package lokihintprocessor

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/consumer/consumererror"
	"go.opentelemetry.io/collector/pdata/plog"
)

const maxTestBytes = 65536

// lokiBytes are what Loki counts of a record: its line, and all of its structured metadata.
func (r *rig) lokiBytes(ld plog.Logs) (most, sum int) {
	for _, e := range r.store(ld).Entries {
		n := len(e.Line)
		for _, p := range e.Metadata {
			n += len(p.Name) + len(p.Value)
		}
		most, sum = max(most, n), sum+n
	}
	return most, sum
}

// Requests are no larger than they may be, as Loki counts: with what the resource has in every record.
func TestRequestsAreCut(t *testing.T) {
	f := func(config string, in plog.Logs, wantRequests int) {
		t.Helper()
		r := newRig(t, "{max_request_bytes: 65536, "+config+"}")
		requests := r.send(copied(in))
		out := logs()
		for _, request := range requests {
			most, sum := r.lokiBytes(request.logs)
			assert.True(t, sum <= maxTestBytes || sum == most, "%d bytes", sum)
			for _, rl := range request.logs.ResourceLogs().All() {
				assert.NotZero(t, count(rl), "no empty resources")
			}
			out = join(out, copied(request.logs))
		}
		assert.Len(t, requests, wantRequests)
		sameRecords(t, in, out)
		assert.Equal(t, r.shown(newRig(t, "{"+config+"}").through(in)), r.shown(out), "the same, in the same order")
	}
	records := func(n, size int) (all []record) {
		for i := range n {
			all = append(all, record{body: strconv.Itoa(i) + strings.Repeat("x", size)})
		}
		return all
	}
	const plain = "labels: [resource.k8s.namespace.name]"
	shared := strings.Repeat("y", 900)
	f(plain, many(nil, records(60, 1000)...), 1)
	f(plain, many(nil, records(70, 1000)...), 2)
	f(plain, many(nil, records(1, 100_000)...), 1)
	f(plain, many(nil, records(3, 100_000)...), 3)
	f(plain, many(kv{"host.name", shared}, records(100, 10)...), 2)
	f(plain, many(kv{"k8s.namespace.name", shared}, records(100, 10)...), 1) // a label is not copied
	f(plain, logs(resource{scopes: []scope{{attrs: kv{"a", shared}, records: records(100, 10)}}}), 2)
	f(plain, many(kv{"list", []any{shared}}, records(100, 10)...), 2)
	f(plain, many(kv{"bytes", []byte(shared)}, records(100, 10)...), 2)
	f(plain, many(kv{"map", kv{"a", kv{"b", []any{shared}}}}, records(100, 10)...), 2)
	f(plain, join(many(nil, records(40, 1000)...), many(kv{"a", 1}, records(10, 1000)...), many(kv{"a", 2}, records(40, 1000)...)), 2)
	f(plain, logs(resource{schema: "r", attrs: kv{"a", 1}, scopes: []scope{
		{name: "one", schema: "s", records: records(50, 1000)}, {}, {name: "two", attrs: kv{"b", 2}, records: records(50, 1000)},
	}}), 2)
}

// Also those of tenants, of records that were split, and of anything that dice make.
func TestRandomRequestsAreCut(t *testing.T) {
	for seed := range uint64(15) {
		dice := rand.New(rand.NewPCG(seed, 9)) //nolint:gosec // the same each time
		r := newRig(t, `{contract: generated, max_request_bytes: 65536, labels: [{name: level, from: [severity]}], tenant: {from: [resource.team], default: nobody}}`)
		in, n := logs(), 0
		for range 1 + dice.IntN(6) {
			var scopes []scope
			for range dice.IntN(4) {
				s := scope{name: fmt.Sprint("s", dice.IntN(3)), schema: strconv.Itoa(dice.IntN(2))}
				for range dice.IntN(40) {
					s.records = append(s.records, record{body: fmt.Sprint(n, " ", strings.Repeat("x", dice.IntN(9000))), level: plog.SeverityNumber(dice.IntN(25))})
					n++
				}
				scopes = append(scopes, s)
			}
			in = join(in, logs(resource{attrs: kv{"team", fmt.Sprint("t", dice.IntN(3)), "x", strings.Repeat("y", dice.IntN(2000))}, schema: strconv.Itoa(dice.IntN(2)), scopes: scopes}))
		}
		out := logs()
		for _, request := range r.send(copied(in)) {
			most, sum := r.lokiBytes(request.logs)
			assert.True(t, sum <= maxTestBytes || sum == most)
			for _, rl := range request.logs.ResourceLogs().All() {
				team, _ := rl.Resource().Attributes().Get("team")
				assert.Equal(t, request.tenant(), team.AsString())
			}
			out = join(out, request.logs)
		}
		sameRecords(t, in, out)
	}
}

// After a refusal the sender's batch has what can be sent again, whether it looks at the error or at the batch.
func TestWhatIsLeftAfterARefusal(t *testing.T) {
	line := func(n int) record { return record{body: strconv.Itoa(n) + strings.Repeat("x", 60_000)} }
	f := func(config string, in plog.Logs, refuse func(n int) error, want string) {
		t.Helper()
		r := newRig(t, config)
		n := 0
		r.out.refuse = func(request) error {
			n++
			return refuse(n)
		}
		err := r.ConsumeLogs(context.Background(), in)
		require.Error(t, err)
		starts := func(ld plog.Logs) string {
			var all []string
			for _, body := range strings.Fields(bodies(ld)) {
				all = append(all, body[:1])
			}
			return strings.Join(all, " ")
		}
		var partial consumererror.Logs
		if errors.As(err, &partial) {
			assert.Equal(t, want, starts(partial.Data()))
		}
		if consumererror.IsPermanent(err) {
			return // nobody sends it again
		}
		assert.Equal(t, want, starts(in), "of the batch itself")
		r.out.refuse = nil
		r.out.take()
		again := logs()
		for _, request := range r.send(in) {
			again = join(again, request.logs)
		}
		assert.Equal(t, want, starts(again))
	}
	all := func(int) error { return errLater }
	second := func(n int) error {
		if n == 2 {
			return errLater
		}
		return nil
	}
	firstNever := func(n int) error {
		if n == 1 {
			return errNever
		}
		return errLater
	}
	const plain = "{max_request_bytes: 65536, labels: [resource.k8s.namespace.name]}"
	f(plain, many(nil, record{body: "1"}, record{body: "2"}), all, "1 2")
	f(plain, many(nil, line(1)), all, "1")
	f(plain, many(nil, line(1), line(2), line(3)), all, "1 2 3")
	f(plain, many(nil, line(1), line(2), line(3)), second, "2")
	f(plain, many(nil, line(1), line(2), line(3)), firstNever, "2 3")
	f(plain, many(nil, line(1), line(2)), func(int) error { return errNever }, "")
	f(byTeam, join(ofTeam("a", "1"), ofTeam("b", "2"), ofTeam("a", "3")), all, "1 3 2")
	f(byTeam, join(ofTeam("a", "1"), ofTeam("b", "2"), ofTeam("a", "3")), second, "2")
	f(byTeam, ofTeam("a", "1"), all, "1")
}
