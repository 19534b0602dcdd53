// Auth: a token that lives for a minute, is fetched by the page for every connect, and is refreshed while the
// connection lasts. Who does not refresh it is disconnected when it expires.
package main

import (
	"context"
	"crypto/rand"
	"embed"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"log"
	"net"
	"net/http"
	"os"
	"os/signal"
	"time"

	"github.com/sockeye-io/sockeye/event"
	"github.com/sockeye-io/sockeye/socketio"
)

//go:embed index.html
var page embed.FS

const (
	sessionCookie = "session"
	sessionLife   = 12 * time.Hour
	maxName       = 32
)

// The contract with the page.
var (
	whoami  = event.NewCall[struct{}, string]("whoami")
	refresh = event.NewCall[string, issued]("refresh")
	expired = event.New[struct{}]("expired")
)

// issued is a token as the page gets it. The page's clock may be wrong, so it is told how long, not until when.
type issued struct {
	Token string `json:"token,omitempty"`
	Life  int64  `json:"life"` // in milliseconds
}

type app struct {
	signer signer
	life   time.Duration // of tokens
}

// site returns all that the app serves, and the Socket.IO server in it.
func (a *app) site() (http.Handler, *socketio.Server) {
	io := socketio.NewServer(nil)
	io.Use(a.admit)
	io.OnConnection(a.watch)

	mux := http.NewServeMux()
	mux.Handle("/socket.io/", io)
	mux.HandleFunc("POST /login", a.login)
	mux.HandleFunc("POST /token", a.token)
	mux.Handle("/", http.FileServerFS(page))
	return mux, io
}

// login stands for whatever makes a visitor known: a password, a passkey, another site. Here it is enough to say a
// name. The cookie is not for scripts, and no other site can have it sent.
func (a *app) login(w http.ResponseWriter, r *http.Request) {
	r.Body = http.MaxBytesReader(w, r.Body, 4096)
	name := r.PostFormValue("name")
	if name == "" || len(name) > maxName {
		http.Error(w, "a name is needed", http.StatusBadRequest)
		return
	}
	http.SetCookie(w, &http.Cookie{
		Name:     sessionCookie,
		Value:    a.signer.sign(claim{sessionCookie, name, time.Now().Add(sessionLife)}),
		Path:     "/",
		MaxAge:   int(sessionLife / time.Second),
		HttpOnly: true,
		Secure:   r.TLS != nil,
		SameSite: http.SameSiteStrictMode,
	})
	w.WriteHeader(http.StatusNoContent)
}

// token exchanges the cookie for a token. The socket could check the cookie itself as long as both are on one host;
// a token also works for another host, and for clients that are no browsers.
func (a *app) token(w http.ResponseWriter, r *http.Request) {
	cookie, err := r.Cookie(sessionCookie)
	if err != nil {
		http.Error(w, "log in first", http.StatusUnauthorized)
		return
	}
	session, err := a.signer.check(cookie.Value, sessionCookie)
	if err != nil {
		http.Error(w, "log in again", http.StatusUnauthorized)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	_ = json.NewEncoder(w).Encode(issued{ // if it fails, the page is gone
		Token: a.signer.sign(claim{"socket", session.Name, time.Now().Add(a.life)}),
		Life:  a.life.Milliseconds(),
	})
}

// admit lets in who has a token. The page gets the message and the data of a ConnectError with connect_error.
func (a *app) admit(ctx context.Context, s *socketio.Socket) error {
	var auth struct{ Token string }
	if err := s.Auth(&auth); err != nil {
		return &socketio.ConnectError{Message: errInvalid.Error(), Data: map[string]string{"code": "invalid"}}
	}
	who, err := a.signer.check(auth.Token, "socket")
	if err != nil {
		return &socketio.ConnectError{Message: err.Error(), Data: map[string]string{"code": codeOf(err)}}
	}
	s.SetData(who)
	return nil
}

func codeOf(err error) string {
	if errors.Is(err, errExpired) {
		return "expired"
	}
	return "invalid"
}

// watch disconnects a client whose token was not refreshed in time.
func (a *app) watch(s *socketio.Socket) {
	who := s.Data().(claim)
	end := time.AfterFunc(time.Until(who.Expires), func() {
		_ = expired.Emit(s, struct{}{}) // an error would say that the client is gone, which is all right
		s.Disconnect(false)
	})
	s.OnDisconnect(func(socketio.Reason, error) { end.Stop() })

	whoami.On(s, func(ctx context.Context, _ struct{}) (string, error) {
		return who.Name, nil
	})
	refresh.On(s, func(ctx context.Context, token string) (issued, error) {
		next, err := a.signer.check(token, "socket")
		if err != nil {
			return issued{}, event.Errorf(codeOf(err), "%v", err)
		}
		if next.Name != who.Name {
			return issued{}, event.Errorf("invalid", "the token is somebody else's")
		}
		left := time.Until(next.Expires)
		end.Reset(left)
		return issued{Life: left.Milliseconds()}, nil
	})
}

func main() {
	addr := flag.String("addr", "localhost:3000", "where to listen")
	life := flag.Duration("token-life", time.Minute, "how long a token is valid")
	flag.Parse()

	// Several servers must share the key. Here it is new with every start, and so everybody has to log in again.
	key := make([]byte, 32)
	rand.Read(key)
	a := &app{signer{key}, *life}
	site, io := a.site()
	if err := serve(*addr, site, io); err != nil {
		log.Fatal(err)
	}
}

// serve answers requests until Ctrl+C, and then lets the clients go before it returns.
func serve(addr string, h http.Handler, io *socketio.Server) error {
	ln, err := net.Listen("tcp", addr)
	if err != nil {
		return err
	}
	fmt.Printf("Open http://%s\n", ln.Addr())
	server := &http.Server{Handler: h, ReadHeaderTimeout: 10 * time.Second}
	stopped, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	failed := make(chan error, 1)
	go func() { failed <- server.Serve(ln) }()
	select {
	case err := <-failed:
		return err
	case <-stopped.Done():
	}
	deadline, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	// Socket.IO first: an HTTP server waits for responses that are open, and polling keeps one open.
	if err := io.Shutdown(deadline); err != nil && !errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	return server.Close()
}
