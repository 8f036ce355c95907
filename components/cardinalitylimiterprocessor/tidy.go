package cardinalitylimiterprocessor

import (
	"context"
	"time"
)

const (
	// sweepWords is how much of a set is looked at under the lock at once: 64 KiB.
	sweepWords = 8192
	// sweepsPerIdle is how often in an idle timeout all series are looked at.
	sweepsPerIdle = 16
)

// tidy does what is due now and then: forget idle series, read the limits file, end the learning.
func (p *limiter) tidy(ctx context.Context) {
	sweep := time.NewTicker(p.cfg.IdleTimeout / sweepsPerIdle)
	defer sweep.Stop()
	limits := time.NewTicker(limitsInterval)
	defer limits.Stop()
	grace := time.NewTimer(p.cfg.StartupGrace)
	defer grace.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-sweep.C:
			p.sweep()
		case <-limits.C:
			_ = p.readLimits(false) // told and counted
		case <-grace.C:
			p.learn(false)
		}
	}
}

// sweep forgets idle series, in pieces between which batches pass.
func (p *limiter) sweep() {
	for done := false; !done; {
		p.mu.Lock()
		done = p.limits.Sweep(p.step(p.now()), sweepWords)
		events := p.limits.TakeEvents()
		p.mu.Unlock()
		p.tel.tell(events)
	}
}

// learn lets the limits hold, or series pass up to twice the limits.
func (p *limiter) learn(on bool) {
	p.mu.Lock()
	before := p.learning
	p.learning = on
	p.limits.Learn(on)
	p.mu.Unlock()
	switch {
	case on:
		p.tel.logger.Info("no series are known from a run before: until startup_grace is over, series pass up to twice the limits")
	case before:
		p.tel.logger.Info("startup_grace is over: the limits hold")
	}
}
