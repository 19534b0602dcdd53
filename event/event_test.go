package event_test

import (
	"bytes"
	"context"
	"errors"
	"math"
	"reflect"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/sockeye-io/sockeye/event"
)

func message(name, data string, attachments ...[]byte) *event.Message {
	return event.NewMessage(name, jsontext.Value(data), attachments, nil)
}

func TestMessageArguments(t *testing.T) {
	m := message("e", `["e","x",{"a":[1,{"_placeholder":true,"num":0}]},null,true]`, []byte{1, 2})
	if m.Event() != "e" || m.Len() != 4 {
		t.Fatalf("%q with %d arguments", m.Event(), m.Len())
	}
	args, err := m.Args()
	if err != nil {
		t.Fatal(err)
	}
	want := []any{"x", map[string]any{"a": []any{1.0, []byte{1, 2}}}, nil, true}
	if !reflect.DeepEqual(args, want) {
		t.Errorf("got %#v, want %#v", args, want)
	}
	var s string
	var last bool
	if err := m.Bind(&s, nil, nil, &last); err != nil || s != "x" || !last {
		t.Errorf("bound %q, %v: %v", s, last, err)
	}
	if err := m.Bind(&s); err != nil {
		t.Errorf("fewer targets than arguments: %v", err)
	}
	if raw := m.Raw(0); string(raw) != `"x"` {
		t.Errorf("raw is %s", raw)
	}
	if raw := m.Raw(4); raw != nil {
		t.Errorf("raw argument past the end is %s", raw)
	}
	if raw := m.Raw(-1); raw != nil {
		t.Errorf("raw argument -1 is %s", raw)
	}
}

func TestMessageErrors(t *testing.T) {
	m := message("e", `["e",1]`)
	var s string
	var n int
	for what, err := range map[string]error{
		"wrong type":      m.Bind(&s),
		"too many":        m.Bind(&n, &s),
		"arg type":        m.Arg(0, &s),
		"arg past end":    m.Arg(1, &s),
		"negative":        m.Arg(-1, &s),
		"not a pointer":   m.Arg(0, n),
		"nil pointer":     m.Arg(0, (*int)(nil)),
		"nil string":      m.Arg(0, (*string)(nil)),
		"not even a type": m.Arg(0, nil),
	} {
		if !errors.Is(err, event.ErrArgument) {
			t.Errorf("%s: error is %v", what, err)
		} else if !strings.Contains(err.Error(), `"e"`) {
			t.Errorf("%s: error %v doesn't name the event", what, err)
		}
	}
}

func TestMessageWithManyArguments(t *testing.T) {
	m := message("e", `["e"`+strings.Repeat(",7", 1000)+`]`)
	if m.Len() != 1000 {
		t.Fatalf("%d arguments", m.Len())
	}
	var n int
	if err := m.Arg(999, &n); err != nil || n != 7 {
		t.Fatal(n, err)
	}
}

func TestMessageWithoutData(t *testing.T) {
	m := message("e", "")
	if m.Len() != 0 || m.Raw(0) != nil {
		t.Errorf("%d arguments", m.Len())
	}
	if args, err := m.Args(); err != nil || len(args) != 0 {
		t.Error(args, err)
	}
}

func TestAckOnlyOnce(t *testing.T) {
	var sent, won, late atomic.Int32
	m := event.NewMessage("e", jsontext.Value(`["e"]`), nil, func(...any) error {
		sent.Add(1)
		return nil
	})
	if !m.WantsAck() {
		t.Error("wants no ack")
	}
	var wg sync.WaitGroup
	for range 16 {
		wg.Go(func() {
			switch err := m.Ack("x"); {
			case err == nil:
				won.Add(1)
			case errors.Is(err, event.ErrAcked):
				late.Add(1)
			}
		})
	}
	wg.Wait()
	if sent.Load() != 1 || won.Load() != 1 || late.Load() != 15 {
		t.Errorf("%d sent, %d succeeded, %d too late", sent.Load(), won.Load(), late.Load())
	}
	if m.WantsAck() {
		t.Error("still wants an ack")
	}
	if err := m.Fail(errors.New("x")); err != nil || sent.Load() != 1 {
		t.Error("failed after it was acknowledged:", err)
	}
}

func TestNoAckWanted(t *testing.T) {
	m := message("e", `["e"]`)
	if m.WantsAck() {
		t.Error("wants an ack")
	}
	if err := m.Ack(1); !errors.Is(err, event.ErrNoAck) {
		t.Errorf("error is %v", err)
	}
	if err := m.Fail(errors.New("x")); err != nil {
		t.Error(err)
	}
}

func TestSubscriptionClosesOnce(t *testing.T) {
	event.Subscription{}.Close()
	var n atomic.Int32
	s := event.NewSubscription(func() { n.Add(1) })
	var wg sync.WaitGroup
	for range 8 {
		copied := s
		wg.Go(copied.Close)
	}
	wg.Wait()
	if n.Load() != 1 {
		t.Errorf("closed %d times", n.Load())
	}
}

func TestReservedNamesPanic(t *testing.T) {
	for _, name := range []string{"connect", "connect_error", "disconnect", "disconnecting", "newListener", "removeListener"} {
		for what, f := range map[string]func(){
			"New":     func() { event.New[int](name) },
			"NewCall": func() { event.NewCall[int, int](name) },
		} {
			func() {
				defer func() {
					if r, _ := recover().(string); !strings.Contains(r, name) {
						t.Errorf("%s(%q): recovered %q", what, name, r)
					}
				}()
				f()
			}()
		}
	}
	if event.New[int]("error").Name() != "error" {
		t.Error("error is an ordinary name")
	}
}

func TestCallErrors(t *testing.T) {
	type detail struct {
		Field string `json:"field"`
		Blob  []byte `json:"blob"`
	}
	call := event.NewCall[int, int]("c")
	for _, c := range []struct {
		name    string
		handler func() (int, error)
		code    string
		message string
	}{
		{"chosen", func() (int, error) { return 0, event.Errorf("taken", "name %q is taken", "x") }, "taken", `name "x" is taken`},
		{"wrapped", func() (int, error) { return 0, errors.Join(event.Errorf("taken", "no"), errors.New("secret")) }, "taken", "no"},
		{"other", func() (int, error) { return 0, errors.New("pq: password of admin is wrong") }, "internal", "internal error"},
	} {
		var socket loop
		call.On(&socket, func(context.Context, int) (int, error) { return c.handler() })
		_, err := call.Call(t.Context(), &socket, 1)
		var e *event.Error
		if !errors.As(err, &e) || e.Code != c.code || e.Message != c.message {
			t.Errorf("%s: error is %v", c.name, err)
		} else if e.Data != nil {
			t.Errorf("%s: data is %v", c.name, e.Data)
		}
	}

	var socket loop
	call.On(&socket, func(context.Context, int) (int, error) {
		return 0, &event.Error{Code: "c", Message: "m", Data: detail{"f", []byte{1}}}
	})
	_, err := call.Call(t.Context(), &socket, 1)
	var e *event.Error
	if !errors.As(err, &e) {
		t.Fatal(err)
	}
	if want := (map[string]any{"field": "f", "blob": []byte{1}}); !reflect.DeepEqual(e.Data, want) {
		t.Errorf("data is %v", e.Data)
	}
	var d detail
	if err := e.Bind(&d); err != nil || d.Field != "f" || !bytes.Equal(d.Blob, []byte{1}) {
		t.Errorf("bound %v: %v", d, err)
	}
	if err := event.Errorf("c", "m").Bind(&d); err == nil {
		t.Error("bound data that there isn't")
	}
}

func TestCallAnswersBadArguments(t *testing.T) {
	call := event.NewCall[int, int]("c")
	var socket loop
	call.On(&socket, func(context.Context, int) (int, error) {
		t.Error("handler was called")
		return 0, nil
	})
	unexpected := "argument 0 is not what is expected"
	for _, test := range []struct {
		args []any
		want string
	}{
		{[]any{"x"}, unexpected},
		{[]any{}, "there are 0 arguments, want 1"},
		{[]any{map[string]any{}}, unexpected},
		{[]any{[]byte{1}}, unexpected},
	} {
		ack, err := socket.EmitWithAck(t.Context(), "c", test.args...)
		if err != nil {
			t.Fatal(err)
		}
		var e *event.Error
		if !errors.As(ack.Err(), &e) || e.Code != event.CodeBadRequest || e.Message != test.want {
			t.Errorf("%v: error is %v, want %q", test.args, ack.Err(), test.want)
		}
	}
}

func TestErrorOfAnotherPeerIsNotPassedOn(t *testing.T) {
	call := event.NewCall[int, int]("c")
	var far, near loop
	call.On(&far, func(context.Context, int) (int, error) { return 0, event.Errorf("lies", "trust me") })
	call.On(&near, func(ctx context.Context, n int) (int, error) { return call.Call(ctx, &far, n) })
	_, err := call.Call(t.Context(), &near, 1)
	var e *event.Error
	if !errors.As(err, &e) || e.Code != event.CodeInternal {
		t.Errorf("error is %v", err)
	}
}

func TestReplyThatCannotBeSent(t *testing.T) {
	call := event.NewCall[int, float64]("c")
	var socket loop
	call.On(&socket, func(context.Context, int) (float64, error) { return math.NaN(), nil })
	_, err := call.Call(t.Context(), &socket, 1)
	var e *event.Error
	if !errors.As(err, &e) || e.Code != event.CodeInternal {
		t.Errorf("error is %v", err)
	}

	var other loop
	call.On(&other, func(context.Context, int) (float64, error) {
		return 0, &event.Error{Code: "c", Message: "m", Data: math.Inf(1)}
	})
	if _, err = call.Call(t.Context(), &other, 1); !errors.As(err, &e) || e.Code != "c" || e.Data != nil {
		t.Errorf("error is %v", err)
	}
}

func TestReplyThatIsNotExpected(t *testing.T) {
	call := event.NewCall[int, int]("c")
	var socket loop
	socket.On("c", func(ctx context.Context, m *event.Message) error { return m.Ack("text") })
	_, err := call.Call(t.Context(), &socket, 1)
	var e *event.Error
	if err == nil || errors.As(err, &e) || errors.Is(err, event.ErrArgument) {
		t.Errorf("error is %v", err)
	}
	socket.On("c", func(ctx context.Context, m *event.Message) error { return m.Ack() })
	if _, err := call.Call(t.Context(), &socket, 1); err == nil {
		t.Error("no error for a reply that is missing")
	}
}

func TestAckErr(t *testing.T) {
	for data, want := range map[string]string{
		`[{"error":{"code":"c","message":"m"}}]`:                   "m (c)",
		`[{"error":{"code":"c","message":"m","data":{"a":1}}}]`:    "m (c)",
		`[ { "error" : { "message" : "m" , "code" : "c" } } ]`:     "m (c)",
		`[{"error":{"code":"c","message":"m","stack":"ignored"}}]`: "m (c)",
		`[{"error":{"code":"c","message":"m"}},1]`:                 "",
		`[{"error":{"code":"c","message":"m"},"more":1}]`:          "",
		`[{"error":{"code":1,"message":"m"}}]`:                     "",
		`[{"error":{"code":"c"}}]`:                                 "",
		`[{"error":{"message":"m"}}]`:                              "",
		`[{"error":"m"}]`:                                          "",
		`[{"error":null}]`:                                         "",
		`[{"Error":{"code":"c","message":"m"}}]`:                   "",
		`[{"error":{"code":"c","message":{"_placeholder":true}}}]`: "",
		`[]`:        "",
		`[null]`:    "",
		`["error"]`: "",
		``:          "",
		`[[{"error":{"code":"c","message":"m"}}]]`:                  "",
		`[{"error":{"code":"c","message":"m"},"error":{"code":1}}]`: "",
	} {
		err := event.NewAck(jsontext.Value(data), nil).Err()
		if got := map[bool]func() string{true: func() string { return "" }, false: func() string { return err.Error() }}[err == nil](); got != want {
			t.Errorf("%s: error %q, want %q", data, got, want)
		}
	}
}

func TestCallKinds(t *testing.T) {
	var socket loop
	ctx := t.Context()

	empty := event.NewCall[struct{}, struct{}]("empty")
	called := 0
	empty.On(&socket, func(context.Context, struct{}) (struct{}, error) { called++; return struct{}{}, nil })
	if _, err := empty.Call(ctx, &socket, struct{}{}); err != nil {
		t.Error(err)
	}
	if ack, err := socket.EmitWithAck(ctx, "empty", 1, "x", nil); err != nil || ack.Len() != 0 {
		t.Error("struct{} accepts anything and is nothing:", ack, err)
	}
	if called != 2 {
		t.Errorf("called %d times", called)
	}

	pointer := event.NewCall[*AddRequest, *AddReply]("pointer")
	pointer.On(&socket, func(_ context.Context, r *AddRequest) (*AddReply, error) {
		if r == nil {
			return nil, nil
		}
		return &AddReply{r.A + r.B}, nil
	})
	if reply, err := pointer.Call(ctx, &socket, &AddRequest{1, 2}); err != nil || reply.Sum != 3 {
		t.Error(reply, err)
	}
	if reply, err := pointer.Call(ctx, &socket, nil); err != nil || reply != nil {
		t.Error("nil pointer:", reply, err)
	}

	blob := event.NewCall[[]byte, []byte]("blob")
	blob.On(&socket, func(_ context.Context, b []byte) ([]byte, error) { return append(b[:1:1], b...), nil })
	if reply, err := blob.Call(ctx, &socket, []byte{1, 2}); err != nil || !bytes.Equal(reply, []byte{1, 1, 2}) {
		t.Error(reply, err)
	}

	anything := event.NewCall[any, any]("anything")
	anything.On(&socket, func(_ context.Context, v any) (any, error) { return v, nil })
	if reply, err := anything.Call(ctx, &socket, nil); err != nil || reply != nil {
		t.Error(reply, err)
	}
	if reply, err := anything.Call(ctx, &socket, []any{1.0, []byte{2}}); err != nil || !reflect.DeepEqual(reply, []any{1.0, []byte{2}}) {
		t.Error(reply, err)
	}

	triple := event.NewCall[event.Triple[int, string, bool], event.Pair[bool, string]]("triple")
	triple.On(&socket, func(_ context.Context, v event.Triple[int, string, bool]) (event.Pair[bool, string], error) {
		return event.Pair[bool, string]{First: v.Third, Second: v.Second}, nil
	})
	reply, err := triple.Call(ctx, &socket, event.Triple[int, string, bool]{First: 1, Second: "x", Third: true})
	if err != nil || !reply.First || reply.Second != "x" {
		t.Error(reply, err)
	}
}

func TestCallWithoutAck(t *testing.T) {
	call := event.NewCall[int, int]("c")
	var socket loop
	got := 0
	call.On(&socket, func(_ context.Context, n int) (int, error) { got = n; return n, nil })
	if err := socket.Emit("c", 5); err != nil || got != 5 {
		t.Error(got, err)
	}
	call.On(&socket, func(context.Context, int) (int, error) { return 0, errors.New("broken") })
	if err := socket.Emit("c", 5); err == nil || err.Error() != "broken" {
		t.Errorf("listener is told %v", err)
	}
}

type unanswered struct{ err error }

func (u unanswered) EmitWithAck(context.Context, string, ...any) ([]*event.Ack, error) {
	return []*event.Ack{event.NewAck(jsontext.Value(`[1]`), nil)}, u.err
}

func TestCallAllWithPartOfTheReplies(t *testing.T) {
	timeout := errors.New("2 didn't answer")
	replies, err := event.NewCall[int, int]("c").CallAll(t.Context(), unanswered{timeout}, 1)
	if !errors.Is(err, timeout) || !reflect.DeepEqual(replies, []int{1}) {
		t.Error(replies, err)
	}
	replies, err = event.NewCall[int, int]("c").CallAll(t.Context(), unanswered{}, 1)
	if err != nil || !reflect.DeepEqual(replies, []int{1}) {
		t.Error(replies, err)
	}
}

func BenchmarkMessageBind(b *testing.B) {
	data := jsontext.Value(`["echo","` + strings.Repeat("x", 64) + `"]`)
	b.ReportAllocs()
	for b.Loop() {
		m := event.NewMessage("echo", data, nil, nil)
		var s string
		if err := m.Bind(&s); err != nil {
			b.Fatal(err)
		}
	}
}

func TestAckArguments(t *testing.T) {
	a := event.NewAck(jsontext.Value(`[1,{"_placeholder":true,"num":0}]`), [][]byte{{7}})
	var n int
	var b []byte
	if err := a.Bind(&n, &b); err != nil || n != 1 || !bytes.Equal(b, []byte{7}) {
		t.Error(n, b, err)
	}
	if err := a.Arg(1, &b); err != nil || !bytes.Equal(b, []byte{7}) {
		t.Error(b, err)
	}
	if args, err := a.Args(); err != nil || !reflect.DeepEqual(args, []any{1.0, []byte{7}}) {
		t.Error(args, err)
	}
	if a.Len() != 2 || string(a.Raw(0)) != "1" || a.Raw(2) != nil || len(a.Attachments()) != 1 {
		t.Error(a.Len(), a.Raw(0), a.Raw(2), a.Attachments())
	}
	for _, err := range []error{a.Arg(2, &n), a.Bind(&b), a.Arg(1, &n)} {
		if err == nil || errors.Is(err, event.ErrArgument) {
			t.Errorf("error is %v: only what a handler was sent is an ErrArgument", err)
		}
	}
	m := event.NewMessage("e", jsontext.Value(`["e",{"_placeholder":true,"num":0}]`), [][]byte{{7}}, nil)
	if len(m.Attachments()) != 1 || !bytes.Equal(m.Attachments()[0], []byte{7}) {
		t.Error(m.Attachments())
	}
}

func TestEventHandlerErrors(t *testing.T) {
	e := event.New[int]("e")
	broken := errors.New("broken")
	var socket loop
	calls := 0
	e.On(&socket, func(context.Context, int) error { calls++; return broken })

	// Without an acknowledgement only the listener's side is told.
	if err := e.Emit(&socket, 1); !errors.Is(err, broken) {
		t.Errorf("error is %v", err)
	}
	if err := socket.Emit("e", "text"); !errors.Is(err, event.ErrArgument) || calls != 1 {
		t.Errorf("error is %v after %d calls", err, calls)
	}
	// With one the sender is, too.
	for _, test := range []struct {
		arg  any
		code string
	}{{1, event.CodeInternal}, {"text", event.CodeBadRequest}} {
		ack, err := socket.EmitWithAck(t.Context(), "e", test.arg)
		if err != nil {
			t.Fatal(err)
		}
		var failure *event.Error
		if !errors.As(ack.Err(), &failure) || failure.Code != test.code {
			t.Errorf("%v: answer is %v", test.arg, ack.Err())
		}
	}
	if name := event.NewCall[int, int]("c").Name(); name != "c" {
		t.Errorf("name %q", name)
	}
}

func TestCallThatIsNotAnswered(t *testing.T) {
	var nobody loop
	if _, err := event.NewCall[int, int]("c").Call(t.Context(), &nobody, 1); err == nil {
		t.Error("no error")
	}
	gone := errors.New("connection is gone")
	m := event.NewMessage("e", jsontext.Value(`["e"]`), nil, func(...any) error { return gone })
	if err := m.Ack(); !errors.Is(err, gone) || !m.WantsAck() {
		t.Errorf("error is %v, wants an ack: %v", err, m.WantsAck())
	}
	if err := m.Fail(event.Errorf("c", "m")); !errors.Is(err, gone) {
		t.Errorf("error is %v", err)
	}
}

func TestErrorWithData(t *testing.T) {
	plain := event.Errorf("taken", "seat %d is taken", 7)
	e := plain.WithData(map[string]int{"free": 9})
	if plain.Data != nil || e.Code != "taken" || e.Message != "seat 7 is taken" {
		t.Fatalf("got %+v of %+v", e, plain)
	}
	var socket loop
	socket.On("seat", func(context.Context, *event.Message) error { return e })
	call := event.NewCall[struct{}, struct{}]("seat")
	_, err := call.Call(t.Context(), &socket, struct{}{})
	var got *event.Error
	var data struct{ Free int }
	if !errors.As(err, &got) || got.Bind(&data) != nil || data.Free != 9 {
		t.Fatalf("error is %v with data %+v", err, data)
	}
}
