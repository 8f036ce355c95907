package containerlogprocessor

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"sync"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/extension/xextension/storage"
	"go.opentelemetry.io/collector/pdata/plog"

	"github.com/sluice-otel/sluice/components/containerlogprocessor/internal/join"
	"github.com/sluice-otel/sluice/components/containerlogprocessor/internal/line"
	"github.com/sluice-otel/sluice/components/internal/storageclient"
)

// The keys in the storage. A client cannot list its keys: containers have numbered slots, and refused batches numbers from the oldest
// to the newest.
const (
	keySlots     = "slots"    // how many slots have ever been in use
	keySlot      = "slot/"    // + number: storedContainer
	keyParked    = "refused"  // storedRange of refused batches, and of lines that were set aside
	keyParkedNum = "refused/" // + number: plog in protobuf
	maxMark      = 16 << 20   // filelog's longest line is 1 MiB by default
)

// storedContainer is what must outlive the process: the file's offset has passed it, and it is not delivered.
type storedContainer struct {
	Key     string          `json:"key"`
	Streams [2]storedStream `json:"streams"`
}

type storedStream struct {
	Held      bool            `json:"held,omitempty"`
	Text      []byte          `json:"text,omitempty"`
	Time      int64           `json:"time,omitempty"`
	Attrs     []line.Attr     `json:"attrs,omitempty"`
	Continued bool            `json:"continued,omitempty"`
	Marks     []join.Position `json:"marks,omitempty"`
}

type storedRange struct {
	First int `json:"first"`
	Next  int `json:"next"`
}

// journal writes to the storage extension. Without one it remembers nothing.
type journal struct {
	tel    *telemetry
	client storage.Client

	mu     sync.Mutex
	slots  int   // how many there are
	known  int   // how many of them the storage knows of
	free   []int // of them
	parked storedRange
	from   int // the batches of the run before this one begin here
	loaded int // and end here
	done   map[int]bool
}

func (j *journal) open(ctx context.Context, host component.Host, id *component.ID, self component.ID) (err error) {
	j.client, err = storageclient.Open(ctx, host, id, self, j.tel.logger, "what is held of unfinished records, and what is refused "+
		"while the collector stops, is lost with the process")
	return err
}

func (j *journal) close(ctx context.Context) error {
	if j.client == nil {
		return nil
	}
	return j.client.Close(ctx)
}

// load reads what the run before this one left. What cannot be understood is reported and skipped.
func (j *journal) load(ctx context.Context) (containers []storedContainer, err error) {
	if j.client == nil {
		return nil, nil
	}
	if err := j.get(ctx, keySlots, &j.slots); err != nil {
		return nil, err
	}
	if err := j.get(ctx, keyParked, &j.parked); err != nil {
		return nil, err
	}
	j.from, j.loaded, j.known = j.parked.First, j.parked.Next, j.slots
	for slot := range j.slots {
		var c storedContainer
		if err := j.get(ctx, keySlot+strconv.Itoa(slot), &c); err != nil {
			return nil, err
		}
		containers = append(containers, c) // at its slot's place
	}
	return containers, nil
}

func (j *journal) get(ctx context.Context, key string, into any) error {
	data, err := j.client.Get(ctx, key)
	if err != nil || data == nil {
		return err
	}
	if err := json.Unmarshal(data, into); err != nil {
		j.tel.storageError("load", fmt.Errorf("%s is skipped: %w", key, err))
	}
	return nil
}

// save stores the containers whose unfinished records have changed. Not with a context: it must also be done while stopping.
func (j *journal) save(containers []*container) error {
	dirty := false
	for _, c := range containers {
		c.mark()
		dirty = dirty || c.dirty
	}
	if j.client == nil || !dirty {
		return nil
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.write(containers, j.operations(containers))
}

func (j *journal) write(containers []*container, ops []*storage.Operation) error {
	if err := j.client.Batch(context.Background(), ops...); err != nil {
		return err
	}
	j.known = j.slots
	for _, c := range containers {
		c.saved()
	}
	return nil
}

func (j *journal) operations(containers []*container) (ops []*storage.Operation) {
	for _, c := range containers {
		if c.mark(); !c.dirty {
			continue
		}
		if c.slot < 0 {
			c.slot = j.takeSlot()
		}
		if c.slot >= j.known {
			ops = append(ops, storage.SetOperation(keySlots, encode(j.slots)))
		}
		ops = append(ops, storage.SetOperation(keySlot+strconv.Itoa(c.slot), encode(c.stored())))
	}
	return ops
}

func (j *journal) takeSlot() (slot int) {
	if n := len(j.free); n > 0 {
		slot, j.free = j.free[n-1], j.free[:n-1]
		return slot
	}
	j.slots++
	return j.slots - 1
}

// forget frees a container's slot.
func (j *journal) forget(c *container) error {
	if c.slot < 0 || j.client == nil {
		return nil
	}
	if err := j.client.Delete(context.Background(), keySlot+strconv.Itoa(c.slot)); err != nil {
		return err
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	j.free = append(j.free, c.slot)
	c.slot = -1
	return nil
}

// park stores a refused batch, together with what its containers hold back.
func (j *journal) park(ld plog.Logs, containers []*container) error {
	if j.client == nil {
		return errors.New("no storage is set")
	}
	data, err := (&plog.ProtoMarshaler{}).MarshalLogs(ld)
	if err != nil {
		return err
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	ops := j.operations(containers)
	next := storedRange{j.parked.First, j.parked.Next + 1}
	ops = append(ops, storage.SetOperation(keyParkedNum+strconv.Itoa(j.parked.Next), data), storage.SetOperation(keyParked, encode(next)))
	if err := j.write(containers, ops); err != nil {
		j.tel.storageError("store", err)
		return err
	}
	j.parked = next
	j.tel.storedBatch()
	return nil
}

// parkedBatch is a batch that the run before this one stored; empty when it is gone.
func (j *journal) parkedBatch(number int) (plog.Logs, error) {
	data, err := j.client.Get(context.Background(), keyParkedNum+strconv.Itoa(number))
	if err != nil || data == nil {
		return plog.NewLogs(), err
	}
	ld, err := (&plog.ProtoUnmarshaler{}).UnmarshalLogs(data)
	if err != nil {
		j.tel.storageError("load", fmt.Errorf("a stored batch of %d bytes is skipped: %w", len(data), err))
		return plog.NewLogs(), nil
	}
	return ld, nil
}

// unpark forgets a stored batch. When that fails, it is delivered once more after the next start.
func (j *journal) unpark(number int) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.done == nil {
		j.done = map[int]bool{}
	}
	j.done[number] = true
	for j.done[j.parked.First] {
		delete(j.done, j.parked.First)
		j.parked.First++
	}
	deleted := storage.DeleteOperation(keyParkedNum + strconv.Itoa(number))
	if err := j.client.Batch(context.Background(), deleted, storage.SetOperation(keyParked, encode(j.parked))); err != nil {
		j.tel.storageError("store", err)
	}
}

// mark notes how far the streams have been taken and whether the storage must learn of it, and lets go of the batch's lines.
func (c *container) mark() {
	for i := range c.streams {
		s := &c.streams[i]
		if !s.taken {
			continue
		}
		c.dirty = c.dirty || s.unfinished() || s.stored
		if s.lastOffset >= 0 {
			at := join.At(s.lastOffset, s.lastRaw)
			if len(s.marks) > 0 && s.markSource == s.lastSource {
				s.marks[0] = at
			} else { // of another file
				s.marks = append([]join.Position{at}, s.marks[:min(len(s.marks), 1)]...)
				s.markSource = s.lastSource
			}
		}
		s.taken, s.lastRaw = false, ""
	}
}

func (c *container) saved() {
	c.dirty = false
	for i := range c.streams {
		c.streams[i].stored = c.streams[i].unfinished()
	}
}

func (c *container) stored() storedContainer {
	out := storedContainer{Key: c.key}
	for i := range c.streams {
		s := &c.streams[i]
		out.Streams[i] = storedStream{Continued: s.Continued, Marks: s.marks}
		if s.Held() {
			out.Streams[i].Held, out.Streams[i].Text = true, []byte(s.Text())
			out.Streams[i].Time, out.Streams[i].Attrs = s.Time, s.Attrs
		}
	}
	return out
}

func encode(v any) []byte {
	data, err := json.Marshal(v)
	if err != nil {
		panic(err) // none of the stored types can fail
	}
	return data
}
