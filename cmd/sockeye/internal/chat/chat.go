package chat

import (
	"context"
	"crypto/rand"
	"log/slog"

	"github.com/sockeye-io/sockeye/event"
	"github.com/sockeye-io/sockeye/socketio"
)

type (
	roomRequest struct {
		Room string `json:"room"`
	}
	sayRequest struct {
		Room string `json:"room"`
		Text string `json:"text"`
		Key  string `json:"key"`
	}
	typingRequest struct {
		Room string `json:"room"`
		On   bool   `json:"on"`
	}
	nameRequest struct {
		Name string `json:"name"`
	}
	helloAuth struct {
		Name string `json:"name"`
		Key  string `json:"key"`
	}
)

// Welcome is what a visitor is told first.
type Welcome struct {
	ID      string `json:"id"`
	Name    string `json:"name"`
	Resumed bool   `json:"resumed"` // the rooms are still joined, and what was missed follows
	Boot    string `json:"boot"`    // another value: the server was restarted, the ids of messages start again
	Limits  Limits `json:"limits"`
}

// The events, as the package's documentation lists them.
var (
	joinCall    = event.NewCall[roomRequest, Joined]("join")
	leaveCall   = event.NewCall[roomRequest, struct{}]("leave")
	sayCall     = event.NewCall[sayRequest, Message]("say")
	renameCall  = event.NewCall[nameRequest, User]("rename")
	typingEvent = event.New[typingRequest]("typing")
	welcome     = event.New[Welcome]("welcome")
	roomsEvent  = event.New[[]RoomInfo]("rooms")
)

// Chat is the chat on one namespace of a server.
type Chat struct {
	hub  *hub
	boot string
	log  *slog.Logger

	stop, stopped chan struct{} // of Replicate
}

// New starts a chat on a namespace. The rooms named are there from the start and never go away.
func New(ns *socketio.Namespace, limits Limits, log *slog.Logger, rooms ...string) *Chat {
	c := &Chat{boot: rand.Text()[:8], log: log}
	c.hub = newHub(limits, namespaceOutlet{ns}, rooms...)
	ns.Use(func(_ context.Context, s *socketio.Socket) error {
		if c.hub.people() >= c.hub.limits.Users && !s.Recovered() {
			return errFull
		}
		return nil
	})
	ns.OnConnection(c.connected)
	return c
}

// People counts the visitors, those who are away for a moment included.
func (c *Chat) People() int { return c.hub.people() }

// Close forgets everybody. The sockets are the server's to close.
func (c *Chat) Close() {
	if c.stop != nil {
		close(c.stop)
		<-c.stopped
	}
	c.hub.close()
}

func (c *Chat) connected(s *socketio.Socket) {
	id := s.ID()
	s.OnError(func(err error) { c.log.Debug("chat event refused", "socket", id, "err", err) })
	s.OnDisconnect(func(reason socketio.Reason, _ error) {
		switch reason {
		case socketio.ReasonClientDisconnect, socketio.ReasonServerDisconnect, socketio.ReasonServerShutdown:
			c.hub.gone(id)
		default:
			c.hub.lost(id)
		}
	})

	user, resumed := User{}, false
	if s.Recovered() {
		user, resumed = c.hub.back(id)
	}
	if !resumed {
		var auth helloAuth
		_ = s.Auth(&auth) // whoever says nothing sensible is a guest
		var err error
		if user, err = c.hub.arrive(id, auth.Name, auth.Key); err != nil {
			c.log.Info("chat visitor refused", "err", err)
			s.Disconnect(false)
			return
		}
	}
	joinCall.On(s, func(_ context.Context, r roomRequest) (Joined, error) { return c.hub.join(id, r.Room) })
	leaveCall.On(s, func(_ context.Context, r roomRequest) (struct{}, error) { return struct{}{}, c.hub.leave(id, r.Room) })
	sayCall.On(s, func(_ context.Context, r sayRequest) (Message, error) { return c.hub.sayIn(id, r.Room, r.Text, r.Key) })
	renameCall.On(s, func(_ context.Context, r nameRequest) (User, error) { return c.hub.rename(id, r.Name) })
	typingEvent.On(s, func(_ context.Context, r typingRequest) error { return c.hub.typing(id, r.Room, r.On) })

	_ = welcome.Emit(s, Welcome{ID: id, Name: user.Name, Resumed: resumed, Boot: c.boot, Limits: c.hub.limits})
	_ = roomsEvent.Emit(s, c.hub.list())
}

// namespaceOutlet sends what the hub says to the visitors of this server; those of others are told by theirs. A socket
// that went away meanwhile is no error here.
type namespaceOutlet struct{ ns *socketio.Namespace }

func (o namespaceOutlet) enter(id, room string) { _ = o.ns.Local().To(id).Join(room) }
func (o namespaceOutlet) exit(id, room string)  { _ = o.ns.Local().To(id).Leave(room) }
func (o namespaceOutlet) toAll(event string, v any) {
	_ = o.ns.Local().Emit(event, v)
}
func (o namespaceOutlet) toRoom(room, except, event string, v any) {
	_ = o.ns.Local().To(room).Except(except).Emit(event, v)
}
