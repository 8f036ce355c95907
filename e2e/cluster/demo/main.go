// Command demo is a small application whose telemetry can be counted from outside: it writes numbered lines to stdout, sends spans with the
// OpenTelemetry SDK for Go, configured by the SDK's own variables, and serves metrics. What it has made so far is at /counts and /traces. Who scrapes
// /scraped gets other values each time, and /scraped/acknowledged says which of them somebody has.
//
//	POD_NAME                 in lines and counts
//	DEMO_LINES_PER_SECOND    0: lines only when asked for, by POST /lines?n=…
//	DEMO_TRACES_PER_SECOND   0: traces only when asked for, by POST /traces?class=…&n=…
package main

import (
	"context"
	"errors"
	"fmt"
	"log"
	"math/rand/v2"
	"net/http"
	"os"
	"os/signal"
	"strconv"
	"syscall"
	"time"
)

func main() {
	if err := run(); err != nil {
		log.Fatal(err)
	}
}

func run() error {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	linesPerSecond, err := rate("DEMO_LINES_PER_SECOND")
	if err != nil {
		return err
	}
	tracesPerSecond, err := rate("DEMO_TRACES_PER_SECOND")
	if err != nil {
		return err
	}
	name := runName()
	w := &writer{run: name, out: os.Stdout}
	t, err := newTracer(ctx, name)
	if err != nil {
		return err
	}
	server := &http.Server{Addr: ":8080", Handler: newPage(w, t), ReadHeaderTimeout: 10 * time.Second}
	failed := make(chan error, 1)
	go func() { failed <- server.ListenAndServe() }()
	go every(ctx, linesPerSecond, func() { w.write(1) })
	go every(ctx, tracesPerSecond, func() { t.next() })
	select {
	case <-ctx.Done():
	case err := <-failed:
		return err
	}
	// What was asked for is written and sent, and then the last line says so.
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	err = errors.Join(server.Shutdown(ctx), t.provider.Shutdown(ctx))
	w.last()
	return err
}

// runName tells the runs of a container apart. It is of letters only: digits could look like something to be masked.
func runName() string {
	b := make([]byte, 8)
	for i := range b {
		b[i] = byte('a' + rand.N(26))
	}
	return string(b)
}

func rate(variable string) (float64, error) {
	text := os.Getenv(variable)
	if text == "" {
		return 0, nil
	}
	r, err := strconv.ParseFloat(text, 64)
	if err != nil || r < 0 || r > 10000 {
		return 0, fmt.Errorf("%s must be 0 to 10000, got %q", variable, text)
	}
	return r, nil
}

func every(ctx context.Context, perSecond float64, f func()) {
	if perSecond == 0 {
		return
	}
	ticker := time.NewTicker(time.Duration(float64(time.Second) / perSecond))
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
			f()
		}
	}
}
