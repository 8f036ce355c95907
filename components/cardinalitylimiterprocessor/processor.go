package cardinalitylimiterprocessor

import (
	"context"
	"math/rand/v2"
	"net/http"
	"sync"
	"time"

	"github.com/zeebo/xxh3"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/consumer"
	"go.opentelemetry.io/collector/consumer/consumererror"
	"go.opentelemetry.io/collector/pdata/pmetric"
	"go.opentelemetry.io/collector/processor"

	"github.com/sluice-otel/sluice/components/cardinalitylimiterprocessor/internal/fold"
	"github.com/sluice-otel/sluice/components/cardinalitylimiterprocessor/internal/ident"
	"github.com/sluice-otel/sluice/components/cardinalitylimiterprocessor/internal/limit"
	"github.com/sluice-otel/sluice/components/cardinalitylimiterprocessor/internal/series"
)

// limiter keeps series within budgets. The engine is in internal/: which series pass (limit, series), and what becomes of the others
// (fold). Here are the walk through a batch (walk.go, decide.go, stream.go), the way out (flush.go), the storage (storage.go), the limits
// file (limitsfile.go) and what people see (telemetry.go, status.go).
type limiter struct {
	cfg    *Config
	id     component.ID
	next   consumer.Metrics
	tel    *telemetry
	now    func() time.Time
	writer string // this collector, in streams of its own
	gauge  fold.GaugeFold

	protect map[string]bool
	started time.Time

	mu        sync.Mutex // guards all of the following
	hash      ident.Hasher
	limits    *limit.Limiter
	folds     *fold.Table
	exemplars map[fold.Key]*reservoir
	rules     []limit.Rule
	ruleNames []string
	latest    uint64 // time of what came or went last
	learning  bool
	lastLook  look

	flushing sync.Mutex
	store    snapshots
	file     limitsFile
	walkers  sync.Pool
	stop     context.CancelFunc
	running  sync.WaitGroup
	server   *http.Server
}

// steps is how many steps of its clock the idle timeout has. A series goes when it was not seen for so long, never before, and at most
// a twelfth later: the clock is coarse by one step, and from one sweep to the next there are four.
const steps = 64

// Of max_memory_mib, this part is for what is folded.
const foldedPart = 4

func newProcessor(set processor.Settings, cfg *Config, next consumer.Metrics) (*limiter, error) {
	p := &limiter{
		cfg: cfg, id: set.ID, next: next, now: time.Now, protect: map[string]bool{},
		exemplars: map[fold.Key]*reservoir{}, stop: func() {}, gauge: gaugeFoldOf(cfg.Overflow.Gauge),
	}
	p.started = p.now()
	if id, ok := set.Resource.Attributes().Get("service.instance.id"); ok {
		p.writer = id.AsString()
	}
	if name := set.ID.Name(); name != "" && p.writer != "" {
		p.writer += "/" + name // another limiter in the same collector writes streams of its own
	}
	for _, name := range cfg.Protect {
		p.protect[name] = true
	}
	p.file.path = cfg.LimitsFile
	p.walkers.New = func() any { return &walker{p: p, counts: newCounts(), ended: map[uint64]int{}} }
	p.rules = compile(cfg.Rules)
	seed := rand.Uint64() //nolint:gosec // runtime's generator, seeded by the system: not to be guessed from outside
	if cfg.HashSeed != "" {
		seed = xxh3.HashString(string(cfg.HashSeed))
	}
	p.begin(seed)
	var err error
	if p.tel, err = newTelemetry(set.TelemetrySettings); err != nil {
		return nil, err
	}
	return p, p.tel.observeAll(p)
}

// begin makes empty engines whose identities have the seed.
func (p *limiter) begin(seed uint64) {
	p.hash = ident.New(seed)
	memory := p.cfg.MaxMemoryMiB << 20
	p.limits = limit.New(limit.Options{
		Idle: steps, MaxBytes: memory - memory/foldedPart, Hash: p.hash.String, Allow: globs(p.cfg.Allow),
		Lowest: p.cfg.Admission == lowestHash,
	})
	p.folds = fold.NewTable(fold.Config{
		Gauge: p.gauge, MaxStreams: p.cfg.Overflow.MaxStreams, MaxBytes: memory / foldedPart, Idle: p.cfg.IdleTimeout,
	})
	p.setRules(p.rules)
}

func (p *limiter) setRules(rules []limit.Rule) {
	p.rules = rules
	p.limits.SetRules(rules)
	p.ruleNames = p.ruleNames[:0:0]
	for i := range rules {
		p.ruleNames = append(p.ruleNames, rules[i].Name)
	}
}

func (*limiter) Capabilities() consumer.Capabilities {
	return consumer.Capabilities{MutatesData: true}
}

// Start takes up what the run before this one had admitted.
func (p *limiter) Start(ctx context.Context, host component.Host) error {
	if err := p.store.open(ctx, host, p.cfg.Storage, p.id, p.tel); err != nil {
		return err
	}
	if err := p.readLimits(true); err != nil {
		return err
	}
	known, err := p.restore(ctx) // by the rules that hold
	if err != nil {
		return err
	}
	p.learn(!known && p.cfg.StartupGrace > 0 && p.cfg.Admission != lowestHash) // else it does not matter who comes first
	p.saveSeries(ctx, !known)                                                  // the seed: what is folded means nothing without it
	if err := p.serve(); err != nil {
		return err
	}
	background, cancel := context.WithCancel(context.Background())
	p.stop = cancel
	p.running.Go(func() { p.flushInTime(background) })
	p.running.Go(func() { p.tidy(background) })
	return nil
}

// Shutdown sends what is folded and stores what must outlive the process. The receivers have stopped by now, the next components have not.
func (p *limiter) Shutdown(ctx context.Context) error {
	p.stop()
	if p.server != nil {
		_ = p.server.Close()
	}
	p.running.Wait()
	p.lastFlush(ctx)
	p.saveSeries(ctx, true)
	p.tel.builder.Shutdown()
	return p.store.close(ctx)
}

// ConsumeMetrics lets pass what is admitted. What is not is folded once the next component has accepted the rest: a sender that is
// refused sends the whole batch again.
func (p *limiter) ConsumeMetrics(ctx context.Context, md pmetric.Metrics) error {
	w := p.walkers.Get().(*walker)
	defer p.release(w)
	now := p.now()
	w.step, w.now = p.step(now), uint64(now.UnixNano()) //nolint:gosec // after 1970
	w.walk(md)
	if md.ResourceMetrics().Len() > 0 {
		if err := p.next.ConsumeMetrics(ctx, md); err != nil && !consumererror.IsPermanent(err) {
			return err
		} else if err != nil {
			p.settle(w)
			return err
		}
	}
	p.settle(w)
	return nil
}

// step is the clock of ages. It does not jump when the system's clock does.
func (p *limiter) step(now time.Time) series.Step {
	return series.Step(now.Sub(p.started) / (p.cfg.IdleTimeout / steps)) //nolint:gosec // differences count, modulo 128
}

// settle folds what did not pass, frees the places of series that ended, and counts.
func (p *limiter) settle(w *walker) {
	if len(w.todo) > 0 {
		p.mu.Lock()
		for i := range w.todo {
			p.do(w, &w.todo[i])
		}
		p.mu.Unlock()
	}
	p.tel.add(&w.counts, p.ruleName)
}

func (p *limiter) do(w *walker, t *todo) {
	if t.outcome == ended {
		if leaf := p.limits.Find(t.leafKey); leaf != nil && t.ended != 0 {
			p.limits.Forget(leaf, t.ended)
		}
		p.limits.ForgetOld(t.ended, t.oldKeys)
		return
	}
	switch o := p.folds.Fold(t.stream, t.member, &t.point, w.now); {
	case o.Dropped():
		w.counts.drop(reasonOf(o), t.rule)
	default:
		if o == fold.Baseline {
			w.counts.baselines++
		}
		w.counts.outcomes[t.outcome]++
		w.counts.byRule(t.rule, t.outcome, 1)
		p.keepExemplars(t.stream.Key(), t.exemplars)
	}
}

func (p *limiter) ruleName(i int) string {
	p.mu.Lock()
	defer p.mu.Unlock()
	if i < len(p.ruleNames) {
		return p.ruleNames[i]
	}
	return "unknown" // the rules have changed in this moment
}

// release gives a walker back without what it had of the batch.
func (p *limiter) release(w *walker) {
	if len(w.events) > 0 {
		p.tel.tell(w.events)
	}
	clear(w.todo)
	clear(w.ended)
	clear(w.attrs)
	*w = walker{
		p: p, keys: w.keys, attrs: w.attrs[:0], marks: w.marks, oldKeys: w.oldKeys, todo: w.todo[:0], arena: w.arena, counts: w.counts, ended: w.ended,
	}
	w.arena.reset()
	w.counts.reset()
	p.walkers.Put(w)
}
