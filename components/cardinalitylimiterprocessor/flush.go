package cardinalitylimiterprocessor

import (
	"context"
	"slices"
	"time"

	"go.opentelemetry.io/collector/consumer/consumererror"
	"go.opentelemetry.io/collector/pdata/pmetric"
	"go.uber.org/zap"

	"github.com/sluice-otel/sluice/components/cardinalitylimiterprocessor/internal/fold"
)

// gaugeFolds are the values of overflow::gauge, in the order of fold.GaugeFold.
var gaugeFolds = []string{"drop", "last", "min", "max", "mean", "sum"}

func gaugeFoldOf(name string) fold.GaugeFold {
	return fold.GaugeFold(max(0, slices.Index(gaugeFolds, name))) //nolint:gosec // one of six
}

func (p *limiter) flushInTime(ctx context.Context) {
	ticker := time.NewTicker(p.cfg.Overflow.FlushInterval)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
			p.saveSeries(ctx, false)
			if err := p.flush(ctx); err != nil {
				p.tel.flushRefused(err)
			}
			p.mu.Lock()
			p.folds.Sweep(p.unixNano())
			p.mu.Unlock()
		}
	}
}

// flush hands the interval on. When it is refused, it is folded back, and goes with the next one.
func (p *limiter) flush(ctx context.Context) error {
	p.flushing.Lock()
	defer p.flushing.Unlock()
	md, points, state, exemplars := p.collect()
	if points == 0 {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.folds.Commit()
		return nil
	}
	// Before they are sent: a total that was sent and is forgotten would go back after a crash.
	p.saveFolds(ctx, state)
	err := p.next.ConsumeMetrics(ctx, md)
	if consumererror.IsPermanent(err) {
		p.tel.dropFolded(points, refused)
		p.tel.logger.Error("the next component refuses folded points for good; they are lost and counted (dropped, reason refused): see what it says of them",
			zap.Int("points_lost", points), zap.Error(err))
		err = nil
	}
	if err != nil {
		p.giveBack(exemplars)
		return err
	}
	state = p.commit()
	// Deltas that were sent must not be sent again after a crash.
	p.saveFolds(ctx, state)
	return nil
}

// collect makes the interval's batch. state is what the storage must know of it.
func (p *limiter) collect() (md pmetric.Metrics, points int, state []byte, exemplars map[fold.Key]*reservoir) {
	p.mu.Lock()
	defer p.mu.Unlock()
	md = pmetric.NewMetrics()
	// It goes on where the clock was set back: streams that wait for it would be silent.
	p.latest = max(p.unixNano(), p.latest+1)
	p.folds.Collect(p.latest, func(s *fold.Stream, point *fold.Point) {
		one, err := describe(s)
		if err != nil || one.MetricCount() != 1 { // we wrote it ourselves
			p.tel.dropFolded(1, malformed)
			return
		}
		var kept []pmetric.Exemplar
		if r := p.exemplars[s.Key()]; r != nil {
			kept = r.kept
		}
		writePoint(point, kept, one.ResourceMetrics().At(0).ScopeMetrics().At(0).Metrics().At(0))
		one.ResourceMetrics().MoveAndAppendTo(md.ResourceMetrics())
		points++
	})
	exemplars, p.exemplars = p.exemplars, map[fold.Key]*reservoir{}
	if points > 0 {
		state = p.foldState()
	}
	return md, points, state, exemplars
}

// commit lets go of the interval. It gives what the storage must know then.
func (p *limiter) commit() (state []byte) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.folds.Commit()
	return p.foldState()
}

// giveBack folds the interval back.
func (p *limiter) giveBack(exemplars map[fold.Key]*reservoir) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.folds.Restore()
	for key, r := range exemplars {
		if p.exemplars[key] == nil {
			p.exemplars[key] = r
		}
	}
}

// lastFlush is the one at shutdown. What is refused then is stored, and is lost and counted where there is no storage.
func (p *limiter) lastFlush(ctx context.Context) {
	err := p.flush(ctx)
	p.flushing.Lock()
	defer p.flushing.Unlock()
	p.mu.Lock()
	state := p.foldState()
	p.mu.Unlock()
	stored := p.saveFolds(ctx, state)
	if err == nil || stored {
		return
	}
	_, points, _, _ := p.collect()
	p.tel.dropFolded(points, refused)
	advice := "give the processor a storage extension"
	if p.store.client != nil {
		advice = "see whether the storage extension's directory is writable and the disk has room"
	}
	p.tel.logger.Error("folded points were refused at shutdown and could not be stored; "+advice, zap.Int("points_lost", points), zap.Error(err))
}

func (p *limiter) unixNano() uint64 { return uint64(p.now().UnixNano()) } //nolint:gosec // after 1970
