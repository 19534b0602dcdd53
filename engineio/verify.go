package engineio

import (
	"encoding/json"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

// request is an HTTP request with what every step needs of it.
type request struct {
	*http.Request
	query     url.Values
	transport string
	upgrade   bool // asks for a WebSocket
	secure    bool // came over TLS, as far as is known
}

// refusal is an answer that keeps a request from reaching a session.
type refusal struct {
	code       ErrorCode
	status     int
	message    string
	context    map[string]any
	retryAfter string // seconds
}

func refuse(code ErrorCode, context map[string]any) *refusal {
	return &refusal{code: code, status: http.StatusBadRequest, message: codeMessages[code], context: context}
}

func badRequest(name string, details ...any) *refusal {
	context := map[string]any{"name": name}
	for i := 0; i+1 < len(details); i += 2 {
		context[details[i].(string)] = details[i+1]
	}
	return refuse(CodeBadRequest, context)
}

func forbidden(message string) *refusal {
	return &refusal{
		code: CodeForbidden, status: http.StatusForbidden, message: message,
		context: map[string]any{"message": message},
	}
}

// verify checks a request in the order of the Node server and returns its
// session, or nil for a handshake.
func (srv *Server) verify(q *request) (*Session, *refusal) {
	q.transport = single(q.query, "transport")
	if !slices.Contains(srv.opts.Transports, q.transport) {
		return nil, refuse(CodeUnknownTransport, map[string]any{"transport": q.transport})
	}
	origin := q.Header.Get("Origin")
	if !printable(origin) {
		return nil, badRequest("INVALID_ORIGIN", "origin", strconv.Quote(origin))
	}
	if refused := srv.checkOrigin(q, origin); refused != nil {
		return nil, refused
	}
	if _, ok := q.query["sid"]; ok {
		return srv.verifySession(q)
	}
	return nil, srv.verifyHandshake(q)
}

func (srv *Server) verifySession(q *request) (*Session, *refusal) {
	sid := single(q.query, "sid")
	s := srv.Session(sid)
	if s == nil {
		return nil, refuse(CodeUnknownSession, map[string]any{"sid": sid})
	}
	if q.query.Get("EIO") != "4" {
		return nil, badRequest("PROTOCOL_MISMATCH", "protocol", 4)
	}
	if q.upgrade {
		return s, nil
	}
	if !s.speaks(q.transport, q.Method) {
		return nil, badRequest("TRANSPORT_MISMATCH", "transport", q.transport, "previousTransport", s.Transport())
	}
	return s, nil
}

// speaks reports whether the session takes a request of the given transport:
// its own, or the one it is about to be upgraded to.
func (s *Session) speaks(transport, method string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	current := s.transport.name()
	if transport == current {
		return true
	}
	if current != pollingName || transport != streamingName {
		return false
	}
	return method == http.MethodGet || s.upgrade != nil && s.upgrade.to.name() == streamingName
}

func (srv *Server) verifyHandshake(q *request) *refusal {
	if q.Method != http.MethodGet {
		return refuse(CodeBadHandshakeMethod, map[string]any{"method": q.Method})
	}
	if q.transport == websocketName && !q.upgrade {
		return badRequest("TRANSPORT_HANDSHAKE_ERROR")
	}
	if srv.stopped.Load() {
		return &refusal{code: CodeForbidden, status: http.StatusServiceUnavailable, message: "Server is shutting down", retryAfter: "1"}
	}
	if ok, wait := srv.limiter.allow(q.RemoteAddr, time.Now()); !ok {
		return &refusal{
			code: CodeForbidden, status: http.StatusTooManyRequests, message: "Too many handshakes from this address",
			retryAfter: srv.seconds(wait), context: map[string]any{"address": q.RemoteAddr},
		}
	}
	if limit := srv.opts.MaxSessions; limit > 0 && srv.Sessions() >= limit {
		return &refusal{code: CodeForbidden, status: http.StatusServiceUnavailable, message: "Too many sessions", retryAfter: "5"}
	}
	if allow := srv.opts.AllowRequest; allow != nil {
		if err := allow(q.Request); err != nil {
			message := err.Error()
			if message == "" {
				message = codeMessages[CodeForbidden]
			}
			return forbidden(message)
		}
	}
	if v := q.query.Get("EIO"); v != "4" {
		protocol, err := strconv.Atoi(v)
		if err != nil {
			protocol = 3 // clients of version 2 send 3 or nothing
		}
		return refuse(CodeUnsupportedVersion, map[string]any{"protocol": protocol})
	}
	return nil
}

// refuse writes the answer: JSON for plain requests; for upgrades, which
// browsers do not show the body of, the message as text on a connection that is
// closed, as in the Node server.
func (srv *Server) refuse(w http.ResponseWriter, q *request, f *refusal) {
	srv.stats.refused.Add(1)
	srv.debug("engineio: request refused", func() []any {
		return []any{"status", f.status, "message", f.message, "transport", q.transport, "remote", q.RemoteAddr}
	})
	if srv.opts.OnConnectionError != nil {
		srv.opts.OnConnectionError(&ConnectionError{
			Request: q.Request, Code: f.code, Message: f.message, Status: f.status, Context: f.context,
		})
	}
	dropBody(w, q.Request)
	h := w.Header()
	if f.retryAfter != "" {
		h.Set("Retry-After", f.retryAfter)
	}
	var body []byte
	if q.upgrade {
		h.Set("Connection", "close")
		h.Set("Content-Type", "text/html")
		h.Set("X-Content-Type-Options", "nosniff")
		body = []byte(f.message)
	} else {
		h.Set("Content-Type", "application/json")
		message, _ := json.Marshal(f.message) // a string cannot fail
		body = []byte(`{"code":` + strconv.Itoa(int(f.code)) + `,"message":` + string(message) + `}`)
	}
	h.Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(f.status)
	_, _ = w.Write(body) // a peer that has left does not matter here
}

// parseQuery is url.ParseQuery with two allocations instead of six where nothing
// is escaped: it is called for every poll.
func parseQuery(raw string) url.Values {
	if strings.ContainsAny(raw, "%+;") {
		v, _ := url.ParseQuery(raw)
		return v
	}
	n := strings.Count(raw, "&") + 1
	all := make([]string, 0, n)
	values := make(url.Values, n)
	for part := range strings.SplitSeq(raw, "&") {
		if part == "" {
			continue
		}
		k, v, _ := strings.Cut(part, "=")
		if values[k] != nil {
			values[k] = append(values[k], v)
			continue
		}
		all = append(all, v)
		values[k] = all[len(all)-1 : len(all) : len(all)]
	}
	return values
}

// single returns the value of a parameter that is given exactly once.
func single(query url.Values, key string) string {
	if values := query[key]; len(values) == 1 {
		return values[0]
	}
	return ""
}

func isWebSocketUpgrade(r *http.Request) bool {
	return hasToken(r.Header["Connection"], "upgrade") && hasToken(r.Header["Upgrade"], "websocket")
}

func hasToken(values []string, token string) bool {
	for _, v := range values {
		for part := range strings.SplitSeq(v, ",") {
			if strings.EqualFold(strings.TrimSpace(part), token) {
				return true
			}
		}
	}
	return false
}

// printable reports whether a header value has no control characters.
func printable(s string) bool {
	for i := range len(s) {
		if c := s[i]; c < ' ' && c != '\t' || c == 0x7f {
			return false
		}
	}
	return true
}
