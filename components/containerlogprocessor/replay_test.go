package containerlogprocessor

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// node is a container's log files on a disk, and filelog's view of them: what it has read and what it would read again after a kill.
type node struct {
	t        testing.TB
	dir      string
	files    []*diskFile // oldest first; the last is live
	rotation int
}

type diskFile struct {
	path        string
	lines       []string
	read, saved int // lines handed on, lines that the checkpoint knows of
}

func newNode(t testing.TB) *node {
	n := &node{t: t, dir: filepath.Join(t.TempDir(), "shop_cart-0_0b6e1c5e-6a3c-4a55-9d0e-6f5b3f1f0a01", "cart")}
	require.NoError(t, os.MkdirAll(n.dir, 0o755))
	n.files = []*diskFile{{path: filepath.Join(n.dir, "0.log")}}
	return n
}

func (n *node) live() *diskFile { return n.files[len(n.files)-1] }

func (n *node) write(lines ...string) {
	f, err := os.OpenFile(n.live().path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	require.NoError(n.t, err)
	_, err = f.WriteString(strings.Join(lines, "\n") + "\n")
	require.NoError(n.t, err)
	require.NoError(n.t, f.Close())
	n.live().lines = append(n.live().lines, lines...)
}

// rotate renames the live file, as the kubelet does; not while the file before it may be needed, because that would be compressed now.
func (n *node) rotate() {
	if len(n.live().lines) == 0 {
		return
	}
	for _, f := range n.files[:len(n.files)-1] {
		if f.saved < len(f.lines) {
			return
		}
	}
	n.rotation++
	rotated := fmt.Sprintf("%s.20260301-1015%02d", filepath.Join(n.dir, "0.log"), n.rotation)
	require.NoError(n.t, os.Rename(n.live().path, rotated))
	n.live().path = rotated
	n.files = append(n.files, &diskFile{path: filepath.Join(n.dir, "0.log")})
}

// feed hands on up to count lines of a file, in one batch.
func (n *node) feed(ctx context.Context, p *started, f *diskFile, count int) {
	lines := f.lines[f.read:min(f.read+count, len(f.lines))]
	if len(lines) == 0 {
		return
	}
	file := logFile{path: f.path}
	for _, line := range f.lines[:f.read] {
		file.offset += int64(len(line)) + 1
	}
	require.NoError(n.t, p.ConsumeLogs(ctx, file.batch(lines...)))
	f.read += len(lines)
}

// drain hands on all that is left, oldest file first.
func (n *node) drain(p *started, count int) {
	for _, f := range n.files {
		for f.read < len(f.lines) {
			n.feed(n.t.Context(), p, f, count)
		}
	}
}

func (n *node) checkpoint() {
	for _, f := range n.files {
		f.saved = f.read
	}
}

func (n *node) forgetUnsaved() {
	for _, f := range n.files {
		f.read = f.saved
	}
}

// Killed after a record was joined and before filelog saved the offset of its last line: read again, that line is no record of its own.
func TestTailIsKnownAfterAKill(t *testing.T) {
	dir, next, n := t.TempDir(), &sink{}, newNode(t)
	p := start(t, next, options{dir: dir})
	n.write(cri("out", "F", "whole"), cri("out", "P", "a"), cri("err", "F", "other"), cri("out", "F", "b"), cri("out", "F", "next"))
	n.feed(t.Context(), p, n.live(), 2)
	n.checkpoint() // behind the P
	n.feed(t.Context(), p, n.live(), 2)
	p.kill(t)
	n.forgetUnsaved()
	p = start(t, next, options{dir: dir})
	n.drain(p, 10)
	assert.Equal(t, []string{"whole", "other", "ab", "next"}, next.bodies())
}

// Killed before filelog saved anything: the held line comes again and is the one that is held.
func TestHeldLineIsKnownAfterAKill(t *testing.T) {
	dir, next, n := t.TempDir(), &sink{}, newNode(t)
	p := start(t, next, options{dir: dir})
	n.write(cri("out", "F", "whole"), cri("out", "P", "a"), cri("out", "P", "b"), cri("err", "F", "other"), cri("out", "F", "c"))
	n.feed(t.Context(), p, n.live(), 2)
	n.feed(t.Context(), p, n.live(), 1)
	p.kill(t)
	n.forgetUnsaved()
	p = start(t, next, options{dir: dir})
	n.drain(p, 10)
	assert.Equal(t, []string{"whole", "other", "abc"}, next.bodies(), "what came before the held lines on their stream is known, too")
}

// The file was rotated while nobody looked: another name, the same content.
func TestHeldLineIsKnownUnderAnotherName(t *testing.T) {
	dir, next, n := t.TempDir(), &sink{}, newNode(t)
	p := start(t, next, options{dir: dir})
	n.write(cri("out", "P", "a"), cri("out", "P", "b"))
	n.feed(t.Context(), p, n.live(), 2)
	p.kill(t)
	n.forgetUnsaved()
	n.rotate()
	n.write(cri("out", "F", "c"))
	p = start(t, next, options{dir: dir})
	n.drain(p, 10)
	assert.Equal(t, []string{"abc"}, next.bodies())
}

// Another file at the same path, whose lines have the same offsets, is not taken for the old one.
func TestAnotherFileIsNotAReplay(t *testing.T) {
	dir, next, n := t.TempDir(), &sink{}, newNode(t)
	p := start(t, next, options{dir: dir})
	n.write(cri("out", "P", "a"))
	n.feed(t.Context(), p, n.live(), 1)
	p.kill(t)
	require.NoError(t, os.Remove(n.live().path))
	n.live().lines, n.live().read = nil, 0
	n.write(strings.Replace(cri("out", "P", "b"), "30.1", "31.1", 1), cri("out", "F", "c"))
	p = start(t, next, options{dir: dir})
	n.drain(p, 10)
	assert.Equal(t, []string{"abc"}, next.bodies())
}

// FuzzLoss plays a container, filelog and a cluster's accidents: whatever is written, cut into batches, rotated, killed or stopped
// while refused, every record arrives whole and in order, and nothing arrives that was not written. Only whole records come twice.
func FuzzLoss(f *testing.F) {
	f.Add([]byte("\x00\x10\x20\x01\x30\x02\x31\x40\x50\x03\x60\x70\x80\x90"))
	f.Add([]byte("abcdefghijklmnopqrstuvwxyz0123456789ABCDEF"))
	f.Add([]byte("\x01\x51\x01\x61\x41\x01\x51\x81\x00\x52\x01\x91\x00\x51\x71\x01\x51\x51\x81\x00\x51\x61"))
	f.Fuzz(func(t *testing.T, script []byte) {
		playLoss(t, script[:min(len(script), 200)])
	})
}

func playLoss(t *testing.T, script []byte) {
	dir, next, n := t.TempDir(), &sink{}, newNode(t)
	o := options{dir: dir, cfg: func(c *Config) { c.PartialTimeout, c.RotationTimeout = time.Hour, 50*time.Millisecond }}
	p := start(t, next, o)
	pending := [2]string{}
	var want [2][]string
	number := 0
	end := func(s int) { want[s], pending[s] = append(want[s], pending[s]), "" }
	for _, b := range script {
		s := int(b) & 1
		stream := []string{"out", "err"}[s]
		switch op := b >> 4; op {
		case 0, 1, 2, 3: // a line: P or F
			number++
			text := fmt.Sprintf("<%d>", number)
			tag := []string{"P", "F"}[(b>>1)&1]
			line := fmt.Sprintf("2026-03-01T10:20:30.%09dZ std%s %s %s", number, stream, tag, text)
			n.write(line)
			if pending[s] += text; tag == "F" {
				end(s)
			}
		case 4: // filelog saves its offsets at the end of a poll: of all files
			n.checkpoint()
		case 5, 6, 7: // a batch, of the oldest file that has lines left
			for _, f := range n.files {
				if f.read < len(f.lines) {
					n.feed(t.Context(), p, f, 1+int(b&7))
					break
				}
			}
		case 8, 9: // SIGKILL
			p.kill(t)
			n.forgetUnsaved()
			p = start(t, next, o)
		case 10: // SIGTERM
			p.stopOnce(t)
			n.checkpoint()
			p = start(t, next, o)
		case 11: // SIGTERM while refused; what could not be delivered is in the storage
			next.setRefuse(busy)
			ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
			for _, f := range n.files {
				if f.read < len(f.lines) {
					n.feed(ctx, p, f, 1+int(b&7))
					break
				}
			}
			cancel()
			if b&1 == 0 {
				n.checkpoint()
				p.stopOnce(t)
			} else {
				p.kill(t)
				n.forgetUnsaved()
			}
			next.setRefuse(nil)
			p = start(t, next, o)
		case 12:
			n.rotate()
		default:
		}
	}
	for s, stream := range []string{"out", "err"} { // let all records end
		number++
		n.write(fmt.Sprintf("2026-03-01T10:20:30.%09dZ std%s F <end>", number, stream))
		pending[s] += "<end>"
		end(s)
	}
	n.drain(p, 3)
	<-p.restored
	for _, lines := range p.order { // set aside before the last start
		<-lines.done
	}
	p.stopOnce(t)

	seen := map[string]bool{}
	var got [2][]string
	for _, r := range next.all() {
		require.Empty(t, r.Partial+r.Error)
		s := 0
		if r.Stream == "stderr" {
			s = 1
		}
		if key := r.Stream + r.Body; !seen[key] {
			seen[key] = true
			got[s] = append(got[s], r.Body)
		}
	}
	require.Equal(t, want, got)
}
