package check

import (
	"maps"
	"slices"
	"strconv"
	"strings"
)

// queue is an exporter's on disk, for one signal.
type queue struct {
	exporter *component
	signal   string
	file     string
	bytes    int64 // it may hold; 0 when that is not known
}

// directory is what the configuration keeps in one.
type directory struct {
	path     string
	storages []string
	queues   []queue
	journals int64 // bytes that processors may keep
	exact    map[string]form
	prefixes []prefix
}

// prefix is how the names begin of what one component has.
type prefix struct {
	text string
	form form
}

// owns says whether a name is a component's, and in which form it is to be there.
func (d *directory) owns(name string) (form, bool) {
	if f, ok := d.exact[name]; ok {
		return f, true
	}
	for _, p := range d.prefixes {
		if strings.HasPrefix(name, p.text) {
			return p.form, true
		}
	}
	return "", false
}

func (d *directory) own(name string, f form) {
	d.exact[name] = f
	if len(name) > maxPlainName {
		d.exact[hashName(name)] = f
	}
}

// mayOwnHash says that a component may have files whose names, and so their hashes, are not known.
func (d *directory) mayOwnHash() bool {
	return slices.ContainsFunc(d.prefixes, func(p prefix) bool { return len(p.text) > maxPlainName/2 })
}

// directories are those of all storage extensions that are in use. Two extensions may have the same.
func (m *Model) directories() []*directory {
	byPath, byStorage := map[string]*directory{}, map[string]*directory{}
	for _, id := range slices.Sorted(maps.Keys(m.storages)) {
		path := m.storages[id].directory
		if byPath[path] == nil {
			byPath[path] = &directory{path: path, exact: map[string]form{}}
		}
		byPath[path].storages = append(byPath[path].storages, id)
		byStorage[id] = byPath[path]
	}
	for i := range m.components {
		c := &m.components[i]
		for _, id := range storagesOf(c.config, 0) {
			if d := byStorage[id]; d != nil {
				m.addOwner(d, c, id)
			}
		}
	}
	list := make([]*directory, 0, len(byPath))
	for _, path := range slices.Sorted(maps.Keys(byPath)) {
		list = append(list, byPath[path])
	}
	return list
}

func (m *Model) addOwner(d *directory, c *component, storage string) {
	kind, f := sections[c.section], m.storages[storage].form
	base := fileName(kind, typeOf(c.id), nameOf(c.id))
	if c.section != "exporters" || text(at(c.config, "sending_queue", "storage")) != storage {
		if most, ok := number(at(c.config, "journal", "max_bytes")); ok { // of durable_tail_sampling
			d.journals += most
		}
		d.own(base, f)
		d.prefixes = append(d.prefixes, prefix{base + "_", f})
		return
	}
	bytes, ok := m.queueBytes(c)
	if !ok {
		bytes = 0
	}
	if typeOf(c.id) == traceShards {
		d.addShards(c, f, bytes)
		return
	}
	for _, signal := range c.signals {
		file := fileName(kind, typeOf(c.id), nameOf(c.id), signal)
		d.own(file, f)
		d.queues = append(d.queues, queue{c, signal, file, bytes})
	}
}

// traceShards is an exporter that makes an exporter for each shard, of the type otlp_grpc and with its own and the shard's number as name. It
// sends on what is in the queues of shards that are no more.
const traceShards = "trace_shards"

func (d *directory) addShards(c *component, f form, bytes int64) {
	d.own(fileName("exporter", traceShards, nameOf(c.id), "shards"), f)
	name := traceShards + "-"
	if nameOf(c.id) != "" {
		name += nameOf(c.id) + "-"
	}
	shards, _ := number(at(c.config, "shards"))
	for shard := range min(shards, maxShards) {
		d.queues = append(d.queues, queue{c, "traces", fileName("exporter", "otlp_grpc", name+strconv.FormatInt(shard, 10), "traces"), bytes})
	}
	d.prefixes = append(d.prefixes, prefix{fileName("exporter", "otlp_grpc", name), f})
}

// maxShards keeps a mistake in a configuration from filling the memory here.
const maxShards = 10_000

// maxDepth is deeper than any configuration.
const maxDepth = 32

// storagesOf are the values of every key `storage`, wherever it is: components that are not known here may have one, too.
func storagesOf(v any, depth int) []string {
	if depth > maxDepth {
		return nil
	}
	var ids []string
	if list, ok := v.([]any); ok {
		for _, e := range list {
			ids = append(ids, storagesOf(e, depth+1)...)
		}
		return ids
	}
	for key, value := range asMap(v) {
		if id := text(value); key == "storage" && id != "" {
			ids = append(ids, id)
		} else {
			ids = append(ids, storagesOf(value, depth+1)...)
		}
	}
	slices.Sort(ids)
	return slices.Compact(ids)
}

// types are those of all components that are configured, in use or not.
func (m *Model) types() []string {
	var list []string
	for section := range sections {
		for id := range asMap(m.config[section]) {
			list = append(list, typeOf(id))
		}
	}
	slices.Sort(list)
	return slices.Compact(list)
}
