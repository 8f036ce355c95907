package config

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// Where a label's value comes from.
const (
	ResourcePrefix = "resource."
	RecordPrefix   = "record."
	SourceSeverity = "severity"
)

// maxNameBytes is what Loki takes (max_label_name_length).
const maxNameBytes = 1024

// LabelConfig is one label.
type LabelConfig struct {
	// Name is the label's; without it the LogQL name of the first source.
	Name string `mapstructure:"name"`
	// From are the sources; the first that has a value counts.
	From []string `mapstructure:"from"`
	// Join are labels above this one, whose values are joined with a slash.
	Join []string `mapstructure:"join"`
	// Values is the closed set of values; all without it.
	Values []string `mapstructure:"values"`
	// MaxValues takes the place of the budget's.
	MaxValues int `mapstructure:"max_values"`
}

// UnmarshalText takes a single source, the short form.
func (c *LabelConfig) UnmarshalText(text []byte) error {
	c.From = []string{string(text)}
	return nil
}

var labelName = regexp.MustCompile(`^[a-zA-Z][a-zA-Z0-9]*(?:_[a-zA-Z0-9]+)*$`)

// Validate names the key, the rule and the value of everything that is wrong.
func (c *LabelConfig) Validate() error {
	var errs []error
	check := func(ok bool, format string, args ...any) {
		if !ok {
			errs = append(errs, fmt.Errorf(format, args...))
		}
	}
	check(len(c.From) > 0 != (len(c.Join) > 0), "from: must be set, or join, and not both, got %q and %q", c.From, c.Join)
	for _, from := range c.From {
		check(isSource(from), "from: must be %s<attribute>, %s<attribute> or %s, got %q", ResourcePrefix, RecordPrefix, SourceSeverity, from)
	}
	check(c.Name != "" || len(c.Join) == 0, "name: must be set with join")
	check(c.Name != "" || len(c.From) == 0 || c.From[0] != SourceSeverity, "name: must be set with from: [%s]", SourceSeverity)
	if name := c.name(); name != "" {
		check(labelName.MatchString(name) && len(name) <= maxNameBytes,
			"name: must be letters, digits and single underscores between them, so that every version of Loki and its exporters spells it alike, got %q", name)
		check(name != ServiceLabel, "name: must not be %s, which every stream has; service_name says where it comes from", name)
		check(name != TrueService, "name: must not be %s, which has the names of services that are no labels", name)
	}
	check(!IsField(c.name()) && c.name() != "detected_level", "name: must not be one that Loki gives to what it finds in records, got %q", c.name())
	check(!slices.Contains(c.Values, ""), "values: must not have an empty value")
	check(c.MaxValues >= 0, "max_values: must not be negative, got %d", c.MaxValues)
	return errors.Join(errs...)
}

func (c *LabelConfig) name() string {
	if c.Name != "" || len(c.From) == 0 {
		return c.Name
	}
	name, _ := Name(key(c.From[0]))
	return name
}

func isSource(s string) bool {
	return s == SourceSeverity || (strings.HasPrefix(s, ResourcePrefix) || strings.HasPrefix(s, RecordPrefix)) && nameable(s)
}

// key is the attribute of a source.
func key(source string) string {
	_, key, _ := strings.Cut(source, ".")
	return key
}

func nameable(source string) bool {
	_, err := Name(key(source))
	return err == nil
}
