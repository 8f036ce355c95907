// Package limit decides which series may pass: budgets, what charges them, and what happens to a series that does not fit.
package limit

import (
	"cmp"
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// Action is what becomes of a new series that a rule has no room for.
type Action uint8

const (
	// Drop leaves it out.
	Drop Action = iota
	// Overflow adds it to the rule's overflow stream; when there are too many of those, it is dropped.
	Overflow
	// Replace puts a placeholder in the place of the attributes that explode; when that does not help, it is dropped.
	Replace
	// Degrade tries Replace, then Overflow, then Drop.
	Degrade
)

var actions = []string{"drop", "overflow", "replace", "degrade"}

func (a Action) String() string { return actions[a] }

// ParseAction reads an action's name.
func ParseAction(name string) (Action, error) {
	i := slices.Index(actions, name)
	if i < 0 {
		return 0, fmt.Errorf("must be one of %s, got %q", strings.Join(actions, ", "), name)
	}
	return Action(i), nil
}

// What a rule's budgets are kept per, besides ResourcePrefix + the name of a resource attribute.
const (
	PerMetric    = "metric"
	PerScope     = "scope"
	PerAttribute = "attribute"
	// ResourcePrefix stands before resource attributes.
	ResourcePrefix = "resource."
)

// Rule gives a budget to every combination of what Per names.
type Rule struct {
	Name    string
	Metrics *regexp.Regexp // which metrics it is for; nil: all
	Per     []string
	Max     int
	Reserve int // what every budget of the rule may take, however full the coarser ones are of others
	Action  Action
	Observe bool // count what it would do, do nothing
}

// Values tells whether the rule limits values of attributes, not series.
func (r *Rule) Values() bool { return slices.Contains(r.Per, PerAttribute) }

// keys are Per without attribute.
func (r *Rule) keys() []string {
	return slices.DeleteFunc(slices.Clone(r.Per), func(per string) bool { return per == PerAttribute })
}

func (r *Rule) matches(metric string) bool { return r.Metrics == nil || r.Metrics.MatchString(metric) }

// dims are the resource attributes that tell one leaf from another, in order, and whether scopes do.
type dims struct {
	resource []string
	scope    bool
}

// serviceName is a dimension always: reports name the service.
const serviceName = "service.name"

func dimsOf(rules []Rule) dims {
	d := dims{resource: []string{serviceName}}
	for _, r := range rules {
		for _, per := range r.Per {
			if name, ok := strings.CutPrefix(per, ResourcePrefix); ok {
				d.resource = append(d.resource, name)
			}
			d.scope = d.scope || per == PerScope
		}
	}
	slices.SortFunc(d.resource, cmp.Compare)
	d.resource = slices.Compact(d.resource)
	return d
}

// know tells whether the dimensions tell the rule's budgets apart.
func (d *dims) know(r *Rule) bool {
	for _, per := range r.Per {
		name, ok := strings.CutPrefix(per, ResourcePrefix)
		if ok && !slices.Contains(d.resource, name) || per == PerScope && !d.scope {
			return false
		}
	}
	return true
}

func (d dims) equal(other dims) bool {
	return d.scope == other.scope && slices.Equal(d.resource, other.resource)
}
