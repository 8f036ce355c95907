package budget

import (
	"encoding/binary"
	"errors"
	"hash/crc32"
	"time"
)

// A snapshot: version, checksum of the rest, seed, then tenant by tenant: its name, streams, and for each label the hash of its name and its values.
const version = 1

// ErrDamaged is what a snapshot that cannot be read is answered with.
var ErrDamaged = errors.New("no snapshot of this version, or damaged")

// Snapshot writes down what is known, unless that is what the last one says.
func (b *Budgets) Snapshot(now time.Time) []byte {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.forget(now)
	if !b.dirty {
		return nil
	}
	b.dirty = false
	data := binary.LittleEndian.AppendUint64(make([]byte, 5), b.seed)
	data = binary.AppendUvarint(data, uint64(len(b.tenants)))
	for id, t := range b.tenants {
		data = binary.AppendUvarint(data, uint64(len(id)))
		data = append(data, id...)
		data = b.appendTenant(data, t)
	}
	data = b.appendTenant(data, b.shared)
	data[0] = version
	binary.LittleEndian.PutUint32(data[1:], crc32.ChecksumIEEE(data[5:]))
	return data
}

// Unsaved says that the last snapshot was not stored.
func (b *Budgets) Unsaved() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.dirty = true
}

func (b *Budgets) appendTenant(data []byte, t *tenant) []byte {
	data = appendSet(data, &t.streams)
	data = binary.AppendUvarint(data, uint64(len(t.values)))
	for i := range t.values {
		data = binary.LittleEndian.AppendUint64(data, b.names[i])
		data = appendSet(data, &t.values[i])
	}
	return data
}

func appendSet(data []byte, s *set) []byte {
	data = binary.AppendUvarint(data, uint64(s.len()))
	for _, half := range []hashes{s.now, s.before} {
		for h := range half {
			data = binary.LittleEndian.AppendUint64(data, h)
		}
	}
	return data
}

// Restore takes a snapshot's streams and values for seen now. Labels that are no more are forgotten.
func (b *Budgets) Restore(now time.Time, data []byte) error {
	if len(data) < 13 || data[0] != version || binary.LittleEndian.Uint32(data[1:]) != crc32.ChecksumIEEE(data[5:]) {
		return ErrDamaged
	}
	r := reader{rest: data[5:]}
	restored := New(b.limits, r.fixed())
	for range r.count() {
		id := string(r.bytes(r.count()))
		t, sum := restored.tenant(now, id)
		restored.readTenant(&r, t, sum, now)
	}
	restored.readTenant(&r, restored.shared, 0, now)
	if r.failed || len(r.rest) > 0 {
		return ErrDamaged
	}
	restored.forget(now) // tenants without streams
	b.mu.Lock()
	defer b.mu.Unlock()
	b.seed, b.tenants, b.shared = restored.seed, restored.tenants, restored.shared
	return nil
}

// readTenant adds to t; sum is what tells streams apart when several tenants share it.
func (b *Budgets) readTenant(r *reader, t *tenant, sum uint64, now time.Time) {
	t.until = now.Add(b.limits.Window)
	for range r.count() {
		t.streams.add(r.fixed() + sum)
	}
	for range r.count() {
		name, into := r.fixed(), &set{}
		for i := range b.names {
			if b.names[i] == name {
				into = &t.values[i]
			}
		}
		for range r.count() {
			into.add(r.fixed())
		}
	}
}

// reader takes a snapshot apart; after the first failure it gives nothing.
type reader struct {
	rest   []byte
	failed bool
}

func (r *reader) bytes(n int) []byte {
	if n > len(r.rest) {
		r.failed, r.rest = true, nil
		return nil
	}
	b := r.rest[:n]
	r.rest = r.rest[n:]
	return b
}

func (r *reader) fixed() uint64 {
	if b := r.bytes(8); b != nil {
		return binary.LittleEndian.Uint64(b)
	}
	return 0
}

// count reads a length; none can be longer than what follows has bytes.
func (r *reader) count() int {
	n, size := binary.Uvarint(r.rest)
	if size <= 0 || n > uint64(len(r.rest)-size) {
		r.failed, r.rest = true, nil
		return 0
	}
	r.rest = r.rest[size:]
	return int(n) //nolint:gosec // at most the length of a slice
}
