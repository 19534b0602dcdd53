// Package postgres tests a cluster of a Go and a Node server that are joined by PostgreSQL.
package postgres

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/sockeye-io/sockeye/adapter/postgres"
	"github.com/sockeye-io/sockeye/internal/pgtest"
	"github.com/sockeye-io/sockeye/socketio"
	"github.com/sockeye-io/sockeye/test/interop/kit"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// patience is how long something may take that takes no time.
const patience = time.Minute

// A scene is what the driver, which is the Node server, has the Go server do.
type scene struct {
	db   *pgtest.Server
	io   *socketio.Server
	b    *postgres.Broker
	told chan int // events of other servers
}

func TestNodeCluster(t *testing.T) {
	npm := kit.NPM(t)
	node := kit.Need(t, "node")
	kit.Used("@socket.io/postgres-adapter 0.5.0, @socket.io/postgres-emitter 0.1.1")
	s := &scene{told: make(chan int, 10)}
	s.db = pgtest.Start(t, func(reason string) { kit.Skip(t, "%s", reason) })
	var err error
	s.b, err = postgres.Open(postgres.Options{DSN: s.db.DSN, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.b.Close() })
	s.io = socketio.NewServer(&socketio.Options{Adapter: s.b.Adapter()})
	s.io.Of("/").OnServerSide("serverside", func(_ context.Context, m *socketio.Message) error {
		var v int
		if err := m.Bind(&v); err != nil {
			return err
		}
		if m.WantsAck() {
			return m.Ack(map[string]int{"go": v})
		}
		s.told <- v
		return nil
	})
	srv := kit.Serve(t, s.io)
	t.Cleanup(func() { _ = s.io.Close() })
	d := kit.Driver{
		Command: []string{node, "driver.mjs"},
		Dir:     filepath.Join(kit.Root(), "postgres"),
		Config:  map[string]any{"npm": npm, "client": "socket.io-client", "host": s.db.Dir, "go": "http://" + srv.Addr},
		Do:      s.do,
	}
	d.Run(t)
}

// argument returns an event's argument of a kind, and its size.
func argument(kind string) (v any, size int) {
	switch kind {
	case "binary":
		return []byte{0, 1, 255}, 3
	case "large":
		return strings.Repeat("x", 50_000), 50_000
	case "large binary":
		return bytes.Repeat([]byte{0, 1, 255}, 20_000), 60_000
	default:
		return "small", 5
	}
}

func (s *scene) do(what string, raw json.RawMessage) (any, error) {
	var args struct {
		Kind, ID, Room string
		Sizes          []int
		Value          int
	}
	if len(raw) > 0 {
		if err := json.Unmarshal(raw, &args); err != nil {
			return nil, err
		}
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	switch what {
	case "together":
		return nil, until(func() bool { n, err := s.io.Of("/").Servers(ctx); return err == nil && n == 2 })
	case "broadcast":
		v, size := argument(args.Kind)
		return size, s.io.Emit("ev", args.Kind, v)
	case "emitter":
		v, size := argument(args.Kind)
		return size, errors.Join(s.b.Emitter("/").Emit("ev", args.Kind, v), s.b.Flush(ctx))
	case "emitter others":
		e := s.b.Emitter("/")
		return nil, errors.Join(e.To(args.ID).Join("e2"), e.ServerSideEmit("serverside", 6), e.In("e2").Disconnect(false), s.b.Flush(ctx))
	case "sizes":
		for _, n := range args.Sizes {
			if err := s.io.Emit("size", strings.Repeat("x", n)); err != nil {
				return nil, err
			}
		}
		// Behind those that Node has to fetch.
		return nil, s.io.Emit("end")
	case "join":
		return nil, s.io.In(args.ID).Join(args.Room)
	case "member", "no member":
		return nil, until(func() bool {
			sockets, err := s.io.Local().In(args.Room).Sockets(ctx)
			return err == nil && (len(sockets) > 0) == (what == "member")
		})
	case "rooms":
		return nil, errors.Join(s.io.To("r1").Emit("ev", 1), s.io.To(args.ID).Emit("ev", 2),
			s.io.To("r1").Except("r1").Emit("ev", 3), s.io.In(args.ID).Leave("r1"),
			s.io.To("r1").Emit("ev", 4), s.io.Emit("end"))
	case "ask":
		acks, err := s.io.EmitWithAck(ctx, "ask", 1)
		var list []any
		for _, a := range acks {
			var v map[string]any
			if err := a.Bind(&v); err != nil {
				return nil, err
			}
			list = append(list, v)
		}
		return list, err
	case "ask binary":
		acks, err := s.io.EmitWithAck(ctx, "ask", []byte("?"))
		n := 0
		for _, a := range acks {
			var v []byte
			if err := a.Bind(&v); err != nil {
				return nil, err
			}
			n += len(v)
		}
		return n, err
	case "sockets":
		sockets, err := s.io.Sockets(ctx)
		var ids []string
		for _, sock := range sockets {
			if !slices.Contains(sock.Rooms(), sock.ID()) || sock.Handshake().URL == "" {
				return nil, fmt.Errorf("incomplete: %+v", sock)
			}
			ids = append(ids, sock.ID())
		}
		return ids, err
	case "disconnect":
		return nil, s.io.In(args.ID).Disconnect(true)
	case "serverside":
		return nil, s.io.Of("/").ServerSideEmit("serverside", args.Value)
	case "serverside ack":
		acks, err := s.io.Of("/").ServerSideEmitWithAck(ctx, "serverside", args.Value)
		var list []any
		for _, a := range acks {
			v, err := a.Args()
			if err != nil {
				return nil, err
			}
			list = append(list, v...)
		}
		return list, err
	case "told":
		select {
		case v := <-s.told:
			return v, nil
		case <-ctx.Done():
			return nil, errors.New("the Go server was not told")
		}
	case "restart":
		s.db.Stop()
		s.db.Start()
		return nil, until(func() bool { return s.b.Stats().Connected })
	case "again":
		return nil, s.io.Emit("again go")
	default:
		return nil, fmt.Errorf("nobody knows how to do %q", what)
	}
}

func until(ok func() bool) error {
	for end := time.Now().Add(patience); !ok(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			return errors.New("waited in vain")
		}
	}
	return nil
}
