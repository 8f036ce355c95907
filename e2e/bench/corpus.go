package main

import (
	"bufio"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"time"
)

// lineBytes is the size of every line with its newline.
const lineBytes = 230

// corpus is a tree of log files like /var/log/pods.
type corpus struct {
	dir   string
	lines int
}

// writeCorpus spreads so many lines over so many files. The same numbers give the same bytes.
func writeCorpus(dir string, lines, files int) (corpus, error) {
	for i := range files {
		n := lines / files
		if i < lines%files {
			n++
		}
		if err := writeFile(dir, i, n); err != nil {
			return corpus{}, err
		}
	}
	return corpus{dir: dir, lines: lines}, nil
}

func writeFile(dir string, index, lines int) error {
	rng := rand.New(rand.NewPCG(1, uint64(index)))
	pod := fmt.Sprintf("team-%d_shop-%08x-%05x_%08x-%04x-4%03x-8%03x-%012x", index%7, rng.Uint32(), rng.Uint32N(1<<20),
		rng.Uint32(), rng.Uint32N(1<<16), rng.Uint32N(1<<12), rng.Uint32N(1<<12), rng.Uint64N(1<<48))
	path := filepath.Join(dir, pod, "app", "0.log")
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	defer f.Close()
	w := bufio.NewWriterSize(f, 1<<18)
	at := time.Date(2026, 3, 2, 9, 30, 0, 0, time.UTC)
	var line []byte
	for range lines {
		at = at.Add(time.Duration(rng.Int64N(int64(2 * time.Millisecond))))
		line = appendLine(line[:0], rng, at)
		if _, err := w.Write(line); err != nil {
			return err
		}
	}
	if err := w.Flush(); err != nil {
		return err
	}
	return f.Close()
}

var (
	levels   = []string{"info", "info", "info", "info", "debug", "warn", "error"}
	messages = []string{
		"request handled and answered from the cache, nothing had to be asked of the services behind this one",
		"order accepted; the payment is booked, the shipment is planned for the next working day, a mail is on its way to the customer",
		"upstream did not answer within the time that it has, trying the next replica with what is left of the deadline",
		"connection closed by peer while the body was being read; the client has probably given up, nothing is stored",
		"inventory refreshed from the warehouse, all counts agree with those of the last hour and no reservation has expired since",
		"session token renewed before its end, the old one stays good for another five minutes on all nodes of the region",
	}
)

// appendLine appends a complete line as containerd writes it, one in eight on stderr: a logfmt text with one of a few messages
// and fresh ids, so that it compresses about as well as what services print.
func appendLine(b []byte, rng *rand.Rand, at time.Time) []byte {
	stream := "stdout"
	if rng.IntN(8) == 0 {
		stream = "stderr"
	}
	b = at.AppendFormat(b, time.RFC3339Nano) // trims zeros, as containerd does
	b = fmt.Appendf(b, " %s F level=%s id=%016x path=/api/v1/orders/%d status=%d took=%dus msg=\"",
		stream, levels[rng.IntN(len(levels))], rng.Uint64(), rng.IntN(100_000), 200+rng.IntN(4)*100, rng.IntN(50_000))
	message := messages[rng.IntN(len(messages))]
	for len(b) < lineBytes {
		b = append(append(b, message...), ' ')
	}
	return append(b[:lineBytes-2], '"', '\n')
}
