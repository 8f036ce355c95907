// Package check is the engine of the preflight extension and of the command preflight: what in a collector's configuration, and in the
// directories that it keeps its queues in, loses data. It knows configurations as plain maps and imports nothing of the collector.
package check

import (
	"cmp"
	"slices"
)

// Severity says how sure the loss is.
type Severity string

// The severities.
const (
	Error   Severity = "error"   // data is being lost, or will be with the next outage, crash or restart
	Warning Severity = "warning" // a limit, or a habit that turns into loss under load
)

// ID names a check. The list is closed: it is an attribute of a metric, and what fail_on and accept take.
type ID string

// The checks; README.md says what each means and what to do.
const (
	BatchProcessor      ID = "batch_processor"
	BatchTooLarge       ID = "batch_too_large"
	BatchUnsized        ID = "batch_unsized"
	DirectoryEphemeral  ID = "directory_ephemeral"
	DirectoryInUse      ID = "directory_in_use"
	DirectoryUnreadable ID = "directory_unreadable"
	ExporterNotDurable  ID = "exporter_not_durable"
	FilesAhead          ID = "files_ahead_of_delivery"
	FilesForgotten      ID = "files_forgotten"
	FilesFromEnd        ID = "files_from_end"
	FilesNotRetried     ID = "files_not_retried"
	FilesOperators      ID = "files_operators"
	LoadBalancerQueues  ID = "load_balancer_queues"
	MemoryLimiterFirst  ID = "memory_limiter_first"
	OrphanedFile        ID = "orphaned_file"
	OrphanedQueue       ID = "orphaned_queue"
	OtherStorage        ID = "other_storage"
	QueueInMemory       ID = "queue_in_memory"
	QueueNotInBytes     ID = "queue_not_in_bytes"
	QueuesExceedVolume  ID = "queues_exceed_volume"
	RetryDisabled       ID = "retry_disabled"
	RetryGivesUp        ID = "retry_gives_up"
	SampledBeforeTail   ID = "sampled_before_tail"
	SetAsideFile        ID = "set_aside_file"
	StateInMemory       ID = "state_in_memory"
	TailSamplingWedges  ID = "tail_sampling_wedges"
	VolumeLow           ID = "volume_low"
)

var severities = map[ID]Severity{
	BatchProcessor:      Error,
	BatchTooLarge:       Warning,
	BatchUnsized:        Error,
	DirectoryEphemeral:  Warning,
	DirectoryInUse:      Error,
	DirectoryUnreadable: Warning,
	ExporterNotDurable:  Error,
	FilesAhead:          Error,
	FilesForgotten:      Error,
	FilesFromEnd:        Warning,
	FilesNotRetried:     Error,
	FilesOperators:      Warning,
	LoadBalancerQueues:  Error,
	MemoryLimiterFirst:  Warning,
	OrphanedFile:        Warning,
	OrphanedQueue:       Error,
	OtherStorage:        Error,
	QueueInMemory:       Error,
	QueueNotInBytes:     Warning,
	QueuesExceedVolume:  Warning,
	RetryDisabled:       Error,
	RetryGivesUp:        Error,
	SampledBeforeTail:   Error,
	SetAsideFile:        Error,
	StateInMemory:       Warning,
	TailSamplingWedges:  Error,
	VolumeLow:           Warning,
}

// IDs are all checks, sorted.
func IDs() []ID {
	ids := make([]ID, 0, len(severities))
	for id := range severities {
		ids = append(ids, id)
	}
	slices.Sort(ids)
	return ids
}

// Severity is the check's; empty when there is no such check.
func (id ID) Severity() Severity { return severities[id] }

// Finding is one thing that is wrong.
type Finding struct {
	Check   ID
	At      string // the key in the configuration, as a::b, or the file
	Problem string
	Action  string // what the operator can do about it
}

// Severity is the check's.
func (f Finding) Severity() Severity { return f.Check.Severity() }

// String is the finding as one line for people.
func (f Finding) String() string {
	return string(f.Check) + ": " + f.At + ": " + f.Problem + "; " + f.Action
}

// maxFindings bounds what is told: a directory may have thousands of files that belong to nobody.
const maxFindings = 100

// findings collects, in order and without end; done sorts and cuts.
type findings struct{ list []Finding }

func (f *findings) add(id ID, at, problem, action string) {
	f.list = append(f.list, Finding{Check: id, At: at, Problem: problem, Action: action})
}

// Sort puts errors first, then goes by check and place.
func Sort(list []Finding) {
	slices.SortStableFunc(list, func(a, b Finding) int {
		return cmp.Or(cmp.Compare(a.Severity(), b.Severity()), cmp.Compare(a.Check, b.Check), cmp.Compare(a.At, b.At))
	})
}

// Bound cuts a sorted list to what can be told, and says how many are left out.
func Bound(list []Finding) (told []Finding, left int) {
	if len(list) <= maxFindings {
		return list, 0
	}
	return list[:maxFindings], len(list) - maxFindings
}
