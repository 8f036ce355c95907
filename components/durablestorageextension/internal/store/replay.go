package store

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"os"
	"slices"
)

// gap is a range of numbers, both ends included.
type gap struct{ from, to uint64 }

// replay follows the numbers of records to notice those that are missing.
type replay struct {
	next    uint64 // the number that comes next; 0: any
	gaps    []gap
	skipped bool // something that is no record is at an end
}

func (r *replay) expect(number uint64) {
	if r.next != 0 && number > r.next {
		r.gaps = append(r.gaps, gap{r.next, number - 1})
	}
	r.next = max(r.next, number)
}

// load reads a segment, the one before that begins with limit.
func (s *Store) load(g *segment, limit uint64, r *replay) (err error) {
	if g.file, err = s.options.Disk.Open(g.name, os.O_RDWR); err != nil {
		return err
	}
	s.segments = append(s.segments, g)
	info, err := g.file.Stat()
	if err != nil {
		return err
	}
	content := readAll(g.file, info.Size())
	r.expect(g.first)
	end := 0
	scan(content, g.seed, func(number uint64, body []byte, at int) {
		// Numbers grow. One that the next segment has, too, is of a write that failed and could not be taken back.
		if number < r.next || number >= limit {
			return
		}
		r.expect(number)
		r.next++
		end = at + len(body)
		changes(body, func(w Write, in int) { s.put(g, w, int64(at+in)) })
	})
	g.size = int64(end)
	if end == len(content) {
		return nil
	}
	r.skipped = r.skipped || len(bytes.Trim(content[end:], "\x00")) > 0 // what was set aside in a spare is no write
	if err := g.file.Truncate(g.size); err != nil {
		return fmt.Errorf("%s: cannot cut off what is no record at its end: %w", g.name, err)
	}
	return nil
}

// unreadable is how much is given up where a disk cannot read: a page.
const unreadable = 4096

// readAll reads a segment; what cannot be read is damage like any other, and not a reason not to start.
func readAll(file io.ReaderAt, size int64) []byte {
	content := make([]byte, size)
	if _, err := file.ReadAt(content, 0); err == nil {
		return content
	}
	for at := int64(0); at < size; at += unreadable {
		page := content[at:min(at+unreadable, size)]
		if _, err := file.ReadAt(page, at); err != nil {
			clear(page)
		}
	}
	return content
}

// gapsKey has the gaps that were reported, so that they are not reported again while their segments are there.
const gapsKey = ""

// report compares what is missing with what is known to be.
func (s *Store) report(r *replay) (damage Damage) {
	raw, _ := s.Get(gapsKey)
	known := decodeGaps(raw)
	told := map[gap]bool{}
	for _, g := range known {
		told[g] = true
	}
	for _, g := range r.gaps {
		if !told[g] {
			damage.Records += g.to - g.from + 1
		}
	}
	damage.Torn = r.skipped && damage.Records == 0
	if !slices.Equal(known, r.gaps) {
		// Without room for it the damage is reported again, at the next start.
		_ = s.append([]Write{{gapsKey, encodeGaps(r.gaps)}})
	}
	return damage
}

func encodeGaps(gaps []gap) []byte {
	b := []byte{}
	for _, g := range gaps {
		b = binary.AppendUvarint(binary.AppendUvarint(b, g.from), g.to)
	}
	return b
}

func decodeGaps(b []byte) (gaps []gap) {
	for len(b) > 0 {
		from, n := binary.Uvarint(b)
		to, m := binary.Uvarint(b[max(n, 0):])
		if n <= 0 || m <= 0 {
			return gaps
		}
		gaps, b = append(gaps, gap{from, to}), b[n+m:]
	}
	return gaps
}
