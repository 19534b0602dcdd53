package try

import (
	"bufio"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"

	"github.com/gobwas/ws"
	"github.com/gobwas/ws/wsutil"
)

// webSocket is the transport "websocket".
type webSocket struct {
	conn net.Conn
	rw   struct {
		io.Reader
		io.Writer
	}
	mu sync.Mutex // writes
}

func dialWebSocket(url string) (wire, error) {
	ctx, cancel := context.WithTimeout(context.Background(), wait)
	defer cancel()
	conn, early, _, err := ws.Dial(ctx, "ws"+strings.TrimPrefix(url, "http")+"/socket.io/?EIO=4&transport=websocket")
	if err != nil {
		return nil, err
	}
	w := &webSocket{conn: conn}
	w.rw.Reader, w.rw.Writer = conn, conn
	if early != nil {
		w.rw.Reader = bufio.NewReader(io.MultiReader(early, conn))
	}
	open, err := w.packet()
	if err != nil || !strings.HasPrefix(open, "0{") {
		conn.Close()
		return nil, fmt.Errorf("the open packet is %q, %w", open, err)
	}
	return w, nil
}

func (w *webSocket) packet() (string, error) {
	b, _, err := wsutil.ReadServerData(w.rw)
	return string(b), err
}

func (w *webSocket) send(messages ...any) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, m := range messages {
		var err error
		switch m := m.(type) {
		case string:
			err = wsutil.WriteClientText(w.conn, []byte("4"+m))
		case []byte:
			err = wsutil.WriteClientBinary(w.conn, m)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (w *webSocket) receive() (string, error) {
	for {
		p, err := w.packet()
		if err != nil {
			return "", err
		}
		if p == "2" {
			w.mu.Lock()
			err = wsutil.WriteClientText(w.conn, []byte("3"))
			w.mu.Unlock()
			if err != nil {
				return "", err
			}
		}
		if m, ok := strings.CutPrefix(p, "4"); ok {
			return m, nil
		}
	}
}

func (w *webSocket) close() { w.conn.Close() }

// polling is the transport "polling".
type polling struct {
	url   string
	queue []string // packets received and not handed out yet
	post  sync.Mutex
	ctx   context.Context
	stop  context.CancelFunc
}

func dialPolling(url string) (wire, error) {
	p := &polling{url: url + "/socket.io/?EIO=4&transport=polling"}
	p.ctx, p.stop = context.WithCancel(context.Background())
	body, err := p.do(http.MethodGet, "")
	if err != nil {
		return nil, err
	}
	var open struct{ SID string }
	if err := json.Unmarshal([]byte(strings.TrimPrefix(body, "0")), &open); err != nil {
		return nil, err
	}
	p.url += "&sid=" + open.SID
	return p, nil
}

func (p *polling) do(method, body string) (string, error) {
	req, err := http.NewRequestWithContext(p.ctx, method, p.url, strings.NewReader(body))
	if err != nil {
		return "", err
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return "", err
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err == nil && res.StatusCode != http.StatusOK {
		err = errors.New(res.Status)
	}
	return string(b), err
}

const separator = "\x1e"

func (p *polling) send(messages ...any) error {
	p.post.Lock()
	defer p.post.Unlock()
	var packets []string
	for _, m := range messages {
		switch m := m.(type) {
		case string:
			packets = append(packets, "4"+m)
		case []byte:
			packets = append(packets, "b"+base64.StdEncoding.EncodeToString(m))
		}
	}
	_, err := p.do(http.MethodPost, strings.Join(packets, separator))
	return err
}

func (p *polling) receive() (string, error) {
	for {
		for len(p.queue) == 0 {
			body, err := p.do(http.MethodGet, "")
			if err != nil {
				return "", err
			}
			p.queue = strings.Split(body, separator)
		}
		packet := p.queue[0]
		p.queue = p.queue[1:]
		switch {
		case packet == "1":
			return "", io.EOF
		case packet == "2":
			p.post.Lock()
			_, err := p.do(http.MethodPost, "3")
			p.post.Unlock()
			if err != nil {
				return "", err
			}
		case strings.HasPrefix(packet, "4"):
			return packet[1:], nil
		}
	}
}

func (p *polling) close() { p.stop() }
