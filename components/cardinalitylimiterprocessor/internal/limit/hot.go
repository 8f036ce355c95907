package limit

import "github.com/sluice-otel/sluice/components/cardinalitylimiterprocessor/internal/series"

const (
	// maxHotKeys bounds the attributes of one leaf whose values are counted.
	maxHotKeys = 16
	// maxKeyLength bounds their names.
	maxKeyLength = 256
	// fewValues do not explode.
	fewValues = 8
)

// hotKeys finds which attributes explode: it estimates how many values each has among the series of a leaf that fills up.
type hotKeys struct {
	keys   map[uint64]*hotKey
	series series.Sketch
	// Of resources, whose attributes are never replaced: when they are what explodes, replacing others would not help.
	resources series.Sketch
	names     int      // bytes
	found     []uint64 // hashes of the keys, once a series did not fit: they stay the same, so that what is replaced does
}

type hotKey struct {
	name   string
	values series.Sketch
}

const hotKeyBytes = 1024 + 64

func (k *hotKeys) bytes() int { return hotKeyBytes*(2+len(k.keys)) + k.names }

func (k *hotKeys) see(s *Series) {
	k.series.Add(s.Hash)
	k.resources.Add(s.Resource)
	attrs := s.Attrs
	for i := range attrs {
		a := &attrs[i]
		if a.Protected {
			continue
		}
		key := k.keys[a.KeyHash]
		if key == nil {
			if len(k.keys) == maxHotKeys || len(a.Key) > maxKeyLength {
				continue
			}
			key = &hotKey{name: a.Key}
			k.keys[a.KeyHash] = key
			k.names += len(a.Key)
		}
		key.values.Add(a.Hash)
	}
}

// name of one that explodes, "" if there is none or it is not known any more.
func (k *hotKeys) name() string {
	for _, hash := range k.guess() {
		if key := k.keys[hash]; key != nil {
			return key.name
		}
	}
	return ""
}

// decide names the attributes that explode, and stays with them.
func (k *hotKeys) decide() []uint64 {
	if k.found == nil {
		k.found = k.guess()
	}
	return k.found
}

// guess names the attribute with most values, and those with at least half as many. None when it has few values, or few for that
// many series.
func (k *hotKeys) guess() (hot []uint64) {
	if k.found != nil {
		return k.found
	}
	most := 0
	for _, key := range k.keys {
		most = max(most, key.values.Estimate())
	}
	if most < fewValues || most < k.series.Estimate()/8 || most < k.resources.Estimate() {
		return nil
	}
	for hash, key := range k.keys {
		if 2*key.values.Estimate() >= most {
			hot = append(hot, hash)
		}
	}
	return hot
}

// watchKeys begins to find out which attributes explode.
func (l *Limiter) watchKeys(leaf *Leaf) {
	if leaf.hot == nil && l.spare(maxHotKeys*hotKeyBytes) {
		leaf.hot = &hotKeys{keys: map[uint64]*hotKey{}}
		leaf.curious.Store(true)
		l.takeExtra(leaf.hot.bytes())
	}
}

// look counts the values of a leaf that fills up.
func (l *Limiter) look(leaf *Leaf, s *Series) {
	if leaf.hot == nil {
		return
	}
	before := leaf.hot.bytes()
	leaf.hot.see(s)
	l.takeExtra(leaf.hot.bytes() - before)
}

func (f *Leaf) markHot(attrs []Attr, replace []bool) {
	if f.hot == nil {
		return
	}
	hot := f.hot.decide()
	if hot != nil {
		f.curious.Store(false)
	}
	for i := range attrs {
		for _, key := range hot {
			if attrs[i].KeyHash == key && !attrs[i].Protected {
				replace[i] = true
			}
		}
	}
}
