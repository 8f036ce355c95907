package cardinalitylimiterprocessor

import (
	"errors"
	"fmt"
	"net"
	"slices"
	"time"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/config/configopaque"
)

// Config is what a user can set; README.md has the table.
type Config struct {
	// Rules give the budgets. All rules that match hold: a series must fit every one.
	Rules []RuleConfig `mapstructure:"rules"`
	// LimitsFile holds rules, too; where it exists they take the place of Rules, and it is read again when it changes.
	LimitsFile string `mapstructure:"limits_file"`
	// Allow are metrics without limits; * stands for anything.
	Allow []string `mapstructure:"allow"`
	// Protect are attributes, of points and resources, that are kept when series are folded.
	Protect []string `mapstructure:"protect"`
	// Admission says which series are admitted when not all fit: those that come first, or those with the lowest hashes.
	Admission string `mapstructure:"admission"`
	// HashSeed makes replicas agree on the hashes.
	HashSeed configopaque.String `mapstructure:"hash_seed"`
	// IdleTimeout is how long a series keeps its place without points.
	IdleTimeout time.Duration `mapstructure:"idle_timeout"`
	// StartupGrace is how long after a start without snapshot series may pass up to twice the limits.
	StartupGrace time.Duration `mapstructure:"startup_grace"`
	// Storage is the storage extension that keeps the admitted series over a restart.
	Storage *component.ID `mapstructure:"storage"`
	// MaxMemoryMiB bounds what is remembered about series.
	MaxMemoryMiB int `mapstructure:"max_memory_mib"`
	// Overflow says how series over the limits are folded.
	Overflow OverflowConfig `mapstructure:"overflow"`
	// Top is how many offenders metrics and the page name.
	Top int `mapstructure:"top"`
	// Page serves the state to people and tools; empty: no page.
	Page string `mapstructure:"page"`
}

// OverflowConfig says how series over the limits are folded.
type OverflowConfig struct {
	// Placeholder takes the place of an exploding attribute's value.
	Placeholder string `mapstructure:"placeholder"`
	// FlushInterval is how often folded streams are sent.
	FlushInterval time.Duration `mapstructure:"flush_interval"`
	// MaxStreams bounds the streams that series are folded into.
	MaxStreams int `mapstructure:"max_streams"`
	// Gauge is how gauges are folded.
	Gauge string `mapstructure:"gauge"`
}

// The values of admission.
const (
	firstCome  = "first_come"
	lowestHash = "lowest_hash"
)

func createDefaultConfig() component.Config {
	return &Config{
		Admission:    firstCome,
		IdleTimeout:  15 * time.Minute,
		StartupGrace: 2 * time.Minute,
		MaxMemoryMiB: 128,
		Overflow: OverflowConfig{
			Placeholder:   "__overflow__",
			FlushInterval: 30 * time.Second,
			MaxStreams:    5000,
			Gauge:         gaugeFolds[0],
		},
		Top: 20,
	}
}

// Validate names the key, the rule and the value of everything that is wrong; what is nested validates itself.
func (c *Config) Validate() error {
	var errs []error
	check := func(ok bool, format string, args ...any) {
		if !ok {
			errs = append(errs, fmt.Errorf(format, args...))
		}
	}
	check(len(c.Rules) > 0 || c.LimitsFile != "", "rules: must not be empty without limits_file")
	if err := distinctNames(c.Rules); err != nil {
		errs = append(errs, err)
	}
	check(c.Admission == firstCome || c.Admission == lowestHash, "admission: must be %s or %s, got %q", firstCome, lowestHash, c.Admission)
	check(c.Admission != lowestHash || c.HashSeed != "", "hash_seed: must not be empty with admission: %s, and be the same for all replicas", lowestHash)
	check(c.IdleTimeout >= time.Minute, "idle_timeout: must be at least 1m, got %s", c.IdleTimeout)
	check(c.StartupGrace >= 0, "startup_grace: must not be negative, got %s", c.StartupGrace)
	check(c.MaxMemoryMiB >= 8, "max_memory_mib: must be at least 8, got %d", c.MaxMemoryMiB)
	check(c.Top >= 0 && c.Top <= 1000, "top: must be between 0 and 1000, got %d", c.Top)
	if c.Page != "" {
		host, _, err := net.SplitHostPort(c.Page)
		ip := net.ParseIP(host)
		check(err == nil && (host == "localhost" || ip != nil && ip.IsLoopback()),
			"page: must be a port on loopback, as in localhost:8890, got %q (the page has no login)", c.Page)
	}
	return errors.Join(errs...)
}

// Validate checks what is under overflow.
func (c *OverflowConfig) Validate() error {
	var errs []error
	if c.Placeholder == "" {
		errs = append(errs, errors.New("placeholder: must not be empty"))
	}
	if c.FlushInterval < time.Second {
		errs = append(errs, fmt.Errorf("flush_interval: must be at least 1s, got %s", c.FlushInterval))
	}
	if c.MaxStreams < 2 {
		errs = append(errs, fmt.Errorf("max_streams: must be at least 2, got %d", c.MaxStreams))
	}
	if !slices.Contains(gaugeFolds, c.Gauge) {
		errs = append(errs, fmt.Errorf("gauge: must be one of %v, got %q", gaugeFolds, c.Gauge))
	}
	return errors.Join(errs...)
}
