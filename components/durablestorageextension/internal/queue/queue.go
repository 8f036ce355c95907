// Package queue reads what an exporter's sending queue keeps in a storage: its items under their numbers, and under MetadataKey which numbers
// are in use. The format is exporterhelper's (v0.145.0, internal/queue/meta.proto); tests hold it against the real queue.
package queue

import (
	"cmp"
	"errors"
	"slices"
	"strconv"

	"google.golang.org/protobuf/encoding/protowire"
)

// MetadataKey is where the queue keeps its numbers.
const MetadataKey = "qmv0"

// Metadata are the queue's numbers.
type Metadata struct {
	Items, Bytes int64
	Read, Write  uint64   // waiting are those from Read up to and without Write
	InFlight     []uint64 // read, and not yet delivered
}

// ErrMetadata is what metadata that cannot be read is answered with.
var ErrMetadata = errors.New("the queue's metadata cannot be read")

// The fields of the message.
const (
	fieldItems = iota + 1
	fieldBytes
	fieldRead
	fieldWrite
	fieldInFlight
)

// Decode reads metadata.
func Decode(b []byte) (m Metadata, err error) {
	for len(b) > 0 {
		field, kind, n := protowire.ConsumeTag(b)
		if n < 0 {
			return m, ErrMetadata
		}
		b = b[n:]
		if field == fieldInFlight && kind == protowire.BytesType {
			packed, n := protowire.ConsumeBytes(b)
			if n < 0 || len(packed)%8 != 0 {
				return m, ErrMetadata
			}
			for b = b[n:]; len(packed) > 0; packed = packed[8:] {
				v, _ := protowire.ConsumeFixed64(packed)
				m.InFlight = append(m.InFlight, v)
			}
			continue
		}
		v, n := protowire.ConsumeFixed64(b)
		if kind != protowire.Fixed64Type || n < 0 {
			return m, ErrMetadata
		}
		b = b[n:]
		switch field {
		case fieldItems:
			m.Items = int64(v) //nolint:gosec // as it was written
		case fieldBytes:
			m.Bytes = int64(v) //nolint:gosec // as it was written
		case fieldRead:
			m.Read = v
		case fieldWrite:
			m.Write = v
		case fieldInFlight:
			m.InFlight = append(m.InFlight, v)
		}
	}
	return m, nil
}

// Encode writes metadata.
func (m Metadata) Encode() (b []byte) {
	for i, v := range []uint64{uint64(m.Items), uint64(m.Bytes), m.Read, m.Write} { //nolint:gosec // as they are read
		b = protowire.AppendTag(b, fieldItems+protowire.Number(i), protowire.Fixed64Type) //nolint:gosec // small
		b = protowire.AppendFixed64(b, v)
	}
	if len(m.InFlight) > 0 {
		b = protowire.AppendTag(b, fieldInFlight, protowire.BytesType)
		b = protowire.AppendVarint(b, uint64(8*len(m.InFlight)))
		for _, v := range m.InFlight {
			b = protowire.AppendFixed64(b, v)
		}
	}
	return b
}

// Before is m as it was when the number n had not been given.
func (m Metadata) Before(n uint64) Metadata {
	m.Write = min(m.Write, n)
	m.Read = min(m.Read, m.Write)
	m.InFlight = slices.DeleteFunc(slices.Clone(m.InFlight), func(other uint64) bool { return other >= m.Write })
	return m
}

// Item is one that is stored.
type Item struct {
	Number uint64
	Size   int
}

// ItemKey is the key of an item.
func ItemKey(number uint64) string { return strconv.FormatUint(number, 10) }

// ItemNumber is the other way; false for keys that are none of an item.
func ItemNumber(key string) (uint64, bool) {
	n, err := strconv.ParseUint(key, 10, 64)
	return n, err == nil && ItemKey(n) == key
}

// Repair is what has to be done to a queue before it is opened.
type Repair struct {
	Metadata Metadata
	Move     []Move   // in this order
	Delete   []uint64 // delivered
	Missing  int      // how many that were in flight are gone; the queue comes to the others itself
}

// Move gives an item another number.
type Move struct{ From, To uint64 }

// Plan puts the items that were in flight when the process died back in front of those that wait, where they were. The queue itself deletes
// them and only then appends them again: it loses them when it dies once more in between, and changes their order. Plan also deletes what was
// delivered. Nil means that there is nothing to do.
func Plan(m Metadata, stored []Item) *Repair {
	inOrder(stored)
	r := &Repair{Metadata: m}
	r.Metadata.InFlight = nil
	inFlight := map[uint64]bool{}
	for _, n := range m.InFlight {
		inFlight[n] = true
	}
	var front []uint64
	for _, item := range stored {
		switch n := item.Number; {
		case n >= m.Read:
			r.Metadata.Write = max(r.Metadata.Write, n+1) // the newest numbers are lost, and not the item
		case inFlight[n]:
			front = append(front, n)
		default:
			r.Delete = append(r.Delete, n)
		}
	}
	// The last one goes next to those that wait, the one before it next to it: no number is taken that is still in use.
	to := m.Read
	for _, n := range slices.Backward(front) {
		to--
		if n != to {
			r.Move = append(r.Move, Move{n, to})
		}
	}
	r.Metadata.Read = to
	r.Missing = len(inFlight) - len(front)
	if len(inFlight)+len(r.Delete) == 0 && r.Metadata.Write == m.Write {
		return nil
	}
	return r
}

// Rebuild makes metadata for items that have lost theirs: all of them wait.
func Rebuild(stored []Item) (m Metadata) {
	if len(stored) == 0 {
		return m
	}
	inOrder(stored)
	m.Read, m.Write = stored[0].Number, stored[len(stored)-1].Number+1
	for _, item := range stored {
		m.Bytes += int64(item.Size)
	}
	return m
}

func inOrder(items []Item) {
	slices.SortFunc(items, func(a, b Item) int { return cmp.Compare(a.Number, b.Number) })
}
