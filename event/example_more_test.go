package event_test

import (
	"context"
	"fmt"

	"github.com/sockeye-io/sockeye/event"
)

// Binary travels as it is, wherever it is in the contents.
func ExampleEvent() {
	type Upload struct {
		Name    string `json:"name"`
		Content []byte `json:"content"`
	}
	uploaded := event.New[Upload]("uploaded")

	var socket loop
	uploaded.On(&socket, func(ctx context.Context, u Upload) error {
		fmt.Println(u.Name, u.Content)
		return nil
	})
	if err := uploaded.Emit(&socket, Upload{"pixel.gif", []byte{0x47, 0x49, 0x46}}); err != nil {
		fmt.Println(err)
	}
	// Output: pixel.gif [71 73 70]
}

// An event without contents.
func ExampleEvent_noContents() {
	refresh := event.New[struct{}]("refresh")

	var socket loop
	subscription := refresh.On(&socket, func(context.Context, struct{}) error {
		fmt.Println("refreshed")
		return nil
	})
	refresh.Emit(&socket, struct{}{})
	subscription.Close()
	refresh.Emit(&socket, struct{}{})
	// Output: refreshed
}

// A peer written for another library may send an event with two arguments.
func ExamplePair() {
	updated := event.New[event.Pair[int, string]]("update item")

	var socket loop
	updated.On(&socket, func(ctx context.Context, p event.Pair[int, string]) error {
		fmt.Println(p.First, p.Second)
		return nil
	})
	updated.Emit(&socket, event.Pair[int, string]{First: 7, Second: "seven"})
	// Output: 7 seven
}

// Without types, a handler decodes the arguments itself.
func ExampleMessage_Bind() {
	var socket loop
	socket.On("move", func(ctx context.Context, m *event.Message) error {
		var x, y float64
		if err := m.Bind(&x, &y); err != nil {
			return err
		}
		fmt.Println(m.Event(), x, y)
		return nil
	})
	socket.Emit("move", 1.5, -2)
	// Output: move 1.5 -2
}

// A room of three, of which one refuses.
func ExampleCall_CallAll() {
	vote := event.NewCall[string, bool]("vote")

	var members room
	for i := range 3 {
		vote.On(members.add(), func(ctx context.Context, proposal string) (bool, error) {
			if i == 1 {
				return false, event.Errorf("absent", "member %d is asleep", i)
			}
			return true, nil
		})
	}
	votes, err := vote.CallAll(context.Background(), members, "adjourn")
	fmt.Println(votes, err)
	// Output: [true true] member 1 is asleep (absent)
}

type room []*loop

func (r *room) add() *loop {
	l := new(loop)
	*r = append(*r, l)
	return l
}

func (r room) EmitWithAck(ctx context.Context, name string, args ...any) ([]*event.Ack, error) {
	var acks []*event.Ack
	for _, l := range r {
		ack, err := l.EmitWithAck(ctx, name, args...)
		if err != nil {
			return acks, err
		}
		acks = append(acks, ack)
	}
	return acks, nil
}
