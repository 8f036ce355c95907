package page

import (
	"bytes"
	"crypto/sha256"
	_ "embed"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"html/template"
	"net/http"
	"strconv"
	"strings"
	"time"
)

var (
	//go:embed page.html
	pageHTML string
	//go:embed style.css
	styleCSS string
)

// style is the whole style sheet. Bars have a class for their width: the policy lets no style attribute through.
var style = func() string {
	var b strings.Builder
	b.WriteString(styleCSS)
	for i := 0; i <= 100; i += barStep {
		fmt.Fprintf(&b, ".w%d{width:%d%%}", i, i)
	}
	return b.String()
}()

const barStep = 2

// policy lets through our style sheet and nothing else; forms go to us.
var policy = func() string {
	sum := sha256.Sum256([]byte(style))
	return "default-src 'none'; style-src 'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'; img-src data:; " +
		"form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
}()

var pages = template.Must(template.New("").Funcs(template.FuncMap{
	"style":    func() template.CSS { return template.CSS(style) }, //nolint:gosec // ours
	"num":      num,
	"percent":  percent,
	"mib":      mib,
	"shorten":  shorten,
	"title":    title,
	"linkable": func(name string) bool { return len(name) <= maxTitle },
	"bar":      bar,
	"tone":     tone,
	"ago":      ago,
	"utc":      func(t time.Time) string { return t.UTC().Format("2006-01-02 15:04:05 UTC") },
	"key":      func(key string) string { return strings.TrimPrefix(key, "resource.") },
	"fate":     fate,
	"outcomes": func(counts map[string]int64) []sum { return sums(counts, outcomes) },
	"reasons":  func(counts map[string]int64) []sum { return sums(counts, reasons) },
	"folded":   func(counts map[string]int64) int64 { return counts["overflow"] + counts["replaced"] },
	"limited":  limited,
	"lost":     lost,
	"state":    state,
	"unknown":  func() string { return unknownMetric },
}).Parse(pageHTML))

// render writes a page when all of it is there.
func (s *server) render(w http.ResponseWriter, r *http.Request, code int, name string, data any) {
	var b bytes.Buffer
	if err := pages.ExecuteTemplate(&b, name, data); err != nil {
		fail(w, r, http.StatusInternalServerError, "The page cannot be shown: "+err.Error())
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(code)
	_, _ = w.Write(b.Bytes()) // who asked may be gone
}

func writeJSON(w http.ResponseWriter, code int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	_ = e.Encode(v) // who asked may be gone
}

const (
	maxName  = 60       // characters of a name that are shown
	maxTitle = 16 << 10 // bytes of it that are in the title; it may be a megabyte
)

// shorten makes a name of any length one that fits into a table.
func shorten(name string) string {
	n := 0
	for i := range name {
		if n++; n > maxName {
			return strings.ToValidUTF8(name[:i], "\uFFFD") + "…"
		}
	}
	return strings.ToValidUTF8(name, "\uFFFD")
}

// title is the whole name.
func title(name string) string {
	if len(name) > maxTitle {
		name = name[:maxTitle] + "…"
	}
	return strings.ToValidUTF8(name, "\uFFFD")
}

// num separates thousands.
func num(n any) string {
	digits := fmt.Sprint(n)
	sign := ""
	if strings.HasPrefix(digits, "-") {
		sign, digits = "-", digits[1:]
	}
	for i := len(digits) - 3; i > 0; i -= 3 {
		digits = digits[:i] + "," + digits[i:]
	}
	return sign + digits
}

// percent rounds down, so that what has room is not called full.
func percent(share float64) string { return strconv.Itoa(int(share*100+1e-9)) + " %" }

func mib(bytes int) string { return strconv.FormatFloat(float64(bytes)/(1<<20), 'f', 1, 64) + " MiB" }

// bar is the class of a bar that is so full.
func bar(share float64) string {
	n := int(min(max(share, 0), 1) * 100)
	return "w" + strconv.Itoa(n-n%barStep)
}

// tone is the class of its color; a rule that observes does no harm.
func tone(share float64, observe bool) string {
	switch {
	case share >= 0.8 && observe:
		return "note"
	case share >= 1:
		return "bad"
	case share >= 0.8:
		return "warn"
	}
	return "ok"
}

func ago(now, then time.Time) string {
	switch d := now.Sub(then); {
	case d < time.Minute:
		return "less than a minute"
	case d < time.Hour:
		return count(int(d/time.Minute), "minute")
	case d < 48*time.Hour:
		return count(int(d/time.Hour), "hour")
	default:
		return count(int(d/(24*time.Hour)), "day")
	}
}

// state is a budget's in words, for people.
func state(b budget) string {
	if b.Observe && b.State == "limited" {
		return "would limit"
	}
	return b.State
}

func limited(rules []rule) (n int) {
	for _, r := range rules {
		if !r.Observe {
			n += r.Limited
		}
	}
	return n
}
