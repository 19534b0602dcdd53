package main

import (
	"encoding/json"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"strings"
	"testing"

	"github.com/sockeye-io/sockeye/examples/internal/try"
)

func TestMain(m *testing.M) { try.Main(m, main) }

// A browser is what keeps cookies.
type browser struct {
	t   *testing.T
	url string
	http.Client
}

func login(t *testing.T, p *try.Program, name string) *browser {
	t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	b := &browser{t, p.URL, http.Client{Jar: jar}}
	res, err := b.PostForm(p.URL+"/login", url.Values{"name": {name}})
	if err != nil {
		t.Fatal(err)
	}
	res.Body.Close()
	if res.StatusCode != http.StatusNoContent {
		t.Fatalf("POST /login: %s", res.Status)
	}
	return b
}

func (b *browser) token() map[string]string {
	b.t.Helper()
	res, err := b.Post(b.url+"/token", "", nil)
	if err != nil {
		b.t.Fatal(err)
	}
	defer res.Body.Close()
	var got issued
	if err := json.NewDecoder(res.Body).Decode(&got); err != nil {
		b.t.Fatalf("%s: %v", res.Status, err)
	}
	return map[string]string{"token": got.Token}
}

func TestAuth(t *testing.T) {
	p := try.Start(t)
	p.HasPage(t)
	ada := login(t, p, "Ada")

	c := p.WebSocket(t, ada.token()).Joined()
	var name string
	if failed := c.Ask(&name, "whoami"); failed != nil || name != "Ada" {
		t.Errorf("%q, %+v", name, failed)
	}
	var next issued
	if failed := c.Ask(&next, "refresh", ada.token()["token"]); failed != nil || next.Life <= 0 {
		t.Errorf("a refresh: %+v, %+v", next, failed)
	}
	bob := login(t, p, "Bob").token()["token"]
	for _, token := range []string{bob, bob + "A", "", "."} {
		if failed := c.Ask(nil, "refresh", token); failed == nil || failed.Code != "invalid" {
			t.Errorf("a refresh with %q: %+v", token, failed)
		}
	}
}

func TestAuthRefuses(t *testing.T) {
	p := try.Start(t)
	res, err := http.Post(p.URL+"/token", "", nil)
	if err != nil {
		t.Fatal(err)
	}
	res.Body.Close()
	if res.StatusCode != http.StatusUnauthorized {
		t.Errorf("a token without a login: %s", res.Status)
	}
	ada := login(t, p, "Ada")
	here, _ := url.Parse(p.URL)
	session := ada.Jar.Cookies(here)[0].Value
	forged := signer{[]byte("another key")}.sign(claim{Purpose: "socket", Name: "Ada"})
	for _, token := range []any{nil, session, forged, ada.token()["token"] + "A", strings.Repeat("x", 1000), 7} {
		var data struct{ Code string }
		message := p.Polling(t, map[string]any{"token": token}).Refused(&data)
		if message != errInvalid.Error() || data.Code != "invalid" {
			t.Errorf("with the token %v: %q, %+v", token, message, data)
		}
	}
}

func TestAuthExpired(t *testing.T) {
	p := try.Start(t, "--token-life", "-1s")
	var data struct{ Code string }
	message := p.WebSocket(t, login(t, p, "Ada").token()).Refused(&data)
	if message != errExpired.Error() || data.Code != "expired" {
		t.Errorf("%q, %+v", message, data)
	}
}

func TestAuthExpiresWhileConnected(t *testing.T) {
	p := try.Start(t, "--token-life", "2s")
	ada := login(t, p, "Ada")
	c := p.WebSocket(t, ada.token())
	for !c.TryJoin() { // on a machine so busy that the token was too old already
		c = p.WebSocket(t, ada.token())
	}
	c.Next("expired")
	c.Ended()
	// With a new token the door is open again.
	for !p.WebSocket(t, ada.token()).TryJoin() {
	}
}
