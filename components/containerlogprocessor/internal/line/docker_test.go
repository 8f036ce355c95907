package line

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
)

// docker is a line around the JSON text of a log value, the way Docker's encoder writes it.
func docker(log string) string {
	return `{"log":` + log + `,"stream":"stderr","time":"` + stamp + `"}`
}

// surprising is the same line in a shape that only the full decoder reads.
func surprising(log string) string {
	return `{"time":"` + stamp + `", "stream":"stderr", "log":` + log + `}`
}

func TestDockerLog(t *testing.T) {
	f := func(log, content string, partial bool) {
		t.Helper()
		want := Line{Time: stampNanos, Content: content, Stream: Stderr, Format: Docker, Partial: partial}
		reads(t, docker(log), want)
		reads(t, surprising(log), want)
	}
	f(`"hello world\n"`, "hello world", false)
	f(`"\n"`, "", false)
	f(`"a piece of 16 KiB"`, "a piece of 16 KiB", true)
	f(`""`, "", true)
	f(`"windows\r\n"`, "windows\r", false)
	f(`"\n\n"`, "\n", false)
	f(`"two\nlines\n"`, "two\nlines", false)
	f(`"by number\u000a"`, "by number", false)
	f(`"not the end\\n"`, `not the end\n`, true)
	f(`"the end\\\n"`, `the end\`, false)

	f(`"\"q\" \\ \/ \b\f\n\r\t.\n"`, "\"q\" \\ / \b\f\n\r\t.", false)
	f(`"\u003ca\u003e \u0026 \u2028\u2029 \u00E4\u00e4\n"`, "<a> & \u2028\u2029 ää", false)
	f(`"a\u0000b\n"`, "a\x00b", false)
	f(`"\ud83d\ude00\n"`, "😀", false)
	f(`"\uD83D\uDE00"`, "😀", true)
	f(`"\ud83d\n"`, "\uFFFD", false)
	f(`"\ude00x\n"`, "\uFFFDx", false)
	f(`"\ud83d\ud83d\ude00"`, "\uFFFD😀", true)
	f(`"\ud83d\u0041"`, "\uFFFDA", true)
	f(`"\ud83d\nde00"`, "\uFFFD\nde00", true)
	f(`"\ud83dude00"`, "\uFFFDude00", true)
	f(`"\ud83d\ufffd\n"`, "\uFFFD\uFFFD", false)

	f(`"grün 😀\n"`, "grün 😀", false)
	f(`"`+stamp+` stdout F x\n"`, stamp+" stdout F x", false)
	f(`"{\"log\":\"x\\n\"}\n"`, `{"log":"x\n"}`, false)
	f(`"`+strings.Repeat("x", 16384)+`"`, strings.Repeat("x", 16384), true)

	// encoding/json would put U+FFFD for these bytes, and the halves of a character would not join again.
	f("\"cut \xe2\x82\"", "cut \xe2\x82", true)
	f("\"\xac\\n\"", "\xac", false)
	f("\"\xff \\u003c \xfe\\n\"", "\xff < \xfe", false)
	f("\"\\ud83d\xff\\ude00\"", "\uFFFD\xff\uFFFD", true)
}

func TestDockerBadLog(t *testing.T) {
	f := func(log string, want Reason) {
		t.Helper()
		refuses(t, docker(log), Docker, want)
		refuses(t, surprising(log), Docker, want)
	}
	f(`1`, BadLog)
	f(`true`, BadLog)
	f(`["x\n"]`, BadLog)
	f(`{}`, BadLog)
	f(`"\x"`, BadJSON)
	f(`"\'"`, BadJSON)
	f(`"\u12g4"`, BadJSON)
	f(`"\u+123"`, BadJSON)
	f(`"\u12"`, BadJSON)
	f(`"\ud83d\u12"`, BadJSON)
	f("\"a\tb\"", BadJSON)
	f("\"a\\\tb\"", BadJSON)
	f("\"\x00\"", BadJSON)
	f("\"a\\n\x01\"", BadJSON)
	f("\"a\nb\"", BadJSON)
	f("\"closed by a control character\x01", BadJSON)
	f("\"and after an escape\\t\x01", BadJSON)
	f(``, BadJSON)
	f(`x`, BadJSON)
}

func TestDockerKeys(t *testing.T) {
	f := func(raw, content string, partial bool, attrs ...Attr) {
		t.Helper()
		reads(t, raw, Line{Time: stampNanos, Content: content, Attrs: attrs, Stream: Stdout, Format: Docker, Partial: partial})
	}
	const (
		log    = `"log":"x\n"`
		stream = `"stream":"stdout"`
		at     = `"time":"` + stamp + `"`
	)
	// Docker leaves an empty log out.
	f("{"+stream+","+at+"}", "", false)
	f("{"+at+","+stream+"}", "", false)
	f(`{"log":null,`+stream+","+at+"}", "", false)

	f("{"+log+","+stream+`,"attrs":{"app":"web","tier":"1"},`+at+"}", "x", false, Attr{"docker.attrs.app", "web"}, Attr{"docker.attrs.tier", "1"})
	f("{"+stream+`,"attrs":{"app":""},`+at+"}", "", false, Attr{"docker.attrs.app", ""})
	f("{"+log+","+stream+","+at+`,"attrs":{"app":"web"}}`, "x", false, Attr{"docker.attrs.app", "web"})
	f("{"+log+","+stream+`,"attrs":{"b":"\u003c","a":"grün"},`+at+"}", "x", false, Attr{"docker.attrs.a", "grün"}, Attr{"docker.attrs.b", "<"})
	f("{"+log+","+stream+`,"attrs":{"a":"1","a":"2"},`+at+"}", "x", false, Attr{"docker.attrs.a", "2"})
	f("{"+log+","+stream+`,"attrs":{"":"1","":"2"},`+at+"}", "x", false, Attr{"docker.attrs.", "2"})
	f("{"+log+","+stream+`,"attrs":{"n":1.50,"o":{"x": [1]},"z":null},`+at+"}", "x", false,
		Attr{"docker.attrs.n", "1.50"}, Attr{"docker.attrs.o", `{"x": [1]}`}, Attr{"docker.attrs.z", "null"})
	f("{"+log+","+stream+`,"attrs":{},`+at+"}", "x", false)
	f("{"+log+","+stream+`,"attrs":null,`+at+"}", "x", false)
	f("{"+log+","+stream+`,"attrs":["a"],`+at+"}", "x", false, Attr{"docker.attrs", `["a"]`})
	f("{"+log+","+stream+`,"attrs":"a",`+at+"}", "x", false, Attr{"docker.attrs", "a"})

	// What is not known is kept, and valid UTF-8.
	f("{"+log+","+stream+","+at+`,"partial_message":"true","n":{"a":1},"Log":"y"}`, "x", false,
		Attr{"docker.Log", "y"}, Attr{"docker.n", `{"a":1}`}, Attr{"docker.partial_message", "true"})
	f("{"+log+","+stream+`,"attrs":{"`+"a\xff\":\"\xfe\",\"b\":[\"\xfe\"]},"+at+"}", "x", false,
		Attr{"docker.attrs.a\uFFFD", "\uFFFD"}, Attr{"docker.attrs.b", "[\"\uFFFD\"]"})
	f("{"+log+","+stream+`,"attrs":{"a":"`+"\xfe\"},"+at+"}", "x", false, Attr{"docker.attrs.a", "\uFFFD"})
	f("{"+log+","+stream+`,"attrs":{"`+"\x80\":\"b\"},"+at+"}", "x", false, Attr{"docker.attrs.\uFFFD", "b"})
	for range 20 { // a map gives its keys in any order
		f("{"+log+","+stream+","+at+`,"attrs.a":"1","attrs":{"a":"2"}}`, "x", false, Attr{"docker.attrs.a", "1"}, Attr{"docker.attrs.a", "2"})
	}

	// The last one wins.
	f("{"+log+","+stream+","+at+`,"log":"y"}`, "y", true)
	f(`{"log":"y",`+log+","+stream+","+at+"}", "x", false)
	f(`{"log":1,`+log+`,"stream":1,"time":"",`+at+","+stream+"}", "x", false)
	f("{"+log+","+stream+","+at+`,"log":null}`, "", false)
	f("{"+log+","+stream+`,"attrs":{"a":"1"},`+at+`,"attrs":{"b":"2"}}`, "x", false, Attr{"docker.attrs.b", "2"})

	f("{ \t"+log+" ,\r\n"+stream+" , "+at+" } \r\n", "x", false)
	f(`{"\u006cog":"x\n","stream":"std\u006fut","time":"2026-03-01T10\u003a20:30.123456789Z"}`, "x", false)
}

func TestDockerRefuses(t *testing.T) {
	f := func(raw string, want Reason) {
		t.Helper()
		refuses(t, raw, Docker, want)
	}
	f(`{}`, MissingTime)
	f(`{"level":"info","msg":"an application's own line"}`, MissingTime)
	f(`{"log":"x\n","stream":"stdout"}`, MissingTime)
	f(`{"log":"x\n","stream":"stdout","time":null}`, MissingTime)
	f(`{"log":"x\n","stream":"stdout","time":1772360430}`, BadTime)
	f(`{"log":"x\n","stream":"stdout","time":""}`, BadTime)
	f(`{"log":"x\n","stream":"stdout","time":"`+stamp+` "}`, BadTime)
	f(`{"log":"x\n","time":"`+stamp+`"}`, MissingStream)
	f(`{"log":"x\n","stream":null,"time":"`+stamp+`"}`, MissingStream)
	f(`{"log":"x\n","stream":"","time":"`+stamp+`"}`, BadStream)
	f(`{"log":"x\n","stream":"stdin","time":"`+stamp+`"}`, BadStream)
	f(`{"log":"x\n","stream":"stdout ","time":"`+stamp+`"}`, BadStream)
	f(`{"log":"x\n","stream":["stdout"],"time":"`+stamp+`"}`, BadStream)

	f(docker(`"x\n"`)+"x", BadJSON)
	f(docker(`"x\n"`)+"\x00", BadJSON)
	f(docker(`"x\n"`)+"\v", BadJSON)
	f(docker(`"x\n"`)+docker(`"y\n"`), BadJSON)
	f(docker(`"x\n",`), BadJSON)
	f(`{"log":"x\n" "stream":"stdout"}`, BadJSON)
	f(`{'log':'x'}`, BadJSON)
	f(`{log}`, BadJSON)
	f(`{"log":"x\n"]`, BadJSON)
	f("{\x00", BadJSON)
	f(`{"log":"x\n","stream":"stdout","attrs":{'a":"b"},"time":"`+stamp+`"}`, BadJSON)
	f(`{"log":"x\n","stream":"stdout","attrs":{"a`+"\x01"+`:"b"},"time":"`+stamp+`"}`, BadJSON)
	f(`{"log":"x\n","stream":"stdout","attrs":{"a""b"},"time":"`+stamp+`"}`, BadJSON)
	f(`{"log":"x\n","stream":"stdout","attrs":{"a":"b";"c":"d"},"time":"`+stamp+`"}`, BadJSON)
}

func TestDockerTruncated(t *testing.T) {
	for _, raw := range []string{
		`{"log":"a \u003c \ud83d\ude00\\ b\n","stream":"stdout","attrs":{"a":"1","b":"2"},"time":"` + stamp + `","attrs":{"c":"3"}}`,
		surprising(`"x"`),
	} {
		for n := 1; n < len(raw); n++ {
			refuses(t, raw[:n], Docker, Truncated)
		}
		_, reason := parse(raw)
		assert.Equal(t, Readable, reason)
	}
}
