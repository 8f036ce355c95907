package check

import "slices"

// SynchronousEmitter is the gate that makes the filelog receiver hand lines on before it moves a file's offset.
const SynchronousEmitter = "stanza.synchronousLogEmitter"

// fileReceivers read files from where they stopped.
var fileReceivers = []string{"filelog", "file_log"}

// stateful are processors of ours that can do without storage, and what a restart costs them then.
var stateful = map[string]struct {
	key   []string
	loses string
}{
	"cardinality_limiter":   {[]string{"storage"}, "after a restart other series are admitted than before"},
	"containerlog":          {[]string{"storage"}, "what was read and is not delivered yet is lost when the collector stops"},
	"durable_tail_sampling": {[]string{"journal", "storage"}, "a crash loses the spans that wait for a decision"},
	"loki_hint":             {[]string{"storage"}, "after a restart other streams are admitted than before"},
}

func (m *Model) checkFiles(f *findings) {
	for _, c := range m.of("receivers") {
		if !slices.Contains(fileReceivers, typeOf(c.id)) {
			continue
		}
		if text(at(c.config, "storage")) == "" {
			f.add(FilesForgotten, c.at("storage"), "is not set: after a restart files are read from start_at again, twice or not at all", "set it to a file_storage or durable_storage extension")
		}
		if text(at(c.config, "start_at")) == "end" {
			f.add(FilesFromEnd, c.at("start_at"), "is end: what a file has when it is first seen is never read", "set it to beginning")
		}
		retries, known := truth(at(c.config, "retry_on_failure", "enabled"))
		most, _ := duration(at(c.config, "retry_on_failure", "max_elapsed_time"))
		switch {
		case m.onlyInto(c.id, containerLog): // which keeps what is refused, better than the receiver would
		case known && !retries:
			f.add(FilesNotRetried, c.at("retry_on_failure", "enabled"), "is false: lines that the pipeline refuses are skipped", "set it to true, with max_elapsed_time: 0s; or use the containerlog processor")
		case retries && most != 0:
			f.add(FilesNotRetried, c.at("retry_on_failure", "max_elapsed_time"), "is "+most.String()+": lines that the pipeline refuses for longer are skipped", "set it to 0s; or use the containerlog processor")
		}
		if size(at(c.config, "operators")) > 0 {
			f.add(FilesOperators, c.at("operators"), "are set: some (container, recombine, router, filter) hold or split what was read, and the offset does not wait for them",
				"use the containerlog processor, or transform")
		}
		if on, known := m.gates[SynchronousEmitter]; known && !on {
			f.add(FilesAhead, c.at(), "moves a file's offset before its lines are delivered: kill -9 loses lines", "turn the feature gate "+SynchronousEmitter+" on (with the containerlog processor in the binary it is, unless the command line turns it off)")
		}
	}
}

// onlyInto says that every pipeline of a receiver begins with a processor of that type.
func (m *Model) onlyInto(receiver, processor string) bool {
	for i := range m.pipelines {
		p := &m.pipelines[i]
		if slices.Contains(p.receivers, receiver) && (len(p.processors) == 0 || typeOf(p.processors[0]) != processor) {
			return false
		}
	}
	return true
}

func (m *Model) checkState(f *findings) {
	for _, c := range m.of("processors") {
		if s, ok := stateful[typeOf(c.id)]; ok && text(at(c.config, s.key...)) == "" {
			f.add(StateInMemory, c.at(s.key...), "is not set: "+s.loses, "set it to a file_storage or durable_storage extension")
		}
	}
}
