package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/confmap"
	"go.opentelemetry.io/collector/confmap/provider/envprovider"
	"go.opentelemetry.io/collector/confmap/provider/fileprovider"
	"go.opentelemetry.io/collector/confmap/provider/yamlprovider"
	"go.opentelemetry.io/collector/confmap/xconfmap"

	"github.com/sluice-otel/sluice/components/lokihintprocessor"
	"github.com/sluice-otel/sluice/components/lokihintprocessor/internal/config"
)

// loaded is a processor's configuration, and what follows from it.
type loaded struct {
	id   component.ID
	cfg  *config.Config
	plan *config.Plan
}

// load reads files as the collector does and takes the one loki_hint processor from them, or the one that is named.
func load(ctx context.Context, s source) (*loaded, error) {
	conf, err := resolve(ctx, s.files)
	if err != nil {
		return nil, fmt.Errorf("configuration: %w", err)
	}
	processors, err := conf.Sub("processors")
	if err != nil {
		return nil, fmt.Errorf("configuration: %w", err)
	}
	factory := lokihintprocessor.NewFactory()
	id, err := choose(processors, factory.Type(), s.processor)
	if err != nil {
		return nil, err
	}
	own, err := processors.Sub(id.String())
	if err != nil {
		return nil, fmt.Errorf("configuration of %s: %w", id, err)
	}
	cfg := factory.CreateDefaultConfig().(*config.Config)
	if err = own.Unmarshal(cfg); err == nil {
		err = xconfmap.Validate(cfg)
	}
	if err != nil {
		return nil, fmt.Errorf("configuration of %s: %w", id, err)
	}
	plan, err := cfg.Plan()
	if err != nil {
		return nil, fmt.Errorf("configuration of %s: %w", id, err)
	}
	return &loaded{id: id, cfg: cfg, plan: plan}, nil
}

func resolve(ctx context.Context, files []string) (*confmap.Conf, error) {
	resolver, err := confmap.NewResolver(confmap.ResolverSettings{
		URIs:              files,
		ProviderFactories: []confmap.ProviderFactory{fileprovider.NewFactory(), envprovider.NewFactory(), yamlprovider.NewFactory()},
		DefaultScheme:     "env",
	})
	if err != nil {
		return nil, err
	}
	conf, err := resolver.Resolve(ctx)
	return conf, errors.Join(err, resolver.Shutdown(ctx))
}

// choose finds the processor, which needs no name while it is the only one of its type.
func choose(processors *confmap.Conf, kind component.Type, name string) (component.ID, error) {
	var ids []component.ID
	var names []string
	for _, key := range slices.Sorted(maps.Keys(processors.ToStringMap())) {
		var id component.ID
		if id.UnmarshalText([]byte(key)) == nil && id.Type() == kind {
			ids, names = append(ids, id), append(names, key)
		}
	}
	if len(ids) == 0 {
		return component.ID{}, fmt.Errorf("configuration: no %s under processors: add the file that has it with --config", kind)
	}
	if name == "" {
		if len(ids) > 1 {
			return component.ID{}, fmt.Errorf("configuration: --processor must name one of %s", strings.Join(names, ", "))
		}
		return ids[0], nil
	}
	if i := slices.Index(names, name); i >= 0 {
		return ids[i], nil
	}
	return component.ID{}, fmt.Errorf("configuration: --processor must name one of %s, got %q", strings.Join(names, ", "), name)
}
