// Package config is what a user can set about labels, and what follows from it for Loki. The processor and the command share it.
package config

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"go.opentelemetry.io/collector/component"
)

// The contracts: what Loki makes labels of.
const (
	ContractDefault   = "default"
	ContractGenerated = "generated"
	ContractList      = "list"
)

// What becomes of a value that is too long for a label.
const (
	LongDemote   = "demote"
	LongTruncate = "truncate"
)

// Config is what a user can set; the component's README.md has the table.
type Config struct {
	// Contract says what Loki makes labels of: what it does by itself, what the command prints for it, or Index.
	Contract string `mapstructure:"contract"`
	// Index are the resource attributes that Loki's otlp_config makes labels, with contract list.
	Index []string `mapstructure:"index"`
	// Labels are the labels beside service_name, the most important first.
	Labels []LabelConfig `mapstructure:"labels"`
	// ServiceName says where service.name comes from when it is missing.
	ServiceName []string `mapstructure:"service_name"`
	// MaxLabels bounds the labels of a stream beside service_name.
	MaxLabels int `mapstructure:"max_labels"`
	// MaxValueBytes bounds the value of a label.
	MaxValueBytes int `mapstructure:"max_value_bytes"`
	// LongValue says what becomes of a longer one.
	LongValue string `mapstructure:"long_value"`
	// MaxRequestBytes bounds what goes on at once, as Loki counts it.
	MaxRequestBytes int `mapstructure:"max_request_bytes"`
	// Budget bounds values and streams.
	Budget BudgetConfig `mapstructure:"budget"`
	// Tenant says whose records these are.
	Tenant TenantConfig `mapstructure:"tenant"`
	// Hints are the attributes loki.*, which older exporters read.
	Hints HintsConfig `mapstructure:"hints"`
	// Storage is the storage extension that keeps known values and streams over a restart.
	Storage *component.ID `mapstructure:"storage"`
}

// BudgetConfig bounds values and streams.
type BudgetConfig struct {
	// Window is how long a value or stream is known after it was seen last.
	Window time.Duration `mapstructure:"window"`
	// MaxValues bounds the values of a label, per tenant.
	MaxValues int `mapstructure:"max_values"`
	// MaxStreams bounds the streams of a tenant.
	MaxStreams int `mapstructure:"max_streams"`
	// MaxTenants bounds the tenants with a budget of their own.
	MaxTenants int `mapstructure:"max_tenants"`
}

// TenantConfig says whose records these are.
type TenantConfig struct {
	// From are resource attributes; the first that is a tenant counts.
	From []string `mapstructure:"from"`
	// Default is the tenant of what has none. Without it there are no tenants.
	Default string `mapstructure:"default"`
	// MetadataKey is the key of the client metadata that carries the tenant.
	MetadataKey string `mapstructure:"metadata_key"`
}

// HintsConfig is about the attributes loki.resource.labels, loki.attribute.labels, loki.tenant and loki.format.
type HintsConfig struct {
	// Honor are the attributes that hints may make labels of; with loki.tenant that hint may choose among the tenant's sources.
	Honor []string `mapstructure:"honor"`
	// Emit adds loki.resource.labels for exporters that read it.
	Emit bool `mapstructure:"emit"`
}

// Default is the configuration without any key set.
func Default() *Config {
	return &Config{
		Contract: ContractDefault,
		ServiceName: []string{
			"resource.k8s.deployment.name", "resource.k8s.statefulset.name", "resource.k8s.daemonset.name", "resource.k8s.cronjob.name",
			"resource.k8s.job.name", "resource.k8s.container.name", "resource.container.name",
		},
		MaxLabels:       15,
		MaxValueBytes:   2048,
		LongValue:       LongDemote,
		MaxRequestBytes: 1 << 20,
		Budget:          BudgetConfig{Window: 45 * time.Minute, MaxValues: 500, MaxStreams: 2000, MaxTenants: 100},
		Tenant:          TenantConfig{MetadataKey: "x-scope-orgid"},
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
	check(slices.Contains([]string{ContractDefault, ContractGenerated, ContractList}, c.Contract), "contract: must be %s, %s or %s, got %q",
		ContractDefault, ContractGenerated, ContractList, c.Contract)
	if c.Contract == ContractList {
		check(slices.Contains(c.Index, serviceKey), "index: must have %s, without which Loki refuses streams that have no other label, got %q", serviceKey, c.Index)
	} else {
		check(len(c.Index) == 0, "index: must not be set with contract: %s, got %q", c.Contract, c.Index)
	}
	check(!slices.Contains(c.Index, TrueService), "index: must not have %s, which has the names of services that are no labels, got %q", TrueService, c.Index)
	for _, key := range c.Index {
		_, err := Name(key)
		check(err == nil, "index: must be keys that Loki can name, got %q", key)
	}
	for _, from := range c.ServiceName {
		check(strings.HasPrefix(from, ResourcePrefix) && nameable(from), "service_name: must be %s<attribute>, got %q", ResourcePrefix, from)
	}
	check(len(c.Tenant.From) > 0 || !slices.Contains(c.Hints.Honor, HintTenant), "hints::honor: must not have %s without tenant::from, among which it chooses", HintTenant)
	check(c.MaxLabels >= 1 && c.MaxLabels <= 64, "max_labels: must be between 1 and 64, got %d", c.MaxLabels)
	check(c.MaxValueBytes >= 16, "max_value_bytes: must be at least 16, got %d", c.MaxValueBytes)
	check(c.LongValue == LongDemote || c.LongValue == LongTruncate, "long_value: must be %s or %s, got %q", LongDemote, LongTruncate, c.LongValue)
	check(c.MaxRequestBytes >= 65536, "max_request_bytes: must be at least 65536, got %d", c.MaxRequestBytes)
	if len(errs) == 0 && c.Hints.Validate() == nil && !slices.ContainsFunc(c.Labels, func(l LabelConfig) bool { return l.Validate() != nil }) {
		_, err := c.Plan()
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// Validate checks what is under budget.
func (c *BudgetConfig) Validate() error {
	var errs []error
	if c.Window < time.Minute {
		errs = append(errs, fmt.Errorf("window: must be at least 1m, got %s", c.Window))
	}
	if c.MaxValues < 1 {
		errs = append(errs, fmt.Errorf("max_values: must be positive, got %d", c.MaxValues))
	}
	if c.MaxStreams < 2 {
		errs = append(errs, fmt.Errorf("max_streams: must be at least 2, got %d", c.MaxStreams))
	}
	if c.MaxTenants < 1 {
		errs = append(errs, fmt.Errorf("max_tenants: must be positive, got %d", c.MaxTenants))
	}
	return errors.Join(errs...)
}

// Validate checks what is under tenant.
func (c *TenantConfig) Validate() error {
	var errs []error
	for _, from := range c.From {
		if !strings.HasPrefix(from, ResourcePrefix) || !nameable(from) {
			errs = append(errs, fmt.Errorf("from: must be %s<attribute>, got %q", ResourcePrefix, from))
		}
	}
	if c.Default == "" && len(c.From) > 0 {
		errs = append(errs, errors.New("default: must be set with from, for records whose tenant is missing or invalid"))
	}
	if c.Default != "" && !ValidTenant(c.Default) {
		errs = append(errs, fmt.Errorf("default: must be a tenant of Loki (%s), got %q", tenantRule, c.Default))
	}
	if c.MetadataKey == "" {
		errs = append(errs, errors.New("metadata_key: must not be empty"))
	}
	return errors.Join(errs...)
}

// Validate checks what is under hints.
func (c *HintsConfig) Validate() error {
	var errs []error
	for _, from := range c.Honor {
		if from != HintTenant && (from == SourceSeverity || !isSource(from)) {
			errs = append(errs, fmt.Errorf("honor: must be %s<attribute>, %s<attribute> or %s, got %q", ResourcePrefix, RecordPrefix, HintTenant, from))
		}
	}
	return errors.Join(errs...)
}
