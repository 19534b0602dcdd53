package client

import (
	"context"
	"time"
)

// An Emitter emits to a socket in a certain way. It is a value: its methods return modified copies.
type Emitter struct {
	s *Socket
	o emitOptions
}

// emitOptions are the modifiers of one emission.
type emitOptions struct {
	volatile bool
	timeout  time.Duration
}

// Volatile lets events be lost if they can't leave at this moment.
func (e Emitter) Volatile() Emitter { e.o.volatile = true; return e }

// Timeout bounds the waiting for acknowledgements, with Options.Retries for that of each try.
func (e Emitter) Timeout(d time.Duration) Emitter { e.o.timeout = d; return e }

// Emit is [Socket.Emit].
func (e Emitter) Emit(name string, args ...any) error { return nil }

// EmitWithAck is [Socket.EmitWithAck]. A volatile event that is lost fails at once with [ErrDisconnected].
func (e Emitter) EmitWithAck(ctx context.Context, name string, args ...any) (*Ack, error) {
	return nil, nil
}

// Send is [Socket.Send].
func (e Emitter) Send(args ...any) error { return e.Emit("message", args...) }
