package containerlogprocessor_test

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"time"

	"github.com/open-telemetry/opentelemetry-collector-contrib/pkg/stanza/entry"
)

const batchLines = 100 // what filelog gives at once

// shape is one kind of input: a cell of the benchmark's matrix.
type shape struct {
	format  string // "cri", "docker", "docker-escapes"
	size    int    // bytes of a line
	partial int    // percent of the lines that are not the last of their record
	files   int
}

func (s shape) String() string {
	name := fmt.Sprintf("%s/%dB", s.format, s.size)
	if s.format == "cri" {
		name += "/partial=" + strconv.Itoa(s.partial)
	}
	return name + "/files=" + strconv.Itoa(s.files)
}

// shapes are all of them. Docker's lines are cut at 16 KiB, so that lines of these sizes are whole.
func shapes() []shape {
	var list []shape
	for _, size := range []int{200, 2000} {
		for _, files := range []int{1, 100} {
			for _, partial := range []int{0, 5, 50} {
				list = append(list, shape{"cri", size, partial, files})
			}
			list = append(list, shape{"docker", size, 0, files}, shape{"docker-escapes", size, 0, files})
		}
	}
	return list
}

// source gives batches of raw lines as filelog does, each of the next file, again and again. Offsets go on growing: a batch that
// came before would be taken for a retry.
type source struct {
	batches [][]string
	paths   []string
	offsets []int64
	next    int
}

func newSource(s shape, batches int) *source {
	src := &source{offsets: make([]int64, s.files)}
	rng := rand.New(rand.NewPCG(1, 2))
	for i := range s.files {
		src.paths = append(src.paths, fmt.Sprintf("/var/log/pods/team-%d_shop-%08x-%05d_%08x-0000-4000-8000-%012d/app/%d.log",
			i%7, rng.Uint32(), i, rng.Uint32(), i, i%3))
	}
	at := time.Date(2026, 3, 2, 9, 30, 0, 0, time.UTC)
	for range batches {
		lines := make([]string, batchLines)
		for i := range lines {
			at = at.Add(time.Duration(1 + rng.IntN(2_000_000)))
			lines[i] = s.line(rng, at, s.partial > 0 && i%(100/s.partial) == 100/s.partial-2)
		}
		src.batches = append(src.batches, lines)
	}
	return src
}

// line is a line of the shape's size: what a service prints, with a fresh id.
func (s shape) line(rng *rand.Rand, at time.Time, partial bool) string {
	stamp := at.Format(time.RFC3339Nano)
	text := fmt.Sprintf("level=info id=%016x took=%dus msg=handled ", rng.Uint64(), rng.IntN(50_000))
	if s.format == "docker-escapes" {
		text = fmt.Sprintf(`{"level":"info","id":"%016x","took":%d,"msg":"a <b> & \\c\td"} `, rng.Uint64(), rng.IntN(50_000))
	}
	if s.format != "cri" {
		line := dockerLine(text, stamp)
		return dockerLine(text+filler(s.size-len(line)), stamp)
	}
	tag := "F"
	if partial {
		tag = "P"
	}
	line := stamp + " stdout " + tag + " " + text
	return line + filler(s.size-len(line))
}

func filler(n int) string {
	const words = "request cache miss customer order accepted retrying upstream timeout payment inventory shipment "
	return strings.Repeat(words, n/len(words)+1)[:n]
}

// dockerLine is written the way the json-file driver does it, in its order of keys.
func dockerLine(text, stamp string) string {
	b, err := json.Marshal(struct {
		Log    string `json:"log"`
		Stream string `json:"stream"`
		Time   string `json:"time"`
	}{text + "\n", "stdout", stamp})
	if err != nil {
		panic(err)
	}
	return string(b)
}

// entries are the next batch, as filelog makes it of a file's lines.
func (s *source) entries(withOffset bool) []*entry.Entry {
	lines, file := s.batches[s.next%len(s.batches)], s.next%len(s.paths)
	s.next++
	list := make([]*entry.Entry, len(lines))
	for i, line := range lines {
		e := entry.New()
		e.Body = line
		e.AddAttribute("log.file.path", s.paths[file])
		if withOffset {
			e.Attributes["log.file.record_offset"] = s.offsets[file]
		}
		s.offsets[file] += int64(len(line)) + 1
		list[i] = e
	}
	return list
}
