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

// errFull is said when max_bytes are in the journal.
var errFull = errors.New("the journal is full")

// In the storage: the numbers of the batches that may be there, each batch under "b" and its number, and under "d" and a number the
// decisions that were made between the write before and the one with this number.
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
	first, next uint64           // batches and decisions in the storage are numbered from first to below next
	live        map[uint64]int64 // batches that are needed: bytes
	bytes       int64
	settled     []uint64 // batches in the storage that are not, to be deleted with the next write
	decisions   []byte   // not stored yet
}

// load learns what the process before has left; decided is called for each of its decisions.
func (j *journal) load(ctx context.Context, decided func(id [16]byte, sampled bool)) error {
	data, err := j.client.Get(ctx, keyRange)
	if err != nil || data == nil {
		return err
	}
	if len(data) != 16 {
		return fmt.Errorf("the range of the journal has %d bytes", len(data))
	}
	j.first, j.next = binary.BigEndian.Uint64(data), binary.BigEndian.Uint64(data[8:])
	for n := j.first; n < j.next; n++ {
		j.live[n] = 0 // until it is read
		data, err := j.client.Get(ctx, key(keyDecisions, n))
		if err != nil {
			return err
		}
		for ; len(data) >= decisionBytes; data = data[decisionBytes:] {
			var id [16]byte
			copy(id[8:], data[:8])
			decided(id, data[8] == 1)
		}
	}
	return nil
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
	j.live[number] = size
	if err := j.commit(ctx, storage.SetOperation(key(keyBatch, number), data)); err != nil {
		delete(j.live, number)
		return 0, err
	}
	j.bytes += size
	return number, nil
}

// decide notes a decision.
func (j *journal) decide(id [16]byte, sampled bool) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.decisions = append(j.decisions, id[8:]...)
	if sampled {
		j.decisions = append(j.decisions, 1)
	} else {
		j.decisions = append(j.decisions, 0)
	}
}

// settle says that batches are needed no more.
func (j *journal) settle(numbers ...uint64) {
	j.mu.Lock()
	defer j.mu.Unlock()
	for _, n := range numbers {
		j.bytes -= j.live[n]
		delete(j.live, n)
	}
	j.settled = append(j.settled, numbers...)
}

// tidy deletes what is settled when no write does.
func (j *journal) tidy(ctx context.Context) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	if len(j.settled) == 0 {
		return nil
	}
	return j.commit(ctx)
}

// commit is one transaction. When it fails, nothing has changed.
func (j *journal) commit(ctx context.Context, ops ...*storage.Operation) error {
	next := j.next + 1
	first := j.first
	for _, needed := j.live[first]; !needed && first < next; _, needed = j.live[first] {
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
		ops = append(ops, storage.SetOperation(key(keyDecisions, j.next), j.decisions))
	}
	return ops
}

// load of the storage: how many batches and bytes are needed.
func (j *journal) stats() (batches int, bytes int64) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return len(j.live), j.bytes
}

func encodeRange(first, next uint64) []byte {
	return binary.BigEndian.AppendUint64(binary.BigEndian.AppendUint64(nil, first), next)
}

func key(kind string, number uint64) string { return kind + strconv.FormatUint(number, 10) }
