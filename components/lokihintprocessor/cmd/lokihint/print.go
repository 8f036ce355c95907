package main

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"slices"

	"go.yaml.in/yaml/v3"

	"github.com/sluice-otel/sluice/components/lokihintprocessor/internal/config"
)

// The formats of print.
const (
	formatLoki   = "loki"
	formatTenant = "tenant"
	formatHelm   = "helm"
)

// lokiMaxLabels is Loki's max_label_names_per_series unless it is set. Loki does not count service_name.
const lokiMaxLabels = 15

// lokiMaxValueBytes is its max_label_value_length.
const lokiMaxValueBytes = 2048

// limits is what Loki has to have in limits_config, or in a tenant's overrides.
type limits struct {
	MaxLabels     int         `yaml:"max_label_names_per_series,omitempty"`
	MaxValueBytes int         `yaml:"max_label_value_length,omitempty"`
	OTLP          *otlpConfig `yaml:"otlp_config,omitempty"`
}

type otlpConfig struct {
	Resource resourceRules `yaml:"resource_attributes"`
	Log      []rule        `yaml:"log_attributes"`
}

type resourceRules struct {
	IgnoreDefaults bool   `yaml:"ignore_defaults"`
	Rules          []rule `yaml:"attributes_config"`
}

type rule struct {
	Action     string   `yaml:"action"`
	Attributes []string `yaml:"attributes"`
}

// MarshalYAML puts a rule on one line.
func (r rule) MarshalYAML() (any, error) {
	type plain rule
	var node yaml.Node
	err := node.Encode(plain(r))
	node.Style = yaml.FlowStyle
	return &node, err
}

func printCommand(ctx context.Context, args []string, env environment) error {
	var format, tenant string
	s, rest, err := parse("print", "--config FILE… [flags]", args, env, func(flags *flag.FlagSet) {
		flags.StringVar(&format, "format", formatLoki, "`what` to print: loki (Loki's configuration), tenant (overrides of one tenant, for runtime_config), helm (values of the chart grafana/loki)")
		flags.StringVar(&tenant, "tenant", "", "the tenant, with --format tenant; the processor's tenant::default without it")
	})
	if err != nil {
		return err
	}
	switch {
	case len(rest) > 0:
		return fmt.Errorf("print: takes no arguments, got %q", rest)
	case !slices.Contains([]string{formatLoki, formatTenant, formatHelm}, format):
		return fmt.Errorf("print: --format must be %s, %s or %s, got %q", formatLoki, formatTenant, formatHelm, format)
	case tenant != "" && (format != formatTenant || !config.ValidTenant(tenant)):
		return fmt.Errorf("print: --tenant must be a tenant of Loki, with --format %s, got %q", formatTenant, tenant)
	}
	l, err := load(ctx, s)
	if err != nil {
		return err
	}
	if tenant == "" {
		tenant = l.cfg.Tenant.Default
	}
	if format == formatTenant && tenant == "" {
		return errors.New("print: --tenant must be set, as the processor has no tenant::default")
	}
	text, err := render(l, format, tenant)
	if err != nil {
		return err
	}
	_, err = env.out.Write(text)
	return err
}

// render is Loki's configuration as YAML, with a comment that says what it is for.
func render(l *loaded, format, tenant string) ([]byte, error) {
	own := needs(l)
	var b bytes.Buffer
	fmt.Fprintf(&b, "# For the processor %s with contract: %s (lokihint print).\n", l.id, l.cfg.Contract)
	if l.cfg.Contract == config.ContractDefault {
		fmt.Fprint(&b, "# Its labels are made of attributes that Loki indexes by itself: no otlp_config is needed, and it should not be changed.\n")
	}
	if own.MaxLabels > 0 {
		fmt.Fprintf(&b, "# More than %d labels: %s beside service_name, which Loki does not count.\n", lokiMaxLabels, count(own.MaxLabels, "label"))
	}
	if own.MaxValueBytes > 0 {
		fmt.Fprintf(&b, "# Values of up to %d bytes, where Loki takes %d.\n", own.MaxValueBytes, lokiMaxValueBytes)
	}
	if own == (limits{}) {
		return b.Bytes(), nil
	}
	var tree any
	switch format {
	case formatLoki:
		tree = map[string]limits{"limits_config": own}
	case formatHelm:
		fmt.Fprint(&b, "# Values of the chart grafana/loki.\n")
		tree = map[string]map[string]limits{"loki": {"limits_config": own}}
	case formatTenant:
		fmt.Fprint(&b, "# The file of Loki's runtime_config.")
		if own.OTLP != nil {
			fmt.Fprint(&b, " A tenant's otlp_config takes the place of the one in limits_config.")
		}
		fmt.Fprintln(&b)
		tree = map[string]map[string]limits{"overrides": {tenant: own}}
	}
	encoder := yaml.NewEncoder(&b)
	encoder.SetIndent(2)
	if err := encoder.Encode(tree); err != nil {
		return nil, err
	}
	return b.Bytes(), encoder.Close()
}

// needs is what Loki does not do by itself.
func needs(l *loaded) limits {
	var own limits
	if n := min(l.cfg.MaxLabels, len(l.plan.Labels)); n > lokiMaxLabels {
		own.MaxLabels = n
	}
	if l.cfg.MaxValueBytes > lokiMaxValueBytes {
		own.MaxValueBytes = l.cfg.MaxValueBytes
	}
	if l.cfg.Contract != config.ContractDefault {
		hints := rule{Action: "drop", Attributes: config.HintKeys()}
		own.OTLP = &otlpConfig{
			Resource: resourceRules{IgnoreDefaults: true, Rules: []rule{hints, {Action: "index_label", Attributes: l.plan.Index}}},
			Log:      []rule{hints},
		}
	}
	return own
}

func count(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}
