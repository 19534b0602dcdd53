package main

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sockeye-io/sockeye/client"
	"github.com/sockeye-io/sockeye/examples/internal/try"
	"github.com/sockeye-io/sockeye/sockeyetest"
)

func TestMain(m *testing.M) { try.Main(m, main) }

const life = time.Minute

// inTime runs a test with a fake clock: tokens expire when they should, at once.
func inTime(t *testing.T, test func(t *testing.T, srv *sockeyetest.Server)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		a := &app{signer{[]byte("a key")}, life}
		site, io := a.site()
		test(t, sockeyetest.Start(t, site, io))
	})
}

// A browser is what keeps cookies.
type browser struct {
	*http.Client
	srv *sockeyetest.Server
}

func login(t *testing.T, srv *sockeyetest.Server, name string) *browser {
	t.Helper()
	b := &browser{srv.HTTP(), srv}
	res, err := b.PostForm(srv.URL()+"/login", url.Values{"name": {name}})
	if err != nil {
		t.Fatal(err)
	}
	res.Body.Close()
	if res.StatusCode != http.StatusNoContent {
		t.Fatalf("POST /login: %s", res.Status)
	}
	return b
}

// token fetches a token, as the page does.
func (b *browser) token() (issued, error) {
	res, err := b.Post(b.srv.URL()+"/token", "", nil)
	if err != nil {
		return issued{}, err
	}
	defer res.Body.Close()
	var got issued
	return got, json.NewDecoder(res.Body).Decode(&got)
}

func (b *browser) mustToken(t *testing.T) string {
	t.Helper()
	got, err := b.token()
	if err != nil {
		t.Fatal(err)
	}
	return got.Token
}

// with is what a client sends that has this token.
func with(token any) sockeyetest.Option {
	return sockeyetest.Auth(map[string]any{"token": token})
}

// fresh fetches a new token for every connect.
func (b *browser) fresh() sockeyetest.Option {
	return sockeyetest.Configure(func(o *client.Options) {
		o.Auth = func(context.Context) (any, error) { return b.token() }
	})
}

func TestAuth(t *testing.T) {
	inTime(t, func(t *testing.T, srv *sockeyetest.Server) {
		ada := login(t, srv, "Ada")
		c := srv.Connect(t, "/", with(ada.mustToken(t)))
		if name := sockeyetest.Call(t, c, whoami, struct{}{}); name != "Ada" {
			t.Errorf("it is %q", name)
		}
		bob := login(t, srv, "Bob").mustToken(t)
		for _, token := range []string{bob, bob + "A", "", "."} {
			sockeyetest.CallError(t, c, "invalid", refresh, token)
		}
	})
}

func TestAuthRefuses(t *testing.T) {
	inTime(t, func(t *testing.T, srv *sockeyetest.Server) {
		res, err := srv.HTTP().Post(srv.URL()+"/token", "", nil)
		if err != nil {
			t.Fatal(err)
		}
		res.Body.Close()
		if res.StatusCode != http.StatusUnauthorized {
			t.Errorf("a token without a login: %s", res.Status)
		}
		ada := login(t, srv, "Ada")
		here, _ := url.Parse(srv.URL())
		session := ada.Jar.Cookies(here)[0].Value
		forged := signer{[]byte("another key")}.sign(claim{Purpose: "socket", Name: "Ada"})
		for _, token := range []any{nil, session, forged, ada.mustToken(t) + "A", strings.Repeat("x", 1000), 7} {
			expectRefused(t, srv.Client(t, "/", with(token)), errInvalid, "invalid")
		}
		old := ada.mustToken(t)
		time.Sleep(life + 1)
		expectRefused(t, srv.Client(t, "/", with(old)), errExpired, "expired")
	})
}

func expectRefused(t *testing.T, c *sockeyetest.Client, message error, code string) {
	t.Helper()
	refused := c.ExpectRefused(t)
	var data struct{ Code string }
	if err := refused.Bind(&data); err != nil || refused.Message != message.Error() || data.Code != code {
		t.Errorf("%v, %+v, %v", refused, data, err)
	}
}

// A client is disconnected when its token expires, not sooner and not later.
func TestAuthExpires(t *testing.T) {
	inTime(t, func(t *testing.T, srv *sockeyetest.Server) {
		ada := login(t, srv, "Ada")
		c := srv.Connect(t, "/", with(ada.mustToken(t)))
		time.Sleep(life / 2)
		next := sockeyetest.Call(t, c, refresh, ada.mustToken(t))
		if left := time.Duration(next.Life) * time.Millisecond; left != life {
			t.Errorf("%v are left", left)
		}
		time.Sleep(life - time.Millisecond)
		c.ExpectNone(t)
		time.Sleep(time.Millisecond)
		sockeyetest.Expect(t, c, expired, struct{}{})
		c.ExpectDisconnect(t, client.ReasonServerDisconnect)
	})
}

// Whatever happens to the connection, the next one has a token that is new.
func TestAuthAfterLongAbsence(t *testing.T) {
	inTime(t, func(t *testing.T, srv *sockeyetest.Server) {
		ada := login(t, srv, "Ada")
		c := srv.Connect(t, "/", ada.fresh())
		c.Offline()
		c.ExpectDisconnect(t, client.ReasonTransportError)
		time.Sleep(10 * life)
		c.Online()
		c.ExpectConnect(t)
		if name := sockeyetest.Call(t, c, whoami, struct{}{}); name != "Ada" {
			t.Errorf("it is %q", name)
		}
	})
}

func TestProgram(t *testing.T) {
	p := try.Start(t)
	p.HasPage(t)
	res, err := http.PostForm(p.URL+"/login", url.Values{"name": {"Ada"}})
	if err != nil {
		t.Fatal(err)
	}
	res.Body.Close()
	req, err := http.NewRequest(http.MethodPost, p.URL+"/token", nil)
	if err != nil {
		t.Fatal(err)
	}
	req.AddCookie(res.Cookies()[0])
	if res, err = http.DefaultClient.Do(req); err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	var got issued
	if err := json.NewDecoder(res.Body).Decode(&got); err != nil {
		t.Fatal(err)
	}
	p.Connects(t, got)
}
