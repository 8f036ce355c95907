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

func (c *costs) sum() (total int) {
	for _, cost := range c.records {
		total += cost
	}
	return total
}

func same(tenants []string) bool {
	for _, t := range tenants {
		if t != tenants[0] {
			return false
		}
	}
	return true
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

// cutter takes a batch apart: by tenant, and such that Loki takes each part.
type cutter struct {
	max   int
	parts []part
	open  map[string]int // the part of a tenant that is not full, and
	sizes map[string]int // what is in it
}

// cut takes a batch apart; tenants and costs are by resource. Records keep their order. A record that is too large alone is a part of its own, and a batch
// that needs no cutting is the only part.
func cut(ld plog.Logs, tenants []string, costs *costs, most int) []part {
	if costs.sum() <= most && same(tenants) {
		tenant := ""
		if len(tenants) > 0 {
			tenant = tenants[0]
		}
		return []part{{tenant, ld}}
	}
	c := &cutter{max: most, open: map[string]int{}, sizes: map[string]int{}}
	for i, rl := range ld.ResourceLogs().All() {
		tenant := ""
		if len(tenants) > 0 {
			tenant = tenants[i]
		}
		c.add(tenant, rl, costs.of(i))
	}
	if len(c.parts) == 1 { // of one resource, say
		c.parts[0].logs.MoveTo(ld)
		return []part{{c.parts[0].tenant, ld}}
	}
	return c.parts
}

func (c *cutter) add(tenant string, rl plog.ResourceLogs, costs []int) {
	total := 0
	for _, cost := range costs {
		total += cost
	}
	if total <= c.max {
		rl.MoveTo(c.room(tenant, total).ResourceLogs().AppendEmpty())
		return
	}
	i := 0
	for _, sl := range rl.ScopeLogs().All() {
		var into plog.LogRecordSlice
		at := -1
		for _, lr := range sl.LogRecords().All() {
			to := c.room(tenant, costs[i])
			i++
			if at != c.open[tenant] {
				at = c.open[tenant]
				into = scopeIn(to, rl, sl)
			}
			lr.MoveTo(into.AppendEmpty())
		}
	}
}

// room finds the part for so much more of a tenant.
func (c *cutter) room(tenant string, cost int) plog.Logs {
	i, ok := c.open[tenant]
	if !ok || c.sizes[tenant]+cost > c.max && c.sizes[tenant] > 0 {
		i = len(c.parts)
		c.parts = append(c.parts, part{tenant, plog.NewLogs()})
		c.open[tenant], c.sizes[tenant] = i, 0
	}
	c.sizes[tenant] += cost
	return c.parts[i].logs
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
