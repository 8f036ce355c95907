package lokihintprocessor

import (
	"go.opentelemetry.io/collector/pdata/plog"
)

// costs are what Loki counts of each record, resource after resource as they are in the batch: its line and its structured metadata, to which it copies that
// of the resource.
type costs struct {
	records []int
	spans   []span // by resource
	last    int    // where the resource at hand began
}

type span struct{ from, to int }

// of are the costs of a resource's records.
func (c *costs) of(resource int) []int {
	s := c.spans[resource]
	return c.records[s.from:s.to]
}

// done ends a resource.
func (c *costs) done(resource int) {
	for len(c.spans) <= resource {
		c.spans = append(c.spans, span{})
	}
	c.spans[resource] = span{c.last, len(c.records)}
	c.last = len(c.records)
}

func (c *costs) reset() {
	c.records, c.spans, c.last = c.records[:0], c.spans[:0], 0
}

// pairCost and recordCost are what the messages inside of Loki take beside text.
const (
	pairCost   = 4
	recordCost = 32
)

// part is what goes on in one request.
type part struct {
	tenant string
	logs   plog.Logs
}

// cut takes a batch apart, by tenant and such that Loki takes each part, and delivers part after part: not all of them exist at once. Tenants and costs are by
// resource. Records of a tenant keep their order. A record that is too large alone is a part of its own.
func cut(ld plog.Logs, tenants []string, costs *costs, most int, deliver func(part)) {
	c := &cutter{max: most, deliver: deliver, open: map[string]*openPart{}}
	for i, rl := range ld.ResourceLogs().All() {
		tenant := ""
		if len(tenants) > 0 {
			tenant = tenants[i]
		}
		c.add(tenant, rl, costs.of(i))
	}
	for _, tenant := range c.order {
		deliver(part{tenant, c.open[tenant].logs})
	}
}

// whole says whether a batch needs no cutting.
func whole(tenants []string, costs *costs, most int) bool {
	for _, t := range tenants {
		if t != tenants[0] {
			return false
		}
	}
	total := 0
	for _, cost := range costs.records {
		total += cost
	}
	return total <= most
}

type cutter struct {
	max     int
	deliver func(part)
	open    map[string]*openPart
	order   []string // in which tenants came
}

// openPart has room for more of a tenant.
type openPart struct {
	logs plog.Logs
	size int
}

func (c *cutter) add(tenant string, rl plog.ResourceLogs, costs []int) {
	total := 0
	for _, cost := range costs {
		total += cost
	}
	if total <= c.max {
		rl.MoveTo(c.room(tenant, total).logs.ResourceLogs().AppendEmpty())
		return
	}
	i := 0
	for _, sl := range rl.ScopeLogs().All() {
		var into plog.LogRecordSlice
		var at *openPart
		for _, lr := range sl.LogRecords().All() {
			if to := c.room(tenant, costs[i]); at != to {
				at, into = to, scopeIn(to.logs, rl, sl)
			}
			i++
			lr.MoveTo(into.AppendEmpty())
		}
	}
}

// room finds the part for so much more of a tenant. A full one is delivered.
func (c *cutter) room(tenant string, cost int) *openPart {
	p := c.open[tenant]
	if p == nil {
		c.order = append(c.order, tenant)
	} else if p.size > 0 && p.size+cost > c.max {
		c.deliver(part{tenant, p.logs})
		p = nil
	}
	if p == nil {
		p = &openPart{logs: plog.NewLogs()}
		c.open[tenant] = p
	}
	p.size += cost
	return p
}

// scopeIn makes a copy of a scope and its resource in a part.
func scopeIn(to plog.Logs, rl plog.ResourceLogs, sl plog.ScopeLogs) plog.LogRecordSlice {
	r := to.ResourceLogs().AppendEmpty()
	rl.Resource().CopyTo(r.Resource())
	r.SetSchemaUrl(rl.SchemaUrl())
	s := r.ScopeLogs().AppendEmpty()
	sl.Scope().CopyTo(s.Scope())
	s.SetSchemaUrl(sl.SchemaUrl())
	return s.LogRecords()
}
