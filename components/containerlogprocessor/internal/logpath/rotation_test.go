package logpath

import (
	"slices"
	"testing"

	"github.com/stretchr/testify/assert"
)

func TestPredecessor(t *testing.T) {
	f := func(dir, file, want string, names ...string) {
		t.Helper()
		if want != "" {
			want = dir + want
		}
		assert.Equal(t, want, Predecessor(dir+file, names))
		slices.Reverse(names)
		assert.Equal(t, want, Predecessor(dir+file, names), "the other way round")
	}
	const (
		t1, t2, t3 = "0.log.20260228-235959", "0.log.20260301-101500", "0.log.20260301-101501"
		live       = cid + "-json.log"
	)
	// kubelet
	f(cart, "0.log", "")
	f(cart, "0.log", "", "0.log")
	f(cart, "0.log", t1, "0.log", t1)
	f(cart, "0.log", t3, t1, "0.log", t3, t2)
	f(cart, t3, t2, t1, "0.log", t3, t2)
	f(cart, t2, t1, t1, "0.log", t3, t2)
	f(cart, t1, "", t1, "0.log", t3, t2)
	f(cart, "0.log", t2, "0.log", t1+".gz", t2)
	f(cart, t2, "", "0.log", t1+".gz", t2)
	f(cart, t3, "", "0.log", t1, t2+".gz", t3) // t1 is not what was written just before
	f(cart, "0.log", "", "0.log", t1, t2+".gz")
	f(cart, t2+".gz", t1, "0.log", t1, t2+".gz", t3)
	f(cart, "0.log", t2, "0.log", t2, t2+".gz", t2+".tmp") // compressed just now
	f(cart, "0.log", t1, "0.log", t1, t2+".tmp", "0.log.3", "0.log.tmp", "0.log.", "")
	f(cart, "1.log", "", "0.log", t1, t2, "1.log", "10.log", "11.log.20260301-101500")
	f(cart, "1.log", "1.log.20260228-000000", "0.log", t3, "1.log.20260228-000000", "10.log.20260302-000000")
	f(`C:\pods\`+cartDir+`\cart\`, "0.log", t1, "0.log", t1)
	f(cartDir+"/cart/", "0.log", t1, "0.log", t1)

	// Docker
	dir := docker + cid + "/"
	f(dir, live, "")
	f(dir, live, "", live, "config.v2.json")
	f(dir, live, live+".1", live, live+".1", live+".2", live+".10")
	f(dir, live+".1", live+".2", live, live+".1", live+".2", live+".10")
	f(dir, live+".9", live+".10", live, live+".1", live+".9", live+".10")
	f(dir, live+".2", "", live, live+".1", live+".2", live+".10")
	f(dir, live, "", live, live+".1.gz", live+".2")
	f(dir, live, live+".1", live, live+".1", live+".1.gz")
	f(dir, live+".1.gz", live+".2", live, live+".1.gz", live+".2")
	f(dir, live, "", live, live+".1.tmp", live+".20260301-101500")

	// Neither rotates: a link points to the live file only.
	f(links, cartLink, "", cartLink, cartLink+".1", cartLink+".20260301-101500")
	f(cart, "app.log", "", "app.log", "app.log.1", "app.log.20260301-101500")
	f("", "", "", "", "0.log")
}

// TestPredecessorChain walks back from the live file, so a result has to be usable as the next path.
func TestPredecessorChain(t *testing.T) {
	f := func(dir string, names ...string) {
		t.Helper()
		var got []string
		for path := dir + names[0]; path != ""; path = Predecessor(path, names) {
			got = append(got, path[len(dir):])
		}
		assert.Equal(t, names, got)
	}
	f(cart, "2.log", "2.log.20260301-101500", "2.log.20260301-093000", "2.log.20251231-235959")
	f(docker+cid+"/", cid+"-json.log", cid+"-json.log.1", cid+"-json.log.2", cid+"-json.log.3")
}
