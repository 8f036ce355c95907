package cardinalitylimiterprocessor

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"time"

	"go.uber.org/zap"

	"github.com/sluice-otel/sluice/components/cardinalitylimiterprocessor/internal/limit"
	"github.com/sluice-otel/sluice/components/cardinalitylimiterprocessor/internal/page"
)

// look is a report that is not older than lookAge: a scrape asks for its parts one by one.
type look struct {
	at     time.Time
	report limit.Report
}

const lookAge = 5 * time.Second

func (p *limiter) cachedReport() *limit.Report {
	p.mu.Lock()
	defer p.mu.Unlock()
	if now := p.now(); p.lastLook.at.IsZero() || now.Sub(p.lastLook.at) > lookAge {
		p.lastLook = look{now, p.limits.Report(p.cfg.Top)}
	}
	report := p.lastLook.report // nobody changes what it points to
	return &report
}

func (p *limiter) foldCounts() page.Folds {
	f := page.Folds{
		MaxStreams: p.cfg.Overflow.MaxStreams, MaxBytes: p.cfg.MaxMemoryMiB << 20 / foldedPart, LimitsFile: p.file.path, Started: p.started,
	}
	p.mu.Lock()
	f.Streams, f.Members = p.folds.Len()
	f.Bytes = p.folds.Bytes()
	f.Learning = p.learning
	f.LimitsLoaded = p.file.loaded
	if p.file.err != nil {
		f.LimitsError = p.file.err.Error()
	}
	p.mu.Unlock()
	var err error
	if f.Snapshot, err = p.store.state(); err != nil {
		f.SnapshotError = err.Error()
	}
	return f
}

// source gives the page what it shows.
type source struct{ p *limiter }

func (s source) Report(top int) limit.Report {
	s.p.mu.Lock()
	defer s.p.mu.Unlock()
	return s.p.limits.Report(top)
}

func (s source) Explain(metric string, top int) ([]limit.MetricReport, []limit.BudgetReport) {
	s.p.mu.Lock()
	defer s.p.mu.Unlock()
	return s.p.limits.Explain(metric, top)
}

func (s source) Simulate(limitsFile []byte, top int) ([]limit.Simulation, error) {
	rules, err := parseLimits(limitsFile)
	if err != nil {
		return nil, err
	}
	s.p.mu.Lock()
	defer s.p.mu.Unlock()
	return s.p.limits.Simulate(rules, top), nil
}

func (s source) Folds() page.Folds {
	f := s.p.foldCounts()
	f.Points, f.Dropped = s.p.tel.totals()
	return f
}

// serve opens the page.
func (p *limiter) serve() error {
	if p.cfg.Page == "" {
		return nil
	}
	listener, err := net.Listen("tcp", p.cfg.Page)
	if err != nil {
		return fmt.Errorf("page: %w; set another port, or leave it empty", err)
	}
	p.server = &http.Server{Handler: page.Handler(source{p}, p.now), ReadTimeout: 10 * time.Second, WriteTimeout: 30 * time.Second}
	p.running.Go(func() {
		if err := p.server.Serve(listener); err != nil && !errors.Is(err, http.ErrServerClosed) {
			p.tel.logger.Error("the page is closed until the collector starts again", zap.Error(err))
		}
	})
	return nil
}
