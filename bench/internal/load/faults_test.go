//go:build linux

package load

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"

	"github.com/gobwas/ws"
	"github.com/gobwas/ws/wsutil"
)

// faults is a server by the contract that, at every n-th message it is about to send, does something wrong. 0 is never.
type faults struct {
	drop, swap, repeat, hangUp int
	stray                      int // in rooms; odd, for a message to a room counts twice
	mute                       int // every n-th connection gets no answer to its CONNECT

	mu      sync.Mutex
	conns   []net.Conn
	rooms   map[string][]net.Conn
	sent    int
	opened  int
	swapped []byte // what waits for its successor
}

func every(n, count int) bool { return n > 0 && count%n == 0 }

func (f *faults) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	c, _, _, err := ws.UpgradeHTTP(r, w)
	if err != nil {
		return
	}
	defer c.Close()
	f.mu.Lock()
	if f.rooms == nil {
		f.rooms = map[string][]net.Conn{}
	}
	f.conns = append(f.conns, c)
	f.opened++
	mute := every(f.mute, f.opened)
	wsutil.WriteServerText(c, []byte(`0{"sid":"x"}`))
	f.mu.Unlock()
	for {
		text, err := wsutil.ReadClientText(c)
		if err != nil {
			return
		}
		f.mu.Lock()
		f.answer(c, string(text), mute)
		f.mu.Unlock()
	}
}

func (f *faults) answer(c net.Conn, text string, mute bool) {
	if text == "40" {
		if !mute {
			wsutil.WriteServerText(c, []byte(`40{"sid":"y"}`))
		}
		return
	}
	id, array, _ := strings.Cut(strings.TrimPrefix(text, "42"), "[")
	event, args, _ := strings.Cut(array, ",")
	switch event {
	case `"echo"`:
		f.send(c, "43"+id+"["+args)
	case `"join"`:
		f.rooms[args] = append(f.rooms[args], c)
		wsutil.WriteServerText(c, []byte("43"+id+"[]"))
	case `"bcast"`:
		for _, c := range f.conns {
			f.send(c, `42["msg",`+args)
		}
	case `"rcast"`:
		room, args, _ := strings.Cut(args, ",")
		for _, c := range f.rooms[room+"]"] {
			if f.sent++; every(f.stray, f.sent) {
				c = f.outsider(room + "]")
			}
			f.send(c, `42["msg",`+args)
		}
	}
}

func (f *faults) outsider(room string) net.Conn {
	for _, c := range f.conns {
		if !slices.Contains(f.rooms[room], c) {
			return c
		}
	}
	return nil
}

func (f *faults) send(c net.Conn, text string) {
	f.sent++
	b := []byte(text)
	switch {
	case every(f.drop, f.sent):
		return
	case every(f.hangUp, f.sent):
		c.Close()
		return
	case every(f.repeat, f.sent):
		wsutil.WriteServerText(c, b)
	case every(f.swap, f.sent) && f.swapped == nil:
		f.swapped = b
		return
	}
	wsutil.WriteServerText(c, b)
	if f.swapped != nil {
		wsutil.WriteServerText(c, f.swapped)
		f.swapped = nil
	}
}

// pollServer is the echo half of the contract over long-polling.
type pollServer struct {
	chunked  bool
	mu       sync.Mutex
	sessions map[string]chan string
}

func (s *pollServer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	sid := r.URL.Query().Get("sid")
	s.mu.Lock()
	out := s.sessions[sid]
	s.mu.Unlock()
	switch {
	case sid == "":
		s.mu.Lock()
		sid = fmt.Sprint("s", len(s.sessions))
		s.sessions[sid] = make(chan string, 4)
		s.mu.Unlock()
		s.reply(w, `0{"sid":"`+sid+`"}`)
	case out == nil:
		http.Error(w, "unknown", http.StatusBadRequest)
	case r.Method == http.MethodPost:
		body, _ := io.ReadAll(r.Body)
		for packet := range bytes.SplitSeq(body, []byte{0x1e}) {
			if string(packet) == "40" {
				out <- "2\x1e40{}" // with a ping, to see that it is answered
			} else if rest, ok := strings.CutPrefix(string(packet), "42"); ok {
				id, array, _ := strings.Cut(rest, "[")
				out <- "43" + id + "[" + strings.TrimPrefix(array, `"echo",`)
			}
		}
		s.reply(w, "ok")
	default:
		select {
		case text := <-out:
			s.reply(w, text)
		case <-r.Context().Done():
		}
	}
}

func (s *pollServer) reply(w http.ResponseWriter, text string) {
	if s.chunked {
		io.WriteString(w, text[:1])
		w.(http.Flusher).Flush()
		text = text[1:]
	}
	io.WriteString(w, text)
}
