package preflightextension

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"time"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/confmap"
	"go.opentelemetry.io/collector/extension"
	"go.opentelemetry.io/collector/extension/extensioncapabilities"
	"go.opentelemetry.io/collector/featuregate"
	"go.uber.org/zap"

	"github.com/sluice-otel/sluice/components/preflightextension/internal/check"
)

type preflight struct {
	component.StartFunc
	config    *Config
	policy    check.Policy
	telemetry *telemetry

	mu     sync.Mutex
	static []check.Finding // of the configuration: they do not change until it does
	disk   *check.Disk
	opened bool // the pipelines are started, and have their files open
	told   map[[2]string]bool

	// scan is held while the directories are looked at, so that who comes meanwhile takes what was seen.
	scan sync.Mutex
	seen sight
	now  func() time.Time
}

// sight is what was seen, and when.
type sight struct {
	at     time.Time
	open   []check.Finding
	usages []check.Usage
}

// fresh is how long a scan answers for: one reading of all metrics asks seven times.
const fresh = time.Second

var (
	_ extensioncapabilities.ConfigWatcher   = (*preflight)(nil)
	_ extensioncapabilities.PipelineWatcher = (*preflight)(nil)
)

func newPreflight(set extension.Settings, cfg *Config) (*preflight, error) {
	p := &preflight{config: cfg, policy: cfg.policy(), told: map[[2]string]bool{}, now: time.Now}
	var err error
	p.telemetry, err = newTelemetry(set.TelemetrySettings, p)
	return p, err
}

// NotifyConfig is called when the extensions are started and no pipeline is yet, at every start and every reload. An error keeps the
// collector from starting.
func (p *preflight) NotifyConfig(_ context.Context, conf *confmap.Conf) error {
	model := check.Read(check.Input{Config: conf.ToStringMap(), Gates: gates()})
	p.mu.Lock()
	p.static = model.CheckConfig()
	p.disk = model.Disk(p.config.VolumeShare, durable)
	p.mu.Unlock()

	open, _ := p.look()
	p.tell(open)
	fatal := p.policy.Fatal(open)
	if len(fatal) == 0 {
		p.telemetry.logger.Info("preflight is done", zap.Int("findings", len(open)))
		return nil
	}
	check.Sort(fatal)
	fatal, left := check.Bound(fatal)
	lines := make([]string, 0, len(fatal))
	for _, f := range fatal {
		lines = append(lines, f.String())
	}
	if left > 0 {
		lines = append(lines, fmt.Sprintf("and %d more", left))
	}
	return fmt.Errorf("preflight: the collector does not start, because fail_on has %d of its findings:\n\t%s", len(fatal)+left, strings.Join(lines, "\n\t"))
}

// Ready is called when every component has opened its files: one that was damaged has been set aside by now.
func (p *preflight) Ready() error {
	p.mu.Lock()
	p.opened = true
	p.mu.Unlock()
	open, _ := p.look()
	p.tell(open)
	return nil
}

// NotReady is called before the pipelines stop.
func (p *preflight) NotReady() error { return nil }

// Shutdown ends the metrics.
func (p *preflight) Shutdown(context.Context) error {
	p.telemetry.builder.Shutdown()
	return nil
}

// look is what is wrong now, without what was accepted, and what the directories have. Nothing before the configuration is known.
func (p *preflight) look() ([]check.Finding, []check.Usage) {
	p.scan.Lock()
	defer p.scan.Unlock()
	return p.lookAgain()
}

// glance is the same for metrics: what was seen just now is good enough.
func (p *preflight) glance() ([]check.Finding, []check.Usage) {
	p.scan.Lock()
	defer p.scan.Unlock()
	if p.now().Sub(p.seen.at) < fresh {
		return p.seen.open, p.seen.usages
	}
	return p.lookAgain()
}

func (p *preflight) lookAgain() ([]check.Finding, []check.Usage) {
	p.mu.Lock()
	static, disk, opened := p.static, p.disk, p.opened
	p.mu.Unlock()
	if disk == nil {
		return nil, nil
	}
	found, usages := disk.Scan(opened)
	// From its end on: a scan that takes longer than it is good for would be repeated by each metric.
	p.seen = sight{open: p.policy.Open(append(found, static...)), usages: usages, at: p.now()}
	return p.seen.open, p.seen.usages
}

// tell logs each finding once.
func (p *preflight) tell(open []check.Finding) {
	p.mu.Lock()
	defer p.mu.Unlock()
	var untold []check.Finding
	for _, f := range open {
		if key := [2]string{string(f.Check), f.At}; !p.told[key] {
			p.told[key] = true
			untold = append(untold, f)
		}
	}
	check.Sort(untold)
	untold, left := check.Bound(untold)
	for _, f := range untold {
		p.telemetry.finding(f)
	}
	if left > 0 {
		p.telemetry.logger.Warn("preflight: more findings than are told; the metric has all", zap.Int("not_told", left))
	}
}

// gates are all feature gates, as the command line has set them.
func gates() map[string]bool {
	all := map[string]bool{}
	featuregate.GlobalRegistry().VisitAll(func(g *featuregate.Gate) { all[g.ID()] = g.IsEnabled() })
	return all
}
