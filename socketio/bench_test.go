package socketio_test

import (
	"context"
	"net"
	"runtime"
	"testing"

	"github.com/gobwas/ws"

	"github.com/sockeye-io/sockeye/socketio"
)

// BenchmarkEcho is a round trip with an acknowledgement over a real socket, both ends in one process.
func BenchmarkEcho(b *testing.B) {
	st := serve(b, nil)
	st.io.OnConnection(func(s *socketio.Socket) {
		s.On("echo", func(_ context.Context, m *socketio.Message) error { return m.Ack(m.Raw(0)) })
	})
	p := st.join()
	b.ReportAllocs()
	for b.Loop() {
		p.send(`421["echo","0123456789012345678901234567890123456789012345678901234567890123"]`)
		p.next()
	}
}

// BenchmarkBroadcast is the server's part of a broadcast to a thousand sockets that nobody slows down.
func BenchmarkBroadcast(b *testing.B) {
	st := serve(b, nil)
	for range 1000 {
		conn, err := net.Dial("tcp", st.host)
		if err != nil {
			b.Fatal(err)
		}
		defer conn.Close()
		d := ws.Dialer{NetDial: func(context.Context, string, string) (net.Conn, error) { return conn, nil }}
		_, _, _, err = d.Dial(context.Background(), "ws://"+st.host+"/socket.io/?EIO=4&transport=websocket")
		if err != nil {
			b.Fatal(err)
		}
		ws.WriteFrame(conn, ws.MaskFrameInPlace(ws.NewTextFrame([]byte("40"))))
		go func() {
			buf := make([]byte, 64<<10)
			for {
				if _, err := conn.Read(buf); err != nil {
					return
				}
			}
		}()
	}
	for st.io.Of("/").Len() < 1000 {
		runtime.Gosched()
	}
	b.ReportAllocs()
	for b.Loop() {
		st.io.Emit("msg", "0123456789012345678901234567890123456789012345678901234567890123")
	}
}
