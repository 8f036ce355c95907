package proc

import (
	"net"
	"strconv"
	"testing"
)

func TestFreePorts(t *testing.T) {
	var port int
	t.Run("one test", func(t *testing.T) {
		port = FreePorts(t, 1)[0]
		if claimPort(t, port) {
			t.Errorf("port %d is another's too", port)
		}
		l, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
		if err != nil {
			t.Fatalf("the test cannot use its port: %v", err)
		}
		_ = l.Close()
	})
	if !claimPort(t, port) {
		t.Errorf("port %d is not free after its test", port)
	}

	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if p := l.Addr().(*net.TCPAddr).Port; claimPort(t, p) {
		t.Errorf("port %d is free, and somebody listens on it", p)
	}
}
