package client

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"fmt"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/sockeye-io/sockeye/client/engine"
	"github.com/sockeye-io/sockeye/socketio/packet"
)

// join asks the server for the namespace, on the connection that there is. c.mu is held, and the socket is active.
func (s *Socket) join() {
	if s.sess != nil {
		return // it is in, or its turn comes when the server has answered for what it left
	}
	s.stopRejoin()
	sess := newSession(s, s.client.link)
	s.sess = sess
	auth := s.auth
	if auth == nil {
		s.requestJoin(sess, nil)
		return
	}
	s.client.work.start(func() { s.authenticate(sess, auth) })
}

// authenticate asks the user what to tell the server.
func (s *Socket) authenticate(sess *session, auth func(context.Context) (any, error)) {
	c := s.client
	ctx, cancel := context.WithTimeout(sess.ctx, c.opts.ConnectTimeout)
	defer cancel()
	var payload jsontext.Value
	err := protect(func() error {
		v, err := auth(ctx)
		if err == nil {
			payload, err = encodeAuth(v)
		}
		return err
	})
	c.mu.Lock()
	defer c.mu.Unlock()
	if s.sess != sess {
		return
	}
	if err != nil {
		s.authFailed(sess, fmt.Errorf("client: auth: %w", err))
		return
	}
	s.requestJoin(sess, payload)
}

func encodeAuth(v any) (jsontext.Value, error) {
	if v == nil {
		return nil, nil
	}
	text, err := packet.AppendValue(nil, packet.Header{}, v)
	if err != nil {
		return nil, err
	}
	payload := jsontext.Value(text[1:]) // behind the type
	switch payload.Kind() {
	case '{':
		return payload, nil
	case 'n':
		return nil, nil
	}
	return nil, fmt.Errorf("%T does not encode as a JSON object", v)
}

// authFailed is a failed attempt to join. The connection may be of use to other sockets, so it stays. c.mu is held.
func (s *Socket) authFailed(sess *session, err error) {
	s.drop(sess)
	s.connectFailed(err)
	r := &s.client.opts.Reconnect
	if r.Disabled || (r.Attempts > 0 && s.rejoins >= r.Attempts) {
		s.deactivate(err)
		s.client.release()
		return
	}
	s.rejoinTimer = time.AfterFunc(r.delay(s.rejoins), func() {
		s.client.mu.Lock()
		defer s.client.mu.Unlock()
		s.rejoin()
	})
	s.rejoins++
}

// rejoin ends the wait after a failed authentication, if there is one. c.mu is held.
func (s *Socket) rejoin() {
	if s.rejoinTimer == nil {
		return
	}
	s.stopRejoin()
	if s.active && s.client.link != nil {
		s.join()
	}
}

// stopRejoin is called with c.mu held.
func (s *Socket) stopRejoin() {
	if s.rejoinTimer != nil {
		s.rejoinTimer.Stop()
		s.rejoinTimer = nil
	}
}

// requestJoin sends the CONNECT packet. c.mu is held.
func (s *Socket) requestJoin(sess *session, auth jsontext.Value) {
	sess.phase = joining
	payload := s.payload(auth)
	text := packet.AppendRaw(nil, packet.Header{Type: packet.Connect, Namespace: s.namespace}, payload, 0)
	ms, err := s.client.frames(text, nil)
	if err == nil {
		err = sess.link.conn.Send(ms...)
	}
	if err != nil && err != engine.ErrClosed { // that all sockets are about to hear
		s.authFailed(sess, fmt.Errorf("client: cannot ask for namespace %q: %w", s.namespace, err))
	}
}

// payload is what a CONNECT packet carries: where to go on, the name of this socket if events may be repeated, and what
// Auth said, which wins. c.mu is held.
func (s *Socket) payload(auth jsontext.Value) jsontext.Value {
	var p []byte
	add := func(key, value string) {
		if value == "" {
			return
		}
		p = append(p, ',', '"')
		p = append(append(p, key...), `":`...)
		p, _ = jsontext.AppendQuote(p, value) // the error only tells of invalid UTF-8
	}
	if s.pid != "" {
		add("pid", s.pid)
		add("offset", s.offset)
	}
	if s.client.opts.Retries > 0 {
		if s.once == "" {
			s.once = newNonce()
		}
		add("once", s.once)
	}
	switch {
	case len(p) == 0:
		return auth
	case len(auth) == 0:
		p = append(p, '}')
	default:
		if rest := auth[1:]; len(rest) > 1 {
			p = append(append(p, ','), rest...)
		} else {
			p = append(p, '}')
		}
	}
	p[0] = '{'
	return p
}

// newNonce returns 22 characters with 128 random bits.
func newNonce() string {
	var b [16]byte
	rand.Read(b[:]) // never fails
	return base64.RawURLEncoding.EncodeToString(b[:])
}

// accepted is the answer of a server that lets the socket in. c.mu is held.
func (s *Socket) accepted(data jsontext.Value) {
	sess := s.sess
	if sess.phase == joined {
		return
	}
	var reply struct{ SID, PID string }
	if len(data) > 0 {
		_ = packet.Unmarshal(data, nil, &reply) // what is missing then is found out below
	}
	switch {
	case reply.SID == "": // such a server does not wait until it is asked
		if !s.retract(sess) {
			s.reject(ErrServerV2)
		}
		return
	case sess.phase == authenticating:
		return
	case sess.unwanted:
		s.sendDisconnect(sess)
		s.retract(sess)
		return
	}
	sess.phase = joined
	s.leftOn = nil
	s.rejoins = 0
	s.id = reply.SID
	s.recovered = reply.PID != "" && reply.PID == s.pid
	if !s.recovered {
		s.pid, s.offset = reply.PID, ""
	}
	sess.recoverable = reply.PID != ""
	if sess.recoverable && sess.offset != "" {
		s.offset = sess.offset
	}
	for _, t := range sess.held {
		s.queue.push(&s.client.work, t)
	}
	sess.held = nil
	s.sendBuffered()
	s.sendNext()
	notify(s, &s.onConnect, func(f func()) { f() })
	s.connectDone(nil)
}

// retract forgets a session that the server was asked for in vain, and reports whether nobody wanted it anyway. c.mu is
// held.
func (s *Socket) retract(sess *session) bool {
	unwanted := sess.unwanted
	s.drop(sess)
	if unwanted && s.active {
		s.join() // it had been opened again meanwhile
	}
	return unwanted
}

// refused is the answer of a server that does not let the socket in. c.mu is held.
func (s *Socket) refused(err *ConnectError) {
	if s.sess.phase != joining || s.retract(s.sess) {
		return
	}
	s.reject(err)
}

// reject tells that there is no use in trying again. c.mu is held.
func (s *Socket) reject(err error) {
	s.connectFailed(err)
	s.deactivate(err)
	s.client.release()
}

// parseConnectError reads the data of a CONNECT_ERROR: a string, or an object with a message and perhaps more.
func parseConnectError(data jsontext.Value) *ConnectError {
	e := &ConnectError{Message: "no reason given"}
	switch data.Kind() {
	case '"':
		_ = packet.Unmarshal(data, nil, &e.Message) // is a valid string
	case '{':
		var body struct {
			Message jsontext.Value
			Data    jsontext.Value
		}
		_ = packet.Unmarshal(data, nil, &body) // is a valid object
		if body.Message.Kind() == '"' {
			_ = packet.Unmarshal(body.Message, nil, &e.Message)
		}
		e.Data = body.Data
	}
	return e
}

// expelled is a server that disconnects the socket. c.mu is held.
func (s *Socket) expelled() {
	sess := s.sess
	switch {
	case sess.phase == joining && s.leftOn == sess.link:
		s.leftOn = nil // it is about the session before, which this side has left at the same time
	case sess.phase == joining && sess.unwanted:
	case sess.phase != authenticating:
		s.end(ReasonServerDisconnect, nil)
		s.deactivate(errServerDisconnect)
		s.client.release()
	}
}

var errServerDisconnect = fmt.Errorf("%w by the server", ErrDisconnected)

// sendDisconnect tells the server that the socket leaves. c.mu is held.
func (s *Socket) sendDisconnect(sess *session) {
	text := packet.AppendHeader(nil, packet.Header{Type: packet.Disconnect, Namespace: s.namespace}, 0)
	if ms, err := s.client.frames(text, nil); err == nil {
		_ = sess.link.conn.Send(ms...) // a connection that has ended needs no goodbye
	}
}
