package event_test

import (
	"context"
	"errors"
	"fmt"

	"github.com/sockeye-io/sockeye/event"
	"github.com/sockeye-io/sockeye/socketio/packet"
)

// The contract: what both sides agree on.
type (
	SayRequest struct {
		Room string `json:"room"`
		Text string `json:"text"`
	}
	AddRequest struct{ A, B int }
	AddReply   struct{ Sum int }
)

var (
	Say = event.New[SayRequest]("say")
	Add = event.NewCall[AddRequest, AddReply]("add")
)

// A loop sends to itself. In a program the server's side is a *socketio.Socket and the other a client.
type loop struct {
	handlers map[string]event.Handler
}

func (l *loop) On(name string, h event.Handler) event.Subscription {
	if l.handlers == nil {
		l.handlers = map[string]event.Handler{}
	}
	l.handlers[name] = h
	return event.NewSubscription(func() { delete(l.handlers, name) })
}

func (l *loop) Emit(name string, args ...any) error {
	return l.send(name, args, nil)
}

func (l *loop) EmitWithAck(ctx context.Context, name string, args ...any) (*event.Ack, error) {
	var answer *event.Ack
	err := l.send(name, args, func(args ...any) error {
		p, err := transmit(packet.AppendAck(nil, packet.Header{}, args))
		answer = event.NewAck(p.Data, p.Attachments)
		return err
	})
	if answer == nil {
		return nil, errors.Join(err, errors.New("no answer"))
	}
	return answer, nil
}

func (l *loop) send(name string, args []any, ack func(...any) error) error {
	p, err := transmit(packet.AppendEvent(nil, packet.Header{}, name, args))
	if err != nil {
		return err
	}
	handler, ok := l.handlers[p.Event]
	if !ok {
		return nil
	}
	m := event.NewMessage(p.Event, p.Data, p.Attachments, ack)
	if err := handler(context.Background(), m); err != nil {
		return errors.Join(err, m.Fail(err))
	}
	return nil
}

// transmit sends a packet over no distance.
func transmit(text []byte, attachments [][]byte, err error) (packet.Packet, error) {
	if err != nil {
		return packet.Packet{}, err
	}
	var d packet.Decoder
	p, _, err := d.Text(text)
	for _, b := range attachments {
		if err == nil {
			p, _, err = d.Binary(b)
		}
	}
	return p, err
}

func Example() {
	var socket loop

	Say.On(&socket, func(ctx context.Context, r SayRequest) error {
		fmt.Printf("in %s: %s\n", r.Room, r.Text)
		return nil
	})
	Add.On(&socket, func(ctx context.Context, r AddRequest) (AddReply, error) {
		if r.A < 0 || r.B < 0 {
			return AddReply{}, event.Errorf("negative", "cannot add %d and %d", r.A, r.B)
		}
		return AddReply{r.A + r.B}, nil
	})

	if err := Say.Emit(&socket, SayRequest{"kitchen", "hello"}); err != nil {
		fmt.Println(err)
	}
	reply, err := Add.Call(context.Background(), &socket, AddRequest{1, 2})
	fmt.Println(reply.Sum, err)

	_, err = Add.Call(context.Background(), &socket, AddRequest{-1, 2})
	var failure *event.Error
	fmt.Println(errors.As(err, &failure), failure.Code, failure.Message)
	// Output:
	// in kitchen: hello
	// 3 <nil>
	// true negative cannot add -1 and 2
}
