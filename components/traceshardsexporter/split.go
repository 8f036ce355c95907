package traceshardsexporter

import "go.opentelemetry.io/collector/pdata/ptrace"

// part is what one shard gets of a batch; it is empty where spans is 0.
type part struct {
	td    ptrace.Traces
	spans int
}

// split moves the spans of td into a part for each shard, with copies of their resources and scopes. Spans of a resource and scope stay in
// their order.
func split(td ptrace.Traces, shards int) []part {
	parts := make([]part, shards)
	if shards == 1 {
		parts[0] = part{td, td.SpanCount()}
		return parts
	}
	// Where spans of the resource and scope at hand go to; invalid until the first one does.
	resources, scopes := make([]ptrace.ResourceSpans, shards), make([]ptrace.ScopeSpans, shards)
	none := ptrace.ResourceSpans{}
	for _, rs := range td.ResourceSpans().All() {
		clear(resources)
		for _, ss := range rs.ScopeSpans().All() {
			clear(scopes)
			for _, span := range ss.Spans().All() {
				i := shardOf(span.TraceID(), shards)
				p := &parts[i]
				if p.spans == 0 {
					p.td = ptrace.NewTraces()
				}
				if resources[i] == none {
					resources[i] = p.td.ResourceSpans().AppendEmpty()
					rs.Resource().CopyTo(resources[i].Resource())
					resources[i].SetSchemaUrl(rs.SchemaUrl())
				}
				if scopes[i] == (ptrace.ScopeSpans{}) {
					scopes[i] = resources[i].ScopeSpans().AppendEmpty()
					ss.Scope().CopyTo(scopes[i].Scope())
					scopes[i].SetSchemaUrl(ss.SchemaUrl())
				}
				span.MoveTo(scopes[i].Spans().AppendEmpty())
				p.spans++
			}
		}
	}
	return parts
}

// join puts what several parts hold into one batch.
func join(parts []part) ptrace.Traces {
	td := ptrace.NewTraces()
	for _, p := range parts {
		if p.spans > 0 {
			p.td.ResourceSpans().MoveAndAppendTo(td.ResourceSpans())
		}
	}
	return td
}
