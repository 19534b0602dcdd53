package doctor

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"regexp"
	"strings"
)

// withScheme finds URLs with a scheme; "localhost:3000" is not one.
var withScheme = regexp.MustCompile(`^[a-zA-Z][a-zA-Z0-9+.-]*://`)

// secretKey finds the parameters that carry credentials, whatever their length.
var secretKey = regexp.MustCompile(`(?i)token|key|auth|secret|pass|pwd|jwt|session|sid|code|sig|user`)

// parse understands the URL the way clients do: its path is the namespace, unless it is plainly that of an Engine.IO
// server.
func (x *exam) parse(raw string) error {
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
		return fmt.Errorf("the URL can't be understood: %w", err)
	}
	switch u.Scheme {
	case "http", "https":
	case "ws":
		u.Scheme = "http"
	case "wss":
		u.Scheme = "https"
	default:
		return fmt.Errorf("the URL begins with %s://; http, https, ws and wss are known", u.Scheme)
	}
	if u.Hostname() == "" {
		return errors.New("the URL has no host")
	}
	if port := u.Port(); port == "" && strings.HasSuffix(u.Host, ":") {
		u.Host = strings.TrimSuffix(u.Host, ":")
	}
	if u.User != nil {
		password, _ := u.User.Password()
		x.secrets.add(password)
	}
	for key, values := range u.Query() {
		for _, v := range values {
			// Others are words such as a version or a language, and taking these out of the report would spoil it.
			if len(v) >= 16 || secretKey.MatchString(key) {
				x.secrets.add(v)
			}
		}
	}
	x.path, x.namespace = x.opts.Path, x.opts.Namespace
	path := strings.Trim(u.Path, "/")
	last := path[strings.LastIndex(path, "/")+1:]
	switch {
	case path == "":
	case x.path == "" && (last == "socket.io" || last == "engine.io"):
		x.path = "/" + path + "/"
	default:
		x.guessed = []string{"/" + path + "/socket.io/", "/" + path + "/"}
		if x.namespace == "" {
			x.namespace = "/" + path
		}
	}
	if x.path == "" {
		x.path = "/socket.io/"
	}
	if x.namespace == "" {
		x.namespace = "/"
	}
	x.base = &url.URL{Scheme: u.Scheme, User: u.User, Host: u.Host, RawQuery: u.RawQuery}
	x.report.URL = displayURL(u) // until the end: with what was asked for
	return nil
}

// port is that of the URL, or the one that its scheme stands for.
func (x *exam) port() string {
	switch {
	case x.base.Port() != "":
		return x.base.Port()
	case x.base.Scheme == "https":
		return "443"
	}
	return "80"
}

// credentials reports whether requests carry something that nobody else may see.
func (x *exam) credentials() bool {
	return len(x.opts.Header) > 0 || len(x.opts.Auth) > 0 || x.base.User != nil || x.base.RawQuery != ""
}

// examineURL says how the URL was understood, and what in it is likely a mistake.
func (x *exam) examineURL(_ context.Context, s *Step) {
	s.say("%s://%s, path %s, namespace %s", x.base.Scheme, x.base.Host, x.path, x.namespace)
	given, _ := url.Parse(x.report.URL)
	s.evidence("given: %s", x.report.URL)
	if x.base.Scheme == "http" && x.port() == "443" {
		s.warning("port-scheme", "Port 443 is for https, and the URL says http.", "Use https:// in the URL.")
	}
	if x.base.Scheme == "https" && x.port() == "80" {
		s.warning("port-scheme", "Port 80 is for http, and the URL says https.", "Use http:// in the URL, or leave the port out.")
	}
	if x.base.User != nil {
		s.warning("url-credentials", "The URL has a user and a password; browsers don't send them for WebSocket, and some refuse the URL.",
			"Send credentials in auth, which every transport carries.")
	}
	path := strings.Trim(given.Path, "/")
	if path != "" && x.namespace != "/"+path {
		s.warning("url-path", fmt.Sprintf("The URL has the path of the server, /%s; clients take the path of a URL for the namespace.", path),
			fmt.Sprintf("In clients, give the URL without it, and the path as an option: io(%q, { path: %q }).", x.base.Scheme+"://"+x.base.Host, x.path))
	}
	if given.Fragment != "" {
		s.warning("url-fragment", "The URL has a #fragment, which never leaves the client.", "Leave it out.")
	}
	if ip := net.ParseIP(x.base.Hostname()); ip != nil && ip.IsUnspecified() {
		s.warning("url-unspecified", x.base.Hostname()+" is an address to listen on, not one to connect to; browsers refuse it.",
			"Use localhost or the machine's name.")
	}
}
