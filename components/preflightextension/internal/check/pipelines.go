package check

import (
	"fmt"
	"slices"
)

const (
	memoryLimiter = "memory_limiter"
	// containerLog keeps what memory_limiter refuses and tries it again, also over a restart, so it stands before it.
	containerLog = "containerlog"
	// startGate keeps nothing: it refuses what comes before the rest of the pipeline has started, memory_limiter too.
	startGate = "start_gate"
)

func (m *Model) checkPipelines(f *findings) {
	for i := range m.pipelines {
		p := &m.pipelines[i]
		for _, id := range p.processors {
			if typeOf(id) == "batch" {
				f.add(BatchProcessor, p.at("processors"), id+" acknowledges data and then holds it in memory; a crash loses it",
					"remove it, and batch behind the queue: sending_queue::batch of the exporter")
			}
		}
		m.checkMemoryLimiter(p, f)
		m.checkHeadSampling(p, f)
	}
	for _, c := range m.of("processors") {
		if !isTailSampling(c.id) {
			continue
		}
		block, _ := truth(at(c.config, "block_on_overflow"))
		sampled, _ := number(at(c.config, "decision_cache", "sampled_cache_size"))
		dropped, _ := number(at(c.config, "decision_cache", "non_sampled_cache_size"))
		if block && (sampled <= 0 || dropped <= 0) {
			f.add(TailSamplingWedges, c.at("block_on_overflow"), "is true without both decision caches: once num_traces are held, it takes nothing more and never lets go",
				"set decision_cache::sampled_cache_size and non_sampled_cache_size, to ten times num_traces")
		}
	}
}

// memoryLimiter is its position among the processors, those that may be in front of it not counted; -1 when there is none.
func (p *pipeline) memoryLimiter() int {
	processors := p.processors
	for len(processors) > 0 && (typeOf(processors[0]) == containerLog || typeOf(processors[0]) == startGate) {
		processors = processors[1:]
	}
	return slices.IndexFunc(processors, func(id string) bool { return typeOf(id) == memoryLimiter })
}

func (m *Model) checkMemoryLimiter(p *pipeline, f *findings) {
	const action = "put memory_limiter first: what it refuses, senders keep; what the kernel kills is lost"
	switch n := p.memoryLimiter(); {
	case n == 0:
	case n > 0:
		f.add(MemoryLimiterFirst, p.at("processors"), fmt.Sprintf("has memory_limiter behind %s: what stands before it takes memory without a limit", p.processors[n-1]), action)
	case len(p.receivers) == 0: // nothing comes in
	case m.limitedBefore(p), m.limitedNext(p):
	default:
		f.add(MemoryLimiterFirst, p.at("processors"), "has no memory_limiter", action)
	}
}

// limitedBefore says that everything comes from other pipelines, which are looked at themselves.
func (m *Model) limitedBefore(p *pipeline) bool {
	return !slices.ContainsFunc(p.receivers, func(id string) bool { return !m.isConnector(id) })
}

// limitedNext says that the pipeline does no more than hand on to pipelines that begin with memory_limiter.
func (m *Model) limitedNext(p *pipeline) bool {
	if len(p.exporters) == 0 || slices.ContainsFunc(p.processors, func(id string) bool { return typeOf(id) != containerLog }) {
		return false
	}
	for _, connector := range p.exporters {
		if !m.isConnector(connector) {
			return false
		}
		for i := range m.pipelines {
			if next := &m.pipelines[i]; slices.Contains(next.receivers, connector) && next.memoryLimiter() != 0 {
				return false
			}
		}
	}
	return true
}

func (m *Model) isConnector(id string) bool {
	_, ok := m.connectors[id]
	return ok
}

// isTailSampling also says so of ours, which is upstream's with a journal.
func isTailSampling(id string) bool {
	return typeOf(id) == "tail_sampling" || typeOf(id) == "durable_tail_sampling"
}

// checkHeadSampling looks for a sampler on any way to tail_sampling.
func (m *Model) checkHeadSampling(p *pipeline, f *findings) {
	tail := slices.IndexFunc(p.processors, isTailSampling)
	if tail < 0 {
		return
	}
	report := func(p *pipeline, upTo int) {
		for _, id := range p.processors[:upTo] {
			if typeOf(id) == "probabilistic_sampler" {
				f.add(SampledBeforeTail, p.at("processors"), id+" stands before tail_sampling: it throws errors and slow traces away before anybody has looked at them",
					"remove it; a share of the rest is a policy of tail_sampling")
			}
		}
	}
	report(p, tail)
	seen := map[string]bool{p.name: true}
	for next := []*pipeline{p}; len(next) > 0; next = next[1:] {
		for i := range m.pipelines {
			before := &m.pipelines[i]
			feeds := slices.ContainsFunc(before.exporters, func(id string) bool { return m.isConnector(id) && slices.Contains(next[0].receivers, id) })
			if feeds && before.signal == p.signal && !seen[before.name] {
				seen[before.name] = true
				report(before, len(before.processors))
				next = append(next, before)
			}
		}
	}
}
