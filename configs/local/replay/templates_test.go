package main

import (
	"bytes"
	"encoding/json"
	"os"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
	"time"
)

// bundled is the sample in the repository.
func bundled(t *testing.T) *sample {
	t.Helper()
	s, err := load(os.DirFS(".."))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestShift(t *testing.T) {
	at := time.Date(2028, 2, 29, 9, 30, 3, 184_500_000, time.UTC)
	f := func(in, want string) {
		t.Helper()
		now := at.Add(24*time.Hour + 5*time.Second + 850*time.Millisecond)
		if got := string(shift([]byte(in), at, now)); got != want {
			t.Errorf("shift(%q)\n got %q\nwant %q", in, got, want)
		}
	}
	f("no time in here 12:30", "no time in here 12:30")
	f("2028-02-29T09:30:03.1845Z stdout F x", "2028-03-01T09:30:09.0345Z stdout F x")
	f("2028-02-29T10:30:03.184500000+01:00 stdout F x", "2028-03-01T10:30:09.034500000+01:00 stdout F x")
	f("2028-02-29T06:00:03.18-03:30 stdout F x", "2028-03-01T06:00:09.03-03:30 stdout F x")
	f(`{"log":"x","time":"2028-02-29T09:30:03.1845Z"}`, `{"log":"x","time":"2028-03-01T09:30:09.0345Z"}`)
	// Without a fraction: the second of the line, not the second before it.
	f("2028-02-29T09:30:03Z stdout F x", "2028-03-01T09:30:09Z stdout F x")
	f("[29/Feb/2028:09:30:03 +0000] x", "[01/Mar/2028:09:30:09 +0000] x")
	f("2028/02/29 09:30:03 [error]", "2028/03/01 09:30:09 [error]")
	// A stamp that leaves out the year or the day.
	f("I0229 09:30:03.184400       1 x.go", "I0301 09:30:09.034400       1 x.go")
	f(`"output":"09:30:03.184500000: Warning x"`, `"output":"09:30:09.034500000: Warning x"`)
	f(`"evt.time":1835429403184500000,`, `"evt.time":1835515809034500000,`)
	f("a 2028-02-29T09:30:03.1Z b 2028-02-29T09:30:04.1Z c", "a 2028-03-01T09:30:08.9Z b 2028-03-01T09:30:09.9Z c")
	// Looks like a time and is none.
	f("2028-13-02T09:30:03Z", "2028-13-02T09:30:03Z")
	f("4111 1111 1111 1111", "4111 1111 1111 1111")
}

func TestShiftChangesNothingButTimes(t *testing.T) {
	mask := func(b []byte) string { return stampRE.ReplaceAllString(string(b), "<time>") }
	now := time.Date(2031, 12, 31, 23, 59, 59, 987_654_321, time.UTC)
	for _, e := range bundled(t).events {
		got := shift(e.data, e.at, now)
		if mask(got) != mask(e.data) || len(got) != len(e.data) {
			t.Errorf("%s: %q became %q", e.file, e.data, got)
		}
		if bytes.Contains(got, []byte("2026-03-02T")) {
			t.Errorf("%s: an old time is left in %q", e.file, got)
		}
		if e.file == "" {
			continue
		}
		// As far as the digits of the line go, its time is now.
		if at, ok := lineTime(e.file, got); ok && (at.After(now) || now.Sub(at) > time.Second) {
			t.Errorf("%s: time is %s in %q", e.file, at, got)
		}
	}
}

func TestEveryLineHasATime(t *testing.T) {
	var without []string
	for _, e := range bundled(t).events {
		if e.file == "" {
			continue
		}
		if _, ok := lineTime(e.file, e.data); !ok {
			without = append(without, string(e.data))
		}
	}
	// The one line that no runtime wrote.
	if want := []string{"error: write /dev/stdout: broken pipe\n"}; !slices.Equal(without, want) {
		t.Errorf("lines without a time: %q, want %q", without, want)
	}
}

func TestDockerLinesStayJSON(t *testing.T) {
	s := bundled(t)
	ids := s.fresh(1)
	n := 0
	for _, e := range s.events {
		if !strings.HasPrefix(e.file, "docker/") {
			continue
		}
		n++
		line := shift([]byte(ids.Replace(string(e.data))), e.at, time.Now())
		var v struct{ Stream, Time string }
		if err := json.Unmarshal(line, &v); err != nil || v.Stream == "" || v.Time == "" {
			t.Errorf("%s: %v in %q", e.file, err, line)
		}
	}
	if n == 0 {
		t.Error("no Docker line")
	}
}

func TestEventsAreInTheOrderOfTimeAndOfFiles(t *testing.T) {
	files := map[string]*bytes.Buffer{}
	var last time.Time
	for _, e := range bundled(t).events {
		if e.at.Before(last) {
			t.Errorf("%s: %q is late", e.file, e.data)
		}
		last = e.at
		if files[e.file] == nil {
			files[e.file] = &bytes.Buffer{}
		}
		files[e.file].Write(e.data)
	}
	delete(files, "")
	for name, got := range files {
		want, err := os.ReadFile("../" + name)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(got.Bytes(), want) {
			t.Errorf("%s: lines would be replayed in another order: its times do not grow", name)
		}
	}
}

func TestFreshIDs(t *testing.T) {
	s := bundled(t)
	line := "order-004711 " + strings.Join(s.ids, " ")
	first, second := s.fresh(0).Replace(line), s.fresh(1).Replace(line)
	if len(first) != len(line) || len(second) != len(line) {
		t.Error("an id changed its length")
	}
	for i, id := range strings.Fields(line)[1:] {
		a, b := strings.Fields(first)[i+1], strings.Fields(second)[i+1]
		if a == id || a == b {
			t.Errorf("%s becomes %s and %s", id, a, b)
		}
	}
	if a, b := first[:12], second[:12]; a != "order-004711" || b != "order-004714" {
		t.Errorf("orders do not count on: %s, %s", a, b)
	}
}

func TestLoadErrors(t *testing.T) {
	f := func(name, data, want string) {
		t.Helper()
		fsys := fstest.MapFS{
			"pods/a/c/0.log": {Data: []byte("2026-03-02T09:30:00Z stdout F x\n")},
			"docker/keep":    {},
			"traces/keep":    {Data: []byte("{}")},
		}
		fsys[name] = &fstest.MapFile{Data: []byte(data)}
		if _, err := load(fsys); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("load with %s = %q: %v, want an error with %q", name, data, err, want)
		}
	}
	f("pods/a/c/0.log", "", "no line")
	f("pods/b/c/0.log", "no time\n2026-03-02T09:30:00Z stdout F x\n", "pods/b/c/0.log: the first line has no time")
	f("docker/i/i-json.log", "{}\n", "the first line has no time")
	f("docker/i/other.json", "{}\n", "the first line has no time")
	f("pods/b/c/config.v2.json", "{}\n", "the first line has no time") // Docker's, and nobody else's
	f("traces/t.json", "{", "traces/t.json: ")
	f("traces/t.json", `{"resourceSpans":[{"scopeSpans":[{"spans":[{"name":"n","endTimeUnixNano":"x"}]}]}]}`, `span "n"`)
}
