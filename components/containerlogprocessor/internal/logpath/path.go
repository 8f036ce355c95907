// Package logpath reads from a log file's path, and from what Docker keeps beside the file, which container wrote it.
package logpath

import (
	"strconv"
	"strings"
)

const (
	idLen      = 64 // a container ID in hex
	staticLen  = 32 // the MD5 of a static pod's manifest in hex
	dockerTail = "-json.log"

	maxLabel     = 63  // Kubernetes' limit for the names of namespaces and containers
	maxSubdomain = 253 // and for those of pods; a UID gets the same room
)

// Identity is what a path tells about a file. Its strings are parts of the path.
type Identity struct {
	Namespace, Pod, UID, Container string
	ContainerID                    string
	Restart                        int    // -1 when the path has none
	Static                         bool   // UID is the hash of a static pod's manifest: the API server knows the pod by another one
	Docker                         bool   // written by Docker's json-file driver
	Current                        string // the path of the file that the runtime writes to
	Rotation                       string // what follows Current: "", ".20260301-101500", ".1", each of the latter also with ".gz"
}

// Key is what the fragments of a record belong to: the same for a live file and its rotated ones, another after a restart.
func (i Identity) Key() string { return i.Current }

// Parse reads the paths
//
//	<root>/<namespace>_<pod>_<uid>/<container>/<restart>.log[.<time>[.gz]]   kubelet's
//	<root>/<pod>_<namespace>_<container>-<id>.log                            kubelet's links to them
//	<root>/<id>/<id>-json.log[.<n>[.gz]]                                     Docker's
//
// under any root and with either separator. It is false for names that Kubernetes or Docker would not give.
func Parse(path string) (Identity, bool) {
	dir, file := cutLast(path)
	switch {
	case strings.IndexByte(file, '_') >= 0:
		return parseLink(path, file)
	case len(file) > idLen && strings.HasPrefix(file[idLen:], dockerTail):
		return parseDocker(path, dir, file)
	default:
		return parsePod(path, dir, file)
	}
}

func parsePod(path, dir, file string) (Identity, bool) {
	number, rotation, ok := strings.Cut(file, ".log")
	if !ok || rotation != "" && !isTimeRotation(rotation) {
		return Identity{}, false
	}
	restart, ok := parseCount(number)
	if !ok {
		return Identity{}, false
	}
	dir, container := cutLast(dir)
	_, pod := cutLast(dir)
	// Names hold no '_', so in a sane path these are the only two, and in another one the pod's name is refused.
	first, last := strings.IndexByte(pod, '_'), strings.LastIndexByte(pod, '_')
	if first == last {
		return Identity{}, false
	}
	id := Identity{
		Namespace: pod[:first],
		Pod:       pod[first+1 : last],
		UID:       pod[last+1:],
		Container: container,
		Restart:   restart,
		Static:    isStatic(pod[last+1:]),
		Current:   path[:len(path)-len(rotation)],
		Rotation:  rotation,
	}
	if !isLabel(id.Namespace) || !isSubdomain(id.Pod) || !isUID(id.UID) || !isLabel(id.Container) {
		return Identity{}, false
	}
	return id, true
}

// parseLink refuses a name that kubelet cut at 255 bytes: its ID is not whole.
func parseLink(path, file string) (Identity, bool) {
	name, ok := strings.CutSuffix(file, ".log")
	first, last := strings.IndexByte(name, '_'), strings.LastIndexByte(name, '_')
	if !ok || first == last {
		return Identity{}, false
	}
	dash := len(name) - idLen - 1
	if dash <= last || name[dash] != '-' {
		return Identity{}, false
	}
	id := Identity{
		Namespace:   name[first+1 : last],
		Pod:         name[:first],
		Container:   name[last+1 : dash],
		ContainerID: name[dash+1:],
		Restart:     -1,
		Current:     path,
	}
	if !isLabel(id.Namespace) || !isSubdomain(id.Pod) || !isLabel(id.Container) || !isHex(id.ContainerID) {
		return Identity{}, false
	}
	return id, true
}

func parseDocker(path, dir, file string) (Identity, bool) {
	id, rotation := file[:idLen], file[idLen+len(dockerTail):]
	if _, parent := cutLast(dir); parent != id || !isHex(id) {
		return Identity{}, false
	}
	if _, ok := parseCountRotation(rotation); rotation != "" && !ok {
		return Identity{}, false
	}
	return Identity{
		ContainerID: id,
		Restart:     -1,
		Docker:      true,
		Current:     path[:len(path)-len(rotation)],
		Rotation:    rotation,
	}, true
}

// parseCount is false for what does not fit the int32 that the API server counts restarts in.
func parseCount(s string) (int, bool) {
	if len(s) > len("2147483647") { // spares the error its copy of a long name
		return 0, false
	}
	n, err := strconv.ParseUint(s, 10, 31)
	return int(n), err == nil
}

// cutLast splits at the last separator, which goes to neither side.
func cutLast(path string) (dir, name string) {
	for i := len(path) - 1; i >= 0; i-- {
		if path[i] == '/' || path[i] == '\\' {
			return path[:i], path[i+1:]
		}
	}
	return "", path
}

func isLabel(s string) bool {
	return len(s) <= maxLabel && isSubdomain(s) && strings.IndexByte(s, '.') < 0
}

func isSubdomain(s string) bool {
	for i := range len(s) {
		if c := s[i]; !isLowerOrDigit(c) && c != '-' && c != '.' {
			return false
		}
	}
	return hasEnds(s)
}

// isUID also takes what is not a UUID: the UID in a static pod's manifest is anybody's choice.
func isUID(s string) bool {
	for i := range len(s) {
		if c := s[i]; !isLowerOrDigit(c) && (c < 'A' || c > 'Z') && c != '-' && c != '.' {
			return false
		}
	}
	return hasEnds(s)
}

// hasEnds refuses "", "..", "-x" and names longer than any.
func hasEnds(s string) bool {
	return s != "" && len(s) <= maxSubdomain && isAlnum(s[0]) && isAlnum(s[len(s)-1])
}

func isStatic(uid string) bool { return len(uid) == staticLen && isHex(uid) }

func isHex(s string) bool {
	for i := range len(s) {
		if c := s[i]; (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return false
		}
	}
	return true
}

func isLowerOrDigit(c byte) bool { return 'a' <= c && c <= 'z' || '0' <= c && c <= '9' }

func isAlnum(c byte) bool { return isLowerOrDigit(c) || 'A' <= c && c <= 'Z' }
