package lokihintprocessor

import (
	"time"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"
)

// walker takes a batch through. It has what must not be shared, and is used again and again.
type walker struct {
	p      *hinter
	layout *layout
	keys   *keys
	names  names
	counts counts
	now    time.Time

	tenants []string // of each resource, where there are tenants
	costs   costs

	// Of the resource at hand.
	tenant     string
	tenantHint int      // the source that a hint names, or -1
	asked      []bool   // labels that hints ask for
	original   string   // what service.name was before an earlier collector wrote overflow
	slots      []string // values of the sources; of those of records the record's at hand
	infos      []*key   // of its attributes, in their order
	choice     *choice
	asking     []string // of the budget
	edits      []edit
	spare      pcommon.Value // empty
	moved      []entry       // what could not stay on the resource
	there      []bool        // labels whose value is where it has to be
	leaves     []int
	above      [levels]texts // what the attributes of resource and scope say, once a name clashes
	sizes      [levels]size  // of the structured metadata, with that of the levels above

	// Of the records at hand.
	asks    []bool // labels that its hints ask for, or its resource's
	spelled []bool // labels whose name an attribute has
	settled []bool // sources whose value no other attribute can have
	groups  groups
	guess   []*key // the record before had these keys
	// As many of them are all of a record of this scope that needed no mending, and could be those of another; or -1. The bytes of their names.
	alike, alikeBytes int
	order             []*key // the resource before had these keys
	oldest, newest    pcommon.Timestamp
}

func newWalker(p *hinter) *walker {
	n := len(p.layout.labels)
	return &walker{
		p: p, layout: p.layout, keys: newKeys(p.layout), counts: newCounts(n), asked: make([]bool, len(p.layout.onHint)), asks: make([]bool, len(p.layout.onHint)),
		slots: make([]string, len(p.layout.slots)), choice: newChoice(n), asking: make([]string, n), there: make([]bool, n), spelled: make([]bool, n), settled: make([]bool, len(p.layout.slots)), groups: newGroups(),
		spare: pcommon.NewValueEmpty(),
	}
}

// logs makes a batch ready for Loki. Records keep their order within a resource.
func (w *walker) logs(ld plog.Logs, now time.Time) {
	w.now = now
	w.oldest, w.newest = pcommon.NewTimestampFromTime(now.Add(-maxAge)), pcommon.NewTimestampFromTime(now.Add(maxAhead))
	all := ld.ResourceLogs()
	all.RemoveIf(func(rl plog.ResourceLogs) bool { return count(rl) == 0 }) // no records, no streams
	n := all.Len()
	if w.p.cfg.Tenant.Default != "" {
		w.tenants = append(w.tenants, make([]string, n)...)
	}
	// What is split off is appended, and ready.
	for i := range n {
		w.resource(all, i)
	}
}

func (w *walker) resource(all plog.ResourceLogsSlice, i int) {
	w.tidy()
	rl := all.At(i)
	attrs := rl.Resource().Attributes()
	clear(w.asked)
	clear(w.asks)
	w.tenantHint = -1
	w.clean(attrs)
	if len(w.tenants) > 0 {
		w.tenant = w.findTenant(rl)
		w.tenants[i] = w.tenant
	}
	if w.layout.perRecord {
		w.split(all, i)
		return
	}
	w.choose()
	w.counts.demote(w.choice, count(rl))
	w.finish(rl)
	w.costs.done(i)
}

// tidy forgets keys when they are too many; nothing may know one by its id then.
func (w *walker) tidy() {
	if w.keys.tidy() {
		w.names.forget()
		w.guess, w.order = w.guess[:0], w.order[:0]
	}
}

// finish writes the choice into a resource, and makes its scopes and records fit.
func (w *walker) finish(rl plog.ResourceLogs) {
	w.encode(rl.Resource().Attributes())
	w.above[ofResource] = nil
	for _, sl := range rl.ScopeLogs().All() {
		w.scope(rl, sl)
		for _, lr := range sl.LogRecords().All() {
			w.record(rl, sl, lr)
		}
	}
}

func count(rl plog.ResourceLogs) int {
	n := 0
	for _, sl := range rl.ScopeLogs().All() {
		n += sl.LogRecords().Len()
	}
	return n
}

// release gives a walker back without what it had of the batch.
func (w *walker) release() {
	clear(w.slots)
	clear(w.asking)
	clear(w.tenants)
	clear(w.moved)
	clear(w.edits)
	w.tenants, w.moved, w.edits, w.tenant = w.tenants[:0], w.moved[:0], w.edits[:0], ""
	w.above = [levels]texts{}
	w.choice.reset()
	w.counts.reset()
	w.costs.reset()
	w.groups.reset()
	w.tidy()
	w.p.walkers.Put(w)
}
