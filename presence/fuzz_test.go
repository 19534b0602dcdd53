package presence

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/sockeye-io/sockeye/event"
	"github.com/sockeye-io/sockeye/socketio"
)

// Whatever other servers send, the view stays in order, and what it says of the own members stays true.
func FuzzReceive(f *testing.F) {
	f.Add(`{"v":1,"i":"b","k":"hello","n":0,"name":"x","t":5}` + "\n" + `{"v":1,"i":"c","k":"hello","n":0,"name":"x","t":6}`)
	f.Add(`{"v":1,"i":"b","k":"d","n":1,"o":[{"r":"room","j":["x","y"],"d":{"x":{"a":1}}},{"r":"room","l":["x"]}]}`)
	f.Add(`{"v":1,"i":"b","k":"f","n":3,"first":true,"o":[{"r":"room","j":["own","y"]}]}` + "\n" +
		`{"v":1,"i":"b","k":"f","n":4,"last":true,"o":[{"r":"other","j":["y"]}]}` + "\n" + `{"v":1,"i":"b","k":"d","n":5,"o":[{"r":"other","l":["y"]}]}`)
	f.Add(`{"v":1,"i":"b","k":"h","n":9}` + "\n" + `{"v":1,"i":"b","k":"q","n":0,"ask":["self"]}` + "\n" + `{"v":1,"i":"b","k":"bye","n":0}`)
	f.Add(`{"v":1,"i":"b","k":"h","n":18446744073709551615}` + "\n" + `{"v":2,"i":"b"}` + "\n" + `{"v":1,"i":"b","k":"f","n":1,"first":true,"last":true}`)
	f.Add("{\"v\":1,\"i\":\"\",\"k\":\"d\"}\n[]\nnull\n\"")
	f.Fuzz(func(t *testing.T, text string) {
		p := &Presence{
			ns: socketio.NewServer(nil).Of("/"), wake: make(chan struct{}, 1), view: newView(),
		}
		p.opts, _ = (*Options)(nil).withDefaults(p.ns)
		reset(p)
		for line := range strings.Lines(text) {
			line = strings.TrimSuffix(line, "\n")
			if !jsontext.Value(line).IsValid() {
				continue // an adapter's packets are JSON
			}
			m := event.NewMessage(eventName, jsontext.Value(`["x",`+line+`]`), nil, nil)
			_ = p.receive(context.Background(), m)
			if err := p.view.valid(); err != nil {
				t.Fatal(err)
			}
		}
		for _, room := range []string{"room", "own room"} {
			if _, ok := p.Member(room, "own"); !ok {
				t.Fatal("an own member is gone")
			}
		}
		for _, s := range p.view.servers {
			p.view.removeServer(s)
		}
		if len(p.view.rooms) != 0 {
			t.Fatalf("left over: %v", p.view.rooms)
		}
	})
}

// What is split is put together again as it was, in messages that are not too long.
func FuzzSplit(f *testing.F) {
	f.Add("a x y\nb x", 200)
	f.Fuzz(func(t *testing.T, text string, limit int) {
		limit = max(limit%2000, 0)
		type change struct {
			room, id string
			joined   bool
			data     string
		}
		var want, got []change
		sp := &splitter{max: limit, emit: func(ops []op) {
			m := &message{Version: version, From: "self", Ops: ops}
			encoded, err := m.encode()
			if err != nil {
				t.Fatal(err)
			}
			back, err := decode(encoded)
			if err != nil {
				t.Fatal(err)
			}
			n := 0
			for _, o := range back.Ops {
				for _, id := range o.Joined {
					got = append(got, change{o.Room, id, true, string(o.Data[id])})
				}
				for _, id := range o.Left {
					got = append(got, change{o.Room, id, false, ""})
				}
				n += len(o.Joined) + len(o.Left)
			}
			if n > 1 && len(encoded) > limit {
				t.Fatalf("%d bytes, limit %d: %s", len(encoded), limit, encoded)
			}
		}}
		seen := map[string]bool{}
		for line := range strings.Lines(text) {
			words := strings.Fields(line)
			if len(words) == 0 {
				continue
			}
			for i, id := range words[1:] {
				c := change{words[0], id, i%3 != 2, ""}
				plain := !strings.ContainsFunc(c.room+c.id, func(r rune) bool {
					return r < ' ' || r > '~' || r == '"' || r == '\\' || r == '<' || r == '>' || r == '&'
				})
				if !plain || !validRoom(c.room) || !validID(c.id) {
					continue
				}
				if i%2 == 0 && c.joined && !seen[c.room+" "+c.id] {
					c.data = `{"n":1}`
				}
				seen[c.room+" "+c.id] = true
				want = append(want, c)
				var data jsontext.Value
				if c.data != "" {
					data = jsontext.Value(c.data)
				}
				sp.add(c.room, c.id, c.joined, data)
			}
		}
		if len(want) > 0 {
			sp.flush()
		}
		if len(got) != len(want) {
			t.Fatalf("%d changes, want %d", len(got), len(want))
		}
		for i := range got {
			if want[i].data == "" {
				got[i].data = "" // it may be that of the same id in the same op
			}
			if got[i] != want[i] {
				t.Fatalf("change %d: %v, want %v", i, got[i], want[i])
			}
		}
	})
}

func reset(p *Presence) {
	p.view.changed = p.changed
	p.gone = map[string]time.Time{}
	p.away = map[string]time.Time{"y": time.Now()}
	p.self = p.view.addServer("self")
	p.view.join(p.self, "room", "own", nil)
	p.view.join(p.self, "own room", "own", nil)
}
