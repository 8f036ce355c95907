package store

import (
	"encoding/binary"
	"fmt"
	"os"
	"slices"
)

// gap is a range of numbers, both ends included.
type gap struct{ from, to uint64 }

// replay follows the numbers of records to notice those that are missing.
type replay struct {
	next    uint64 // the number that comes next; 0: any
	gaps    []gap
	skipped bool // something that is no record is there
}

func (r *replay) expect(number uint64) {
	if r.next != 0 && number > r.next {
		r.gaps = append(r.gaps, gap{r.next, number - 1})
	}
	r.next = max(r.next, number)
}

// load reads a segment.
func (s *Store) load(g *segment, r *replay) error {
	content, err := os.ReadFile(g.name)
	if err != nil {
		return err
	}
	if g.file, err = os.OpenFile(g.name, os.O_RDWR, 0); err != nil {
		return err
	}
	s.segments = append(s.segments, g)
	r.expect(g.first)
	end := 0
	scan(content, g.seed, func(number uint64, body []byte, at int) {
		if number < r.next {
			return // cannot be: numbers grow
		}
		r.expect(number)
		r.next++
		r.skipped = r.skipped || at-headerSize > end
		end = at + len(body)
		changes(body, func(w Write, in int) { s.put(g, w, int64(at+in)) })
	})
	g.size = int64(end)
	if end == len(content) {
		return nil
	}
	r.skipped = true
	if err := g.file.Truncate(g.size); err != nil {
		return fmt.Errorf("%s: cannot cut off what is no record at its end: %w", g.name, err)
	}
	return nil
}

// gapsKey has the gaps that were reported, so that they are not reported again while their segments are there.
const gapsKey = ""

// report compares what is missing with what is known to be.
func (s *Store) report(r *replay) (damage Damage) {
	raw, _ := s.Get(gapsKey)
	known := decodeGaps(raw)
	for _, g := range r.gaps {
		if !slices.Contains(known, g) {
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
