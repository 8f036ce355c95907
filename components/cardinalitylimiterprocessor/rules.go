package cardinalitylimiterprocessor

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"go.opentelemetry.io/collector/confmap"
	"go.opentelemetry.io/collector/confmap/xconfmap"

	"github.com/sluice-otel/sluice/components/cardinalitylimiterprocessor/internal/limit"
)

// RuleConfig is one rule.
type RuleConfig struct {
	// Name is the rule's in metrics, logs and on the page.
	Name string `mapstructure:"name"`
	// Metrics are the metrics it is for, all without it; * stands for anything.
	Metrics []string `mapstructure:"metrics"`
	// Per says what has a budget of its own: metric, scope, resource.<attribute>, and attribute for values.
	Per []string `mapstructure:"per"`
	// MaxSeries is how many series a budget has.
	MaxSeries int `mapstructure:"max_series"`
	// MaxValues is how many values of one attribute a budget has.
	MaxValues int `mapstructure:"max_values"`
	// Reserve is how many series a budget may have however full the coarser budgets are of others.
	Reserve int `mapstructure:"reserve"`
	// Action is what becomes of a series that does not fit.
	Action string `mapstructure:"action"`
	// Mode observe counts what the rule would do, and does nothing.
	Mode string `mapstructure:"mode"`
}

const (
	modeEnforce = "enforce"
	modeObserve = "observe"
)

// Validate names the key, the rule and the value of everything that is wrong.
func (c *RuleConfig) Validate() error {
	var errs []error
	check := func(ok bool, format string, args ...any) {
		if !ok {
			errs = append(errs, fmt.Errorf(format, args...))
		}
	}
	check(c.Name != "", "name: must not be empty")
	for i, per := range c.Per {
		known := per == limit.PerMetric || per == limit.PerScope || per == limit.PerAttribute ||
			strings.HasPrefix(per, limit.ResourcePrefix) && len(per) > len(limit.ResourcePrefix)
		check(known, "per: must be of %s, %s, %s and %s<attribute>, got %q", limit.PerMetric, limit.PerScope, limit.PerAttribute, limit.ResourcePrefix, per)
		check(!slices.Contains(c.Per[:i], per), "per: names %q twice", per)
	}
	for _, m := range c.Metrics {
		check(m != "", "metrics: must not have an empty name")
	}
	values := slices.Contains(c.Per, limit.PerAttribute)
	if values {
		check(c.MaxValues > 0, "max_values: must be positive with per: %s, got %d", limit.PerAttribute, c.MaxValues)
		check(c.MaxSeries == 0, "max_series: must not be set with per: %s, which limits values, got %d", limit.PerAttribute, c.MaxSeries)
		check(c.Reserve == 0, "reserve: must not be set with per: %s, got %d", limit.PerAttribute, c.Reserve)
	} else {
		check(c.MaxSeries > 0, "max_series: must be positive, got %d", c.MaxSeries)
		check(c.MaxValues == 0, "max_values: must not be set without per: %s, got %d", limit.PerAttribute, c.MaxValues)
		check(c.Reserve >= 0 && c.Reserve <= max(c.MaxSeries, 0), "reserve: must be between 0 and max_series, got %d", c.Reserve)
	}
	if _, err := limit.ParseAction(c.action()); err != nil {
		check(false, "action: %w", err)
	}
	check(slices.Contains([]string{"", modeEnforce, modeObserve}, c.Mode), "mode: must be %s or %s, got %q", modeEnforce, modeObserve, c.Mode)
	return errors.Join(errs...)
}

// action is the configured one, or the kindest.
func (c *RuleConfig) action() string {
	if c.Action != "" {
		return c.Action
	}
	return limit.Degrade.String()
}

func (c *RuleConfig) rule() limit.Rule {
	action, _ := limit.ParseAction(c.action()) // validated
	return limit.Rule{
		Name: c.Name, Metrics: globs(c.Metrics), Per: c.Per, Max: max(c.MaxSeries, c.MaxValues), Reserve: c.Reserve,
		Action: action, Observe: c.Mode == modeObserve,
	}
}

// globs makes one pattern of names in which * stands for anything; nil when there are none.
func globs(names []string) *regexp.Regexp {
	if len(names) == 0 {
		return nil
	}
	patterns := make([]string, 0, len(names))
	for _, name := range names {
		patterns = append(patterns, strings.ReplaceAll(regexp.QuoteMeta(name), `\*`, ".*"))
	}
	return regexp.MustCompile("(?s)^(?:" + strings.Join(patterns, "|") + ")$")
}

func distinctNames(rules []RuleConfig) error {
	for i := range rules {
		if slices.ContainsFunc(rules[:i], func(r RuleConfig) bool { return r.Name == rules[i].Name }) {
			return fmt.Errorf("rules: names must differ, got %q twice", rules[i].Name)
		}
	}
	return nil
}

func compile(configs []RuleConfig) []limit.Rule {
	rules := make([]limit.Rule, 0, len(configs))
	for i := range configs {
		rules = append(rules, configs[i].rule())
	}
	return rules
}

// maxRules bounds a limits file, which anybody on the machine can let the page try.
const maxRules = 100

// limitsConfig is what a limits file has.
type limitsConfig struct {
	Rules []RuleConfig `mapstructure:"rules"`
}

// Validate checks what rules cannot check alone.
func (c *limitsConfig) Validate() error {
	if len(c.Rules) == 0 || len(c.Rules) > maxRules {
		return fmt.Errorf("rules: must be 1 to %d, got %d", maxRules, len(c.Rules))
	}
	return distinctNames(c.Rules)
}

// parseLimits reads a limits file: `rules:` in the shape of the configuration's.
func parseLimits(data []byte) ([]limit.Rule, error) {
	var file limitsConfig
	retrieved, err := confmap.NewRetrievedFromYAML(data)
	if err != nil {
		return nil, oneLine(err)
	}
	conf, err := retrieved.AsConf()
	if err != nil {
		return nil, oneLine(err)
	}
	if err = conf.Unmarshal(&file); err == nil {
		err = xconfmap.Validate(&file)
	}
	if err != nil {
		return nil, oneLine(err)
	}
	return compile(file.Rules), nil
}

// oneLine is for errors of libraries that have several: they go into a log line and a table.
func oneLine(err error) error {
	return errors.New(strings.Join(strings.FieldsFunc(err.Error(), func(r rune) bool { return r == '\n' }), "; "))
}
