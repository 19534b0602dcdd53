package load

import (
	"bytes"
	"encoding/csv"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"go.yaml.in/yaml/v3"
)

// ReadPlan reads a plan from a YAML file. Files that it names are relative to it.
func ReadPlan(name string) (*Plan, error) {
	text, err := os.ReadFile(name)
	if err != nil {
		return nil, err
	}
	p, err := ParsePlan(text, func(other string) ([]byte, error) {
		if !filepath.IsAbs(other) {
			other = filepath.Join(filepath.Dir(name), other)
		}
		return os.ReadFile(other)
	})
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return p, nil
}

// maxNodes bounds what aliases can make of a small file.
const maxNodes = 200_000

// A planReader reads YAML. Its methods panic with a planError, which says in which line.
type planReader struct {
	file  func(string) ([]byte, error)
	nodes int
	sc    *Scenario
}

type planError struct{ error }

// ParsePlan reads a plan; file is asked for the files that it names.
func ParsePlan(text []byte, file func(name string) ([]byte, error)) (p *Plan, err error) {
	var doc yaml.Node
	if err := yaml.Unmarshal(text, &doc); err != nil {
		return nil, errors.New(strings.TrimPrefix(err.Error(), "yaml: "))
	}
	if len(doc.Content) == 0 {
		return nil, errors.New("there is nothing in it")
	}
	defer func() {
		switch e := recover().(type) {
		case nil:
		case planError:
			p, err = nil, e.error
		default:
			panic(e)
		}
	}()
	r := &planReader{file: file}
	return r.plan(doc.Content[0]), nil
}

func (r *planReader) fail(n *yaml.Node, format string, args ...any) {
	panic(planError{fmt.Errorf("line %d: %s", n.Line, fmt.Sprintf(format, args...))})
}

// value follows aliases, a bounded number of times.
func (r *planReader) value(n *yaml.Node) *yaml.Node {
	for n.Kind == yaml.AliasNode {
		if r.nodes++; r.nodes > maxNodes {
			r.fail(n, "too much, or an alias within itself")
		}
		n = n.Alias
	}
	if r.nodes++; r.nodes > maxNodes {
		r.fail(n, "too much, or an alias within itself")
	}
	return n
}

// members calls f for every member of a mapping, and refuses those that f doesn't know.
func (r *planReader) members(n *yaml.Node, what string, allowed []string, f func(key string, v *yaml.Node)) {
	n = r.value(n)
	if n.Kind != yaml.MappingNode {
		r.fail(n, "%s: want a mapping with %s", what, strings.Join(allowed, ", "))
	}
	seen := map[string]bool{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		k := r.value(n.Content[i])
		if !slices.Contains(allowed, k.Value) {
			r.fail(k, "%s has no %q; allowed are %s", what, k.Value, strings.Join(allowed, ", "))
		}
		if seen[k.Value] {
			r.fail(k, "%s has %q twice", what, k.Value)
		}
		seen[k.Value] = true
		f(k.Value, r.value(n.Content[i+1]))
	}
}

func (r *planReader) list(n *yaml.Node, what string) []*yaml.Node {
	if n = r.value(n); n.Kind != yaml.SequenceNode {
		r.fail(n, "%s: want a list", what)
	}
	return n.Content
}

func (r *planReader) text(n *yaml.Node, what string) string {
	if n = r.value(n); n.Kind != yaml.ScalarNode {
		r.fail(n, "%s: want a text", what)
	}
	return n.Value
}

func (r *planReader) number(n *yaml.Node, what string, least, most int) int {
	v, err := strconv.Atoi(strings.ReplaceAll(r.text(n, what), "_", ""))
	if err != nil || v < least || v > most {
		r.fail(n, "%s: want a whole number from %d to %d", what, least, most)
	}
	return v
}

func (r *planReader) bool(n *yaml.Node, what string) bool {
	switch r.text(n, what) {
	case "true":
		return true
	case "false":
	default:
		r.fail(n, "%s: want true or false", what)
	}
	return false
}

func (r *planReader) time(n *yaml.Node, what string) time.Duration {
	d, err := time.ParseDuration(r.text(n, what))
	if err != nil || d < 0 {
		r.fail(n, "%s: want a time such as 500ms, 10s or 1m30s", what)
	}
	return d
}

// json makes JSON of a node.
func (r *planReader) json(n *yaml.Node) jsontext.Value {
	return r.appendJSON(nil, n, 0)
}

func (r *planReader) appendJSON(dst []byte, n *yaml.Node, depth int) []byte {
	n = r.value(n)
	if depth > 100 {
		r.fail(n, "nested too deep")
	}
	switch n.Kind {
	case yaml.MappingNode:
		dst = append(dst, '{')
		for i := 0; i+1 < len(n.Content); i += 2 {
			if i > 0 {
				dst = append(dst, ',')
			}
			name, err := jsontext.AppendQuote(nil, r.text(n.Content[i], "a member's name"))
			if err != nil {
				r.fail(n, "%v", err)
			}
			dst = append(append(dst, name...), ':')
			dst = r.appendJSON(dst, n.Content[i+1], depth+1)
		}
		return append(dst, '}')
	case yaml.SequenceNode:
		dst = append(dst, '[')
		for i, item := range n.Content {
			if i > 0 {
				dst = append(dst, ',')
			}
			dst = r.appendJSON(dst, item, depth+1)
		}
		return append(dst, ']')
	}
	var v any = n.Value
	switch n.ShortTag() {
	case "!!null", "!!bool", "!!int", "!!float":
		if err := n.Decode(&v); err != nil {
			r.fail(n, "%v", err)
		}
	}
	b, err := json.Marshal(v)
	if err != nil {
		r.fail(n, "%v", err)
	}
	return append(dst, b...)
}

func (r *planReader) template(n *yaml.Node, what string) *template {
	t, err := parseTemplate(r.json(n))
	if err != nil {
		r.fail(n, "%s: %v", what, err)
	}
	return t
}

var planKeys = []string{"url", "path", "clients", "ramp", "duration", "transport", "namespace", "auth", "users", "header",
	"insecure", "local-address", "connecting", "connect-timeout", "reconnect", "fail-if", "steps", "scenarios"}

func (r *planReader) plan(n *yaml.Node) *Plan {
	p := &Plan{}
	var common Scenario
	var steps, scenarios *yaml.Node
	r.members(n, "the file", planKeys, func(key string, v *yaml.Node) {
		switch key {
		case "url":
			p.URL = r.text(v, key)
		case "path":
			p.Path = r.text(v, key)
		case "clients":
			p.Clients = r.number(v, key, 1, maxClients)
		case "ramp":
			p.Ramp = r.time(v, key)
		case "duration":
			p.Duration = r.time(v, key)
		case "transport":
			p.Mix = r.mix(v)
		case "namespace":
			common.Namespace = r.text(v, key)
		case "auth":
			common.auth = r.auth(v)
		case "users":
			name := r.text(v, key)
			text, err := r.file(name)
			if err == nil {
				p.Users, err = ParseUsers(name, text)
			}
			if err != nil {
				r.fail(v, "users: %v", err)
			}
		case "header":
			p.Header = http.Header{}
			for i := 0; v.Kind == yaml.MappingNode && i+1 < len(v.Content); i += 2 {
				p.Header.Add(r.text(v.Content[i], key), r.text(v.Content[i+1], key))
			}
		case "insecure":
			p.Insecure = r.bool(v, key)
		case "local-address":
			for _, a := range r.list(v, key) {
				p.Local = append(p.Local, r.text(a, key))
			}
		case "connecting":
			p.Connecting = r.number(v, key, 1, maxClients)
		case "connect-timeout":
			p.Timeout = r.time(v, key)
		case "reconnect":
			p.Reconnect = r.bool(v, key)
		case "fail-if":
			for _, c := range r.list(v, key) {
				check, err := ParseCheck(r.text(c, key))
				if err != nil {
					r.fail(c, "%v", err)
				}
				p.Checks = append(p.Checks, check)
			}
		case "steps":
			steps = v
		case "scenarios":
			scenarios = v
		}
	})
	switch {
	case steps != nil && scenarios != nil:
		r.fail(n, "there are both steps and scenarios; want steps, or scenarios that have steps each")
	case steps != nil:
		sc := common
		sc.Name = "steps"
		r.scenario(&sc, steps)
		p.Scenarios = []*Scenario{&sc}
	case scenarios != nil:
		total := 0
		for i, v := range r.list(scenarios, "scenarios") {
			sc := common
			sc.Name, sc.Weight = fmt.Sprintf("scenario %d", i+1), 1
			var body *yaml.Node
			r.members(v, "a scenario", []string{"name", "weight", "namespace", "auth", "steps"}, func(key string, v *yaml.Node) {
				switch key {
				case "name":
					sc.Name = r.text(v, key)
				case "weight":
					sc.Weight = r.number(v, key, 1, 1_000_000)
				case "namespace":
					sc.Namespace = r.text(v, key)
				case "auth":
					sc.auth = r.auth(v)
				case "steps":
					body = v
				}
			})
			if body == nil {
				r.fail(v, "scenario %q has no steps", sc.Name)
			}
			r.scenario(&sc, body)
			total += sc.Weight
			p.Scenarios = append(p.Scenarios, &sc)
		}
		if total == 0 {
			r.fail(scenarios, "there are no scenarios in it")
		}
	}
	return p
}

func (r *planReader) auth(n *yaml.Node) *template {
	if n.Kind != yaml.MappingNode {
		r.fail(n, "auth: want a mapping, such as {token: \"${user.token}\"}")
	}
	return r.template(n, "auth")
}

func (r *planReader) mix(n *yaml.Node) Mix {
	var m Mix
	var err error
	switch n.Kind {
	case yaml.ScalarNode:
		m, err = ParseMix(n.Value)
	case yaml.MappingNode:
		for i := 0; i+1 < len(n.Content) && err == nil; i += 2 {
			m, err = m.add(r.text(n.Content[i], "transport"), r.number(n.Content[i+1], "transport", 0, 1_000_000))
		}
		if err == nil {
			err = m.check()
		}
	default:
		r.fail(n, "transport: want %s, or a mapping of these to their shares", transportsHelp)
	}
	if err != nil {
		r.fail(n, "%v", err)
	}
	return m
}

// scenario reads steps. Who doesn't begin with connect connects nevertheless.
func (r *planReader) scenario(sc *Scenario, n *yaml.Node) {
	r.sc = sc
	sc.steps = nil
	items := r.list(n, "steps")
	if len(items) == 0 || !r.isConnect(items[0]) {
		sc.steps = append(sc.steps, step{do: doConnect, name: "connect", line: n.Line})
	}
	for _, item := range items {
		r.step(item, 0)
	}
}

func (r *planReader) isConnect(n *yaml.Node) bool {
	n = r.value(n)
	return n.Kind == yaml.ScalarNode && n.Value == "connect"
}

var stepKinds = []string{"connect", "disconnect", "emit", "join", "expect", "think", "loop"}

// step appends a step: a word, or a mapping whose members say which kind it is.
func (r *planReader) step(n *yaml.Node, depth int) {
	n = r.value(n)
	if n.Kind == yaml.ScalarNode {
		switch n.Value {
		case "connect":
			r.sc.steps = append(r.sc.steps, step{do: doConnect, name: "connect", line: n.Line})
			return
		case "disconnect":
			r.sc.steps = append(r.sc.steps, step{do: doDisconnect, name: "disconnect", line: n.Line})
			return
		}
	}
	if n.Kind != yaml.MappingNode {
		r.fail(n, "no step is called %q; allowed are %s", n.Value, strings.Join(stepKinds, ", "))
	}
	kind := ""
	for i := 0; i+1 < len(n.Content); i += 2 {
		if k := n.Content[i].Value; slices.Contains(stepKinds, k) && kind == "" {
			kind = k
		}
	}
	switch kind {
	case "emit", "join":
		r.emit(n, kind)
	case "expect":
		r.expect(n)
	case "think":
		r.members(n, "think", []string{"think"}, func(_ string, v *yaml.Node) {
			from, to, err := parseRange(r.text(v, "think"))
			if err != nil {
				r.fail(v, "think: %v", err)
			}
			r.sc.steps = append(r.sc.steps, step{do: doThink, name: "think", from: from, to: to, line: n.Line})
		})
	case "loop":
		r.loop(n, depth+1)
	default:
		first := ""
		if len(n.Content) > 0 {
			first = n.Content[0].Value
		}
		r.fail(n, "no step is called %q; allowed are %s", first, strings.Join(stepKinds, ", "))
	}
}

func (r *planReader) emit(n *yaml.Node, kind string) {
	st := step{do: doEmit, timeout: defaultStepTime, line: n.Line, ack: kind == "join"}
	allowed := []string{"emit", "name", "args", "file", "size", "binary", "ack", "timeout", "match", "save"}
	if kind == "join" {
		allowed = []string{"join", "name", "event", "ack", "timeout", "match", "save"}
		st.event = fixedText("join")
	}
	var text, binary int
	needsAck := ""
	r.members(n, kind, allowed, func(key string, v *yaml.Node) {
		switch key {
		case "emit", "event":
			name := r.text(v, key)
			t, err := parseText(name)
			if err != nil {
				r.fail(v, "%s: %v", key, err)
			}
			st.event = t
			if st.name == "" {
				st.name = name
			}
		case "join":
			room := r.template(v, key)
			st.args = []argument{{json: room}}
			st.name = "join"
		case "name":
			st.name = r.text(v, key)
		case "args":
			for _, a := range r.list(v, key) {
				st.args = append(st.args, argument{json: r.template(a, key)})
			}
		case "file":
			name := r.text(v, key)
			b, err := r.file(name)
			if err != nil {
				r.fail(v, "file: %v", err)
			}
			if !strings.EqualFold(filepath.Ext(name), ".json") {
				st.args = append(st.args, argument{binary: b})
				return
			}
			t, err := parseTemplate(b)
			if err != nil {
				r.fail(v, "%s: %v", name, err)
			}
			st.args = append(st.args, argument{json: t})
		case "size":
			text = r.number(v, key, 1, maxText)
		case "binary":
			binary = r.number(v, key, 1, maxText)
		case "ack":
			st.ack = r.bool(v, key)
		case "timeout":
			st.timeout = r.time(v, key)
		case "match":
			st.match, needsAck = r.matchers(v), key
		case "save":
			st.save, needsAck = r.picks(v), key
		}
	})
	if needsAck != "" && !st.ack {
		r.fail(n, "%s is about the acknowledgement, which %q doesn't ask for: add ack: true", needsAck, st.name)
	}
	if b, ok := st.event.fixed(); ok && len(b) == 0 {
		r.fail(n, "emit: the event has no name")
	}
	if err := st.addSizes(text, binary); err != nil {
		r.fail(n, "%v", err)
	}
	r.sc.steps = append(r.sc.steps, st)
}

func (r *planReader) expect(n *yaml.Node) {
	st := step{do: doExpect, timeout: defaultStepTime, line: n.Line}
	r.members(n, "expect", []string{"expect", "name", "match", "timeout", "save"}, func(key string, v *yaml.Node) {
		switch key {
		case "expect":
			st.await = r.text(v, key)
		case "name":
			st.name = r.text(v, key)
		case "match":
			st.match = r.matchers(v)
		case "timeout":
			st.timeout = r.time(v, key)
		case "save":
			st.save = r.picks(v)
		}
	})
	if st.name == "" {
		st.name = st.await
	}
	r.sc.steps = append(r.sc.steps, st)
}

func (r *planReader) matchers(n *yaml.Node) []*matcher {
	var out []*matcher
	for _, item := range r.list(n, "match") {
		m, err := parseMatcher(r.json(item))
		if err != nil {
			r.fail(item, "match: %v", err)
		}
		out = append(out, m)
	}
	return out
}

func (r *planReader) picks(n *yaml.Node) []pick {
	if n.Kind != yaml.MappingNode {
		r.fail(n, "save: want a mapping of names to JSON pointers, such as {token: /0/token}")
	}
	var out []pick
	for i := 0; i+1 < len(n.Content); i += 2 {
		p, err := parsePick(r.text(n.Content[i], "save"), r.text(n.Content[i+1], "save"))
		if err != nil {
			r.fail(n.Content[i+1], "save: %v", err)
		}
		out = append(out, p)
	}
	return out
}

func (r *planReader) loop(n *yaml.Node, depth int) {
	if depth > maxDepth {
		r.fail(n, "more than %d loops within each other", maxDepth)
	}
	l := step{do: doLoop, name: "loop", depth: depth, line: n.Line}
	var body *yaml.Node
	read := func(key string, v *yaml.Node) {
		switch key {
		case "every":
			if l.every = r.time(v, key); l.every == 0 {
				r.fail(v, "every: want more than no time")
			}
		case "times":
			l.times = r.number(v, key, 1, 1_000_000_000)
		case "together":
			l.together = r.bool(v, key)
		case "name":
			l.name = r.text(v, key)
		case "steps":
			body = v
		}
	}
	r.members(n, "loop", []string{"loop"}, func(_ string, v *yaml.Node) {
		r.members(v, "loop", []string{"every", "times", "together", "name", "steps"}, read)
	})
	if body == nil {
		r.fail(n, "the loop has no steps")
	}
	begin := len(r.sc.steps)
	r.sc.steps = append(r.sc.steps, l)
	for _, item := range r.list(body, "steps") {
		r.step(item, depth)
	}
	if inner := r.sc.steps[begin+1:]; l.every == 0 && !slices.ContainsFunc(inner, waits) {
		r.fail(n, "the loop would turn as fast as the machine can: give it every: 1s, or a step that waits (ack, expect, think)")
	}
	r.sc.close(begin)
}

// waits reports whether a step takes time that is not this process's.
func waits(s step) bool {
	return s.do == doEmit && s.ack || s.do == doExpect || s.do == doThink && s.to > 0 || s.do == doLoop && s.every > 0
}

// ParseUsers reads what is different for every client: a CSV file with a header line, or JSON lines with an object each.
func ParseUsers(name string, text []byte) ([]map[string]string, error) {
	var users []map[string]string
	if ext := strings.ToLower(filepath.Ext(name)); ext == ".jsonl" || ext == ".ndjson" {
		for i, line := range bytes.Split(text, []byte{'\n'}) {
			if len(bytes.TrimSpace(line)) == 0 {
				continue
			}
			var members map[string]jsontext.Value
			if err := json.Unmarshal(line, &members); err != nil {
				return nil, fmt.Errorf("%s: line %d: want a JSON object: %w", name, i+1, err)
			}
			user := map[string]string{}
			for k, v := range members {
				user[k] = string(v)
				if v.Kind() == '"' {
					b, err := jsontext.AppendUnquote(nil, v)
					if err != nil {
						return nil, fmt.Errorf("%s: line %d: %w", name, i+1, err)
					}
					user[k] = string(b)
				}
			}
			users = append(users, user)
		}
	} else {
		r := csv.NewReader(bytes.NewReader(text))
		r.TrimLeadingSpace = true
		records, err := r.ReadAll()
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		for _, record := range records[min(1, len(records)):] {
			user := map[string]string{}
			for i, field := range record {
				user[records[0][i]] = field
			}
			users = append(users, user)
		}
	}
	if len(users) == 0 {
		return nil, fmt.Errorf("%s: there are no users in it: want a CSV file with a line of names first, or .jsonl with an object in each line", name)
	}
	return users, nil
}
