package main

import (
	"encoding/json"
	"io/fs"
	"maps"
	"os"
	"path"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"
)

// sampleFiles is the sample by file name.
func sampleFiles(t *testing.T) map[string]string {
	t.Helper()
	files := map[string]string{}
	for _, root := range []string{"pods", "docker", "traces"} {
		err := fs.WalkDir(os.DirFS(".."), root, func(name string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() {
				return err
			}
			data, err := os.ReadFile(path.Join("..", name))
			files[name] = string(data)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return files
}

// TestCases holds the sample to the list in the README: what a case needs is in a file of this name.
func TestCases(t *testing.T) {
	files := sampleFiles(t)
	f := func(what, glob, pattern string) {
		t.Helper()
		re := regexp.MustCompile("(?m)" + pattern)
		for name, data := range files {
			if ok, err := path.Match(glob, name); err != nil {
				t.Fatal(err)
			} else if ok && re.MatchString(data) {
				return
			}
		}
		t.Errorf("%s: no file %s has %s", what, glob, pattern)
	}
	const (
		cri    = `^\S+ std(out|err) F `
		nano   = `^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{9}`
		docker = "docker/*/*-json.log"
	)

	// formats
	f("containerd", "pods/shop_*/*/0.log", `^\S+Z stdout F `)
	f("containerd trims zeros", "pods/shop_*/*/0.log", `^[^.]+\.\d{1,8}Z `)
	f("CRI-O", "pods/shop-staging_*/*/0.log", nano+`\+01:00 stdout F `)
	f("Docker", docker, `^\{"log":".*\\n","stream":"stdout","time":"\S+Z"\}$`)
	f("Docker attrs", docker, `"attrs":\{"`)
	f("Docker escapes", docker, `\\u003c.*\\u003e.*\\u0026`)
	f("Docker quotes in quotes", docker, `"log":"\{\\"level\\":\\"info\\"`)
	f("Docker without log", docker, `^\{"stream"`)
	f("Docker piece without newline", docker, `^\{"log":"table stock: .*[^n]","stream"`)
	f("restart count 0", "pods/shop_payment-*/*/0.log", `.`)
	f("restart count 2", "pods/shop_payment-*/*/2.log", `.`)
	f("static pod", "pods/kube-system_kube-apiserver-*/*/0.log", `.`)

	// lines
	f("access log", "pods/shop_gateway-*/*/*", cri+`\S+ - - \[\d\d/...`)
	f("health check in an access log", "pods/shop_gateway-*/*/*", cri+`.*"GET /healthz HTTP/1.1" 200 .*"kube-probe/`)
	f("health check in JSON", "pods/shop_frontend-*/*/*", cri+`\{.*"url\.path":"/healthz","http\.response\.status_code":200`)
	f("health check in Docker", docker, `GET /healthz HTTP/1\.1\\" 200`)
	f("health check that fails", "pods/shop_gateway-*/*/*", cri+`.*"GET /healthz HTTP/1.1" 503 `)
	f("stdout", "pods/shop_gateway-*/*/*", `^\S+ stdout F `)
	f("stderr in the same file", "pods/shop_gateway-*/*/*", `^\S+ stderr F \d{4}/`)
	f("empty line", "pods/*/*/*", cri+`$`)
	f("empty Docker line", docker, `^\{"log":"\\n"`)
	f("umlaut", "pods/*/*/*", `ü`)
	f("han", "pods/*/*/*", `漢字`)
	f("emoji", "pods/*/*/*", `🔔`)
	f("no CRI at all", "pods/shop-staging_catalog-import-*/*/*", `^error: `)
	f("cut off in the header", "pods/shop-staging_catalog-import-*/*/*", `^\S+ stdout$`)
	f("short partials", "pods/shop-staging_catalog-import-*/*/*", ` P reading  \n\S+ stdout P 25% \n\S+ stdout P  50% \n\S+ stdout F  100%$`)
	f("long partial", "pods/shop_report-worker-*/*/*", ` P \{.*\n\S+ stdout P .*\n\S+ stdout F .*\}$`)
	f("stderr inside a partial of stdout", "pods/shop_report-worker-*/*/*", ` stdout P .*\n\S+ stderr F .*\n\S+ stdout F `)
	f("stack trace", "pods/shop_inventory-*/*/*", cri+`java\.lang\..*\n\S+ stdout F \tat .*\n\S+ stdout F \tat `)
	f("cause in a stack trace", "pods/shop_inventory-*/*/*", cri+`Caused by: `)
	f("truncated JSON", "pods/shop_checkout-*/*/*", cri+`\{"[^}]*$`)
	f("broken JSON", "pods/shop_checkout-*/*/*", cri+`\{.*,\}$`)

	// JSON bodies
	for _, level := range []string{"debug", "info", "warn", "error", "fatal"} {
		f("level "+level, "pods/shop_*/*/*", cri+`\{.*"level":"`+level+`","msg":"`)
	}
	f("trace", "pods/shop_*/*/*", cri+`\{.*"trace_id":"[0-9a-f]{32}","span_id":"[0-9a-f]{16}"`)
	f("semantic conventions", "pods/shop_*/*/*", cri+`\{.*"http\.request\.method":"`)
	f("nested object", "pods/shop_*/*/*", cri+`\{.*"http":\{"method":`)
	f("number", "pods/shop_*/*/*", cri+`\{.*"duration_ms":\d+\.\d`)
	f("bool", "pods/shop_*/*/*", cri+`\{.*"cached":false`)

	// Falco
	for _, priority := range []string{"Warning", "Critical", "Notice"} {
		f("Falco "+priority, "pods/falco_falco-*/falco/0.log",
			cri+`\{"hostname":".*"output":".*`+priority+` .*"output_fields":\{.*"priority":"`+priority+`","rule":".*"source":"syscall","tags":\[.*"time":"`)
	}

	// what must not leave
	f("e-mail", "pods/shop_payment-*/*/*", `ada\.lovelace@example\.com`)
	f("credit card", "pods/shop_payment-*/*/*", `4111 1111 1111 1111`)
	f("bearer token", "pods/shop_payment-*/*/*", `Authorization: Bearer eyJ`)
	f("SSN", "pods/shop_payment-*/*/*", `\b\d{3}-\d\d-\d{4}\b`)
	f("IBAN", "pods/shop_payment-*/*/*", `DE89 3704 0044 0532 0130 00`)
	f("JSON with PII", "pods/shop_frontend-*/*/*", `"user_email":"[^"]*@[^"]*","password":"hunter2"`)
	f("span with PII", "traces/*", `"enduser\.id"`)
	f("span with e-mail", "traces/*", `"user\.email"`)
	f("span with a token", "traces/*", `"http\.request\.header\.authorization".*Bearer `)

	// traces
	f("error span", "traces/checkout-error.json", `"status": \{"code": 2`)
	f("health check span", "traces/healthz.json", `"name": "GET /healthz"`)
	f("non-production span", "traces/staging.json", `"deployment\.environment\.name", "value": \{"stringValue": "staging"`)
}

var podPath = regexp.MustCompile(`^pods/([a-z0-9-]+)_([a-z0-9-]+)_([0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}|[0-9a-f]{32})/([a-z0-9-]+)/(\d+)\.log$`)

func TestPaths(t *testing.T) {
	dockerPath := regexp.MustCompile(`^docker/([0-9a-f]{64})/([0-9a-f]{64})-json\.log$`)
	namespaces := map[string]bool{}
	for name := range sampleFiles(t) {
		if m := podPath.FindStringSubmatch(name); m != nil {
			namespaces[m[1]] = true
		} else if m := dockerPath.FindStringSubmatch(name); m != nil {
			if m[1] != m[2] {
				t.Errorf("%s: folder and file differ", name)
			}
		} else if !isDockerConfig(name) && !strings.HasPrefix(name, "traces/") {
			t.Errorf("%s: not a path of a kubelet or of Docker", name)
		}
	}
	for _, ns := range []string{"shop", "shop-staging", "kube-system", "falco"} {
		if !namespaces[ns] {
			t.Errorf("no pod in namespace %s", ns)
		}
	}
}

// TestFingerprints: filelog takes two files for one when the first bytes of the one, 1000 at most, begin the other. Times
// would tell them apart; the sample does not rely on that, and its first lines differ without them.
func TestFingerprints(t *testing.T) {
	files := sampleFiles(t)
	maps.DeleteFunc(files, func(name, _ string) bool { return isDockerConfig(name) }) // filelog does not read those
	for name, data := range files {
		files[name] = stampRE.ReplaceAllString(data, "<time>")
	}
	for a, dataA := range files {
		first, _, _ := strings.Cut(dataA, "\n")
		for b, dataB := range files {
			if a != b && !strings.HasPrefix(a, "traces/") && strings.HasPrefix(dataB, first[:min(len(first), 1000)]) {
				t.Errorf("%s begins like %s", a, b)
			}
		}
	}
}

// TestCRIOReadsShareATime: conmon stamps a read, not a line.
func TestCRIOReadsShareATime(t *testing.T) {
	shared := 0
	for name, data := range sampleFiles(t) {
		if !strings.HasPrefix(name, "pods/shop-staging_") {
			continue
		}
		last := ""
		for line := range strings.Lines(data) {
			stamp, _, _ := strings.Cut(line, " ")
			if stamp == last {
				shared++
			}
			last = stamp
		}
	}
	if shared < 3 {
		t.Errorf("%d lines share the time of the line before", shared)
	}
}

// TestTracesBelongToLines: every trace comes from pods of the sample, every id in a log line leads to a span of that
// very pod, and there is a fast, a slow and a failed trace.
func TestTracesBelongToLines(t *testing.T) {
	files := sampleFiles(t)
	pods := map[string]bool{} // namespace/name/uid
	for name := range files {
		if m := podPath.FindStringSubmatch(name); m != nil {
			pods[strings.Join(m[1:4], "/")] = true
		}
	}
	spans := map[string]string{} // trace_id/span_id: pod
	var slow, failed, fast int
	for name, data := range files {
		if !strings.HasPrefix(name, "traces/") {
			continue
		}
		var r request
		if err := json.Unmarshal([]byte(data), &r); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		var start, end int64
		code := 0
		for _, rs := range r.ResourceSpans {
			a := map[string]string{}
			for _, kv := range rs.Resource.Attributes {
				a[kv.Key] = kv.Value.StringValue
			}
			pod := strings.Join([]string{a["k8s.namespace.name"], a["k8s.pod.name"], a["k8s.pod.uid"]}, "/")
			if !pods[pod] {
				t.Errorf("%s: no log file of pod %s", name, pod)
			}
			if a["service.name"] == "" || a["deployment.environment.name"] == "" {
				t.Errorf("%s: a resource lacks its service or environment", name)
			}
			for _, sp := range rs.ScopeSpans[0].Spans {
				spans[sp.TraceID+"/"+sp.SpanID] = pod
				code = max(code, sp.Status.Code)
				from, to := unixNano(t, sp.StartTimeUnixNano), unixNano(t, sp.EndTimeUnixNano)
				if start == 0 {
					start, end = from, to // the root comes first
				}
				if from < start || to > end || to <= from {
					t.Errorf("%s: span %q is not inside its trace", name, sp.Name)
				}
			}
		}
		switch d := time.Duration(end - start); {
		case code == 2:
			failed++
		case d > time.Second:
			slow++
		case d < 500*time.Millisecond:
			fast++
		}
	}
	if slow != 1 || failed != 1 || fast < 3 {
		t.Errorf("%d slow, %d failed and %d fast traces", slow, failed, fast)
	}

	ids := regexp.MustCompile(`"trace_id":"([0-9a-f]+)","span_id":"([0-9a-f]+)"`)
	seen := map[string]bool{}
	for name, data := range files {
		for _, m := range ids.FindAllStringSubmatch(data, -1) {
			seen[m[1]+"/"+m[2]] = true
			pod := strings.Join(podPath.FindStringSubmatch(name)[1:4], "/")
			if got := spans[m[1]+"/"+m[2]]; got != pod {
				t.Errorf("%s: span %s of trace %s is of pod %q", name, m[2], m[1], got)
			}
		}
	}
	if len(seen) < 10 {
		t.Errorf("log lines name only %d spans", len(seen))
	}
}

func unixNano(t *testing.T, s string) int64 {
	t.Helper()
	v, err := strconv.ParseInt(s, 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	return v
}
