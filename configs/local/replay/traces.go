package main

import (
	"bytes"
	"context"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"strconv"
	"time"
)

// request is as much of an OTLP/JSON trace request as replay has to understand.
type request struct {
	ResourceSpans []struct {
		Resource   struct{ Attributes []attribute }
		ScopeSpans []struct{ Spans []span }
	}
}

type span struct {
	TraceID           string
	SpanID            string
	Name              string
	Attributes        []attribute
	Status            struct{ Code int }
	StartTimeUnixNano string
	EndTimeUnixNano   string
}

type attribute struct {
	Key   string
	Value struct{ StringValue string }
}

// addTrace adds a trace, which is sent when the last of its spans ends.
func (s *sample) addTrace(name string, data []byte) error {
	var r request
	if err := json.Unmarshal(data, &r); err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	var end int64
	for _, rs := range r.ResourceSpans {
		for _, ss := range rs.ScopeSpans {
			for _, sp := range ss.Spans {
				n, err := strconv.ParseInt(sp.EndTimeUnixNano, 10, 64)
				if err != nil {
					return fmt.Errorf("%s: span %q: %w", name, sp.Name, err)
				}
				end = max(end, n)
				s.ids = append(s.ids, sp.TraceID, sp.SpanID)
			}
		}
	}
	s.events = append(s.events, event{at: time.Unix(0, end).UTC(), data: data})
	return nil
}

// poster returns what sends a trace to the collector.
func poster(endpoint string) func(context.Context, []byte) error {
	client := &http.Client{Timeout: 5 * time.Second}
	url := "http://" + endpoint + "/v1/traces"
	return func(ctx context.Context, body []byte) error {
		req, err := http.NewRequestWithContext(ctx, http.MethodPost, url, bytes.NewReader(body))
		if err != nil {
			return err
		}
		req.Header.Set("Content-Type", "application/json")
		resp, err := client.Do(req)
		if err != nil {
			return err
		}
		defer resp.Body.Close()
		answer, _ := io.ReadAll(io.LimitReader(resp.Body, 1<<10))
		if resp.StatusCode != http.StatusOK {
			return fmt.Errorf("%s answers %s: %s", url, resp.Status, answer)
		}
		return nil
	}
}

// hexID is a random id of n bytes in hexadecimal.
func hexID(n int) string {
	b := make([]byte, 0, n)
	for len(b) < n {
		b = append(b, byte(1+rand.IntN(255)))
	}
	return hex.EncodeToString(b)
}
