package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/sockeye-io/sockeye/client"
	"github.com/sockeye-io/sockeye/client/engine"
	"github.com/sockeye-io/sockeye/cmd/sockeye/internal/show"
)

// clientFlags are what connect, emit and listen have in common.
type clientFlags struct {
	URL         string        `arg:"" help:"Where to connect, such as localhost:3000 or https://example.com. A path is the namespace."`
	Namespace   string        `short:"n" aliases:"to" placeholder:"NAME" help:"The namespace to join; that of the URL if not given, or /."`
	Auth        string        `env:"SOCKEYE_AUTH" placeholder:"JSON" help:"The auth to join with, a JSON object. @FILE reads it from a file and env:NAME from a variable, at every connect anew: that keeps it out of the shell's history and the list of processes."`
	Header      []string      `short:"H" sep:"none" placeholder:"'NAME: VALUE'" help:"Add a header to every request; @FILE reads them from a file, one a line. May be given more than once."`
	Cookie      []string      `short:"b" sep:"none" placeholder:"NAME=VALUE" help:"Send a cookie. May be given more than once."`
	Query       []string      `sep:"none" placeholder:"NAME=VALUE" help:"Add a parameter to the query of every request. May be given more than once."`
	Path        string        `default:"/socket.io/" help:"The path of the Socket.IO server."`
	Transport   []string      `short:"t" enum:"websocket,polling,streaming" placeholder:"NAME,…" help:"Transports to try, in this order: websocket, polling, streaming. All, best first, if not given."`
	NoUpgrade   bool          `help:"Stay with the transport that connected."`
	Insecure    bool          `short:"k" help:"Accept any certificate."`
	CA          string        `name:"ca" type:"path" placeholder:"FILE" help:"Trust the certificates in this PEM file, too."`
	Timeout     time.Duration `default:"10s" help:"How long connecting may take, and how long to wait for an acknowledgement."`
	NoReconnect bool          `help:"End when the connection is lost."`
	Msgpack     bool          `help:"Speak the format of socket.io-msgpack-parser."`
	Debug       bool          `help:"Write what the client does to standard error."`
}

// target is what the flags stand for.
type target struct {
	url       *url.URL
	namespace string
	options   *client.Options
	secrets   *show.Secrets
}

// withScheme finds URLs with a scheme; "localhost:3000" is not one.
var withScheme = regexp.MustCompile(`^[a-zA-Z][a-zA-Z0-9+.-]*://`)

// parseTarget understands a URL: without a scheme it is http, or https on port 443.
func parseTarget(raw string) (*url.URL, error) {
	if !withScheme.MatchString(raw) {
		scheme := "http://"
		if host, _, _ := strings.Cut(raw, "/"); strings.HasSuffix(host, ":443") {
			scheme = "https://"
		}
		if strings.HasPrefix(raw, ":") {
			raw = "localhost" + raw
		}
		raw = scheme + raw
	}
	u, err := url.Parse(raw)
	if err != nil {
		if ue, ok := errors.AsType[*url.Error](err); ok {
			err = ue.Err // it quotes the URL, with a password perhaps
		}
		return nil, fmt.Errorf("the URL can't be understood: %w", err)
	}
	switch u.Scheme {
	case "http", "https", "ws", "wss":
	default:
		return nil, fmt.Errorf("the URL begins with %s://; http, https, ws and wss are known", u.Scheme)
	}
	if u.Hostname() == "" {
		return nil, errors.New("the URL has no host")
	}
	if port := u.Port(); port != "" {
		if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
			return nil, fmt.Errorf("the URL has the port %s; ports go from 1 to 65535", port)
		}
	}
	u.Fragment = ""
	return u, nil
}

// target checks the flags. Errors are those of the command line.
func (f *clientFlags) target(stderr io.Writer) (*target, error) {
	u, err := parseTarget(f.URL)
	if err != nil {
		return nil, err
	}
	if f.Timeout <= 0 {
		return nil, errors.New("--timeout must be more than zero")
	}
	t := &target{url: u, namespace: f.Namespace, secrets: &show.Secrets{}}
	path := strings.TrimSuffix(u.Path, "/")
	if strings.HasSuffix(path, "/socket.io") || strings.HasSuffix(path, "/engine.io") {
		return nil, fmt.Errorf("the path of the URL is the namespace; say where the server listens with --path %s/", path)
	}
	if t.namespace == "" {
		t.namespace = path
	}
	if !strings.HasPrefix(t.namespace, "/") {
		t.namespace = "/" + t.namespace
	}
	u.Path, u.RawPath = "", ""

	o := &client.Options{
		Path: f.Path, NoUpgrade: f.NoUpgrade, Header: http.Header{}, Query: url.Values{},
		ConnectTimeout: f.Timeout, AckTimeout: f.Timeout,
		Reconnect: client.ReconnectOptions{Disabled: f.NoReconnect},
		Logger:    slog.New(slog.DiscardHandler),
	}
	t.options = o
	if len(f.Transport) > 0 {
		o.Transports = f.Transport
	}
	if f.Msgpack {
		o.Format = client.Msgpack
	}
	if password, ok := u.User.Password(); ok {
		t.secrets.Add(password)
	}
	for _, values := range u.Query() {
		t.secrets.Add(values...)
	}
	if err := f.headers(t); err != nil {
		return nil, err
	}
	for _, q := range f.Query {
		name, value, _ := strings.Cut(q, "=")
		if name == "" {
			return nil, errors.New("--query is NAME=VALUE")
		}
		o.Query.Add(name, value)
		t.secrets.Add(value)
	}
	if f.CA != "" || f.Insecure {
		if o.TLSConfig, err = f.tls(); err != nil {
			return nil, err
		}
	}
	if f.Auth != "" {
		if _, err := f.auth(t.secrets); err != nil {
			return nil, err
		}
		o.Auth = func(context.Context) (any, error) { return f.auth(t.secrets) }
	}
	if f.Debug {
		w := &hidingWriter{stderr, t.secrets}
		o.Logger = slog.New(slog.NewTextHandler(w, &slog.HandlerOptions{Level: slog.LevelDebug}))
	}
	return t, nil
}

// hidingWriter passes lines on without secrets.
type hidingWriter struct {
	w       io.Writer
	secrets *show.Secrets
}

func (w *hidingWriter) Write(p []byte) (int, error) {
	_, err := io.WriteString(w.w, show.CleanLines(w.secrets.Hide(string(p))))
	return len(p), err
}

func (f *clientFlags) headers(t *target) error {
	lines := slices.Clone(f.Header)
	for i := 0; i < len(lines); i++ {
		file, ok := strings.CutPrefix(lines[i], "@")
		if !ok {
			continue
		}
		data, err := os.ReadFile(file)
		if err != nil {
			return fmt.Errorf("--header: %w", err)
		}
		var read []string
		for line := range strings.Lines(string(data)) {
			if line = strings.TrimSpace(line); line != "" && !strings.HasPrefix(line, "#") && !strings.HasPrefix(line, "@") {
				read = append(read, line)
			}
		}
		lines = slices.Replace(lines, i, i+1, read...)
		i += len(read) - 1
	}
	for _, h := range lines {
		name, value, ok := strings.Cut(h, ":")
		if !ok || name == "" || strings.ContainsAny(name, " \t\r\n") || strings.ContainsAny(value, "\r\n") {
			return errors.New("--header is NAME: VALUE, such as 'Authorization: Bearer …'")
		}
		t.options.Header.Add(name, strings.TrimSpace(value))
	}
	for _, c := range f.Cookie {
		name, value, ok := strings.Cut(c, "=")
		if !ok || name == "" || strings.ContainsAny(c, "\r\n") {
			return errors.New("--cookie is NAME=VALUE")
		}
		t.secrets.Add(value)
	}
	if len(f.Cookie) > 0 {
		t.options.Header.Add("Cookie", strings.Join(f.Cookie, "; "))
	}
	t.secrets.AddHeader(t.options.Header)
	return nil
}

func (f *clientFlags) tls() (*tls.Config, error) {
	c := &tls.Config{InsecureSkipVerify: f.Insecure}
	if f.CA == "" {
		return c, nil
	}
	data, err := os.ReadFile(f.CA)
	if err != nil {
		return nil, fmt.Errorf("--ca: %w", err)
	}
	pool, err := x509.SystemCertPool()
	if err != nil {
		pool = x509.NewCertPool() // Windows before Go knew better, or a broken store
	}
	if !pool.AppendCertsFromPEM(data) {
		return nil, fmt.Errorf("--ca: there is no certificate in %s", f.CA)
	}
	c.RootCAs = pool
	return c, nil
}

// auth reads what --auth names. It is done at every connect, so that a file may bring a new token. Errors don't quote it.
func (f *clientFlags) auth(secrets *show.Secrets) (any, error) {
	text, from := f.Auth, "--auth"
	if file, ok := strings.CutPrefix(text, "@"); ok {
		data, err := os.ReadFile(file)
		if err != nil {
			return nil, fmt.Errorf("--auth: %w", err)
		}
		text, from = string(data), "--auth: "+file
	} else if name, ok := strings.CutPrefix(text, "env:"); ok {
		if text = os.Getenv(name); text == "" {
			return nil, fmt.Errorf("--auth: the variable %s is not set", name)
		}
		from = "--auth: $" + name
	}
	v := jsontext.Value(bytes.TrimSpace([]byte(text)))
	if !v.IsValid() || v.Kind() != '{' {
		return nil, fmt.Errorf(`%s is not a JSON object, such as {"token":"…"}`, from)
	}
	secrets.AddJSON(v)
	return v, nil
}

// dial makes the first connection: one attempt, within --timeout. The error says what to look at.
func (t *target) dial(ctx context.Context, s *client.Socket, timeout time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, timeout+time.Second/2) // Options.ConnectTimeout, which knows more, comes first
	defer cancel()
	failed := make(chan error, 1)
	sub := s.OnConnectError(func(err error) {
		select {
		case failed <- err:
		default:
		}
		cancel() // one attempt
	})
	defer sub.Close()
	err := s.Connect(ctx)
	if err == nil {
		return nil
	}
	select {
	case err = <-failed:
	default:
	}
	return codeError{exitConnect, t.explain(err)}
}

// explain says why there is no connection, in a few lines.
func (t *target) explain(err error) string {
	where := t.url.Scheme + "://" + t.url.Host
	say := func(format string, args ...any) string {
		return show.CleanLines(t.secrets.Hide(fmt.Sprintf(format, args...)))
	}
	if refused, ok := errors.AsType[*client.ConnectError](err); ok {
		text := say("%s refused the namespace %s: %s", where, t.namespace, refused.Message)
		if refused.Data != nil {
			text += say(" %s", show.AppendJSON(nil, refused.Data, nil))
		}
		return text
	}
	if dns, ok := errors.AsType[*net.DNSError](err); ok {
		return say("can't connect to %s: there is no host %s (%s)", where, dns.Name, dns.Err)
	}
	dial, ok := errors.AsType[*engine.DialError](err)
	if !ok || len(dial.Attempts) == 0 {
		if errors.Is(err, context.DeadlineExceeded) {
			return say("can't connect to %s: no answer in time (--timeout)", where)
		}
		return say("can't connect to %s: %v", where, err)
	}
	var b strings.Builder
	b.WriteString(say("can't connect to %s", where))
	for _, a := range dial.Attempts {
		b.WriteString(say("\n  %s: %s", a.Transport, strings.TrimPrefix(a.Err.Error(), "engine: ")))
	}
	b.WriteString(say("\nRun \"sockeye doctor %s\" to find out more.", where))
	return b.String()
}
