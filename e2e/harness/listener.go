package harness

import (
	"net"
	"sync"
)

// reopenable is a listener that can be closed and opened again on its port while the server behind it keeps running, and
// that can cut any of its connections.
type reopenable struct {
	addr string

	mu     sync.Mutex
	change *sync.Cond
	lis    net.Listener // nil while closed
	ended  bool
	conns  map[string]net.Conn // by the address of the client
}

func listen(addr string) (*reopenable, error) {
	l := &reopenable{addr: addr, conns: map[string]net.Conn{}}
	l.change = sync.NewCond(&l.mu)
	if err := l.open(); err != nil {
		return nil, err
	}
	l.addr = l.lis.Addr().String() // the port is chosen once
	return l, nil
}

func (l *reopenable) open() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.lis != nil {
		return nil
	}
	lis, err := net.Listen("tcp", l.addr)
	if err != nil {
		return err
	}
	l.lis = lis
	l.change.Broadcast()
	return nil
}

// refuse closes the listener and every connection.
func (l *reopenable) refuse() {
	l.mu.Lock()
	lis := l.lis
	l.lis = nil
	conns := l.conns
	l.conns = map[string]net.Conn{}
	l.mu.Unlock()
	if lis != nil {
		_ = lis.Close()
	}
	for _, c := range conns {
		_ = c.Close()
	}
}

// cut closes the connection from this client.
func (l *reopenable) cut(client string) {
	l.mu.Lock()
	c := l.conns[client]
	l.mu.Unlock()
	if c != nil {
		_ = c.Close()
	}
}

// Accept waits while the listener is closed.
func (l *reopenable) Accept() (net.Conn, error) {
	for {
		l.mu.Lock()
		for l.lis == nil && !l.ended {
			l.change.Wait()
		}
		lis, ended := l.lis, l.ended
		l.mu.Unlock()
		if ended {
			return nil, net.ErrClosed
		}
		c, err := lis.Accept()

		l.mu.Lock()
		current := l.lis == lis
		if err == nil && current {
			key := c.RemoteAddr().String()
			l.conns[key] = c
			c = &forgetting{Conn: c, forget: func() { l.forget(key) }}
		}
		l.mu.Unlock()
		switch {
		case current:
			return c, err
		case err == nil: // accepted in the moment of refusing
			_ = c.Close()
		}
	}
}

func (l *reopenable) forget(client string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.conns, client)
}

// Close ends the listener for good.
func (l *reopenable) Close() error {
	l.mu.Lock()
	l.ended = true
	l.change.Broadcast()
	l.mu.Unlock()
	l.refuse()
	return nil
}

// Addr is the address with the port that was chosen.
func (l *reopenable) Addr() net.Addr {
	a, err := net.ResolveTCPAddr("tcp", l.addr)
	if err != nil {
		return &net.TCPAddr{}
	}
	return a
}

// forgetting tells its listener when the server closes the connection.
type forgetting struct {
	net.Conn
	forget func()
}

// Close closes the connection.
func (c *forgetting) Close() error {
	c.forget()
	return c.Conn.Close()
}
