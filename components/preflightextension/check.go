package preflightextension

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"go.opentelemetry.io/collector/confmap"
	"go.opentelemetry.io/collector/confmap/xconfmap"

	"github.com/sluice-otel/sluice/components/durablestorageextension"
	"github.com/sluice-otel/sluice/components/preflightextension/internal/check"
)

// Finding is one thing that is wrong.
type Finding = check.Finding

// Check makes the extension's checks of a configuration that no collector runs, with what its preflight extension, if it has one, says about
// findings that are meant to be. effective has every default, raw is what was written, as far as they are known; with disk it also looks at
// the directories. Errors come first; left is how many findings are too many to tell.
func Check(effective, raw map[string]any, gates map[string]bool, disk bool) (findings []Finding, left int, err error) {
	cfg, err := own(effective)
	if err != nil {
		return nil, 0, err
	}
	model := check.Read(check.Input{Config: effective, Raw: raw, Gates: gates})
	findings = model.CheckConfig()
	if disk {
		found, _ := model.Disk(cfg.VolumeShare, durable).Scan(false)
		findings = append(findings, found...)
	}
	findings = cfg.policy().Open(findings)
	check.Sort(findings)
	findings, left = check.Bound(findings)
	return findings, left, nil
}

// own is the configuration of the first preflight extension, or the defaults.
func own(config map[string]any) (*Config, error) {
	cfg := createDefaultConfig().(*Config)
	extensions, _ := config["extensions"].(map[string]any)
	for _, id := range slices.Sorted(maps.Keys(extensions)) {
		kind, _, _ := strings.Cut(id, "/")
		values, ok := extensions[id].(map[string]any)
		if kind != NewFactory().Type().String() || !ok {
			continue
		}
		err := confmap.NewFromStringMap(values).Unmarshal(cfg)
		if err == nil {
			err = xconfmap.Validate(cfg)
		}
		if err != nil {
			return nil, fmt.Errorf("extensions::%s: %w", id, err)
		}
		break
	}
	return cfg, nil
}

// durable looks into a folder of durable_storage.
func durable(path string) (check.Contents, error) {
	items, keys, err := durablestorageextension.Look(path)
	if errors.Is(err, durablestorageextension.ErrInUse) {
		err = check.ErrInUse
	}
	return check.Contents{Items: items, Keys: keys}, err
}
