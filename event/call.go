package event

import (
	"context"
	"errors"
	"fmt"
)

// A Call is the declaration of an event that is answered: Req is what is sent and Reply what comes back, each with the
// exceptions that are described at [Event]. An error that the other side returns comes back as an [*Error]; therefore
// Reply must not be something that looks like one on the wire.
type Call[Req, Reply any] struct {
	name string
}

// NewCall declares a call. It panics if the name is reserved, as [New] does.
func NewCall[Req, Reply any](name string) Call[Req, Reply] {
	checkName(name)
	return Call[Req, Reply]{name}
}

// Name returns the name of the event.
func (c Call[Req, Reply]) Name() string { return c.name }

// On answers every event of this name that l receives with what h returns. If the sender doesn't want an answer h is
// called all the same.
func (c Call[Req, Reply]) On(l Listener, h func(ctx context.Context, req Req) (Reply, error)) Subscription {
	return l.On(c.name, func(ctx context.Context, m *Message) error {
		var req Req
		if err := m.Bind(targets(&req)...); err != nil {
			return failed(m, err)
		}
		reply, err := h(ctx, req)
		if err == nil && m.WantsAck() {
			err = m.Ack(values(&reply)...)
		}
		if err != nil {
			return failed(m, err)
		}
		return nil
	})
}

// Call sends req and waits for the reply. The error is an [*Error] if it is the answer of the other side, and otherwise
// tells why there is none; it is ctx's when ctx is done.
func (c Call[Req, Reply]) Call(ctx context.Context, to Caller, req Req) (Reply, error) {
	var zero Reply
	ack, err := to.EmitWithAck(ctx, c.name, values(&req)...)
	if err != nil {
		return zero, err
	}
	return c.reply(ack)
}

// CallAll sends req to many and waits for their replies. It returns those it has got, in no particular order, and with
// them an error that joins the failures of the others, if there are any: theirs, each an [*Error], and that some didn't
// answer.
func (c Call[Req, Reply]) CallAll(ctx context.Context, to ManyCaller, req Req) ([]Reply, error) {
	acks, err := to.EmitWithAck(ctx, c.name, values(&req)...)
	var failures []error
	if err != nil {
		failures = append(failures, err)
	}
	replies := make([]Reply, 0, len(acks))
	for _, ack := range acks {
		reply, err := c.reply(ack)
		if err != nil {
			failures = append(failures, err)
			continue
		}
		replies = append(replies, reply)
	}
	return replies, errors.Join(failures...)
}

func (c Call[Req, Reply]) reply(ack *Ack) (Reply, error) {
	var reply, zero Reply
	if err := ack.Err(); err != nil {
		return zero, err
	}
	if err := ack.Bind(targets(&reply)...); err != nil {
		return zero, fmt.Errorf("reply to %q: %w", c.name, err)
	}
	return reply, nil
}
