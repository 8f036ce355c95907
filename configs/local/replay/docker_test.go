package main

import (
	"context"
	"encoding/json"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

func isDockerConfig(name string) bool {
	return strings.HasPrefix(name, "docker/") && path.Base(name) == dockerConfig
}

// fakeSecret is in every container's environment, and nobody may ever print it.
const fakeSecret = "fake-secret-never-to-be-printed"

// TestDockerConfigs: each container has one, as Docker writes it for a container that no kubelet started.
func TestDockerConfigs(t *testing.T) {
	type config struct {
		ID, Name, LogPath, Image string
		Config                   struct {
			Image string
			Env   []string
		}
	}
	files := sampleFiles(t)
	images := []string{}
	for name := range files {
		dir, base := path.Split(name)
		if !strings.HasPrefix(name, "docker/") || base == dockerConfig {
			continue
		}
		data := files[dir+dockerConfig]
		var c config
		if err := json.Unmarshal([]byte(data), &c); err != nil {
			t.Errorf("%s%s: %v", dir, dockerConfig, err)
			continue
		}
		f := func(key, got, pattern string) {
			t.Helper()
			if !regexp.MustCompile("^" + pattern + "$").MatchString(got) {
				t.Errorf("%s%s: %s is %q", dir, dockerConfig, key, got)
			}
		}
		id := path.Base(dir)
		f("ID", c.ID, id)
		f("LogPath", c.LogPath, "/var/lib/docker/containers/"+id+"/"+base)
		f("Name", c.Name, `/[a-z-]+`)
		f("Image", c.Image, `sha256:[0-9a-f]{64}`)
		f("Config.Image", c.Config.Image, `.*[a-z]:[0-9.]+`) // with a tag
		f("Config.Env", strings.Join(c.Config.Env, " "), `.*=`+fakeSecret+`\b.*`)
		if strings.Contains(data, "io.kubernetes.") {
			t.Errorf("%s%s has labels of a kubelet", dir, dockerConfig)
		}
		images = append(images, c.Config.Image)
	}
	slices.Sort(images)
	if want := []string{"cms:5.4.1", "registry.example.com:5000/shop/pg-backup:17.4"}; !slices.Equal(images, want) {
		t.Errorf("images %q, want %q: one without a registry, one in a registry with a port", images, want)
	}
}

// TestFakeSecretIsInNoLine: else nobody could tell a leak from a line.
func TestFakeSecretIsInNoLine(t *testing.T) {
	for name, data := range sampleFiles(t) {
		if !isDockerConfig(name) && strings.Contains(data, fakeSecret) {
			t.Errorf("%s has it", name)
		}
	}
}

// TestDockerConfigIsNoLog: it has times, and they stay as they are.
func TestDockerConfigIsNoLog(t *testing.T) {
	s := bundled(t)
	for _, e := range s.events {
		if isDockerConfig(e.file) {
			t.Errorf("%s is replayed line by line", e.file)
		}
	}
	if len(s.files) != 2 {
		t.Errorf("%d files stay as they are, want 2", len(s.files))
	}
}

func checkUnchanged(t *testing.T, model, replayed string) {
	t.Helper()
	if got, err := os.ReadFile(replayed); err != nil || string(got) != model {
		t.Errorf("%v, or other bytes than the sample's: %q", err, got)
	}
}

// TestDockerConfigIsThereFirst: a collector that reads a line looks for the file at once, and only then.
func TestDockerConfigIsThereFirst(t *testing.T) {
	p := player{sample: bundled(t), dir: t.TempDir(), rate: 5000}
	defer p.close()
	ctx, cancel := context.WithCancel(context.Background())
	cancel() // no line is written
	if err := p.loop(ctx); err != nil {
		t.Fatal(err)
	}
	n := 0
	for name, data := range sampleFiles(t) {
		if isDockerConfig(name) {
			n++
			checkUnchanged(t, data, filepath.Join(p.dir, name))
		}
	}
	if n != 2 || p.lines != 0 {
		t.Errorf("%d files and %d lines, want 2 files before the first line", n, p.lines)
	}
}
