package logpath

import (
	"slices"
	"strconv"
	"strings"
)

const (
	gzSuffix   = ".gz"
	timeLayout = ".YYYYMMDD-HHMMSS"
)

// Predecessor is the path of the file that holds what was written just before the file at path, given the names in its directory.
// It is "" when there is none and when it cannot be read on from: the runtime has compressed or deleted it.
func Predecessor(path string, names []string) string {
	id, ok := Parse(path)
	if !ok {
		return ""
	}
	_, file := cutLast(id.Current)
	var rotation string
	switch {
	case id.Docker:
		rotation = nextCount(id.Rotation)
	case id.Restart >= 0:
		rotation = timeBefore(id.Rotation, file, names)
	}
	if rotation == "" || !slices.Contains(names, file+rotation) {
		return ""
	}
	return id.Current + rotation
}

// timeBefore is the newest time among file's rotated ones that is older than rotation's. A compressed file counts, for what is
// older than it was not written just before. The order is that of the names, as it is for kubelet, though the clock is a local one.
func timeBefore(rotation, file string, names []string) string {
	limit := strings.TrimSuffix(rotation, gzSuffix)
	newest := ""
	for _, name := range names {
		other, ok := strings.CutPrefix(name, file)
		if !ok || !isTimeRotation(other) {
			continue
		}
		if other = other[:len(timeLayout)]; other > newest && (limit == "" || other < limit) {
			newest = other
		}
	}
	return newest
}

// nextCount is the suffix of the file that Docker wrote before the one with this suffix: it counts from the live file back.
func nextCount(rotation string) string {
	n, _ := parseCountRotation(rotation) // 0 for the live file
	return "." + strconv.Itoa(n+1)
}

// isTimeRotation tells whether s is timeLayout, and maybe ".gz". A file that kubelet is still compressing (".tmp") is not one.
func isTimeRotation(s string) bool {
	s = strings.TrimSuffix(s, gzSuffix)
	if len(s) != len(timeLayout) {
		return false
	}
	for i := range len(s) {
		switch want := timeLayout[i]; {
		case want == '.' || want == '-':
			if s[i] != want {
				return false
			}
		case s[i] < '0' || s[i] > '9':
			return false
		}
	}
	return true
}

func parseCountRotation(s string) (int, bool) {
	s, ok := strings.CutPrefix(strings.TrimSuffix(s, gzSuffix), ".")
	if !ok || strings.HasPrefix(s, "0") { // Docker starts at 1 and pads nothing
		return 0, false
	}
	return parseCount(s)
}
