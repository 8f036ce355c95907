package lokimodel

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"go.opentelemetry.io/collector/pdata/pcommon"

	"github.com/sluice-otel/sluice/components/lokihintprocessor/internal/config"
)

// flatten names an attribute; those of a map get a name each. An attribute without a name costs the request, whatever its value.
func flatten(pairs []Pair, key string, value pcommon.Value) ([]Pair, error) {
	name, err := config.Name(key)
	if err != nil {
		return nil, fmt.Errorf("attribute %q: %w", key, err)
	}
	if value.Type() != pcommon.ValueTypeMap {
		return append(pairs, Pair{name, value.AsString()}), nil
	}
	for key, value := range value.Map().All() {
		if pairs, err = flatten(pairs, name+"_"+key, value); err != nil {
			return nil, err
		}
	}
	return pairs, nil
}

func appendSet(pairs []Pair, name, value string) []Pair {
	if value == "" {
		return pairs
	}
	return append(pairs, Pair{name, value})
}

func appendCount(pairs []Pair, name string, n uint64) []Pair {
	if n == 0 {
		return pairs
	}
	return append(pairs, Pair{name, strconv.FormatUint(n, 10)})
}

// tidy does what Loki does before it stores metadata: sorts it, and puts spaces where there is no UTF-8, in the first value of each name.
func tidy(metadata []Pair) {
	mended := map[string]string{}
	for _, p := range metadata {
		if strings.ContainsRune(p.Value, utf8.RuneError) {
			mended[p.Name] = strings.Map(spaceForBroken, p.Value)
		}
	}
	slices.SortStableFunc(metadata, func(a, b Pair) int { return strings.Compare(a.Name, b.Name) })
	for i, p := range metadata {
		if value, ok := mended[p.Name]; ok {
			metadata[i].Value = value
			delete(mended, p.Name)
		}
	}
}

func spaceForBroken(r rune) rune {
	if r == utf8.RuneError {
		return ' '
	}
	return r
}

// refuseLabels says why a stream is not stored.
func (s Settings) refuseLabels(labels map[string]string) Reason {
	n, unreadable, tooLong := 0, false, Reason("")
	for _, name := range slices.Sorted(maps.Keys(labels)) {
		value := labels[name]
		switch {
		case !utf8.ValidString(value):
			return InvalidUTF8
		case value == "":
			continue
		case tooLong == "" && len(name) > s.MaxLabelNameBytes:
			tooLong = LabelNameTooLong
		case tooLong == "" && len(value) > s.MaxLabelValueBytes:
			tooLong = LabelValueTooLong
		}
		if name != serviceName {
			n++
		}
		unreadable = unreadable || strings.ContainsRune(value, utf8.RuneError)
	}
	switch {
	case unreadable:
		return InvalidLabels
	case n == 0 && labels[serviceName] == "":
		return NoLabels
	case n > s.MaxLabels:
		return TooManyLabels
	}
	return tooLong
}

// refuseEntry says why an entry of a good stream is not stored.
func (s Settings) refuseEntry(e *Entry) Reason {
	bytes := 0
	for _, p := range e.Metadata {
		if p.Name != "detected_level" {
			bytes += len(p.Name) + len(p.Value)
		}
	}
	age := time.Duration(0)
	if !s.Now.IsZero() {
		age = s.Now.Sub(e.Time)
	}
	switch {
	case age > s.MaxAge:
		return TooOld
	case age < -s.MaxFuture:
		return TooNew
	case len(e.Line) > s.MaxLineBytes:
		return LineTooLong
	case bytes > s.MaxMetadataBytes:
		return MetadataTooLarge
	case len(e.Metadata) > s.MaxMetadataPairs:
		return MetadataTooMany
	}
	return ""
}

// Clashes are the names of metadata that queries do not show as it is: those that a label has, too, or other metadata of the entry; and those that LogQL takes
// for errors of its own, which makes every metric query over the stream fail.
func (e *Entry) Clashes() []string {
	var names []string
	for i, p := range e.Metadata {
		_, label := e.Labels[p.Name]
		twice := i > 0 && e.Metadata[i-1].Name == p.Name
		if label || twice || p.Name == "__error__" || p.Name == "__error_details__" {
			names = append(names, p.Name)
		}
	}
	return slices.Compact(names)
}
