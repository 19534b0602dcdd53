package redis

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/sockeye-io/sockeye/adapter"
	"github.com/sockeye-io/sockeye/adapter/cluster"
)

// streamLog is the adapter of a namespace: its stream is a log. Positions are the ids of entries, and sessions are where
// Node's adapter has them.
type streamLog struct {
	*cluster.Adapter
	s *streamed
}

var _ adapter.Log = (*streamLog)(nil)

// Follow implements [adapter.Log].
func (l *streamLog) Follow(h adapter.LogHost) {
	l.s.handling.Lock()
	defer l.s.handling.Unlock()
	l.s.follower = h
	if l.s.position != "" {
		h.Reached(l.s.position)
	}
}

// begin notes where the reading begins.
func (s *streamed) begin(id string) {
	s.handling.Lock()
	defer s.handling.Unlock()
	if s.position != "" || id == "" {
		return
	}
	s.position = id
	if s.follower != nil {
		s.follower.Reached(id)
	}
}

// operationOf returns the operation that an entry of the log is. Events that are lost where they can't be sent, and
// those that ask for acknowledgements, are in the stream only for their order.
func operationOf(m *cluster.Message) (adapter.Operation, bool) {
	op := adapter.Operation{Packet: m.Packet, Target: m.Target, Rooms: m.Rooms, Close: m.Close}
	switch {
	case m.Type == cluster.Broadcast && m.RequestID == "" && !m.Target.Volatile:
		op.Kind = adapter.Event
	case m.Type == cluster.Join:
		op.Kind = adapter.Join
	case m.Type == cluster.Leave:
		op.Kind = adapter.Leave
	case m.Type == cluster.Disconnect:
		op.Kind = adapter.Disconnect
	default:
		return op, false
	}
	return op, true
}

// take handles an entry.
func (s *streamed) take(id, nonce string, m *cluster.Message) {
	s.ready.Wait()
	s.handling.Lock()
	follower := s.follower
	op, logged := operationOf(m)
	if follower == nil || !logged {
		s.position = id
		s.handling.Unlock()
		s.receive(m)
		return
	}
	defer s.handling.Unlock()
	if s.closed {
		return
	}
	own := m.UID == s.uid
	follower.Deliver(adapter.Entry{Position: id, Operation: op}, own)
	s.position = id
	if !own {
		s.b.stats.received.Add(1)
	} else if done, ok := s.waiting.LoadAndDelete(nonce); ok {
		close(done.(chan struct{}))
	}
}

// Append implements [adapter.Log].
func (l *streamLog) Append(op adapter.Operation) error {
	s := l.s
	m := &cluster.Message{UID: s.uid, Namespace: s.a.Host().Namespace(), Packet: op.Packet, Target: op.Target, Rooms: op.Rooms, Close: op.Close}
	switch op.Kind {
	case adapter.Event:
		m.Type = cluster.Broadcast
	case adapter.Join:
		m.Type = cluster.Join
	case adapter.Leave:
		m.Type = cluster.Leave
	default:
		m.Type = cluster.Disconnect
	}
	x, err := s.entry(m)
	if err != nil {
		return err
	}
	nonce := strconv.FormatUint(s.nonce.Add(1), 36)
	x.entry = append(x.entry, "n", nonce)
	delivered := make(chan struct{})
	failed := make(chan error, 1)
	x.done = func(err error) {
		if err != nil && !errors.Is(err, adapter.ErrUncertain) {
			failed <- err
		}
	}
	s.waiting.Store(nonce, delivered)
	defer s.waiting.Delete(nonce)
	if err := s.b.out.push(x); err != nil {
		return err
	}
	timeout := time.NewTimer(s.b.opts.AppendTimeout)
	defer timeout.Stop()
	select {
	case <-delivered:
		return nil
	case err := <-failed:
		return err
	case <-timeout.C:
		return adapter.ErrUncertain
	case <-s.b.ctx.Done():
		return adapter.ErrUncertain
	}
}

// pageSize is how many entries are read at once of what a client has missed.
const pageSize = 500

// Read implements [adapter.Log].
func (l *streamLog) Read(ctx context.Context, after, until string, f func(adapter.Entry) bool) error {
	for _, id := range []string{after, until} {
		if _, _, err := parseID(id); err != nil {
			return err
		}
	}
	b := l.s.b
	for next := after; next != until; {
		page, err := b.client.XRangeN(ctx, b.opts.Prefix, "("+next, until, pageSize).Result()
		if err != nil {
			return wrap(err)
		}
		for _, e := range page {
			next = e.ID
			if e.Values["nsp"] != l.Host().Namespace() {
				continue
			}
			m, err := decodeEntry(func(name string) string {
				text, _ := e.Values[name].(string)
				return text
			})
			if err != nil {
				return fmt.Errorf("redis: entry %s of the stream: %w", e.ID, err)
			}
			op, ok := operationOf(m)
			if ok && !f(adapter.Entry{Position: e.ID, Operation: op}) {
				return nil
			}
		}
		if len(page) < pageSize {
			break
		}
	}
	// What was cut off while it was read is missing.
	if after == "0-0" {
		info, err := b.client.XInfoStream(ctx, b.opts.Prefix).Result()
		if err != nil {
			return wrap(err)
		}
		if info.EntriesAdded != info.Length {
			return adapter.ErrTrimmed
		}
		return nil
	}
	first, err := b.client.XRangeN(ctx, b.opts.Prefix, "-", "+", 1).Result()
	if err != nil {
		return wrap(err)
	}
	if len(first) == 0 {
		return adapter.ErrTrimmed
	}
	if n, err := l.Compare(first[0].ID, after); err != nil || n > 0 {
		return adapter.ErrTrimmed
	}
	return nil
}

var errPosition = errors.New("redis: not the id of an entry")

func parseID(id string) (ms, seq uint64, err error) {
	first, second, _ := strings.Cut(id, "-")
	ms, err = strconv.ParseUint(first, 10, 64)
	if err == nil {
		seq, err = strconv.ParseUint(second, 10, 64)
	}
	if err != nil {
		return 0, 0, errPosition
	}
	return ms, seq, nil
}

// Compare implements [adapter.Log].
func (l *streamLog) Compare(x, y string) (int, error) {
	xms, xseq, err := parseID(x)
	if err != nil {
		return 0, err
	}
	yms, yseq, err := parseID(y)
	switch {
	case err != nil:
		return 0, err
	case xms < yms || xms == yms && xseq < yseq:
		return -1, nil
	case xms == yms && xseq == yseq:
		return 0, nil
	}
	return 1, nil
}

// A session is under the key that Node's adapter has it under. Another key, in the same slot of a Redis Cluster, has the
// name of its owner, or is empty if it was taken. Where there is neither, what there was has expired or was lost.
func sessionKeys(pid string) []string {
	key := "sio:session:" + pid
	return []string{key, "{" + key + "}:owner"}
}

// saveScript has the arguments: create, owner, session, and for how many milliseconds. It returns 0 if it was taken.
const saveScript = `
local owner = redis.call('GET', KEYS[2])
if ARGV[1] == '0' and owner and (owner ~= ARGV[2] or redis.call('EXISTS', KEYS[1]) == 0) then return 0 end
if ARGV[4] == '0' then redis.call('DEL', KEYS[1], KEYS[2]) return 1 end
redis.call('SET', KEYS[1], ARGV[3], 'PX', ARGV[4] + 1000)
redis.call('SET', KEYS[2], ARGV[2], 'PX', ARGV[4])
return 1`

// takeScript has the arguments: owner, and for how many milliseconds it is remembered that the session was taken.
const takeScript = `
local owner = redis.call('GET', KEYS[2])
if owner and owner ~= ARGV[1] then return false end
local session = redis.call('GET', KEYS[1])
if session then
	redis.call('DEL', KEYS[1])
	redis.call('SET', KEYS[2], '', 'PX', ARGV[2])
end
return session`

// takenFor is how long an owner that was cut off may stay away without taking back what was taken from it.
const takenFor = time.Hour

// savedSession is a session on its way.
type savedSession struct {
	pid    string
	create bool
	keep   time.Duration
	record func() *adapter.Session
}

func (x *savedSession) queue(ctx context.Context, pipe goredis.Pipeliner) goredis.Cmder {
	s := x.record()
	create := "0"
	if x.create {
		create = "1"
	}
	text := ""
	if packed, err := cluster.AppendSession(nil, s); err == nil { // fails for no data that is JSON
		text = base64.StdEncoding.EncodeToString(packed)
	}
	return pipe.Eval(ctx, saveScript, sessionKeys(x.pid), create, s.Owner, text, strconv.FormatInt(x.keep.Milliseconds(), 10))
}

// result returns what the answer means. x may be nil.
func (x *savedSession) result(cmd goredis.Cmder) error {
	if x == nil {
		return nil
	}
	if c, ok := cmd.(*goredis.Cmd); ok {
		if n, err := c.Int64(); err == nil && n == 0 {
			return adapter.ErrTaken
		}
	}
	return nil
}

// sessionSize is about what a session on its way takes.
const sessionSize = 500

// SaveSession implements [adapter.Log].
func (l *streamLog) SaveSession(pid string, create bool, keep time.Duration, record func() *adapter.Session, done func(error)) error {
	return l.s.b.out.push(publication{
		session: &savedSession{pid, create, keep, record}, done: done,
		payload: make([]byte, sessionSize), // counts as what waits
	})
}

// LoadSession implements [adapter.Log].
func (l *streamLog) LoadSession(ctx context.Context, pid string) (*adapter.Session, error) {
	return sessionOf(l.s.b.client.Get(ctx, sessionKeys(pid)[0]).Result())
}

// TakeSession implements [adapter.Log].
func (l *streamLog) TakeSession(ctx context.Context, pid, owner string) (*adapter.Session, error) {
	return sessionOf(l.s.b.client.Eval(ctx, takeScript, sessionKeys(pid), owner, takenFor.Milliseconds()).Text())
}

func sessionOf(text string, err error) (*adapter.Session, error) {
	if errors.Is(err, goredis.Nil) {
		return nil, nil
	}
	if err != nil {
		return nil, wrap(err)
	}
	packed, err := base64.StdEncoding.DecodeString(text)
	if err != nil {
		return nil, errMessage
	}
	return cluster.DecodeSession(packed)
}
