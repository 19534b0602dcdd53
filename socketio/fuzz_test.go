package socketio_test

import (
	"context"
	"strings"
	"testing"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/sockeye-io/sockeye/socketio"
)

// FuzzConnection sends whatever comes, a frame a line (binary ones start with "b:"), to a server with everything turned
// on. Whatever it was, the server goes on and keeps nothing of it.
func FuzzConnection(f *testing.F) {
	for _, seed := range []string{
		"40\n42[\"echo\",1]\n421[\"echo\",{}]\n41",
		"40/a,{\"token\":1}\n42/a,[\"echo\"]\n41/a,\n40/a,",
		"40\n451-[\"echo\",{\"_placeholder\":true,\"num\":0}]\nb:data",
		"40\n451-[\"echo\",{\"_placeholder\":true,\"num\":7}]\nb:data",
		"40\n430[1]\n43[]\n43999999[]\n461-0[{\"_placeholder\":true,\"num\":0}]\nb:x",
		"40{\"pid\":\"x\",\"offset\":\"y\"}\n40{}\n44\"x\"",
		"40/dyn-1,\n40/dyn-2,\n42/dyn-1,[\"join\",\"r\"]\n41/dyn-1,\n41/dyn-2,",
		"42[\"disconnect\"]\n2\n3\n1\n6\nabc\nb:",
		"40\n42[\"__proto__\",{\"constructor\":1}]\n42[1]\n42[{}]",
	} {
		f.Add(seed)
	}
	st := serve(f, &socketio.Options{Recovery: &socketio.RecoveryOptions{}, CleanupEmptyNamespaces: true})
	setUp := func(s *socketio.Socket) {
		s.On("echo", func(_ context.Context, m *socketio.Message) error {
			args, err := m.Args()
			if err != nil {
				return err
			}
			s.Emit("echo", args...)
			return m.Ack(args...)
		})
		s.On("join", func(_ context.Context, m *socketio.Message) error {
			var room string
			if err := m.Bind(&room); err != nil {
				return err
			}
			s.Join(room)
			return st.io.To(room).Emit("joined")
		})
		go s.EmitWithAck(s.Context(), "ask")
	}
	st.io.OnConnection(setUp)
	st.io.Of("/a").OnConnection(setUp)
	st.io.OfFunc(func(_ context.Context, name string, _ jsontext.Value) (bool, error) {
		return strings.HasPrefix(name, "/dyn-"), nil
	}).OnConnection(setUp)
	echoes(st.io)
	f.Fuzz(func(t *testing.T, frames string) {
		st := &site{t, st.io, st.host, st.dial} // f may not be used in here
		p := st.connect()
		for frame := range strings.SplitSeq(frames, "\n") {
			if data, ok := strings.CutPrefix(frame, "b:"); ok {
				p.sendBinary(data)
			} else {
				p.send(frame)
			}
		}
		p.close()
		sane := st.join()
		for _, frame := range sane.sync() {
			if !strings.Contains(frame, `["ask"`) {
				t.Errorf("another client received %q", frame)
			}
		}
		sane.close()
	})
}
