package harness

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"testing"
)

// Series is one line of a metrics page.
type Series struct {
	Name   string
	Labels map[string]string
	Value  float64
}

// Page is a parsed metrics page.
type Page []Series

// Sum adds the series of exactly this name whose labels include the given ones; 0 when there is none, because a counter
// is not on the page before it first counts.
func (p Page) Sum(name string, labels map[string]string) float64 {
	sum := 0.0
	for _, s := range p {
		if s.Name == name && includes(s.Labels, labels) {
			sum += s.Value
		}
	}
	return sum
}

// Has says whether a series of exactly this name is on the page.
func (p Page) Has(name string) bool {
	for _, s := range p {
		if s.Name == name {
			return true
		}
	}
	return false
}

func includes(have, want map[string]string) bool {
	for k, v := range want {
		if got, ok := have[k]; !ok || got != v {
			return false
		}
	}
	return true
}

// Metrics reads the collector's own metrics.
func (c *Collector) Metrics(tb testing.TB) Page {
	tb.Helper()
	page, err := ReadMetrics("http://" + c.MetricsAddr + "/metrics")
	if err != nil {
		tb.Fatalf("%s: %v", c.name, err)
	}
	return page
}

// Metric is the sum of the collector's own series of exactly this name whose labels include the given ones.
func (c *Collector) Metric(tb testing.TB, name string, labels map[string]string) float64 {
	tb.Helper()
	return c.Metrics(tb).Sum(name, labels)
}

// ReadMetrics reads and parses a metrics page.
func ReadMetrics(url string) (Page, error) {
	resp, err := direct.Get(url)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", url, err)
	}
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("%s: %s", url, resp.Status)
	}
	return ParseMetrics(string(body))
}

// ParseMetrics parses the Prometheus text format; timestamps and exemplars are left out.
func ParseMetrics(text string) (Page, error) {
	var page Page
	for n, line := range strings.Split(text, "\n") {
		line = strings.TrimSpace(line)
		if line == "" || line[0] == '#' {
			continue
		}
		s, err := parseSeries(line)
		if err != nil {
			return nil, fmt.Errorf("metrics page, line %d: %w: %s", n+1, err, line)
		}
		page = append(page, s)
	}
	return page, nil
}

func parseSeries(line string) (Series, error) {
	s := Series{Labels: map[string]string{}}
	end := strings.IndexAny(line, "{ \t")
	if end < 0 {
		return s, errors.New("no value")
	}
	s.Name = line[:end]
	rest := line[end:]
	if rest[0] == '{' {
		var err error
		if rest, err = s.parseLabels(rest[1:]); err != nil {
			return s, err
		}
	}
	fields := strings.Fields(rest) // value, and perhaps a timestamp and an exemplar
	if s.Name == "" || len(fields) == 0 {
		return s, errors.New("no name or no value")
	}
	var err error
	s.Value, err = strconv.ParseFloat(fields[0], 64)
	return s, err
}

// parseLabels reads up to the closing brace and returns what follows it. A quoted string without a value is the name of
// the metric: that is how names outside [a-zA-Z0-9_:] are written.
func (s *Series) parseLabels(in string) (rest string, err error) {
	for {
		in = strings.TrimLeft(in, " \t,")
		if strings.HasPrefix(in, "}") {
			return in[1:], nil
		}
		var key string
		if strings.HasPrefix(in, `"`) {
			if key, in, err = unquote(in); err != nil {
				return "", err
			}
			if in = strings.TrimLeft(in, " \t"); !strings.HasPrefix(in, "=") {
				s.Name = key
				continue
			}
		} else {
			end := strings.IndexByte(in, '=')
			if end < 0 {
				return "", errors.New("label without a value")
			}
			key, in = strings.TrimSpace(in[:end]), in[end:]
		}
		if s.Labels[key], in, err = unquote(strings.TrimLeft(in[1:], " \t")); err != nil {
			return "", err
		}
	}
}

// unquote reads a quoted string with the escapes \\ \" \n and returns what follows it.
func unquote(in string) (value, rest string, err error) {
	if !strings.HasPrefix(in, `"`) {
		return "", "", errors.New("quote expected")
	}
	var b strings.Builder
	for i := 1; i < len(in); i++ {
		switch in[i] {
		case '"':
			return b.String(), in[i+1:], nil
		case '\\':
			i++
			if i == len(in) {
				return "", "", errors.New("string without an end")
			}
			switch in[i] {
			case 'n':
				b.WriteByte('\n')
			case '\\', '"':
				b.WriteByte(in[i])
			default:
				return "", "", fmt.Errorf("unknown escape \\%c", in[i])
			}
		default:
			b.WriteByte(in[i])
		}
	}
	return "", "", errors.New("string without an end")
}
