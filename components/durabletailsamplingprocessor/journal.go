package durabletailsamplingprocessor

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"strconv"
	"sync"

	"go.opentelemetry.io/collector/extension/xextension/storage"
)

var (
	// errFull is said when max_bytes are in the journal.
	errFull = errors.New("the journal is full")
	// errBlocked is said when batches of the journal wait for upstream's loop already, as many as may.
	errBlocked = errors.New("tail_sampling takes nothing: look at what is behind it")
)

// In the storage: the numbers of the batches that may be there, each batch under "b" and its number, and under "d" and a number the
// decisions that were carried out between the write before and the one with this number, behind the number of the first batch of which
// they may have missed spans.
const (
	keyRange     = "range"
	keyBatch     = "b"
	keyDecisions = "d"
)

// A decision is stored as the half of the trace's id that the sampler's caches go by, and one byte.
const decisionBytes = 9

// journal keeps batches in the storage until they are settled. It is safe for concurrent use.
type journal struct {
	client storage.Client
	max    int64

	mu          sync.Mutex
	first, next uint64              // batches and decisions in the storage are numbered from first to below next
	live        map[uint64]int64    // batches that are needed: bytes
	untaken     map[uint64]struct{} // those of them of which the sampler may not have taken all spans yet
	bytes       int64
	settled     []uint64 // batches in the storage that are not, to be deleted with the next write
	decisions   []byte   // not stored yet
	frozen      bool
}

// decision is what is known of a trace from the process before.
type decision struct {
	sampled bool
	below   uint64 // it is carried out for spans in batches below this number
}

// half is the part of a trace's id that the sampler's caches, and so the stored decisions, go by.
type half [8]byte

func halfOf(id [16]byte) half { return half(id[8:]) }

func newJournal(maxBytes int64) *journal {
	return &journal{max: maxBytes, live: map[uint64]int64{}, untaken: map[uint64]struct{}{}}
}

// load learns what the process before has left.
func (j *journal) load(ctx context.Context) (map[half]decision, error) {
	known := map[half]decision{}
	data, err := j.client.Get(ctx, keyRange)
	if err != nil || data == nil {
		return known, err
	}
	if len(data) != 16 {
		return nil, fmt.Errorf("the range of the journal has %d bytes", len(data))
	}
	j.first, j.next = binary.BigEndian.Uint64(data), binary.BigEndian.Uint64(data[8:])
	for n := j.first; n < j.next; n++ {
		j.live[n], j.untaken[n] = 0, struct{}{} // until it is read
		data, err := j.client.Get(ctx, key(keyDecisions, n))
		if err != nil {
			return nil, err
		}
		if len(data) < 8 {
			continue
		}
		below := binary.BigEndian.Uint64(data)
		for data = data[8:]; len(data) >= decisionBytes; data = data[decisionBytes:] {
			known[half(data[:8])] = decision{data[8] == 1, below}
		}
	}
	return known, nil
}

// read gives back a batch of the process before; nil when there is none of this number.
func (j *journal) read(ctx context.Context, number uint64) ([]byte, error) {
	data, err := j.client.Get(ctx, key(keyBatch, number))
	if err != nil {
		return nil, err
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	j.live[number] = int64(len(data))
	j.bytes += int64(len(data))
	return data, nil
}

// write stores a batch, and with it the decisions made since the last write; what is settled is deleted.
func (j *journal) write(ctx context.Context, data []byte) (number uint64, err error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	size := int64(len(data))
	if j.bytes+size > j.max {
		return 0, errFull
	}
	number = j.next
	j.live[number], j.untaken[number] = size, struct{}{}
	if err := j.commit(ctx, storage.SetOperation(key(keyBatch, number), data)); err != nil {
		delete(j.live, number)
		delete(j.untaken, number)
		return 0, err
	}
	j.bytes += size
	return number, nil
}

// carriedOut notes a decision: the trace has been handed on, or is dropped.
func (j *journal) carriedOut(id [16]byte, sampled bool) {
	j.mu.Lock()
	defer j.mu.Unlock()
	flag := byte(0)
	if sampled {
		flag = 1
	}
	j.decisions = append(append(j.decisions, id[8:]...), flag)
}

// taken says that the sampler has all spans of these batches.
func (j *journal) taken(numbers []uint64) {
	j.mu.Lock()
	defer j.mu.Unlock()
	for _, n := range numbers {
		if !j.frozen {
			delete(j.untaken, n)
		}
	}
}

// freeze keeps batches from being taken or settled from now on: something that was decided has not been handed on, and will not be.
func (j *journal) freeze() {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.frozen = true
}

// settle says that batches are needed no more.
func (j *journal) settle(numbers ...uint64) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.frozen {
		return
	}
	for _, n := range numbers {
		j.bytes -= j.live[n]
		delete(j.live, n)
		delete(j.untaken, n)
	}
	j.settled = append(j.settled, numbers...)
}

// tidy does what goes with a write when there is none.
func (j *journal) tidy(ctx context.Context) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	if len(j.settled) == 0 && len(j.decisions) == 0 {
		return nil
	}
	return j.commit(ctx)
}

// commit is one transaction. When it fails, nothing has changed.
func (j *journal) commit(ctx context.Context, ops ...*storage.Operation) error {
	next := j.next + 1
	first := j.first
	for _, needed := j.live[first]; !needed && first < j.next; _, needed = j.live[first] {
		ops = append(ops, storage.DeleteOperation(key(keyDecisions, first)))
		first++
	}
	if err := j.client.Batch(ctx, append(j.common(ops), storage.SetOperation(keyRange, encodeRange(first, next)))...); err != nil {
		return err
	}
	j.first, j.next = first, next
	j.settled, j.decisions = nil, nil
	return nil
}

// clear empties the journal when everything is decided. The last decisions stay, for spans that come late.
func (j *journal) clear(ctx context.Context) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	for n := range j.live {
		j.settled = append(j.settled, n)
	}
	return j.client.Batch(ctx, append(j.common(nil), storage.SetOperation(keyRange, encodeRange(j.first, j.next+1)))...)
}

// common is what every transaction does.
func (j *journal) common(ops []*storage.Operation) []*storage.Operation {
	for _, n := range j.settled {
		ops = append(ops, storage.DeleteOperation(key(keyBatch, n)))
	}
	if len(j.decisions) > 0 {
		below := j.next
		for n := range j.untaken {
			below = min(below, n)
		}
		ops = append(ops, storage.SetOperation(key(keyDecisions, j.next), append(binary.BigEndian.AppendUint64(nil, below), j.decisions...)))
	}
	return ops
}

// stats are how many batches and bytes are needed.
func (j *journal) stats() (batches int, bytes int64) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return len(j.live), j.bytes
}

func encodeRange(first, next uint64) []byte {
	return binary.BigEndian.AppendUint64(binary.BigEndian.AppendUint64(nil, first), next)
}

func key(kind string, number uint64) string { return kind + strconv.FormatUint(number, 10) }
