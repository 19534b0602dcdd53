package postgres

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// A listener receives notifications on a connection of its own.
type listener struct {
	b     *Broker
	up    atomic.Bool
	queue chan *pgconn.Notification // received and not handled

	mu      sync.Mutex
	started bool
	buses   map[string][]*bus // by channel
	changed bool              // since it was last seen which channels there are
	wake    func()            // ends the waiting for notifications, to look at what has changed
}

func newListener(b *Broker) *listener {
	return &listener{b: b, buses: make(map[string][]*bus), queue: make(chan *pgconn.Notification, 4096)}
}

func (l *listener) connected() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.up.Load() || !l.started
}

func (l *listener) add(s *bus) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.buses[s.channel] = append(slices.Clone(l.buses[s.channel]), s)
	l.change()
	if !l.started {
		l.started = true
		l.b.start(l.run)
		l.b.start(l.handle)
		l.b.start(l.b.table.cleanup)
	}
}

func (l *listener) remove(s *bus) {
	l.mu.Lock()
	defer l.mu.Unlock()
	rest := slices.DeleteFunc(slices.Clone(l.buses[s.channel]), func(other *bus) bool { return other == s })
	if len(rest) == 0 {
		delete(l.buses, s.channel)
	} else {
		l.buses[s.channel] = rest
	}
	l.change()
}

func (l *listener) change() {
	l.changed = true
	if l.wake != nil {
		l.wake()
	}
}

func (l *listener) of(channel string) []*bus {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buses[channel]
}

// silence is how often PostgreSQL is asked whether it is there.
const silence = 10 * time.Second

// firstWait and maxWait are how long it takes until a lost connection is made again: about twice as long each time.
const (
	firstWait = 50 * time.Millisecond
	maxWait   = 2 * time.Second
)

// run listens until the broker is closed.
func (l *listener) run() {
	b := l.b
	wait := firstWait
	told := false // that there is no connection
	for b.ctx.Err() == nil {
		err := l.once(func() {
			wait = firstWait
			if told {
				told = false
				b.log.Info("postgres: receiving again")
			}
		})
		if b.ctx.Err() != nil {
			return
		}
		if l.up.Swap(false) || !told {
			told = true
			b.log.Warn("postgres: no connection, what is published meanwhile is lost", "error", err)
		}
		b.pause(wait/2 + rand.N(wait))
		wait = min(2*wait, maxWait)
	}
}

// once connects and listens as long as that connection lasts.
func (l *listener) once(connected func()) error {
	ctx, cancel := context.WithTimeout(l.b.ctx, 2*publishTimeout)
	conn, err := l.connect(ctx)
	cancel()
	if err != nil {
		return err
	}
	channels := make(map[string]struct{})
	defer func() {
		for name := range channels {
			for _, s := range l.of(name) {
				s.setListening(false)
			}
		}
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		_ = conn.Close(ctx)
	}()
	l.mu.Lock()
	l.changed = true
	l.mu.Unlock()
	for {
		ctx, cancel := context.WithTimeout(l.b.ctx, silence)
		l.mu.Lock()
		changed := l.changed
		l.changed = false
		l.wake = cancel
		l.mu.Unlock()
		if changed {
			err = l.tell(conn, channels)
			if err == nil {
				l.up.Store(true)
				connected()
			}
		}
		if err == nil {
			err = l.wait(ctx, conn)
		}
		cancel()
		if err == nil && !errors.Is(ctx.Err(), context.Canceled) {
			err = ping(l.b.ctx, conn)
		}
		if err == nil {
			err = l.b.ctx.Err()
		}
		if err != nil {
			return err
		}
	}
}

func (l *listener) connect(ctx context.Context) (*pgx.Conn, error) {
	config := l.b.pool.Config()
	if config.BeforeConnect != nil {
		if err := config.BeforeConnect(ctx, config.ConnConfig); err != nil {
			return nil, err
		}
	}
	config.ConnConfig.OnNotification = nil // WaitForNotification gets them
	conn, err := pgx.ConnectConfig(ctx, config.ConnConfig)
	if err != nil {
		return nil, err
	}
	if config.AfterConnect != nil {
		err = config.AfterConnect(ctx, conn)
	}
	if err == nil {
		if missing := l.b.table.ensure(ctx, conn); missing != nil {
			l.b.log.Warn("postgres: no attachments can be received", "error", missing)
		}
		return conn, nil
	}
	_ = conn.Close(ctx)
	return nil, err
}

// tell listens to the channels that there are, and to no others.
func (l *listener) tell(conn *pgx.Conn, channels map[string]struct{}) error {
	var sql strings.Builder
	var fresh []*bus
	l.mu.Lock()
	for name, buses := range l.buses {
		fresh = append(fresh, buses...)
		if _, ok := channels[name]; !ok {
			channels[name] = struct{}{}
			fmt.Fprintf(&sql, "LISTEN %s;", pgx.Identifier{name}.Sanitize())
		}
	}
	for name := range channels {
		if _, ok := l.buses[name]; !ok {
			delete(channels, name)
			fmt.Fprintf(&sql, "UNLISTEN %s;", pgx.Identifier{name}.Sanitize())
		}
	}
	l.mu.Unlock()
	if sql.Len() > 0 {
		ctx, cancel := context.WithTimeout(l.b.ctx, publishTimeout)
		defer cancel()
		if _, err := conn.PgConn().Exec(ctx, sql.String()).ReadAll(); err != nil {
			return err
		}
	}
	for _, s := range fresh {
		s.setListening(true)
	}
	return nil
}

// wait passes notifications on until ctx is done, for which there is no error.
func (l *listener) wait(ctx context.Context, conn *pgx.Conn) error {
	for {
		n, err := conn.WaitForNotification(ctx)
		if err != nil {
			if ctx.Err() != nil && !conn.IsClosed() {
				return nil
			}
			return err
		}
		select {
		case l.queue <- n:
		case <-l.b.ctx.Done():
			return l.b.ctx.Err()
		}
	}
}

func ping(ctx context.Context, conn *pgx.Conn) error {
	ctx, cancel := context.WithTimeout(ctx, publishTimeout)
	defer cancel()
	return conn.Ping(ctx)
}
