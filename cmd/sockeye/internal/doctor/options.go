package doctor

import (
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// Options say how to examine. Zero values are defaults.
type Options struct {
	Path      string          // of the Engine.IO server; empty means "/socket.io/", or the one that the URL has
	Namespace string          // empty means "/", or the one that the URL has
	Auth      json.RawMessage // sent with the CONNECT, a JSON object; nil means none
	Origin    string          // of the page that is to connect, such as "https://app.example.com"; empty means the server's own
	Header    http.Header     // added to every request
	Roots     *x509.CertPool  // whom to trust; nil means the system's authorities
	Insecure  bool            // go on, with credentials too, although the certificate is not valid
	Timeout   time.Duration   // for one answer; zero means 5 s
	Idle      time.Duration   // how long to watch silent connections; zero means 2 s
	Sessions  int             // how many handshakes the check for sticky sessions makes; zero means 10

	Begin    func(title string)                 // called before each step
	Step     func(*Step)                        // called after each step
	Progress func(title string, done, of int64) // called while a long step runs, in any goroutine
}

// withDefaults returns a complete copy, or an error that says what is wrong.
func (o *Options) withDefaults() (Options, error) {
	var c Options
	if o != nil {
		c = *o
	}
	if c.Timeout == 0 {
		c.Timeout = 5 * time.Second
	}
	if c.Idle == 0 {
		c.Idle = 2 * time.Second
	}
	if c.Sessions == 0 {
		c.Sessions = 10
	}
	if c.Timeout < 0 || c.Idle < 0 || c.Sessions < 0 {
		return c, errors.New("a duration and the number of sessions can't be negative")
	}
	if len(c.Auth) > 0 {
		var object map[string]json.RawMessage
		if err := json.Unmarshal(c.Auth, &object); err != nil {
			return c, errors.New(`the auth is not a JSON object such as {"token":"…"}`)
		}
	}
	if c.Origin != "" {
		u, err := url.Parse(c.Origin)
		if err != nil || (u.Scheme != "http" && u.Scheme != "https") || u.Host == "" || strings.Trim(u.Path, "/") != "" {
			return c, fmt.Errorf("%q is no origin; one looks like https://app.example.com", c.Origin)
		}
		c.Origin = u.Scheme + "://" + strings.ToLower(u.Host)
	}
	if c.Namespace != "" && !strings.HasPrefix(c.Namespace, "/") {
		c.Namespace = "/" + c.Namespace
	}
	if strings.Contains(c.Namespace, ",") {
		return c, fmt.Errorf("a namespace has no comma: %q", c.Namespace)
	}
	if c.Path != "" {
		c.Path = "/" + strings.Trim(c.Path, "/") + "/"
		if c.Path == "//" {
			c.Path = "/"
		}
	}
	if c.Begin == nil {
		c.Begin = func(string) {}
	}
	if c.Step == nil {
		c.Step = func(*Step) {}
	}
	if c.Progress == nil {
		c.Progress = func(string, int64, int64) {}
	}
	return c, nil
}
