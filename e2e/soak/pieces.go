package soak

import (
	"cmp"
	"slices"
	"strings"

	"github.com/sluice-otel/sluice/e2e/backends"
	"github.com/sluice-otel/sluice/e2e/podlogs"
)

// inPieces are the records of which no stored line has the whole ID, because containerlog gave up waiting for their end (partial_timeout, 5 s; a starved
// writer takes longer) when it had half of the ID. The pieces say so, all but the last one when the agent was killed in between: then it comes as a
// record of its own. The lines are those of all containers.
func inPieces(lines []backends.LogLine) (ids []podlogs.ID) {
	open := map[string]string{}
	lines = slices.Clone(lines)
	slices.SortStableFunc(lines, func(a, b backends.LogLine) int {
		return cmp.Or(a.Time.Compare(b.Time), cmp.Compare(place(a), place(b)))
	})
	for _, line := range lines {
		stream := strings.Join([]string{line.Metadata["k8s_pod_name"], line.Metadata["container_id"], line.Labels["k8s_container_name"], line.Metadata["log_iostream"]}, " ")
		begun, isOpen := open[stream]
		switch line.Metadata["containerlog_partial"] {
		case "", "last":
			delete(open, stream)
			if isOpen {
				ids = append(ids, podlogs.FindIDs(begun+line.Line)...)
			}
		default:
			open[stream] = begun + line.Line
		}
	}
	return ids
}

// place is a line's among those of one time, which CRI-O gives to all that it has read at once: the end of a record, whole ones, a beginning. A store
// has them in any order.
func place(line backends.LogLine) int {
	_, whole := podlogs.FindID(line.Line)
	switch mark := line.Metadata["containerlog_partial"]; {
	case mark == "last":
		return 0
	case mark != "":
		return 3
	case whole:
		return 2
	}
	return 1
}
