package load

import (
	"errors"
	"io/fs"
	"os"
	"strings"
	"testing"
	"time"
)

func noFiles(string) ([]byte, error) { return nil, fs.ErrNotExist }

const wholePlan = `
url: http://localhost:3000
path: /socket.io/
clients: 1_000
ramp: 10s
duration: 1m
transport: {websocket: 80, polling: 15, streaming: 5}
namespace: /chat
auth: {token: "${user.token}"}
users: users.csv
header: {X-Load: "yes"}
local-address: [127.0.0.2, 127.0.0.3]
connecting: 50
connect-timeout: 5s
reconnect: true
insecure: false
fail-if: ["p99>50ms", errors>0]
scenarios:
  - name: talkers
    weight: 3
    steps:
      - connect
      - join: "room-${client%10}"
      - loop:
          every: 2s
          times: 5
          steps:
            - emit: say
              name: saying
              args: [{text: "hello ${n}", at: "${now}"}, 1, null, true]
              size: 10
              binary: 20
              ack: true
              timeout: 3s
              match: [{ok: true}]
              save: {id: /0/id}
            - expect: said
              match: [{text: "hello ${n}"}]
              timeout: 4s
            - think: 1s-2s
      - disconnect
  - namespace: /other
    steps: [{loop: {steps: [{think: 1s}, {emit: "file", file: payload.json}]}}]
`

func TestParsePlan(t *testing.T) {
	p, err := ParsePlan([]byte(wholePlan), func(name string) ([]byte, error) {
		switch name {
		case "users.csv":
			return []byte("name, token\nann, a1\nbob, b2\n"), nil
		case "payload.json":
			return []byte(`{"from":"a file","n":"${n}"}`), nil
		}
		return nil, fs.ErrNotExist
	})
	if err != nil {
		t.Fatal(err)
	}
	if p.Clients != 1000 || p.Ramp != 10*time.Second || p.Duration != time.Minute || len(p.Mix) != 3 || len(p.Local) != 2 || !p.Reconnect ||
		p.Header.Get("X-Load") != "yes" || len(p.Checks) != 2 || len(p.Users) != 2 || p.Users[1]["token"] != "b2" || !p.stamped() || !p.open() {
		t.Errorf("got %+v", p)
	}
	if err := p.complete(); err != nil {
		t.Fatal(err)
	}
	a, b := p.Scenarios[0], p.Scenarios[1]
	if a.Name != "talkers" || a.Weight != 3 || a.Namespace != "/chat" || b.Namespace != "/other" || b.Weight != 1 || b.auth == nil {
		t.Errorf("got %+v and %+v", a, b)
	}
	var kinds []action
	for _, st := range a.steps {
		kinds = append(kinds, st.do)
	}
	want := []action{doConnect, doEmit, doLoop, doEmit, doExpect, doThink, doNext, doDisconnect}
	if len(kinds) != len(want) {
		t.Fatalf("steps are %v, want %v", kinds, want)
	}
	for i := range want {
		if kinds[i] != want[i] {
			t.Fatalf("steps are %v, want %v", kinds, want)
		}
	}
	if l := a.steps[2]; l.every != 2*time.Second || l.times != 5 || l.other != 6 || a.steps[6].other != 2 {
		t.Errorf("the loop is %+v", l)
	}
	if e := a.steps[3]; e.name != "saying" || len(e.args) != 6 || len(e.args[5].binary) != 20 || e.timeout != 3*time.Second || len(e.save) != 1 {
		t.Errorf("the emit is %+v", e)
	}
	if got := string(b.steps[3].args[0].json.value(&scope{n: 4})); got != `{"from":"a file","n":4}` {
		t.Errorf("the file became %s", got)
	}
	if m := p.mains(); m[0] != "ack" || m[1] != "delivery" || m[2] != "expect" {
		t.Errorf("what matters is %v", m)
	}
	if x := a.expected["said"]; len(x) != 1 || x[0].at != 4 {
		t.Errorf("expected are %v", x)
	}
}

func TestWhatLoopsMeasureMatters(t *testing.T) {
	p, err := ParsePlan([]byte(`steps: [{join: a}, {loop: {every: 1s, steps: [{emit: say, args: ["${now}"]}]}}]`), noFiles)
	if err != nil {
		t.Fatal(err)
	}
	if m := p.mains(); m[0] != "delivery" {
		t.Errorf("what matters is %v", m)
	}
}

func TestPlanErrorsNameTheLineAndWhatIsAllowed(t *testing.T) {
	for _, c := range []struct {
		text string
		want []string
	}{
		{"", []string{"nothing"}},
		{"a: [", []string{"line 1"}},
		{"- 1", []string{"line 1", "mapping", "clients"}},
		{"clients: 10\nclient: 5", []string{"line 2", `"client"`, "clients", "scenarios"}},
		{"clients: many", []string{"line 1", "whole number"}},
		{"clients: 10\nclients: 11", []string{"line 2", "clients"}},
		{"ramp: 10", []string{"line 1", "10s"}},
		{"transport: {carrier-pigeon: 3}", []string{"line 1", "carrier-pigeon", "websocket"}},
		{"transport: websocket=0", []string{"line 1", "0"}},
		{"fail-if: [p99>50]", []string{"line 1", "unit"}},
		{"users: none.csv", []string{"line 1", "not exist"}},
		{"steps: [connect]\nscenarios: []", []string{"both"}},
		{"scenarios: []", []string{"no scenarios"}},
		{"scenarios:\n  - name: x", []string{"line 2", "no steps"}},
		{"steps:\n  - emti: x", []string{"line 2", `"emti"`, "emit", "expect", "think", "loop"}},
		{"steps:\n  - rest", []string{"line 2", `"rest"`, "emit"}},
		{"steps:\n  - emit: x\n    akc: true", []string{"line 3", `"akc"`, "ack", "match"}},
		{"steps:\n  - emit: x\n    match: [1]", []string{"line 2", "ack: true"}},
		{"steps:\n  - emit: x\n    args: [\"${nope}\"]", []string{"line 3", "nope", "client"}},
		{"steps:\n  - emit: \"\"", []string{"line 2", "no name"}},
		{"steps:\n  - think: soon", []string{"line 2", "soon"}},
		{"steps:\n  - think: 3s-1s", []string{"line 2", "shorter"}},
		{"steps:\n  - loop: {steps: [{emit: x}]}", []string{"line 2", "every"}},
		{"steps:\n  - loop: {every: 1s}", []string{"line 2", "no steps"}},
		{"steps:\n  - loop: {every: 0s, steps: []}", []string{"line 2", "every"}},
		{"auth: secret", []string{"line 1", "mapping"}},
		{"steps:\n  - emit: x\n    ack: maybe", []string{"line 3", "true or false"}},
		{"steps:\n  - emit: x\n    ack: true\n    save: {a: b}", []string{"line 4", "/0/"}},
		{"steps: &a\n  - loop: {every: 1s, steps: *a}", []string{"line"}},
	} {
		_, err := ParsePlan([]byte(c.text), noFiles)
		if err == nil {
			t.Errorf("%q: accepted", c.text)
			continue
		}
		for _, w := range c.want {
			if !strings.Contains(err.Error(), w) {
				t.Errorf("%q: the error lacks %q: %v", c.text, w, err)
			}
		}
	}
}

func FuzzParsePlan(f *testing.F) {
	f.Add([]byte(wholePlan))
	for _, s := range []string{"steps: &a\n  - loop: {every: 1s, steps: *a}", "transport: websocket", "a: &x [*x]", "auth: {a: &b {c: 1}, d: *b}", "steps: [{emit: e, args: [!!binary aGk=, 0x1f, .inf, 2001-01-01]}]"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		p, err := ParsePlan(text, noFiles)
		if err != nil {
			return
		}
		p.URL = "http://localhost"
		if err := p.complete(); err != nil {
			return
		}
		for _, sc := range p.Scenarios {
			depth := 0
			for i, st := range sc.steps {
				switch st.do {
				case doLoop:
					if depth++; st.depth != depth || st.other <= i || sc.steps[st.other].do != doNext || sc.steps[st.other].other != i {
						t.Fatalf("loop %d is wrong: %+v", i, st)
					}
				case doNext:
					depth--
				}
			}
			if depth != 0 || sc.steps[0].do != doConnect && sc.steps[0].do != doLoop {
				t.Fatalf("steps are wrong: %+v", sc.steps)
			}
		}
	})
}

func TestUsers(t *testing.T) {
	users, err := ParseUsers("u.jsonl", []byte("{\"name\":\"ann\",\"age\":30}\n\n{\"name\":\"b\\u00f6\"}\n"))
	if err != nil || len(users) != 2 || users[0]["age"] != "30" || users[1]["name"] != "bö" {
		t.Errorf("%v, %v", users, err)
	}
	for name, text := range map[string]string{"a.csv": "", "b.csv": "name\n", "c.csv": "a,b\n1\n", "d.jsonl": "[1]", "e.jsonl": "\n"} {
		if users, err := ParseUsers(name, []byte(text)); err == nil {
			t.Errorf("%s: %v", name, users)
		}
	}
}

func TestMix(t *testing.T) {
	m, err := ParseMix("websocket=80, polling+websocket=15,auto=5")
	if err != nil || len(m) != 3 || len(m[1].Transports) != 2 || m[2].Transports != nil || m[0].Weight != 80 {
		t.Errorf("%+v, %v", m, err)
	}
	for _, bad := range []string{"", "ws", "websocket=x", "websocket=-1", "websocket=0", "websocket,websocket", "polling+polling", "=5"} {
		if m, err := ParseMix(bad); err == nil {
			t.Errorf("%q: %+v", bad, m)
		}
	}
}

func TestMachineTooSmall(t *testing.T) {
	p := &Plan{URL: "http://127.0.0.1:1", Clients: 900_000}
	err := p.Check()
	if err == nil {
		t.Skip("this machine takes 900,000 connections")
	}
	if _, ok := errors.AsType[*LimitError](err); !ok || !strings.Contains(err.Error(), "900,000 clients") {
		t.Errorf("error is %v", err)
	}
	for _, bad := range []Plan{{}, {URL: "localhost"}, {URL: "http://h", Clients: -1}, {URL: "http://h", Local: []string{"eth0"}}, {URL: "ftp://h"}} {
		if err := bad.Check(); err == nil {
			t.Errorf("%+v: accepted", bad)
		}
	}
	if _, err := ReadPlan("testdata/none.yaml"); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("error is %v", err)
	}
}

// What docs/load.md shows as YAML is understood: whole files, and single steps.
func TestDocumentedScenarios(t *testing.T) {
	text, err := os.ReadFile("../../../../docs/load.md")
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for _, block := range strings.Split(string(text), "```yaml\n")[1:] {
		block, _, _ = strings.Cut(block, "```")
		if strings.HasPrefix(block, "- ") {
			block = "steps:\n" + block
		}
		if _, err := ParsePlan([]byte(block), func(string) ([]byte, error) { return []byte("token\nx\n"), nil }); err != nil {
			t.Errorf("%v in\n%s", err, block)
		}
		n++
	}
	if n < 2 {
		t.Errorf("found %d blocks", n)
	}
	// Every key, step and name of a check is in the reference.
	for _, names := range [][]string{planKeys, stepKinds, latencies} {
		for _, name := range names {
			if !strings.Contains(string(text), "`"+name) {
				t.Errorf("docs/load.md lacks %s", name)
			}
		}
	}
}
