package config

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// Plan is a configuration made ready: every label with the attribute that carries it to Loki.
type Plan struct {
	// Labels in order of priority; those that only a hint asks for are the last.
	Labels []Label
	// Index are the resource attributes that Loki makes labels of.
	Index []string
	// Service are keys of resource attributes that stand in for service.name.
	Service []string
	// Tenant are keys of resource attributes with the tenant.
	Tenant []string
	// TenantOnHint is set when a hint may choose among them.
	TenantOnHint bool
}

// Label is one label of a plan.
type Label struct {
	// Name is the label's in LogQL.
	Name string
	// Carrier is the resource attribute that Loki makes it of.
	Carrier string
	// From are its sources; empty when it joins others.
	From []Source
	// Join are indexes of labels before this one.
	Join []int
	// Values is the closed set of values; nil: all.
	Values []string
	// MaxValues is its budget.
	MaxValues int
	// OnHint is set when a record has to ask for it.
	OnHint bool
	// OfRecord is set when records of one resource may differ in it.
	OfRecord bool
}

// Source is where a value comes from.
type Source struct {
	// Record is set for attributes of records, and for the severity.
	Record bool
	// Key is the attribute's; empty for the severity.
	Key string
}

func parseSource(s string) Source {
	if s == SourceSeverity {
		return Source{Record: true}
	}
	return Source{Record: strings.HasPrefix(s, RecordPrefix), Key: key(s)}
}

// Plan makes a configuration ready, or says why it cannot be.
func (c *Config) Plan() (*Plan, error) {
	p := &Plan{Service: keys(c.ServiceName), Tenant: keys(c.Tenant.From)}
	switch c.Contract {
	case ContractDefault:
		p.Index = DefaultIndex()
	case ContractList:
		p.Index = c.Index
	default:
		p.Index = []string{serviceKey}
	}
	var errs []error
	for i := range c.Labels {
		if err := c.addLabel(p, &c.Labels[i], false); err != nil {
			errs = append(errs, fmt.Errorf("labels::%d: %w", i, err))
		}
	}
	for i, from := range c.Hints.Honor {
		if from == HintTenant {
			p.TenantOnHint = true
			continue
		}
		label := LabelConfig{From: []string{from}}
		if err := label.Validate(); err != nil {
			errs = append(errs, fmt.Errorf("hints::honor::%d: %w", i, err))
			continue
		}
		if p.find(label.name()) >= 0 {
			continue // is a label anyway
		}
		if err := c.addLabel(p, &label, true); err != nil {
			errs = append(errs, fmt.Errorf("hints::honor::%d: %w", i, err))
		}
	}
	errs = append(errs, p.checkSources()...)
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	return p, nil
}

func (c *Config) addLabel(p *Plan, cfg *LabelConfig, onHint bool) error {
	label := Label{Name: cfg.name(), Values: cfg.Values, MaxValues: cfg.MaxValues, OnHint: onHint}
	if label.MaxValues == 0 {
		label.MaxValues = c.Budget.MaxValues
	}
	if p.find(label.Name) >= 0 {
		return fmt.Errorf("name: must differ from the other labels', got %q twice", label.Name)
	}
	for _, from := range cfg.From {
		source := parseSource(from)
		label.From = append(label.From, source)
		label.OfRecord = label.OfRecord || source.Record
	}
	for _, name := range cfg.Join {
		i := p.find(name)
		if i < 0 {
			return fmt.Errorf("join: must be labels above this one, got %q", name)
		}
		label.Join = append(label.Join, i)
		label.OfRecord = label.OfRecord || p.Labels[i].OfRecord
	}
	if err := c.carry(p, &label); err != nil {
		return err
	}
	p.Labels = append(p.Labels, label)
	return nil
}

// carry finds the resource attribute that Loki makes the label of.
func (c *Config) carry(p *Plan, label *Label) error {
	if c.Contract == ContractGenerated {
		label.Carrier = label.Name
		if len(label.From) > 0 && !label.From[0].Record {
			if name, _ := Name(label.From[0].Key); name == label.Name {
				label.Carrier = label.From[0].Key
			}
		}
		p.Index = append(p.Index, label.Carrier)
		return nil
	}
	var reachable []string
	for _, key := range p.Index {
		name, _ := Name(key)
		if name == label.Name {
			label.Carrier = key
			return nil
		}
		if name != ServiceLabel {
			reachable = append(reachable, name)
		}
	}
	return fmt.Errorf("name: Loki makes no label %q with contract: %s; it can be %s, or any with contract: %s and Loki configured as the command lokihint prints",
		label.Name, c.Contract, strings.Join(reachable, ", "), ContractGenerated)
}

// checkSources refuses sources that are not what they were once labels are written: a second collector would find other values.
func (p *Plan) checkSources() (errs []error) {
	written := func(key string, except int) (label string) {
		name, _ := Name(key)
		for i := range p.Labels {
			l := &p.Labels[i]
			carrier, _ := Name(l.Carrier)
			if i != except && carrier == name && (len(l.From) == 0 || !l.From[0].is(name)) {
				return l.Name
			}
		}
		return ""
	}
	for i := range p.Labels {
		for _, s := range p.Labels[i].From {
			if label := written(s.Key, i); !s.Record && label != "" {
				errs = append(errs, fmt.Errorf("labels: sources of %s must not be %s%s, to which label %s is written; give its sources, or join it", p.Labels[i].Name, ResourcePrefix, s.Key, label))
			}
		}
	}
	for _, key := range p.Tenant {
		if label := written(key, -1); label != "" {
			errs = append(errs, fmt.Errorf("tenant::from: must not be %s%s, to which label %s is written; give its sources", ResourcePrefix, key, label))
		}
		if name, _ := Name(key); slices.Contains(p.Index, name) {
			errs = append(errs, fmt.Errorf("tenant::from: must not be %s%s, which leaves the resource when label %s is demoted; give the label another name", ResourcePrefix, key, name))
		}
	}
	return errs
}

// is says whether a source is the attribute of a resource with this name.
func (s Source) is(name string) bool {
	own, _ := Name(s.Key)
	return !s.Record && own == name
}

func (p *Plan) find(name string) int {
	return slices.IndexFunc(p.Labels, func(l Label) bool { return l.Name == name })
}

func keys(sources []string) []string {
	var keys []string
	for _, s := range sources {
		keys = append(keys, key(s))
	}
	return keys
}
