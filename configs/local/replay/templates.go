package main

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// An event is one thing that happens in a loop: a line is written, or a trace has ended and is sent.
type event struct {
	at   time.Time // when it happened in the sample
	file string    // the log file, relative to the work folder; "" for a trace
	data []byte    // the line with its newline, or the OTLP/JSON request
}

// sample is what is replayed.
type sample struct {
	events []event       // in the order of time
	period time.Duration // from one loop to the next
	lines  int
	files  map[string][]byte // what lies beside the logs and stays as it is
	ids    []string          // trace and span ids, which every loop replaces by fresh ones
	orders []string          // "order-004711": every loop counts on
}

// dockerConfig is the file in which Docker keeps what it knows of a container, its name and image among it.
const dockerConfig = "config.v2.json"

// load reads the sample. Nothing in it is marked up: the log files are what a container runtime wrote, the traces are
// what an SDK sent.
func load(fsys fs.FS) (*sample, error) {
	s := &sample{files: map[string][]byte{}}
	for _, root := range []string{"pods", "docker", "traces"} {
		err := fs.WalkDir(fsys, root, func(name string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() {
				return err
			}
			data, err := fs.ReadFile(fsys, name)
			if err != nil {
				return err
			}
			switch {
			case root == "traces":
				return s.addTrace(name, data)
			case root == "docker" && path.Base(name) == dockerConfig:
				s.files[name] = data
				return nil
			default:
				return s.addLines(name, data)
			}
		})
		if err != nil {
			return nil, err
		}
	}
	if s.lines == 0 {
		return nil, errors.New("the sample has no line")
	}
	slices.SortStableFunc(s.events, func(a, b event) int { return a.at.Compare(b.at) })
	length := s.events[len(s.events)-1].at.Sub(s.events[0].at)
	s.period = length + length/time.Duration(s.lines)
	for _, e := range s.events {
		s.orders = append(s.orders, orderRE.FindAllString(string(e.data), -1)...)
	}
	slices.Sort(s.orders)
	s.orders = slices.Compact(s.orders)
	return s, nil
}

// addLines adds a log file. A line without a time, as a dying runtime writes it, happens right after the line before.
func (s *sample) addLines(name string, data []byte) error {
	var at time.Time
	for line := range bytes.Lines(data) {
		if t, ok := lineTime(name, line); ok {
			at = t
		}
		if at.IsZero() {
			return fmt.Errorf("%s: the first line has no time", name)
		}
		s.events = append(s.events, event{at: at, file: name, data: line})
		s.lines++
	}
	return nil
}

// lineTime is the time that the container runtime gave to the line.
func lineTime(name string, line []byte) (time.Time, bool) {
	var stamp []byte
	if strings.HasPrefix(name, "docker/") {
		if i := bytes.LastIndex(line, []byte(`"time":"`)); i >= 0 {
			stamp, _, _ = bytes.Cut(line[i+len(`"time":"`):], []byte(`"`))
		}
	} else {
		stamp, _, _ = bytes.Cut(line, []byte(" "))
	}
	t, err := time.Parse(time.RFC3339Nano, string(stamp))
	return t, err == nil
}

// A stamp is a way to write a time that occurs in the sample.
type stamp struct {
	pattern string // the stamp is its one group
	layout  string // "": nanoseconds since 1970
	missing string // layout of what the stamp leaves out
}

var stamps = []stamp{
	{pattern: `\b(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?(?:Z|[+-]\d\d:\d\d))`, layout: "2006-01-02T15:04:05Z07:00"}, // runtimes, most applications
	{pattern: `\b(1[6-9]\d{17})\b`}, // Falco's evt.time, OTLP
	{pattern: `\[(\d\d/[A-Z][a-z]{2}/\d{4}:\d\d:\d\d:\d\d [+-]\d{4})\]`, layout: "02/Jan/2006:15:04:05 -0700"}, // nginx access log
	{pattern: `\b(\d{4}/\d\d/\d\d \d\d:\d\d:\d\d)\b`, layout: "2006/01/02 15:04:05"},                           // nginx error log
	{pattern: `\b[IWEF](\d{4} \d\d:\d\d:\d\d\.\d{6})\b`, layout: "0102 15:04:05.000000", missing: "2006"},      // klog
	{pattern: `\b(\d\d:\d\d:\d\d\.\d{9})\b`, layout: "15:04:05.000000000", missing: "20060102"},                // Falco's output
}

var (
	stampRE = func() *regexp.Regexp {
		patterns := make([]string, len(stamps))
		for i, s := range stamps {
			patterns[i] = s.pattern
		}
		return regexp.MustCompile(strings.Join(patterns, "|"))
	}()
	orderRE = regexp.MustCompile(`\border-\d{6}\b`)
)

// shift moves every time in data by as much as lies between at and now; each keeps its layout, zone and length.
func shift(data []byte, at, now time.Time) []byte {
	out := make([]byte, 0, len(data))
	rest := 0
	for _, m := range stampRE.FindAllSubmatchIndex(data, -1) {
		for i, s := range stamps {
			from, to := m[2*i+2], m[2*i+3]
			if from < 0 {
				continue
			}
			out = append(out, data[rest:from]...)
			out = s.shift(out, string(data[from:to]), at, now.Sub(at))
			rest = to
		}
	}
	return append(out, data[rest:]...)
}

// shift appends the stamp v, moved by d. What cannot be a time stays as it is.
func (s stamp) shift(out []byte, v string, at time.Time, d time.Duration) []byte {
	if s.layout == "" {
		n, err := strconv.ParseInt(v, 10, 64)
		if err != nil {
			return append(out, v...)
		}
		return strconv.AppendInt(out, n+int64(d), 10)
	}
	layout := s.layout
	if dot := strings.IndexByte(v, '.'); dot >= 0 && !strings.Contains(layout, ".") { // as many digits as it has
		digits := len(v[dot+1:]) - len(strings.TrimLeft(v[dot+1:], "0123456789"))
		layout = strings.Replace(layout, ":05", ":05."+strings.Repeat("0", digits), 1)
	}
	t, err := time.ParseInLocation(s.missing+layout, at.UTC().Format(s.missing)+v, time.UTC)
	if err != nil {
		return append(out, v...)
	}
	if !strings.Contains(layout, ".") { // a whole second names the same second as the line's own time
		t = t.Add(time.Duration(at.Nanosecond()))
	}
	return t.Add(d).AppendFormat(out, layout)
}

// fresh returns what replaces the ids of the sample in a loop, counted from 0, by new ones of the same length.
func (s *sample) fresh(loop int) *strings.Replacer {
	var pairs []string
	for _, id := range s.ids {
		pairs = append(pairs, id, hexID(len(id)/2))
	}
	for _, id := range s.orders {
		n, _ := strconv.Atoi(strings.TrimPrefix(id, "order-"))
		pairs = append(pairs, id, fmt.Sprintf("order-%06d", (n+loop*len(s.orders))%1_000_000))
	}
	return strings.NewReplacer(pairs...)
}
