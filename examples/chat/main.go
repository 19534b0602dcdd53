// Chat: rooms, names, who is there, and a limit to how fast one visitor may talk.
package main

import (
	"context"
	"embed"
	"errors"
	"flag"
	"fmt"
	"log"
	"net"
	"net/http"
	"os"
	"os/signal"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/sockeye-io/sockeye/event"
	"github.com/sockeye-io/sockeye/socketio"
)

//go:embed index.html
var page embed.FS

// What a visitor may choose is bounded. What he sends is bounded anyway: by default a message has at most 1 MB.
const (
	maxName = 32
	maxText = 500
	burst   = 5           // lines in a row
	pause   = time.Second // for each further one
)

// A visitor is what is kept of a client: Socket.SetData takes any value.
type visitor struct {
	Name, Room string
}

// A line is what everybody in a room sees.
type line struct {
	From string `json:"from"`
	Text string `json:"text"`
}

func main() {
	addr := flag.String("addr", "localhost:3000", "where to listen")
	flag.Parse()

	io := newServer()
	http.Handle("/socket.io/", io)
	http.Handle("/", http.FileServerFS(page))
	if err := serve(*addr, http.DefaultServeMux, io); err != nil {
		log.Fatal(err)
	}
}

func newServer() *socketio.Server {
	io := socketio.NewServer(&socketio.Options{
		// Who loses the connection for a moment comes back to his room and gets what was said meanwhile.
		Recovery: &socketio.RecoveryOptions{},
	})
	io.Use(admit)
	io.OnConnection(welcome)
	return io
}

// admit reads who comes, before he is connected, and refuses who has no proper name.
func admit(ctx context.Context, s *socketio.Socket) error {
	var auth struct{ Name, Room string }
	if err := s.Auth(&auth); err != nil {
		return &socketio.ConnectError{Message: "name and room are strings"}
	}
	v := visitor{strings.TrimSpace(auth.Name), strings.TrimSpace(auth.Room)}
	for _, given := range []string{v.Name, v.Room} {
		if n := utf8.RuneCountInString(given); n == 0 || n > maxName {
			return &socketio.ConnectError{Message: fmt.Sprintf("name and room have 1 to %d characters", maxName)}
		}
	}
	s.SetData(v)
	// A socket is also in a room of its own id. With a prefix nobody can choose that one.
	s.Join("room:" + v.Room)
	return nil
}

// welcome is called with everybody who is connected.
func welcome(s *socketio.Socket) {
	v := s.Data().(visitor)
	room := "room:" + v.Room

	// The handlers of one socket run one at a time, so they may share variables without a lock.
	var free time.Time // when the next line is allowed

	s.On("say", func(ctx context.Context, m *socketio.Message) error {
		var text string
		if err := m.Bind(&text); err != nil {
			return err
		}
		text = strings.TrimSpace(text)
		if text == "" || utf8.RuneCountInString(text) > maxText {
			return event.Errorf("length", "a line has 1 to %d characters", maxText)
		}
		now := time.Now()
		if earliest := now.Add(-(burst - 1) * pause); free.Before(earliest) {
			free = earliest
		}
		if free.After(now) {
			return event.Errorf("too_fast", "not so fast, please")
		}
		free = free.Add(pause)

		// To the others; the acknowledgement tells the sender that it has been sent.
		if err := s.To(room).Emit("line", line{v.Name, text}); err != nil {
			return err
		}
		return m.Ack("sent")
	})
	s.On("typing", func(ctx context.Context, m *socketio.Message) error {
		// Nobody minds if this is lost.
		return s.To(room).Volatile().Emit("typing", v.Name)
	})
	s.OnDisconnect(func(reason socketio.Reason, err error) {
		tellPresence(s.Namespace(), room)
	})
	tellPresence(s.Namespace(), room)
}

// tellPresence tells a room how many it has.
func tellPresence(ns *socketio.Namespace, room string) {
	sockets, err := ns.To(room).Sockets(context.Background())
	if err == nil {
		err = ns.To(room).Emit("present", len(sockets))
	}
	if err != nil {
		log.Print(err)
	}
}

// serve answers requests until Ctrl+C, and then lets the clients go before it returns.
func serve(addr string, h http.Handler, io *socketio.Server) error {
	ln, err := net.Listen("tcp", addr)
	if err != nil {
		return err
	}
	fmt.Printf("Open http://%s\n", ln.Addr())
	server := &http.Server{Handler: h, ReadHeaderTimeout: 10 * time.Second}
	stopped, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	failed := make(chan error, 1)
	go func() { failed <- server.Serve(ln) }()
	select {
	case err := <-failed:
		return err
	case <-stopped.Done():
	}
	deadline, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	// Socket.IO first: an HTTP server waits for responses that are open, and polling keeps one open.
	if err := io.Shutdown(deadline); err != nil && !errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	return server.Close()
}
