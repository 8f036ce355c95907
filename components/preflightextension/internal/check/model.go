package check

import (
	"maps"
	"slices"
	"strings"
)

// form is what a storage extension keeps for each component that has one, under the same name.
type form string

const (
	aFile   form = "file_storage"    // a database
	aFolder form = "durable_storage" // ours: a folder of segments
)

// sections are where components are configured, with the word for them in file names.
var sections = map[string]string{
	"receivers": "receiver", "processors": "processor", "exporters": "exporter", "connectors": "connector", "extensions": "extension",
}

// pipeline is one of service::pipelines.
type pipeline struct {
	name, signal                     string
	receivers, processors, exporters []string
}

func (p *pipeline) at(key string) string { return "service::pipelines::" + p.name + "::" + key }

// component is a configured one that is in use.
type component struct {
	section, id string
	config      any
	signals     []string // of the pipelines that it is in; sorted
}

func (c *component) at(path ...string) string {
	return strings.Join(append([]string{c.section, c.id}, path...), "::")
}

// storage is a storage extension that keeps something in a directory.
type storage struct {
	id, directory string
	form          form
}

// Model is a configuration, read.
type Model struct {
	config, raw map[string]any
	gates       map[string]bool
	pipelines   []pipeline
	components  []component
	storages    map[string]storage
	connectors  map[string]any
}

// Input is what is to be checked.
type Input struct {
	// Config is the effective configuration: with the defaults of every component. Without it only what keeps the collector from reading
	// the configuration is checked.
	Config map[string]any
	// Raw is the configuration as written, merged; nil when it is not known. The effective one does not say how a queue is measured:
	// the collector's encoding of `sizer` is empty at v0.145.
	Raw map[string]any
	// Gates are feature gates; one that is not in it is not checked.
	Gates map[string]bool
}

// Read makes a model of a configuration. It never fails: what it does not understand is left out.
func Read(in Input) *Model {
	m := &Model{config: in.Config, raw: in.Raw, gates: in.Gates, storages: map[string]storage{}, connectors: asMap(in.Config["connectors"])}
	pipelines := asMap(at(m.config, "service", "pipelines"))
	for _, name := range slices.Sorted(maps.Keys(pipelines)) {
		p := pipelines[name]
		m.pipelines = append(m.pipelines, pipeline{
			name: name, signal: typeOf(name),
			receivers: texts(at(p, "receivers")), processors: texts(at(p, "processors")), exporters: texts(at(p, "exporters")),
		})
	}
	for _, section := range slices.Sorted(maps.Keys(sections)) {
		configured := asMap(m.config[section])
		for _, id := range slices.Sorted(maps.Keys(configured)) {
			if signals, used := m.use(section, id); used {
				m.components = append(m.components, component{section, id, configured[id], signals})
			}
		}
	}
	for _, c := range m.components {
		directory, kind := text(at(c.config, "directory")), form(typeOf(c.id))
		if c.section == "extensions" && (kind == aFile || kind == aFolder) && directory != "" {
			m.storages[c.id] = storage{c.id, directory, kind}
		}
	}
	return m
}

// use says in pipelines of which signals a component is. An extension is used when the service starts it.
func (m *Model) use(section, id string) (signals []string, used bool) {
	if section == "extensions" {
		return nil, slices.Contains(texts(at(m.config, "service", "extensions")), id)
	}
	for _, p := range m.pipelines {
		in := false
		switch section {
		case "receivers":
			in = slices.Contains(p.receivers, id)
		case "processors":
			in = slices.Contains(p.processors, id)
		case "exporters":
			in = slices.Contains(p.exporters, id)
		case "connectors":
			in = slices.Contains(p.receivers, id) || slices.Contains(p.exporters, id)
		}
		if in {
			signals = append(signals, p.signal)
		}
	}
	slices.Sort(signals)
	return slices.Compact(signals), len(signals) > 0
}

// of are the components of a section.
func (m *Model) of(section string) []component {
	var list []component
	for _, c := range m.components {
		if c.section == section {
			list = append(list, c)
		}
	}
	return list
}

// CheckConfig runs every check that needs no look at a disk.
func (m *Model) CheckConfig() []Finding {
	var f findings
	m.checkRaw(&f)
	if m.config != nil {
		m.checkExporters(&f)
		m.checkPipelines(&f)
		m.checkFiles(&f)
		m.checkState(&f)
	}
	return f.list
}
