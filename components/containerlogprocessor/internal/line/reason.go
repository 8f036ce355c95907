package line

// Reason says why a line is not readable. The set is closed: it becomes an attribute of a metric.
type Reason uint8

// The reasons. When a line has several faults, the first in the order of its fields counts; in JSON time, stream, log.
const (
	Readable      Reason = iota
	UnknownFormat        // neither '{' nor a digit begins the line, or it is empty
	Truncated            // the line ends inside the CRI header or inside the JSON object
	BadTime              // not RFC 3339, no such day, or outside of what nanoseconds in an int64 can say (1677 to 2262)
	BadStream            // neither stdout nor stderr
	BadTag               // the CRI tag's first element is neither P nor F
	BadJSON              // not one JSON object
	BadLog               // Docker's "log" is not a string
	MissingTime          // Docker's "time" is absent or null
	MissingStream        // Docker's "stream" is absent or null
)

var reasonNames = [...]string{
	Readable:      "readable",
	UnknownFormat: "unknown_format",
	Truncated:     "truncated",
	BadTime:       "bad_time",
	BadStream:     "bad_stream",
	BadTag:        "bad_tag",
	BadJSON:       "bad_json",
	BadLog:        "bad_log",
	MissingTime:   "missing_time",
	MissingStream: "missing_stream",
}

func (r Reason) String() string { return reasonNames[r] }

// Reasons lists every reason why a line is not readable.
func Reasons() []Reason {
	reasons := make([]Reason, 0, len(reasonNames)-1)
	for r := Readable + 1; int(r) < len(reasonNames); r++ {
		reasons = append(reasons, r)
	}
	return reasons
}
