package series

// Cursor is where a sweep goes on. The zero value is the start, and a sweep that is done leaves it there.
type Cursor struct{ table, bucket int32 }

// Sweep removes the series that were not seen for more than idle steps, at most 103. It looks at about words of them from the cursor on;
// done: that was the last. What growth moves behind the cursor waits for the next round. Rounds that are more than 103-idle
// steps apart can take an old series for a new one, which delays its removal.
// Tables that have become too large shrink on the way.
func (s *Set) Sweep(now, idle Step, cursor *Cursor, words int) (removed, removedMarked int, done bool) {
	words = max(words, 1)
	for ; int(cursor.table) < s.tables(); *cursor = (Cursor{table: cursor.table + 1}) {
		slot := s.table(int(cursor.table))
		t := slot.Load()
		if t == nil {
			continue
		}
		for ; int(cursor.bucket) < t.len(); cursor.bucket++ {
			if words <= 0 {
				return removed, removedMarked, false
			}
			words -= slots
			r, m := t.at(int(cursor.bucket)).sweep(now, idle)
			removed += r
			removedMarked += m
			t.used -= r
			s.n -= r
		}
		switch {
		case t.used == 0:
			s.publish(slot, nil)
		case t.wasteful():
			s.publish(slot, t.rebuilt(bucketsFor(t.used)))
		}
	}
	*cursor = Cursor{}
	if s.split.Load() != nil && s.n < mergeAt {
		s.merge()
	}
	return removed, removedMarked, true
}

func (b *bucket) sweep(now, idle Step) (removed, marked int) {
	for i := range b {
		w := b[i].Load()
		if d := since(w, now); w == 0 || d <= idle || d >= ages-ahead {
			continue
		}
		// It fails when a reader has just seen the series.
		if b[i].CompareAndSwap(w, 0) {
			removed++
			marked += int(w & markBit)
		}
	}
	return removed, marked
}

// wasteful is a load below 0.3. With spill it is not waste that made the table large.
func (t *table) wasteful() bool {
	return len(t.buckets) > 1 && len(t.spill) == 0 && t.used*10 < len(t.buckets)*slots*3
}
