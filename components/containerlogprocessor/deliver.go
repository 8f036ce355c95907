package containerlogprocessor

import (
	"context"
	"errors"
	"time"

	"go.opentelemetry.io/collector/consumer/consumererror"
	"go.opentelemetry.io/collector/pdata/plog"
)

// Waits between attempts.
const (
	firstDelay = 100 * time.Millisecond
	lastDelay  = 5 * time.Second
)

// deliver hands records on until they are accepted. When the context ends before that, because the receiver stops, they go to the
// storage: filelog moves the file's offset whatever we answer, so an error would lose them. What the locked containers hold back is
// stored, too, before it returns nil.
func (p *containerlog) deliver(ctx context.Context, ld plog.Logs, containers []*container) error {
	rest, err := p.handOn(ctx, ld)
	switch {
	case err == nil:
		return p.store(ctx, containers)
	case consumererror.IsPermanent(err):
		p.tel.dropped(rest.LogRecordCount(), "the next component refuses records for good", err)
		return errors.Join(err, p.store(ctx, containers))
	}
	if errStore := p.journal.park(rest, containers); errStore != nil {
		p.tel.dropped(rest.LogRecordCount(), "records were refused until shutdown and could not be stored: "+
			"give the processor a storage extension, or end what refuses them before it is stopped", errors.Join(err, errStore))
		return err
	}
	p.tel.logger.Info("records that were refused until shutdown are stored and will be delivered after the next start")
	return nil
}

// handOn tries until it is done or the context is; rest is what has not been accepted.
func (p *containerlog) handOn(ctx context.Context, ld plog.Logs) (rest plog.Logs, err error) {
	if ld.LogRecordCount() == 0 {
		return ld, nil
	}
	select {
	case <-p.restored: // older records first
	default:
		select {
		case <-p.restored:
		case <-ctx.Done():
			return ld, ctx.Err()
		}
	}
	for delay := firstDelay; ; delay = min(2*delay, lastDelay) {
		if err = p.next.ConsumeLogs(ctx, ld); err == nil || consumererror.IsPermanent(err) {
			return ld, err
		}
		p.tel.refused(err)
		var some consumererror.Logs
		if errors.As(err, &some) {
			ld = some.Data()
		}
		if !sleep(ctx, delay) {
			return ld, err
		}
	}
}

// store writes what the containers hold back, and tries until it is done or the context is.
func (p *containerlog) store(ctx context.Context, containers []*container) error {
	for delay := firstDelay; ; delay = min(2*delay, lastDelay) {
		err := p.journal.save(containers)
		if err == nil {
			return nil
		}
		p.tel.storageError("store", err)
		if !sleep(ctx, delay) {
			return err // Shutdown sends what is held as pieces
		}
	}
}

// deliverStored sends what a run before this one had to leave behind, oldest first, and then lets the new records pass.
func (p *containerlog) deliverStored(ctx context.Context) {
	for {
		ld, done, err := p.journal.nextParked()
		switch {
		case err != nil:
			p.tel.storageError("load", err)
			if !sleep(ctx, lastDelay) {
				return
			}
			continue
		case done:
			close(p.restored)
			return
		}
		for delay := firstDelay; ; delay = min(2*delay, lastDelay) {
			err := p.next.ConsumeLogs(ctx, ld)
			if consumererror.IsPermanent(err) {
				p.tel.dropped(ld.LogRecordCount(), "the next component refuses stored records for good", err)
				break
			}
			if err == nil {
				break
			}
			p.tel.refused(err)
			if !sleep(ctx, delay) {
				return // they stay stored
			}
		}
		p.journal.unpark()
	}
}
