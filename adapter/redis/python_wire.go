package redis

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/sockeye-io/sockeye/adapter"
	"github.com/sockeye-io/sockeye/socketio/packet"
)

// What python-socketio's servers tell one another: objects with a method, as JSON or as a pickle.

// The methods.
const (
	methodEmit       = "emit"
	methodCallback   = "callback"
	methodDisconnect = "disconnect"
	methodEnter      = "enter_room"
	methodLeave      = "leave_room"
	methodClose      = "close_room"
)

var errPython = errors.New("not a message of python-socketio")

// A pythonMessage is what was received. Its parts are those that its method has.
type pythonMessage struct {
	method, namespace, hostID, sid string
	rooms                          []string // nil: all
	skip                           []string
	packet                         *adapter.Packet
	callback                       jsontext.Value // an array of three, whose parts the answer repeats
	id                             jsontext.Value
}

// A member is a part of a message that is sent. Those that are text, numbers and lists come as JSON.
type member struct {
	name  string
	value jsontext.Value
}

func quoted(s string) jsontext.Value { return mustQuote(s) }

func quotedList(s []string) jsontext.Value {
	switch len(s) {
	case 0:
		return jsontext.Value("null")
	case 1:
		return quoted(s[0])
	}
	dst := []byte{'['}
	for i, x := range s {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst, _ = jsontext.AppendQuote(dst, x) // the error only tells of invalid UTF-8
	}
	return append(dst, ']')
}

// encodePython writes a message. Args are for the member called name, "" if there are none.
func encodePython(version PythonVersion, members []member, name string, args []jsontext.Value, attachments [][]byte) ([]byte, error) {
	if version == PythonPickle {
		dst := []byte{0x80, 3, '}', '('}
		var err error
		for _, m := range members {
			if dst, err = appendPickle(pickleText(dst, m.name), m.value, nil); err != nil {
				return nil, err
			}
		}
		if name != "" {
			if dst, err = pickleArgs(pickleText(dst, name), name, args, attachments); err != nil {
				return nil, err
			}
		}
		return append(dst, 'u', '.'), nil
	}
	o := newObject(nil)
	for _, m := range members {
		o.raw(m.name, m.value)
	}
	if name == "" {
		return o.end(), nil
	}
	data := joined(args)
	if version == Python514 && name == "data" {
		switch len(args) {
		case 0:
			data = jsontext.Value("null")
		case 1:
			data = args[0]
		}
	}
	if name == "data" {
		o.flag("binary", len(attachments) > 0)
	}
	o.member(name)
	if len(attachments) == 0 {
		o.dst = append(o.dst, data...)
		return o.end(), nil
	}
	o.dst = append(append(o.dst, '['), data...)
	for _, a := range attachments {
		o.dst = append(o.dst, ',', '"')
		o.dst = append(base64.StdEncoding.AppendEncode(o.dst, a), '"')
	}
	o.dst = append(o.dst, ']')
	return o.end(), nil
}

// pickleArgs writes arguments as Python programs give them: several as a tuple, one as it is, none as None. Those of a
// callback are a tuple always.
func pickleArgs(dst []byte, name string, args []jsontext.Value, attachments [][]byte) (_ []byte, err error) {
	if name == "data" && len(args) == 0 {
		return append(dst, 'N'), nil
	}
	if name == "data" && len(args) == 1 {
		return appendPickle(dst, args[0], attachments)
	}
	dst = append(dst, '(')
	for _, a := range args {
		if dst, err = appendPickle(dst, a, attachments); err != nil {
			return nil, err
		}
	}
	return append(dst, 't'), nil
}

func joined(args []jsontext.Value) jsontext.Value {
	dst := []byte{'['}
	for i, a := range args {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = append(dst, a...)
	}
	return append(dst, ']')
}

// decodePython reads a message, whatever its format. The version says what a list in JSON means.
func decodePython(version PythonVersion, payload []byte) (*pythonMessage, error) {
	fields := make(map[string]jsontext.Value)
	var args []jsontext.Value
	var attachments [][]byte
	var err error
	if len(payload) > 0 && payload[0] == 0x80 {
		args, attachments, err = pickledFields(payload, fields)
	} else {
		args, attachments, err = jsonFields(version, payload, fields)
	}
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errPython, err)
	}
	m := &pythonMessage{
		method: text(fields["method"]), namespace: text(fields["namespace"]), hostID: text(fields["host_id"]), sid: text(fields["sid"]),
		id: fields["id"],
	}
	if m.namespace == "" {
		m.namespace = "/"
	}
	var ok bool
	if m.rooms, ok = texts(fields["room"]); !ok {
		return nil, errPython
	}
	if m.skip, ok = texts(fields["skip_sid"]); !ok {
		return nil, errPython
	}
	switch m.method {
	case methodEmit:
		event := fields["event"]
		if event.Kind() != '"' {
			return nil, errPython
		}
		if c := fields["callback"]; c.Kind() == '[' {
			m.callback = c
		}
		m.packet = &adapter.Packet{Data: joined(append([]jsontext.Value{event}, args...)), Attachments: attachments}
	case methodCallback:
		m.packet = &adapter.Packet{Data: joined(args), Attachments: attachments}
	case methodDisconnect, methodEnter, methodLeave:
		if m.sid == "" {
			return nil, errPython
		}
		fallthrough
	case methodClose:
		if m.method != methodDisconnect && len(m.rooms) != 1 {
			return nil, errPython
		}
	}
	return m, nil
}

// argsName returns which member has arguments.
func argsName(method string) string {
	if method == methodCallback {
		return "args"
	}
	return "data"
}

func jsonFields(version PythonVersion, payload []byte, fields map[string]jsontext.Value) (args []jsontext.Value, attachments [][]byte, err error) {
	v := jsontext.Value(bytes.Clone(payload))
	if v.Kind() != '{' {
		return nil, nil, errPython
	}
	if err := packet.Unmarshal(v, nil, &fields); err != nil {
		return nil, nil, err
	}
	name := argsName(text(fields["method"]))
	data := fields[name]
	if fields["binary"].Kind() == 't' && name == "data" {
		parts, err := elements(data)
		if err != nil || len(parts) == 0 {
			return nil, nil, errPython
		}
		for _, p := range parts[1:] {
			if p.Kind() != '"' {
				return nil, nil, errPython
			}
			b, err := base64.StdEncoding.AppendDecode(nil, []byte(text(p)))
			if err != nil {
				return nil, nil, err
			}
			attachments = append(attachments, b)
		}
		data = parts[0]
		var checked any // that each placeholder has its attachment
		if err := packet.Unmarshal(data, attachments, &checked); err != nil {
			return nil, nil, err
		}
	}
	switch {
	case name == "data" && data.Kind() == 'n', len(data) == 0:
		return nil, attachments, nil
	case data.Kind() != '[', name == "data" && version != Python515:
		return []jsontext.Value{data}, attachments, nil
	}
	args, err = elements(data)
	if name == "data" && len(args) == 1 && args[0].Kind() == 'n' {
		args = nil // so it is in Python
	}
	return args, attachments, err
}

func pickledFields(payload []byte, fields map[string]jsontext.Value) (args []jsontext.Value, attachments [][]byte, err error) {
	v, err := unpickle(payload)
	if err != nil {
		return nil, nil, err
	}
	d, ok := v.(*dict)
	if !ok {
		return nil, nil, errPickle
	}
	t := &translator{budget: 64*len(payload) + 1024}
	values := make(map[string]any, len(d.keys))
	for i, key := range d.keys {
		if name, ok := key.(string); ok {
			values[name] = d.values[i]
		}
	}
	method, _ := values["method"].(string)
	name := argsName(method)
	for key, value := range values {
		if key == name {
			continue
		}
		if fields[key], err = t.append(nil, value, 0); err != nil {
			return nil, nil, err
		}
	}
	if len(t.attachments) > 0 {
		return nil, nil, errPickle // bytes where names belong
	}
	var items []any
	switch data := values[name].(type) {
	case nil:
	case tuple:
		items = data
	case *list:
		if items = []any{data}; name == "args" {
			items = data.items
		}
	default:
		items = []any{data}
	}
	for _, item := range items {
		arg, err := t.append(nil, item, 1)
		if err != nil {
			return nil, nil, err
		}
		args = append(args, arg)
	}
	return args, t.attachments, nil
}

func elements(v jsontext.Value) ([]jsontext.Value, error) {
	if v.Kind() != '[' {
		return nil, errPython
	}
	return packet.SplitArgs(v, nil)
}

// text returns the text of a JSON string, and "" of anything else.
func text(v jsontext.Value) string {
	if v.Kind() != '"' {
		return ""
	}
	s, err := jsontext.AppendUnquote(nil, v)
	if err != nil {
		return ""
	}
	return string(s)
}

// texts returns the names in a string, an array of strings, or null.
func texts(v jsontext.Value) ([]string, bool) {
	switch v.Kind() {
	case '"':
		return []string{text(v)}, true
	case '[':
		parts, err := packet.SplitArgs(v, nil)
		if err != nil || len(parts) == 0 {
			return nil, false
		}
		names := make([]string, len(parts))
		for i, p := range parts {
			switch p.Kind() {
			case '"':
				names[i] = text(p)
			case '0': // rooms may be numbers in Python
				names[i] = string(p)
			default:
				return nil, false
			}
		}
		return names, true
	case '0':
		return []string{string(v)}, true
	}
	return nil, len(v) == 0 || v.Kind() == 'n'
}
