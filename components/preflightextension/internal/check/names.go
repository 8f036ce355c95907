package check

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// What file_storage and durable_storage keep for a component is called <kind>_<type>_<name>, and _<what for> where it has several: the queue of an
// exporter is exporter_<type>_<name>_<signal>. The type is the one that the configuration uses: otlp and otlp_grpc, which are the same
// exporter, have different ones. Characters that a file name may not have are ~ and their number in hexadecimal.

// maxPlainName is the most that file systems take; a longer name is replaced by its hash.
const maxPlainName = 255

func fileName(parts ...string) string { return sanitize(strings.Join(parts, "_")) }

func sanitize(name string) string {
	var b strings.Builder
	for _, r := range name {
		if r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("._-", r) {
			b.WriteRune(r)
		} else {
			fmt.Fprintf(&b, "~%04X", r)
		}
	}
	return b.String()
}

// unsanitize is for people to read: of a character beyond U+FFFF it makes another one.
func unsanitize(name string) string {
	var b strings.Builder
	for {
		before, after, found := strings.Cut(name, "~")
		b.WriteString(before)
		if !found {
			return b.String()
		}
		if len(after) >= 4 {
			if r, err := strconv.ParseUint(after[:4], 16, 16); err == nil {
				b.WriteRune(rune(r)) //nolint:gosec // 16 bits
				name = after[4:]
				continue
			}
		}
		b.WriteByte('~')
		name = after
	}
}

func hashName(name string) string {
	sum := sha256.Sum256([]byte(name))
	return hex.EncodeToString(sum[:])
}

func isHash(name string) bool {
	b, err := hex.DecodeString(name)
	return err == nil && len(b) == sha256.Size && strings.ToLower(name) == name
}

// A fileKind is what a file in a storage directory is, by its name.
type fileKind int

const (
	foreign  fileKind = iota // no storage extension has made it
	data                     // a client's
	hashed                   // a client's, whose name was too long
	setAside                 // was a client's, until it could not be read
	scratch                  // of a compaction
)

// kindOf reads a name. For a file that was set aside, client is the name that it had.
func kindOf(name string) (kind fileKind, client string) {
	// file_storage's: <client>.2006-01-02T15:04:05.000.backup
	if before, found := strings.CutSuffix(name, ".backup"); found {
		const stamp = len(".2006-01-02T15:04:05.000")
		if len(before) > stamp && before[len(before)-stamp] == '.' && isClient(before[:len(before)-stamp]) {
			return setAside, before[:len(before)-stamp]
		}
		if isClient(before) {
			return setAside, before
		}
		return foreign, ""
	}
	switch {
	case strings.HasPrefix(name, "tempdb"):
		return scratch, ""
	case isHash(name):
		return hashed, name
	case isClient(name):
		return data, name
	}
	return foreign, ""
}

func isClient(name string) bool {
	kind, rest, found := strings.Cut(name, "_")
	if !found || rest == "" {
		return isHash(name)
	}
	for _, k := range sections {
		if k == kind {
			return true
		}
	}
	return false
}

// signals end the name of a queue's file.
var signals = []string{"logs", "metrics", "traces", "profiles"}

// known are types whose files may be found although no configuration has them any more; a name says only where the kind ends.
var known = []string{
	"otlp", "otlp_grpc", "otlphttp", "otlp_http", "loadbalancing", "remote_write", "trace_shards", "filelog", "file_log", "containerlog", "cardinality_limiter", "loki_hint", "durable_tail_sampling",
}

// owner is what a file's name says of whose it was.
type owner struct{ kind, id, signal string }

func (o owner) String() string {
	if o.signal != "" {
		return fmt.Sprintf("the queue for %s of the exporter %s", o.signal, o.id)
	}
	return fmt.Sprintf("the state of the %s %s", o.kind, o.id)
}

// parse guesses whose a file is: types and names may both have underscores. The longest type that is known wins.
func parse(file string, types []string) owner {
	kind, rest, _ := strings.Cut(file, "_")
	o := owner{kind: kind}
	if kind == "exporter" {
		for _, s := range signals {
			if before, found := strings.CutSuffix(rest, "_"+s); found {
				o.signal, rest = s, before
				break
			}
		}
	}
	best, name := "", ""
	for _, t := range slices.Concat(known, types) {
		if after, found := strings.CutPrefix(rest, t+"_"); found && len(t) > len(best) {
			best, name = t, after
		}
	}
	switch {
	case best == "":
		o.id = strings.TrimSuffix(unsanitize(rest), "_") // an exporter without a name has two underscores
	case name == "":
		o.id = best
	default:
		o.id = best + "/" + unsanitize(name)
	}
	return o
}
