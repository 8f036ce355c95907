package lokihintprocessor

import (
	"context"
	"time"

	"go.uber.org/zap"
)

const (
	storageKey   = "budgets"
	saveInterval = 10 * time.Second
)

// restore takes what is stored for known. What cannot be read is no reason not to start.
func (p *hinter) restore(ctx context.Context) {
	data, err := p.storage.Get(ctx, storageKey)
	if err == nil && data != nil {
		err = p.budgets.Restore(time.Now(), data)
	}
	if err != nil {
		p.storageFailed("what was known before the start cannot be read: the first values to come are labels, not those that were", err)
	}
}

// save stores what is known, if it has changed.
func (p *hinter) save(ctx context.Context) {
	data := p.budgets.Snapshot(time.Now())
	if data == nil {
		return
	}
	if err := p.storage.Set(ctx, storageKey, data); err != nil {
		p.budgets.Unsaved()
		p.storageFailed("known values and streams cannot be stored; tried again in "+saveInterval.String(), err)
	}
}

func (p *hinter) storageFailed(what string, err error) {
	p.tel.builder.ProcessorLokiHintStorageErrors.Add(context.Background(), 1)
	p.tel.logger.Warn(what, zap.Error(err))
}

// keepSaving runs until the processor stops.
func (p *hinter) keepSaving() {
	defer close(p.saved)
	tick := time.NewTicker(saveInterval)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			p.save(context.Background())
		case <-p.stop:
			return
		}
	}
}
