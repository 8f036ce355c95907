package cardinalitylimiterprocessor

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/zeebo/xxh3"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/extension/xextension/storage"

	"github.com/sluice-otel/sluice/components/cardinalitylimiterprocessor/internal/limit"
	"github.com/sluice-otel/sluice/components/internal/storageclient"
)

// The keys in the storage, each with a header of its own: version, checksum of the rest, seed of the identities.
const (
	keySeries = "series" // the admitted ones
	keyFolds  = "folds"  // streams and their members

	snapshotVersion = 1
	headerLength    = 1 + 8 + 8
)

// saveShare bounds the part of the time that storing admitted series takes.
const saveShare = 20

// snapshots writes to the storage extension. Without one it does nothing.
type snapshots struct {
	client storage.Client

	mu     sync.Mutex
	stored time.Time
	errs   map[string]error // by key
	// What had been admitted and had expired at the last one, and when the next may be.
	counts limit.Counts
	next   time.Time
}

func (s *snapshots) open(ctx context.Context, host component.Host, id *component.ID, self component.ID, tel *telemetry) (err error) {
	s.client, err = storageclient.Open(ctx, host, id, self, tel.logger, "after a restart the first series to come are admitted, "+
		"not those that were, and totals of folded series start again")
	return err
}

func (s *snapshots) close(ctx context.Context) error {
	if s.client == nil {
		return nil
	}
	return s.client.Close(ctx)
}

var errDamaged = errors.New("cut short, damaged or of another version")

// get reads one; nil without error when there is none.
func (s *snapshots) get(ctx context.Context, key string) (seed uint64, data []byte, err error) {
	raw, err := s.client.Get(ctx, key)
	if err != nil || raw == nil {
		return 0, nil, err
	}
	if len(raw) < headerLength || raw[0] != snapshotVersion || binary.LittleEndian.Uint64(raw[1:]) != xxh3.Hash(raw[9:]) {
		return 0, nil, errDamaged
	}
	return binary.LittleEndian.Uint64(raw[9:]), raw[headerLength:], nil
}

func (s *snapshots) set(ctx context.Context, key string, seed uint64, data []byte) error {
	raw := make([]byte, headerLength, headerLength+len(data))
	raw[0] = snapshotVersion
	binary.LittleEndian.PutUint64(raw[9:], seed)
	raw = append(raw, data...)
	binary.LittleEndian.PutUint64(raw[1:], xxh3.Hash(raw[9:]))
	return s.client.Set(ctx, key, raw)
}

func (s *snapshots) note(key string, at time.Time, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.errs == nil {
		s.errs = map[string]error{}
	}
	if s.errs[key] = err; err == nil && key == keySeries {
		s.stored = at
	}
}

func (s *snapshots) state() (stored time.Time, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.stored, errors.Join(s.errs[keySeries], s.errs[keyFolds])
}

// restore takes up what the run before this one knew; it is false when nothing was known. What is damaged is refused and told. An error is
// for what may still be good: it must not be overwritten.
func (p *limiter) restore(ctx context.Context) (known bool, err error) {
	if p.store.client == nil {
		return false, nil
	}
	seed, data, err := p.store.get(ctx, keySeries)
	if err == nil && data == nil {
		return false, nil
	}
	if err != nil && !errors.Is(err, errDamaged) {
		return false, fmt.Errorf("storage: %w", err)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if err == nil && p.cfg.HashSeed != "" && seed != p.hash.Seed() {
		err = errors.New("stored under another hash_seed")
	}
	if err == nil {
		p.begin(seed)
		err = p.limits.UnmarshalBinary(data, p.step(p.now()))
	}
	if errors.Is(err, limit.ErrTooLarge) {
		return false, fmt.Errorf("storage: %w", err)
	}
	if err != nil {
		p.begin(p.hash.Seed())
		p.store.note(keySeries, time.Time{}, err)
		p.tel.refusedSnapshot("the stored series are refused; which pass is learnt anew during startup_grace", err)
		return false, nil
	}
	if err := p.restoreFolds(ctx, seed); err != nil {
		p.store.note(keyFolds, time.Time{}, err)
		p.tel.refusedSnapshot("the stored totals of folded series are refused, and start again", err)
	}
	return true, nil
}

func (p *limiter) restoreFolds(ctx context.Context, seed uint64) error {
	foldSeed, data, err := p.store.get(ctx, keyFolds)
	if err != nil || data == nil {
		return err
	}
	if foldSeed != seed || len(data) < 8 {
		return errDamaged
	}
	if err := p.folds.UnmarshalBinary(data[8:]); err != nil {
		return err
	}
	if binary.LittleEndian.Uint64(data) != p.rulesHash() {
		p.folds.Release() // they may fit now
	}
	return nil
}

// rulesHash tells whether the rules are the ones by which series were folded.
func (p *limiter) rulesHash() uint64 { return xxh3.HashString(fmt.Sprint(p.rules)) }

// foldState is what the storage must know of what is folded. It needs the lock.
func (p *limiter) foldState() []byte {
	if p.store.client == nil {
		return nil
	}
	return p.folds.AppendBinary(binary.LittleEndian.AppendUint64(nil, p.rulesHash()))
}

// saveSeries stores the admitted series, if others are admitted than the last time, and not all the time.
func (p *limiter) saveSeries(ctx context.Context, always bool) {
	if p.store.client == nil {
		return
	}
	begin := p.now()
	p.mu.Lock()
	counts := p.limits.Counts()
	if !always && (counts == p.store.counts || begin.Before(p.store.next)) {
		p.mu.Unlock()
		return
	}
	data := p.limits.AppendBinary(nil)
	seed := p.hash.Seed()
	p.mu.Unlock()
	err := p.store.set(ctx, keySeries, seed, data)
	end := p.now()
	p.store.next = end.Add(saveShare * end.Sub(begin))
	p.store.note(keySeries, end, err)
	if err != nil {
		p.tel.storageError("the admitted series", err)
		return
	}
	p.store.counts = counts
}

// saveFolds stores the totals; false when there is no storage, or it failed.
func (p *limiter) saveFolds(ctx context.Context, state []byte) bool {
	if p.store.client == nil {
		return false
	}
	err := p.store.set(ctx, keyFolds, p.hash.Seed(), state)
	p.store.note(keyFolds, p.now(), err)
	if err != nil {
		p.tel.storageError("the totals of folded series", err)
	}
	return err == nil
}
