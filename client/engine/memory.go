package engine

import "sync"

// Memory keeps, for ten minutes and for each server, what Dial and the
// connections have learned of the way to it: the transport that worked, and how
// often something must be sent lest the network cuts the connection. The zero
// value is ready to use; share it between the connections of one client. It is
// safe for concurrent use.
type Memory struct {
	mu      sync.Mutex
	servers map[string]*remembered
}

type remembered struct{}

// Forget forgets everything, as is right when the network changes.
func (m *Memory) Forget() {
	m.mu.Lock()
	m.servers = nil
	m.mu.Unlock()
}
