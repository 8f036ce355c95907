package preflightextension

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"go.opentelemetry.io/collector/component"

	"github.com/sluice-otel/sluice/components/preflightextension/internal/check"
)

// Config is what a user can set; README.md has the table.
type Config struct {
	// FailOn are the checks whose findings keep the collector from starting, or `error` for all of that severity.
	FailOn []string `mapstructure:"fail_on"`
	// Accept are findings that are meant to be: they are neither told nor counted.
	Accept []AcceptConfig `mapstructure:"accept"`
	// VolumeShare is how much of a volume its queues may fill.
	VolumeShare float64 `mapstructure:"volume_share"`
}

// AcceptConfig names findings.
type AcceptConfig struct {
	// Check is the check's.
	Check string `mapstructure:"check"`
	// At is the key or file as the finding names it; * stands for any text.
	At string `mapstructure:"at"`
}

// failOnErrors in fail_on stands for every check of that severity.
const failOnErrors = string(check.Error)

func createDefaultConfig() component.Config {
	return &Config{VolumeShare: 0.5}
}

// Validate names the key, the rule and the value of everything that is wrong.
func (c *Config) Validate() error {
	var errs error
	for _, name := range c.FailOn {
		if name != failOnErrors && check.ID(name).Severity() == "" {
			errs = errors.Join(errs, fmt.Errorf("fail_on: must be %s or checks (%s), got %q", failOnErrors, allChecks(), name))
		}
	}
	if c.VolumeShare <= 0 || c.VolumeShare > 1 {
		errs = errors.Join(errs, fmt.Errorf("volume_share: must be above 0 and at most 1, got %v", c.VolumeShare))
	}
	return errs
}

// Validate names the key, the rule and the value of everything that is wrong.
func (c *AcceptConfig) Validate() error {
	var errs error
	if check.ID(c.Check).Severity() == "" {
		errs = errors.Join(errs, fmt.Errorf("check: must be one of %s, got %q", allChecks(), c.Check))
	}
	if c.At == "" {
		errs = errors.Join(errs, errors.New("at: must be a key or a file of a finding, * for all, got \"\""))
	}
	return errs
}

func allChecks() string {
	var names []string
	for _, id := range check.IDs() {
		names = append(names, string(id))
	}
	return strings.Join(names, ", ")
}

// policy makes the configuration's decision about findings.
func (c *Config) policy() check.Policy {
	p := check.Policy{}
	for _, id := range check.IDs() {
		if slices.Contains(c.FailOn, string(id)) || slices.Contains(c.FailOn, failOnErrors) && id.Severity() == check.Error {
			p.FailOn = append(p.FailOn, id)
		}
	}
	for _, a := range c.Accept {
		p.Accept = append(p.Accept, check.Accept{Check: check.ID(a.Check), At: a.At})
	}
	return p
}
