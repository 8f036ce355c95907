package podlogs

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// Container is one container and its log files.
type Container struct {
	Index   int
	Runtime Runtime
	Dir     string // where its files are
	// Resource is what can be known of it from the paths and, with Docker, from config.v2.json. Only some Docker
	// containers were started by a kubelet.
	Resource map[string]any

	name    string // of the file written to
	opts    Options
	zone    *time.Location
	pick    *rand.Rand
	clock   time.Time
	file    *os.File
	offset  int64
	gen     int // how often it was rotated
	streams [len(Streams)]stream
}

// stream is what a container's runtime has of one stream.
type stream struct {
	reads    [][]piece // still to be written
	ledger   []Entry
	complete int       // records whose end is written
	first    time.Time // when the open record was begun
}

// Entry is where a record lies and when it was written.
type Entry struct {
	Time       time.Time // its first line's
	Text       string    // what the runtime made of it: Docker replaces half characters
	Begin, End Place
	Written    time.Time // by the wall clock; zero while the record is open
}

// Place is a line's offset in a file, named by how often the container was rotated before.
type Place struct {
	Generation int
	Offset     int64
}

func (p Place) String() string {
	return fmt.Sprintf("byte %d after %d rotations", p.Offset, p.Generation)
}

var start = time.Date(2026, 3, 1, 10, 0, 0, 0, time.UTC)

func newContainer(o Options, i int) (*Container, error) {
	c := &Container{
		Index: i, Runtime: o.Runtimes[i%len(o.Runtimes)], opts: o, zone: time.UTC,
		pick: newRand(o.Seed, uint64(1+i)), clock: start.Add(time.Duration(i) * time.Second),
	}
	if c.Runtime == CRIO {
		zones := []int{0, 2 * 3600, -(3*3600 + 1800)}
		c.zone = time.FixedZone("", zones[c.pick.IntN(len(zones))])
	}
	var err error
	if c.Runtime == Docker {
		err = c.makeDocker()
	} else {
		err = c.makePod()
	}
	if err != nil {
		return nil, err
	}
	return c, c.create()
}

// identity is what an orchestrator knows of it.
func (c *Container) identity() map[string]any {
	h := fmt.Sprintf("%x", sha256.Sum256(fmt.Append(nil, c.opts.Seed, c.Index)))
	return map[string]any{
		"k8s.namespace.name":          []string{"shop", "kube-system", "team-a"}[c.pick.IntN(3)],
		"k8s.pod.name":                fmt.Sprintf("app-%d-6d4cf56db6-%s", c.Index, h[:5]),
		"k8s.pod.uid":                 strings.Join([]string{h[:8], h[8:12], h[12:16], h[16:20], h[20:32]}, "-"),
		"k8s.container.name":          []string{"app", "log-router"}[c.pick.IntN(2)],
		"k8s.container.restart_count": int64(c.pick.IntN(3)),
	}
}

func (c *Container) makePod() error {
	c.Resource = c.identity()
	pod := fmt.Sprintf("%s_%s_%s", c.Resource["k8s.namespace.name"], c.Resource["k8s.pod.name"], c.Resource["k8s.pod.uid"])
	c.Dir = filepath.Join(c.opts.PodsDir, pod, c.Resource["k8s.container.name"].(string))
	c.name = fmt.Sprintf("%d.log", c.Resource["k8s.container.restart_count"])
	return os.MkdirAll(c.Dir, 0o755)
}

func (c *Container) makeDocker() error {
	id := fmt.Sprintf("%x", sha256.Sum256(fmt.Append(nil, "docker", c.opts.Seed, c.Index)))
	k8s := c.identity()
	labels := map[string]string{"maintainer": "nobody"}
	name := fmt.Sprintf("app-%d", c.Index)
	c.Resource = map[string]any{}
	if c.pick.IntN(2) == 0 {
		c.Resource = k8s
		labels["io.kubernetes.pod.namespace"] = k8s["k8s.namespace.name"].(string)
		labels["io.kubernetes.pod.name"] = k8s["k8s.pod.name"].(string)
		labels["io.kubernetes.pod.uid"] = k8s["k8s.pod.uid"].(string)
		labels["io.kubernetes.container.name"] = k8s["k8s.container.name"].(string)
		delete(k8s, "k8s.container.restart_count") // an annotation, which is not asked for
	}
	c.Resource["container.id"] = id
	c.Resource["container.name"] = name
	c.Resource["container.image.name"] = "registry.test/shop/app"
	c.Resource["container.image.tags"] = []any{"1.2.3"}
	c.Resource["container.runtime.name"] = "docker"

	c.Dir = filepath.Join(c.opts.DockerDir, id)
	c.name = id + "-json.log"
	config, err := json.Marshal(map[string]any{
		"ID": id, "Name": "/" + name, "Driver": "overlay2", "RestartCount": 7,
		"Config": map[string]any{"Image": "registry.test/shop/app:1.2.3", "Env": []string{"DB=" + Canary}, "Labels": labels},
	})
	if err != nil {
		return err
	}
	if err := os.MkdirAll(c.Dir, 0o755); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(c.Dir, "config.v2.json"), config, 0o600)
}

// Canary is in every Docker container's environment and must be nowhere else.
const Canary = "canary-of-the-environment"

func (c *Container) create() error {
	file, err := os.OpenFile(filepath.Join(c.Dir, c.name), os.O_CREATE|os.O_EXCL|os.O_APPEND|os.O_WRONLY, 0o640)
	c.file, c.offset = file, 0
	return err
}

// write takes one read's worth of a stream to the file, in a single call as the runtimes do.
func (c *Container) write(number int) error {
	s := &c.streams[number]
	if len(s.reads) == 0 {
		c.print(number)
	}
	c.tick()
	var out []byte
	for _, p := range s.reads[0] {
		at := Place{c.gen, c.offset + int64(len(out))}
		if p.first {
			s.first = c.clock
			s.ledger = append(s.ledger, Entry{Time: c.clock, Begin: at})
		}
		stamp := c.clock
		if c.Runtime == Docker {
			stamp = s.first // of all pieces of a record
		}
		entry := &s.ledger[len(s.ledger)-1]
		line, text := c.line(stamp, Streams[number], p)
		out = append(out, line...)
		entry.Text += text
		if p.last {
			entry.End, entry.Written = at, time.Now()
			s.complete++
		}
	}
	s.reads = s.reads[1:]
	n, err := c.file.Write(out)
	c.offset += int64(n)
	return err
}

// tick moves the container's clock on.
func (c *Container) tick() {
	step := time.Duration(1+c.pick.IntN(1e6)) * time.Duration(1+c.pick.IntN(1000))
	if !c.opts.WallClock {
		c.clock = c.clock.Add(step)
		return
	}
	next := c.clock.Add(time.Nanosecond) // no line has the time of another one
	if c.clock = time.Now().UTC(); c.clock.Before(next) {
		c.clock = next
	}
}

// print is the application's part: one record, or with CRI-O, where it shows, some at once.
func (c *Container) print(number int) {
	s := &c.streams[number]
	next := func(i int) string { return Text(c.opts.Seed, c.opts.LongPercent, c.Index, number, len(s.ledger)+i) }
	switch c.Runtime {
	case Containerd:
		s.reads = cutFull(next(0), 16<<10, false)
	case Docker:
		s.reads = cutFull(next(0), 16<<10, true)
	default:
		var texts []string
		for i := range 1 + c.pick.IntN(3) {
			texts = append(texts, next(i))
		}
		s.reads = cutReads(texts, 8<<10, c.pick)
	}
}

// open says whether the runtime has more to write.
func (s *stream) open() bool { return len(s.reads) > 0 }

// inside says whether the file ends inside a record.
func (s *stream) inside() bool { return len(s.ledger) > s.complete }
