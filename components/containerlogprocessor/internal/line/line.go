// Package line reads the physical lines of container log files: CRI (containerd, CRI-O) and Docker's json-file.
package line

// Stream is where the application wrote the line.
type Stream uint8

// The streams.
const (
	NoStream Stream = iota
	Stdout
	Stderr
)

func (s Stream) String() string {
	return [...]string{"", "stdout", "stderr"}[s]
}

// Format is how the runtime wrote the line.
type Format uint8

// The formats.
const (
	NoFormat Format = iota
	CRI
	Docker
)

func (f Format) String() string {
	return [...]string{"unknown", "cri", "docker"}[f]
}

// Attr is what Docker added to a line, on top of its text, stream and time.
type Attr struct{ Key, Value string }

// Line is what a physical line says.
type Line struct {
	Time    int64  // nanoseconds since the epoch
	Content string // shares memory with the raw line unless escapes had to be undone; may hold invalid UTF-8
	Attrs   []Attr // Docker only, sorted: docker.attrs.<key> for a member of "attrs", docker.<key> for an unknown key
	NULs    int    // NUL bytes skipped in front: a run that a power loss left
	Stream  Stream
	Format  Format
	Partial bool // the record goes on in the next line of this stream
}

// Parse reads one line, without its line break, and overwrites all of l. When the line is not readable only Format and NULs are set.
// One line is enough to tell the format, so a file may mix them.
func Parse(raw string, l *Line) Reason {
	nuls := 0
	for nuls < len(raw) && raw[nuls] == 0 {
		nuls++
	}
	*l = Line{NULs: nuls}
	raw = raw[nuls:]
	switch {
	case raw == "":
		return UnknownFormat
	case raw[0] == '{':
		l.Format = Docker
		if usualDocker(raw, l) {
			return Readable
		}
		return anyDocker(raw, l)
	case isDigit(raw[0]):
		l.Format = CRI
		return parseCRI(raw, l)
	}
	return UnknownFormat
}

func isDigit(c byte) bool { return c-'0' <= 9 }
