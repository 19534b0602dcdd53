package sockeyetest_test

import (
	"context"
	"testing"
	"testing/synctest"

	"go.uber.org/goleak"

	"github.com/sockeye-io/sockeye/event"
	"github.com/sockeye-io/sockeye/socketio"
	"github.com/sockeye-io/sockeye/sockeyetest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// both runs a test in a bubble, and outside of one.
func both(t *testing.T, test func(t *testing.T)) {
	t.Helper()
	t.Run("bubble", func(t *testing.T) { synctest.Test(t, test) })
	t.Run("real clock", test)
}

// transports runs a test over each of them, both ways.
func transports(t *testing.T, test func(t *testing.T, over sockeyetest.Option)) {
	t.Helper()
	for _, name := range []string{"websocket", "polling", "streaming"} {
		t.Run(name, func(t *testing.T) {
			both(t, func(t *testing.T) { test(t, sockeyetest.Transports(name)) })
		})
	}
}

type line struct {
	From string `json:"from"`
	Text string `json:"text"`
}

var (
	said = event.New[line]("said")
	add  = event.NewCall[[]int, int]("add")
)

// room is the server that is tested: what one says goes to the others.
func room(opts *socketio.Options) *socketio.Server {
	io := socketio.NewServer(opts)
	io.OnConnection(func(s *socketio.Socket) {
		s.On("say", func(ctx context.Context, m *event.Message) error {
			var l line
			if err := m.Bind(&l.From, &l.Text); err != nil {
				return err
			}
			return said.Emit(s.Broadcast(), l)
		})
		add.On(s, func(ctx context.Context, numbers []int) (int, error) {
			sum := 0
			for _, n := range numbers {
				if n < 0 {
					return 0, event.Errorf("negative", "%d is negative", n).WithData(n)
				}
				sum += n
			}
			return sum, nil
		})
	})
	return io
}

func TestChat(t *testing.T) {
	transports(t, func(t *testing.T, over sockeyetest.Option) {
		srv := sockeyetest.Start(t, room(nil))
		ada := srv.Connect(t, "/", over, sockeyetest.Named("Ada"))
		bob := srv.Connect(t, "/", over, sockeyetest.Named("Bob"))
		ada.MustEmit(t, "say", "Ada", "Hello")
		bob.Expect(t, "said", line{"Ada", "Hello"})
		ada.ExpectNone(t)

		ada.MustEmit(t, "say", "Ada", "Again")
		if got := sockeyetest.Next(t, bob, said); got != (line{"Ada", "Again"}) {
			t.Errorf("%+v", got)
		}
		bob.MustEmit(t, "say", "Bob", "Hi")
		sockeyetest.Expect(t, ada, said, line{"Bob", "Hi"})
		ada.MustEmit(t, "say", "Ada", "1")
		ada.MustEmit(t, "say", "Ada", "2")
		if got := bob.Received(t); len(got) != 2 || !got[0].Equal(sockeyetest.Of(said, line{"Ada", "1"})) ||
			got[1].String() != `said({"from":"Ada","text":"2"})` {
			t.Errorf("%v", got)
		}
		if got := sockeyetest.Call(t, ada, add, []int{1, 2}); got != 3 {
			t.Errorf("the sum is %d", got)
		}
		if failure := sockeyetest.CallError(t, ada, "negative", add, []int{1, -2}); failure.Data != float64(-2) {
			t.Errorf("%+v", failure)
		}
		ada.ExpectAck(t, []any{7}, "add", []int{3, 4})
		ada.CallError(t, "bad_request", "add", "a text")
		bob.ExpectNone(t)
	})
}
