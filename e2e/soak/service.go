package soak

import (
	"net"
	"slices"
	"sync"
	"time"
)

// Service gives each new connection to the next of its targets that answers, as a Service of Kubernetes does with those that
// are ready. It is a fake: no kube-proxy runs here. It is also the network between two tiers, which can be cut.
type Service struct {
	Addr string

	targets []string

	mu      sync.Mutex
	lis     net.Listener // nil while it refuses
	next    int
	conns   map[net.Conn]struct{}
	flowing chan struct{} // closed while bytes flow
	stalled bool
	wg      sync.WaitGroup
}

// NewService opens a service on an address, which may have port 0.
func NewService(addr string, targets ...string) (*Service, error) {
	s := &Service{Addr: addr, targets: targets, conns: map[net.Conn]struct{}{}, flowing: make(chan struct{})}
	close(s.flowing)
	if err := s.open(); err != nil {
		return nil, err
	}
	s.Addr = s.lis.Addr().String()
	return s, nil
}

// open is called with the lock, or before anybody else knows of s.
func (s *Service) open() error {
	lis, err := net.Listen("tcp", s.Addr)
	if err != nil {
		return err
	}
	s.lis = lis
	s.wg.Go(func() {
		for {
			c, err := lis.Accept()
			if err != nil {
				return
			}
			s.wg.Go(func() { s.join(c) })
		}
	})
	return nil
}

// join carries bytes between a client and a target until one of them ends.
func (s *Service) join(client net.Conn) {
	defer client.Close()
	target := s.dial()
	if target == nil || !s.keep(client, target) {
		return
	}
	defer target.Close()
	var both sync.WaitGroup
	both.Go(func() { s.carry(target, client) })
	both.Go(func() { s.carry(client, target) })
	both.Wait()
	s.mu.Lock()
	delete(s.conns, client)
	delete(s.conns, target)
	s.mu.Unlock()
}

func (s *Service) keep(client, target net.Conn) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.lis == nil { // refused in the meantime
		target.Close()
		return false
	}
	s.conns[client], s.conns[target] = struct{}{}, struct{}{}
	return true
}

// carry copies, stops while the network is stalled, and closes both ends when one has ended.
func (s *Service) carry(to, from net.Conn) {
	defer to.Close()
	defer from.Close()
	buffer := make([]byte, 32<<10)
	for {
		n, err := from.Read(buffer)
		s.mu.Lock()
		flowing := s.flowing
		s.mu.Unlock()
		<-flowing
		if n > 0 {
			if _, err := to.Write(buffer[:n]); err != nil {
				return
			}
		}
		if err != nil {
			return
		}
	}
}

func (s *Service) dial() net.Conn {
	s.mu.Lock()
	first := s.next
	s.next++
	targets := slices.Clone(s.targets)
	s.mu.Unlock()
	for i := range targets {
		c, err := net.DialTimeout("tcp", targets[(first+i)%len(targets)], 2*time.Second)
		if err == nil {
			return c
		}
	}
	return nil
}

// Refuse closes the port and every connection.
func (s *Service) Refuse() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.lis != nil {
		_ = s.lis.Close()
		s.lis = nil
	}
	for c := range s.conns {
		_ = c.Close()
	}
	clear(s.conns)
	s.flow()
}

// Stall carries no byte any more, and tells nobody, as a network that loses every packet.
func (s *Service) Stall() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.stalled {
		s.stalled = true
		s.flowing = make(chan struct{})
	}
}

// flow is called with the lock.
func (s *Service) flow() {
	if s.stalled {
		s.stalled = false
		close(s.flowing)
	}
}

// Heal ends every trouble. Bytes that were on their way go on.
func (s *Service) Heal() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.flow()
	if s.lis != nil {
		return nil
	}
	return s.open()
}

// Close ends the service for good, and waits for its last connection.
func (s *Service) Close() {
	s.Refuse()
	s.wg.Wait()
}
