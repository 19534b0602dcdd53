package engine

import "time"

// Attempt is one entry of the history of transports.
type Attempt struct {
	Transport string
	// Phase is "connect", "upgrade", or "close" for the end of a connection that
	// stood.
	Phase string
	// Err is why it failed or ended. Nil: it succeeded, or this side closed.
	Err error
	// Took is how long the attempt took, or the connection stood.
	Took time.Duration
	// At is when it ended.
	At time.Time
}

const (
	phaseConnect = "connect"
	phaseUpgrade = "upgrade"
	phaseClose   = "close"
)
