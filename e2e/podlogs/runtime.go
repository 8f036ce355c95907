package podlogs

import (
	"encoding/json"
	"math/rand/v2"
	"strings"
	"time"
)

// piece is what a runtime writes as one line.
type piece struct {
	text        string
	first, last bool // of its record
}

// cutFull cuts as containerd and Docker do, who wait for a newline or a full buffer: at so many bytes, wherever in a
// character that is. Docker, whose buffer has to take the newline too, writes it alone after a record that just fills it.
func cutFull(text string, size int, eager bool) [][]piece {
	var reads [][]piece
	first := true
	for len(text) > size || eager && len(text) == size {
		reads = append(reads, []piece{{text: text[:size], first: first}})
		text, first = text[size:], false
	}
	return append(reads, []piece{{text: text, first: first, last: true}})
}

// cutReads cuts as CRI-O's conmon does, who writes what a read of the pipe gave: the end of a read ends a line, so that
// a program which prints a line in two calls has it in two pieces. All lines of a read have one timestamp.
func cutReads(texts []string, size int, pick *rand.Rand) [][]piece {
	all := strings.Join(texts, "\n") + "\n"
	var reads [][]piece
	first := true
	for len(all) > 0 {
		n := min(len(all), size)
		if pick.IntN(4) == 0 {
			n = 1 + pick.IntN(n)
		}
		var read []piece
		begin := 0
		for i := range n {
			if all[i] == '\n' {
				read = append(read, piece{text: all[begin:i], first: first, last: true})
				begin, first = i+1, true
			}
		}
		if begin < n {
			read = append(read, piece{text: all[begin:n], first: first})
			first = false
		}
		reads, all = append(reads, read), all[n:]
	}
	return reads
}

// line is a piece as it stands in the file, and what a reader can make of it.
func (c *Container) line(at time.Time, stream string, p piece) (line, text string) {
	switch c.Runtime {
	case Docker:
		return dockerLine(at, stream, p)
	case CRIO:
		return criLine(at.In(c.zone).Format("2006-01-02T15:04:05.000000000-07:00"), stream, p), p.text
	default:
		return criLine(at.Format(time.RFC3339Nano), stream, p), p.text
	}
}

func criLine(at, stream string, p piece) string {
	tag := "P"
	if p.last {
		tag = "F"
	}
	return at + " " + stream + " " + tag + " " + p.text + "\n"
}

// dockerLine escapes as dockerd does: <, >, & and the line separators too, and U+FFFD for every byte of a cut character.
func dockerLine(at time.Time, stream string, p piece) (line, text string) {
	text = string([]rune(p.text))
	log := p.text
	if p.last {
		log += "\n"
	}
	raw, err := json.Marshal(struct {
		Log    string    `json:"log"`
		Stream string    `json:"stream"`
		Time   time.Time `json:"time"`
	}{log, stream, at})
	if err != nil {
		panic(err) // strings and a time of this century
	}
	return string(raw) + "\n", text
}
