package store

import (
	"bytes"
	"encoding/binary"
	"hash/crc32"
)

// A record is what one Apply writes: a header and the changes. Segments hold nothing but records, and each can be told from garbage, so that
// damage costs what it hits and not what follows.
//
//	magic 4 | length of the body 4 | number 8 | checksum of the body 4 | checksum of the header so far 4 | body
//	body: for each change the key's length, the key, 0 for a deletion or 1 + the value's length, the value (lengths are varints)
const headerSize = 24

var magic = []byte("SlQ1")

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

func checksum(b []byte) uint32 { return crc32.Checksum(b, castagnoli) }

// headerSum depends on the segment's seed.
func headerSum(seed uint64, header []byte) uint32 {
	var b [8]byte
	binary.LittleEndian.PutUint64(b[:], seed)
	return crc32.Update(checksum(b[:]), castagnoli, header)
}

// Write is a change: a nil value deletes.
type Write struct {
	Key   string
	Value []byte
}

// recordSize is at least how long a record is.
func recordSize(writes []Write) int64 {
	size := int64(headerSize)
	for _, w := range writes {
		size += int64(len(w.Key)) + int64(len(w.Value)) + 2*binary.MaxVarintLen64
	}
	return size
}

// appendRecord appends a record, and calls placed with where in b each value is.
func appendRecord(b []byte, seed, number uint64, writes []Write, placed func(w Write, at int)) []byte {
	start := len(b)
	b = append(b, make([]byte, headerSize)...)
	for _, w := range writes {
		b = binary.AppendUvarint(b, uint64(len(w.Key)))
		b = append(b, w.Key...)
		if w.Value == nil {
			b = append(b, 0)
		} else {
			b = binary.AppendUvarint(b, 1+uint64(len(w.Value)))
			b = append(b, w.Value...)
		}
		placed(w, len(b)-len(w.Value))
	}
	h, body := b[start:start+headerSize], b[start+headerSize:]
	copy(h, magic)
	binary.LittleEndian.PutUint32(h[4:], uint32(len(body))) //nolint:gosec // Apply bounds it
	binary.LittleEndian.PutUint64(h[8:], number)
	binary.LittleEndian.PutUint32(h[16:], checksum(body))
	binary.LittleEndian.PutUint32(h[20:], headerSum(seed, h[:20]))
	return b
}

// header is a record's, when b begins with one.
func header(b []byte, seed uint64) (number uint64, length int, sum uint32, ok bool) {
	if len(b) < headerSize || !bytes.HasPrefix(b, magic) || headerSum(seed, b[:20]) != binary.LittleEndian.Uint32(b[20:]) {
		return 0, 0, 0, false
	}
	return binary.LittleEndian.Uint64(b[8:]), int(binary.LittleEndian.Uint32(b[4:])), binary.LittleEndian.Uint32(b[16:]), true
}

// scan calls record with the number, the body and the place of the body of each whole record in a segment; what is between them is damage.
func scan(segment []byte, seed uint64, record func(number uint64, body []byte, at int)) {
	for at := 0; at < len(segment); {
		number, length, sum, ok := header(segment[at:], seed)
		if begin := at + headerSize; ok && length <= len(segment)-begin && checksum(segment[begin:begin+length]) == sum {
			record(number, segment[begin:begin+length], begin)
			at = begin + length
			continue
		}
		next := bytes.Index(segment[at+1:], magic)
		if next < 0 {
			return
		}
		at += 1 + next
	}
}

// changes calls change with each change of a record's body, and where in the body its value is.
func changes(body []byte, change func(w Write, at int)) {
	for at := 0; at < len(body); {
		key, next, ok := slice(body, at, 0)
		if !ok {
			return
		}
		if body[next] == 0 {
			at = next + 1
			change(Write{Key: string(key)}, at)
			continue
		}
		value, end, ok := slice(body, next, 1)
		if !ok {
			return
		}
		at = end
		change(Write{Key: string(key), Value: value}, at-len(value))
	}
}

// slice reads a length, of which more is taken off, and as many bytes; for a key there is something after them.
func slice(b []byte, at int, more uint64) (s []byte, end int, ok bool) {
	length, n := binary.Uvarint(b[at:])
	if n <= 0 || length < more || length-more > uint64(len(b)-at-n) {
		return nil, 0, false
	}
	end = at + n + int(length-more) //nolint:gosec // at most the length of b
	return b[at+n : end : end], end, more > 0 || end < len(b)
}
