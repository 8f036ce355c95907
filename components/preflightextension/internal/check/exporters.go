package check

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Upstream's defaults for what one message may have: gRPC servers, and the OTLP receiver over HTTP. A request of that many bytes of
// data is a little larger on the wire.
const (
	maxGRPC = 4<<20 - 64<<10
	maxHTTP = 20<<20 - 64<<10
)

// leastBytes is below what a queue in bytes can have: not one batch fits.
const leastBytes = 1 << 20

// notDurable are exporters with a queue of their own that no storage extension can back, and what that loses.
var notDurable = map[string]string{
	"prometheusremotewrite": "has its queue in memory, and gives up what it could not deliver within its timeout",
}

func (m *Model) checkExporters(f *findings) {
	for i := range m.components {
		c := &m.components[i]
		if c.section != "exporters" {
			continue
		}
		if why, ok := notDurable[typeOf(c.id)]; ok {
			f.add(ExporterNotDurable, c.at(), why, "use remote_write, which has its queue on disk")
		}
		if typeOf(c.id) == "loadbalancing" {
			checkLoadBalancing(c, f)
		}
		queue := asMap(at(c.config, "sending_queue"))
		if enabled, ok := truth(queue["enabled"]); queue == nil || ok && !enabled {
			continue // what it cannot deliver it refuses: the sender still has it
		}
		m.checkQueue(c, queue, f)
	}
}

func (m *Model) checkQueue(c *component, queue map[string]any, f *findings) {
	if text(queue["storage"]) == "" {
		if wait, _ := truth(queue["wait_for_result"]); !wait {
			f.add(QueueInMemory, c.at("sending_queue", "storage"), "is not set: data is acknowledged and then only in memory; a crash or restart loses it",
				"set it to a file_storage or durable_storage extension")
		}
		return
	}
	retry := asMap(at(c.config, "retry_on_failure"))
	if enabled, ok := truth(retry["enabled"]); ok && !enabled {
		f.add(RetryDisabled, c.at("retry_on_failure", "enabled"), "is false: the first failure deletes what is in the queue on disk, a stop during an outage too",
			"set it to true, with max_elapsed_time: 0s")
	} else if most, ok := duration(retry["max_elapsed_time"]); ok && most != 0 {
		f.add(RetryGivesUp, c.at("retry_on_failure", "max_elapsed_time"), fmt.Sprintf("is %s: an outage that lasts longer drops what is in the queue on disk", most),
			"set it to 0s, which is without end")
	}
	m.checkSizer(c, queue, f)
	if batch := asMap(queue["batch"]); batch != nil {
		checkBatch(c, batch, f)
	}
}

// sizer is how a queue is measured: empty when that is not known.
func (m *Model) sizer(c *component) string {
	if s := text(at(c.config, "sending_queue", "sizer")); s != "" {
		return s
	}
	if m.raw == nil {
		return ""
	}
	if s := text(at(m.raw, c.section, c.id, "sending_queue", "sizer")); s != "" {
		return s
	}
	return "requests" // upstream's default
}

// queueBytes is the most that a queue on disk may hold; ok is false when that is not known in bytes.
func (m *Model) queueBytes(c *component) (bytes int64, ok bool) {
	bytes, ok = number(at(c.config, "sending_queue", "queue_size"))
	sizer := m.sizer(c)
	return bytes, ok && (sizer == "bytes" || sizer == "" && bytes >= leastBytes)
}

func (m *Model) checkSizer(c *component, queue map[string]any, f *findings) {
	n, ok := number(queue["queue_size"])
	if _, inBytes := m.queueBytes(c); !ok || inBytes {
		return
	}
	problem := fmt.Sprintf("is %s: nobody knows how much of the volume a queue of %d may take", m.sizer(c), n)
	if m.sizer(c) == "" {
		problem = fmt.Sprintf("is not bytes, or queue_size (%d) is too small for bytes: nobody knows how much of the volume the queue may take", n)
	}
	f.add(QueueNotInBytes, c.at("sending_queue", "sizer"), problem, "set sizer: bytes, and queue_size to the queue's share of the volume")
}

func checkBatch(c *component, batch map[string]any, f *findings) {
	if enabled, ok := truth(batch["enabled"]); ok && !enabled {
		return
	}
	limit, peer := int64(maxGRPC), "a gRPC server takes 4 MiB unless it is told otherwise"
	switch typeOf(c.id) {
	case "otlp", "otlp_grpc", "loadbalancing", "trace_shards":
	case "otlphttp", "otlp_http":
		limit, peer = maxHTTP, "an OTLP receiver takes 20 MiB over HTTP unless it is told otherwise"
	default:
		return
	}
	most, ok := number(batch["max_size"])
	switch {
	case !ok || most > 0 && most <= limit:
	case most <= 0:
		f.add(BatchTooLarge, c.at("sending_queue", "batch", "max_size"), "is not set: "+peer+", and refuses the rest for good", "set it to 3145728, with sizer: bytes")
	default:
		f.add(BatchTooLarge, c.at("sending_queue", "batch", "max_size"), fmt.Sprintf("is %d: %s, and refuses the rest for good", most, peer), "set it to 3145728, with sizer: bytes")
	}
}

// checkLoadBalancing is about the exporters behind it, one for each replica.
func checkLoadBalancing(c *component, f *findings) {
	behind := asMap(at(c.config, "protocol", "otlp"))
	queue, path := asMap(behind["sending_queue"]), []string{"protocol", "otlp"}
	if enabled, ok := truth(queue["enabled"]); queue != nil && (!ok || enabled) {
		f.add(LoadBalancerQueues, c.at(append(path, "sending_queue")...), "is on: a queue in memory for each replica, without metrics, which is thrown away when the replica goes",
			"set enabled: false, and give the exporter itself a sending_queue with storage")
	}
	if enabled, ok := truth(at(behind, "retry_on_failure", "enabled")); ok && enabled {
		f.add(LoadBalancerQueues, c.at(append(path, "retry_on_failure")...), "is on: a replica that is gone is tried again until it gives up, instead of the one that took its place",
			"set enabled: false, and give the exporter itself retry_on_failure with max_elapsed_time: 0s")
	}
}

// checkRaw is for what makes the collector crash before it asks anybody.
func (m *Model) checkRaw(f *findings) {
	exporters := asMap(m.raw["exporters"])
	for _, id := range slices.Sorted(maps.Keys(exporters)) {
		queue := asMap(at(exporters[id], "sending_queue"))
		batch := asMap(queue["batch"])
		enabled, given := truth(batch["enabled"])
		if queue["sizer"] != nil && batch != nil && batch["sizer"] == nil && given && !enabled {
			f.add(BatchUnsized, strings.Join([]string{"exporters", id, "sending_queue", "batch"}, "::"),
				"is disabled and has no sizer while the queue has one: the collector crashes when it reads that", "leave batch out, or give it a sizer")
		}
	}
}
