package logpath

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
)

const (
	uuid   = "0b6e1c5e-6a3c-4a55-9d0e-6f5b3f1f0a01"
	hash   = "8a1b2c3d4e5f60718293a4b5c6d7e8f9"
	cid    = "3f4e5d6c7b8a99887766554433221100ffeeddccbbaa00112233445566778899"
	pods   = "/var/log/pods/"
	links  = "/var/log/containers/"
	docker = "/var/lib/docker/containers/"

	cartDir   = "shop_cart-6d4cf56db6-x2x8q_" + uuid
	cart      = pods + cartDir + "/cart/"
	cartLink  = "cart-6d4cf56db6-x2x8q_shop_cart-" + cid + ".log"
	dockerLog = docker + cid + "/" + cid + "-json.log"
)

func TestParsePod(t *testing.T) {
	f := func(path string, restart int, rotation string) {
		t.Helper()
		got, ok := Parse(path)
		assert.True(t, ok, path)
		assert.Equal(t, Identity{
			Namespace: "shop", Pod: "cart-6d4cf56db6-x2x8q", UID: uuid, Container: "cart",
			Restart: restart, Current: strings.TrimSuffix(path, rotation), Rotation: rotation,
		}, got, path)
	}
	f(cart+"0.log", 0, "")
	f(cart+"17.log", 17, "")
	f(cart+"2147483647.log", 2147483647, "")
	f(cart+"3.log.20260301-101500", 3, ".20260301-101500")
	f(cart+"3.log.20260301-101500.gz", 3, ".20260301-101500.gz")

	// No root, a link's target, '_' in the root, the other separator, bytes that are no text.
	f(cartDir+"/cart/0.log", 0, "")
	f("/mnt/data_1/kubelet_logs/"+cartDir+"/cart/0.log", 0, "")
	f(pods+"a_b_c/d/"+cartDir+"/cart/0.log", 0, "")
	f("../"+cartDir+"/cart/0.log", 0, "")
	f(`C:\var\log\pods\`+cartDir+`\cart\1.log.20260301-101500`, 1, ".20260301-101500")
	f(`C:\var\log\pods/`+cartDir+`\cart/0.log`, 0, "")
	f("/\xff/"+strings.Repeat("r/", 2048)+cartDir+"/cart/0.log", 0, "")
}

func TestParsePodNames(t *testing.T) {
	f := func(dir, container string, want Identity) {
		t.Helper()
		path := pods + dir + "/" + container + "/0.log"
		want.Container, want.Current = container, path
		got, ok := Parse(path)
		assert.True(t, ok, path)
		assert.Equal(t, want, got, path)
	}
	label, subdomain := strings.Repeat("n", 63), strings.Repeat("p", 253)

	f("kube-system_etcd-node.example.com_"+hash, "etcd", Identity{Namespace: "kube-system", Pod: "etcd-node.example.com", UID: hash, Static: true})
	f("0_1.log_2", "3", Identity{Namespace: "0", Pod: "1.log", UID: "2"})
	f(label+"_"+subdomain+"_"+uuid, label, Identity{Namespace: label, Pod: subdomain, UID: uuid})
	f("ns_pod_My.UID-1", "c", Identity{Namespace: "ns", Pod: "pod", UID: "My.UID-1"})
	f("ns_pod_"+strings.ToUpper(hash), "c", Identity{Namespace: "ns", Pod: "pod", UID: strings.ToUpper(hash)}) // no hash that kubelet writes
	f("ns_pod_"+hash+"0", "c", Identity{Namespace: "ns", Pod: "pod", UID: hash + "0"})
}

func TestParseLink(t *testing.T) {
	f := func(path, namespace, pod, container string) {
		t.Helper()
		got, ok := Parse(path)
		assert.True(t, ok, path)
		assert.Equal(t, Identity{
			Namespace: namespace, Pod: pod, Container: container, ContainerID: cid, Restart: -1, Current: path,
		}, got, path)
	}
	f(links+cartLink, "shop", "cart-6d4cf56db6-x2x8q", "cart")
	f(cartLink, "shop", "cart-6d4cf56db6-x2x8q", "cart")
	f(`C:\var\log\containers\`+cartLink, "shop", "cart-6d4cf56db6-x2x8q", "cart")
	f(links+"0.log.pod_ns_a-b-"+cid+".log", "ns", "0.log.pod", "a-b")
	f(links+"p_n_"+cid[1:]+"-"+cid+".log", "n", "p", cid[1:])
}

func TestParseDocker(t *testing.T) {
	f := func(path, rotation string) {
		t.Helper()
		got, ok := Parse(path)
		assert.True(t, ok, path)
		assert.Equal(t, Identity{
			ContainerID: cid, Restart: -1, Docker: true, Current: strings.TrimSuffix(path, rotation), Rotation: rotation,
		}, got, path)
	}
	f(dockerLog, "")
	f(dockerLog+".1", ".1")
	f(dockerLog+".10", ".10")
	f(dockerLog+".2.gz", ".2.gz")
	f(cid+"/"+cid+"-json.log", "")
	f(`D:\docker\containers\`+cid+`\`+cid+`-json.log`, "")
}

func TestParseRefuses(t *testing.T) {
	f := func(path string) {
		t.Helper()
		got, ok := Parse(path)
		assert.False(t, ok, path)
		assert.Zero(t, got, path)
	}
	// Files.
	for _, path := range []string{"", "/", `\`, ".log", "0.log", "/0.log", "//0.log", "/var/log/syslog", "cart/0.log"} {
		f(path)
	}
	for _, file := range []string{
		"", ".log", "x.log", "-1.log", "+1.log", "1_0.log", "0x1.log", " 1.log", "1.5.log", "٣.log", "2147483648.log", "4294967296.log",
		"0", "0.lo", "0.log.", "0.log.gz", "0.log.tmp", "0.log.1", "0.logx", "0.log/", "0.LOG", "0.log.log", "\xff.log", "0.log\x00",
		"0.log.20260301-101500.tmp", "0.log.20260301-101500.gz.gz", "0.log.20260301-10150", "0.log.20260301-1015000",
		"0.log.20260301x101500", "0.log-20260301-101500", "0.log.2026030a-101500", "0.log.20260301-101500.GZ",
		strings.Repeat("1", 4096) + ".log", strings.Repeat("0", 4096) + ".log",
	} {
		f(cart + file)
	}
	// Pods' directories.
	for _, dir := range []string{
		"", "_", "__", "___", "ns", "ns_pod", "ns__uid", "_pod_uid", "ns_pod_", "_ns_pod_uid", "ns_pod_uid_", "ns_a_b_uid", "ns__pod_uid",
		"n.s_pod_uid", "Ns_pod_uid", "-ns_pod_uid", "ns-_pod_uid", ".._pod_uid", "ns_.._uid", "ns_pod_..", "ns_pod_.", "ns_p d_uid",
		"ns_pod._uid", "ns_pod_uid\x00", "ns_pod_\xff\xfe", "ns_p\xffd_uid", "n\xc3\xa9_pod_uid", "ns_pod_uid:1", "C:ns_pod_uid", "..", ".",
		strings.Repeat("n", 64) + "_pod_uid", "ns_" + strings.Repeat("p", 254) + "_uid", "ns_pod_" + strings.Repeat("u", 254),
		strings.Repeat("a", 4096), "ns_" + strings.Repeat("_", 4096) + "_uid", strings.Repeat("\xff", 4096),
	} {
		f(pods + dir + "/c/0.log")
		f(`C:\pods\` + dir + `\c\0.log.20260301-101500`)
	}
	// Containers.
	for _, container := range []string{"", ".", "..", "a_b", "a.b", "-a", "a-", "A", "a b", "\xff", "a\x00", strings.Repeat("c", 64), strings.Repeat("c", 4096)} {
		f(pods + cartDir + "/" + container + "/0.log")
		f(links + "pod_ns_" + container + "-" + cid + ".log")
	}
	// Links.
	for _, file := range []string{
		"pod_ns_c-" + cid, "pod_ns_c-" + cid + ".log.1", "pod_ns_c-" + cid + ".log.gz", "pod_ns_c-" + cid[1:] + ".log", "pod_ns_c-0" + cid + ".log",
		"pod_ns_c" + cid + ".log", "pod_ns_c_" + cid + ".log", "pod_ns-c-" + cid + ".log", "pod_ns_" + cid + ".log", "pod_ns_-" + cid + ".log",
		"pod__c-" + cid + ".log", "_ns_c-" + cid + ".log", "pod_n.s_c-" + cid + ".log", "pod_a_b_c-" + cid + ".log", "Pod_ns_c-" + cid + ".log",
		"pod_ns_c-" + strings.ToUpper(cid) + ".log", "pod_ns_c-" + cid[:63] + "g.log", "_.log", "__.log", "pod_ns-" + cid + "_.log",
	} {
		f(links + file)
	}
	// Docker.
	for _, path := range []string{
		cid + "-json.log", docker + cid + "-json.log", docker + "x/" + cid + "-json.log", docker + cid + "//" + cid + "-json.log",
		docker + strings.Replace(cid, "3", "4", 1) + "/" + cid + "-json.log", docker + cid[1:] + "/" + cid[1:] + "-json.log",
		docker + cid + "0/" + cid + "0-json.log", strings.ReplaceAll(dockerLog, "f", "F"), strings.ReplaceAll(dockerLog, "f", "g"),
		docker + cid + "/" + cid + ".log", docker + cid + "/" + cid + "-json.lo", docker + cid + "/" + cid + "-jsonlog",
		docker + cid + "/local-logs/container.log",
		dockerLog + "x", dockerLog + ".", dockerLog + ".0", dockerLog + ".01", dockerLog + ".-1", dockerLog + ".x", dockerLog + ".gz", dockerLog + ".1.tmp", dockerLog + ".1.gz.gz",
		dockerLog + "1", dockerLog + ".2147483648", dockerLog + ".20260301-101500", dockerLog + "/",
	} {
		f(path)
	}
}

func TestKey(t *testing.T) {
	key := func(path string) string {
		id, ok := Parse(path)
		assert.True(t, ok, path)
		return id.Key()
	}
	same := func(a, b string) {
		t.Helper()
		assert.Equal(t, key(a), key(b))
	}
	differ := func(a, b string) {
		t.Helper()
		assert.NotEqual(t, key(a), key(b))
	}
	same(cart+"0.log", cart+"0.log.20260301-101500")
	same(cart+"0.log.20260301-101500", cart+"0.log.20260301-101500.gz")
	same(cart+"0.log.20260301-101500", cart+"0.log.20260302-101500")
	same(dockerLog, dockerLog+".1")
	same(dockerLog+".1", dockerLog+".2.gz")

	differ(cart+"0.log", cart+"1.log")
	differ(cart+"0.log.20260301-101500", cart+"1.log.20260301-101500")
	differ(cart+"0.log", pods+cartDir+"/sidecar/0.log")
	differ(cart+"0.log", strings.Replace(cart, uuid, hash, 1)+"0.log")
	differ(links+cartLink, strings.Replace(links+cartLink, cid, strings.Replace(cid, "3", "4", 1), 1))
	differ(dockerLog, strings.ReplaceAll(dockerLog, "3f", "4f"))
}

func TestParseAllocates(t *testing.T) {
	for _, path := range []string{cart + "0.log", cart + "0.log.20260301-101500.gz", links + cartLink, dockerLog, dockerLog + ".1", cart + strings.Repeat("1", 4096) + ".log"} {
		assert.Zero(t, testing.AllocsPerRun(100, func() {
			id, _ := Parse(path)
			_ = id.Key()
		}), path)
	}
}

func BenchmarkParse(b *testing.B) {
	for name, path := range map[string]string{"pod": cart + "0.log", "rotated": cart + "0.log.20260301-101500", "link": links + cartLink, "docker": dockerLog} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, ok := Parse(path); !ok {
					b.Fatal(path)
				}
			}
		})
	}
}
