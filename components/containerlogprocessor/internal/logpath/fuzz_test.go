package logpath

import (
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
)

const (
	labelRE     = `[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?`
	subdomainRE = `[a-z0-9](?:[a-z0-9.-]{0,251}[a-z0-9])?`
	uidRE       = `[A-Za-z0-9](?:[A-Za-z0-9.-]{0,251}[A-Za-z0-9])?`
)

var (
	containerRE = regexp.MustCompile(`^` + labelRE + `$`)
	podDirRE    = regexp.MustCompile(`^(` + labelRE + `)_(` + subdomainRE + `)_(` + uidRE + `)$`)
	podFileRE   = regexp.MustCompile(`^([0-9]{1,10})\.log((?:\.[0-9]{8}-[0-9]{6}(?:\.gz)?)?)$`)
	linkRE      = regexp.MustCompile(`^(` + subdomainRE + `)_(` + labelRE + `)_(` + labelRE + `)-([0-9a-f]{64})\.log$`)
	dockerRE    = regexp.MustCompile(`^([0-9a-f]{64})-json\.log((?:\.([1-9][0-9]{0,9})(?:\.gz)?)?)$`)
	staticRE    = regexp.MustCompile(`^[0-9a-f]{32}$`)
)

// slowParse is Parse the obvious way.
func slowParse(path string) (Identity, bool) {
	parts := strings.Split("//"+strings.ReplaceAll(path, `\`, "/"), "/") // there are always three
	podDir, container, file := parts[len(parts)-3], parts[len(parts)-2], parts[len(parts)-1]
	fits := func(s string) bool {
		n, err := strconv.Atoi(s)
		return err == nil && n < 1<<31
	}
	if m := linkRE.FindStringSubmatch(file); m != nil {
		return Identity{Pod: m[1], Namespace: m[2], Container: m[3], ContainerID: m[4], Restart: -1, Current: path}, true
	}
	if m := dockerRE.FindStringSubmatch(file); m != nil && m[1] == container && (m[3] == "" || fits(m[3])) {
		return Identity{ContainerID: m[1], Restart: -1, Docker: true, Current: strings.TrimSuffix(path, m[2]), Rotation: m[2]}, true
	}
	f, d := podFileRE.FindStringSubmatch(file), podDirRE.FindStringSubmatch(podDir)
	if f == nil || d == nil || !containerRE.MatchString(container) || !fits(f[1]) {
		return Identity{}, false
	}
	restart, _ := strconv.Atoi(f[1])
	return Identity{
		Namespace: d[1], Pod: d[2], UID: d[3], Container: container, Restart: restart, Static: staticRE.MatchString(d[3]),
		Current: strings.TrimSuffix(path, f[2]), Rotation: f[2],
	}, true
}

func FuzzParse(f *testing.F) {
	for _, path := range []string{
		cart + "0.log", cart + "12.log.20260301-101500", cart + "2147483648.log.20260301-101500.gz", pods + "a_b.c_" + hash + "/d/0.log",
		"n_p_u/c/1.log", `C:\n_p_U\c\1.log`, `/\/`, "_", "n_p_p_u/c/00.log", "n_.._u/../0.log",
		links + cartLink, "p_n_c-" + cid + ".log", dockerLog, cid + "/" + cid + "-json.log.1", cid + `\` + cid + "-json.log.2147483648.gz",
	} {
		f.Add(path)
	}
	f.Fuzz(func(t *testing.T, path string) {
		want, wantOK := slowParse(path)
		got, ok := Parse(path)
		assert.Equal(t, wantOK, ok)
		assert.Equal(t, want, got)
		if !ok {
			return
		}
		assert.Equal(t, path, got.Current+got.Rotation)
		for _, value := range []string{got.Namespace, got.Pod, got.UID, got.Container, got.ContainerID} {
			assert.False(t, strings.ContainsAny(value, `/\_`), value)
		}
		live, ok := Parse(got.Current)
		assert.True(t, ok)
		assert.Equal(t, got.Key(), live.Key())
	})
}

func FuzzPredecessor(f *testing.F) {
	f.Add(cart+"0.log", "0.log 0.log.20260301-101500 0.log.20260228-101500.gz")
	f.Add(dockerLog+".1", cid+"-json.log.2 "+cid+"-json.log.3.gz")
	f.Fuzz(func(t *testing.T, path, listing string) {
		names := strings.Split(listing, " ")
		before := Predecessor(path, names)
		if before == "" {
			return
		}
		_, name := cutLast(before)
		assert.Contains(t, names, name)
		assert.NotEqual(t, path, before)
		old, _ := Parse(path)
		got, ok := Parse(before)
		assert.True(t, ok, before)
		assert.Equal(t, old.Key(), got.Key())
		assert.NotContains(t, got.Rotation, ".gz")
	})
}

func FuzzSplitImage(f *testing.F) {
	for _, image := range []string{"nginx", "a:5000/b/c:1@sha256:" + cid, "sha256:" + cid, cid, "[::1]:5000/a", ":", "::", "@", "/:", "a@b@c:d/e:f"} {
		f.Add(image)
	}
	id := regexp.MustCompile(`^(sha256:)?[0-9a-f]{64}$`)
	ref := regexp.MustCompile(`(?s)^(.*?)(?::([^:/]*))?$`)
	f.Fuzz(func(t *testing.T, image string) {
		name, tag := SplitImage(image)
		image = strings.Split(image, "@")[0]
		if id.MatchString(image) {
			image = ""
		}
		want := ref.FindStringSubmatch(image)[1:]
		assert.Equal(t, want, []string{name, tag})
	})
}
