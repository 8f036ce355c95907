package main

import (
	"net"
	"slices"
	"sync"
	"time"
)

// visit is a request for /metrics.
type visit struct {
	From string    `json:"from"` // an address: pods' are not translated
	At   time.Time `json:"at"`
}

// visitors are those who asked for /metrics, in the order of their coming.
type visitors struct {
	mu  sync.Mutex
	all []visit
}

func (v *visitors) note(remote string) {
	host, _, err := net.SplitHostPort(remote)
	if err != nil {
		host = remote
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	v.all = append(v.all, visit{host, time.Now()})
}

func (v *visitors) list() []visit {
	v.mu.Lock()
	defer v.mu.Unlock()
	return slices.Clone(v.all)
}
