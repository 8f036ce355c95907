package lokihintprocessor

import (
	"slices"

	"github.com/sluice-otel/sluice/components/lokihintprocessor/internal/budget"
	"github.com/sluice-otel/sluice/components/lokihintprocessor/internal/config"
)

const (
	serviceKey     = "service.name"
	unknownService = "unknown_service"
	// overflow is the service_name of what fits nowhere.
	overflow = "overflow"
	// trueService has what service.name was then.
	trueService = config.TrueService
)

// label is one label of every stream; the first is service_name.
type label struct {
	name, carrier string
	slots         []int // its sources, in order
	join          []int // or the labels that it joins
	values        []string
	ofRecord      bool
	onHint        int // index of the hint that has to ask for it, or -1
}

// layout is what the walker needs to know of a plan: labels with their sources numbered, and keys to recognize.
type layout struct {
	labels   []label
	slots    []slot
	slotKeys []string       // as the configuration spells them
	onHint   map[hinted]int // attribute that a hint may name -> index
	tenants  []tenantSource
	// A hint may choose among them.
	tenantOnHint bool
	indexed      map[string]bool
	spelled      map[string]bool // keys that the configuration or Loki names: of two attributes with one LogQL name these keep it
	byName       map[string]int  // label by its name
	slotsOf      map[slot]int
	perRecord    bool // records of one resource may differ in a label
	// The slots of what is read anew for every record.
	recordSlots []int
	severity    int // or -1
}

// hinted is an attribute that hints may make a label of.
type hinted struct {
	record bool
	key    string
}

type tenantSource struct {
	key  string
	slot int
}

// slot is a source: an attribute by its LogQL name; the severity has none.
type slot struct {
	record bool
	name   string
}

func newLayout(plan *config.Plan) *layout {
	l := &layout{severity: -1, tenantOnHint: plan.TenantOnHint, onHint: map[hinted]int{}, indexed: map[string]bool{}, spelled: map[string]bool{}, byName: map[string]int{}, slotsOf: map[slot]int{}}
	for _, key := range plan.Index {
		l.indexed[key], l.spelled[key] = true, true
	}
	service := label{name: config.ServiceLabel, carrier: serviceKey, onHint: -1, slots: []int{l.slot(false, serviceKey)}}
	for _, key := range plan.Service {
		service.slots = append(service.slots, l.slot(false, key))
	}
	l.add(service)
	for i := range plan.Labels {
		p := &plan.Labels[i]
		label := label{name: p.Name, carrier: p.Carrier, values: p.Values, ofRecord: p.OfRecord, onHint: -1}
		for _, s := range p.From {
			label.slots = append(label.slots, l.slot(s.Record, s.Key))
		}
		for _, j := range p.Join {
			label.join = append(label.join, j+1) // after service_name
		}
		label.slots = l.withCarrier(label.slots, p)
		if p.OnHint {
			label.onHint = len(l.onHint)
			l.onHint[hinted{p.From[0].Record, p.From[0].Key}] = label.onHint
		}
		// A record may have a hint of its own.
		l.perRecord = l.perRecord || p.OfRecord || p.OnHint
		l.add(label)
	}
	for _, key := range plan.Tenant {
		l.tenants = append(l.tenants, tenantSource{key, l.slot(false, key)})
	}
	for i, s := range l.slots {
		switch {
		case s == slot{record: true}:
			l.severity = i
		case s.record:
			l.recordSlots = append(l.recordSlots, i)
		}
	}
	return l
}

// withCarrier adds what carries the label already to its sources: so it is when another collector has done this. It counts last; but in the place of an
// attribute of records that has the label's name, which is not said twice.
func (l *layout) withCarrier(slots []int, p *config.Label) []int {
	carrier := l.slot(false, p.Carrier)
	if slices.Contains(slots, carrier) {
		return slots
	}
	if i, ok := l.slotsOf[slot{record: true, name: p.Name}]; ok {
		if at := slices.Index(slots, i); at >= 0 {
			return slices.Insert(slots, at+1, carrier)
		}
	}
	return append(slots, carrier)
}

func (l *layout) add(label label) {
	l.byName[label.name] = len(l.labels)
	l.labels = append(l.labels, label)
}

// slot numbers a source.
func (l *layout) slot(record bool, key string) int {
	s := slot{record: record}
	if key != "" {
		s.name, _ = config.Name(key) // validated
		l.spelled[key] = true
	}
	i, ok := l.slotsOf[s]
	if !ok {
		i = len(l.slots)
		l.slots, l.slotKeys = append(l.slots, s), append(l.slotKeys, key)
		l.slotsOf[s] = i
	}
	return i
}

func limits(cfg *Config, plan *config.Plan) budget.Limits {
	b := budget.Limits{
		Window: cfg.Budget.Window, MaxStreams: cfg.Budget.MaxStreams, MaxTenants: cfg.Budget.MaxTenants,
		Labels: []budget.Label{{Name: config.ServiceLabel, MaxValues: cfg.Budget.MaxValues}},
	}
	for i := range plan.Labels {
		b.Labels = append(b.Labels, budget.Label{Name: plan.Labels[i].Name, MaxValues: plan.Labels[i].MaxValues})
	}
	return b
}
