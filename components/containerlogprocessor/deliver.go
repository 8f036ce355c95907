package containerlogprocessor

import (
	"context"
	"errors"
	"strings"
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
	for _, c := range containers {
		c.aside.Store(true)
	}
	p.tel.logger.Info("records that were refused until shutdown are stored and will be delivered after the next start")
	return nil
}

// handOn tries until it is done or the context is; rest is what has not been accepted.
func (p *containerlog) handOn(ctx context.Context, ld plog.Logs) (rest plog.Logs, err error) {
	select {
	case <-p.restored: // older records first
	default:
		select {
		case <-p.restored:
		case <-ctx.Done():
			return ld, ctx.Err()
		}
	}
	return p.try(ctx, ld)
}

// try hands on, again and again, until it is done, refused for good, or the context ends.
func (p *containerlog) try(ctx context.Context, ld plog.Logs) (rest plog.Logs, err error) {
	for delay := firstDelay; ; delay = min(2*delay, lastDelay) {
		if ld.LogRecordCount() == 0 {
			return ld, nil
		}
		if err = verdict(p.next.ConsumeLogs(ctx, ld)); err == nil || consumererror.IsPermanent(err) {
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

// verdict reads the errors of several pipelines behind a fan-out, which come joined: for good only when all of them say so, and with a
// part of the records only when there is one. Otherwise one pipeline's verdict would be taken for that of all.
func verdict(err error) error {
	leaves := leavesOf(err)
	if len(leaves) < 2 {
		return err
	}
	texts := make([]string, 0, len(leaves))
	permanent := true
	for _, leaf := range leaves {
		texts = append(texts, leaf.Error())
		permanent = permanent && consumererror.IsPermanent(leaf)
	}
	err = errors.New(strings.Join(texts, "; "))
	if permanent {
		return consumererror.NewPermanent(err)
	}
	return err
}

func leavesOf(err error) (leaves []error) {
	if err == nil {
		return nil
	}
	if many, ok := err.(interface{ Unwrap() []error }); ok {
		for _, e := range many.Unwrap() {
			leaves = append(leaves, leavesOf(e)...)
		}
		return leaves
	}
	return []error{err}
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

// deliverStored sends what a run before this one had to leave behind, oldest first, and then lets the new records pass. The homeless
// containers are those that the cache has no room for.
func (p *containerlog) deliverStored(ctx context.Context, homeless []*container) {
	if !p.deliverRecords(ctx) {
		for _, c := range homeless {
			c.unlock()
		}
		return // they stay stored
	}
	close(p.restored)
	p.evict(ctx, homeless)
	p.takeDeferred(ctx)
}

// deliverRecords sends the records, and remembers lines that were set aside.
func (p *containerlog) deliverRecords(ctx context.Context) (ok bool) {
	for number := p.journal.from; number < p.journal.loaded; number++ {
		ld, err := p.journal.parkedBatch(number)
		for err != nil {
			p.tel.storageError("load", err)
			if !sleep(ctx, lastDelay) {
				return false
			}
			ld, err = p.journal.parkedBatch(number)
		}
		if p.remember(number, ld) {
			continue
		}
		if rest, err := p.try(ctx, ld); consumererror.IsPermanent(err) {
			p.tel.dropped(rest.LogRecordCount(), "the next component refuses stored records for good", err)
		} else if err != nil {
			return false
		}
		p.journal.unpark(number)
	}
	return true
}
