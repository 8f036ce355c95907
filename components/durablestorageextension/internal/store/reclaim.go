package store

// reclaim removes segments that nothing is in any more. When a few old values hold up many segments they are written anew, so that files take
// up at most twice of what is in them and four segments.
func (s *Store) reclaim() {
	s.removeDead()
	size, live := s.Bytes()
	if len(s.segments) < 2 || size <= 2*live+4*s.segmentBytes() || size < s.retry {
		return
	}
	oldest := s.segments[0]
	var writes []Write
	for key, p := range s.places {
		if p.in != oldest {
			continue
		}
		value, err := s.Get(key)
		if err != nil { // whoever asks for it is told
			oldest.keys--
			p.in = nil
			s.places[key] = p
			continue
		}
		writes = append(writes, Write{key, value})
	}
	if s.append(writes) != nil {
		// No room; the change that it was called for is made. Not at once again: it has looked at every key.
		s.retry = size + minSegment
		return
	}
	s.removeDead()
}
