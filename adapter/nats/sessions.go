package nats

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"sync"
	"time"

	gonats "github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/sockeye-io/sockeye/adapter"
	"github.com/sockeye-io/sockeye/adapter/cluster"
)

// sessions are those of a namespace that this server has, and where it finds those of others: a stream that keeps one
// message for each subject, the session; an empty one if it was taken or ended.
//
// An owner writes only behind what it wrote last, and who takes a session behind what he read. So of two who take it
// one fails, and an owner learns that he has lost it.
type sessions struct {
	stream *stream
	prefix string // of the subjects

	mu    sync.Mutex
	known map[string]*saved
}

// saved is how a session of this server stands.
type saved struct {
	seq  uint64 // of the last message, if sure; for who has the first of next
	sure bool
	next []save // the first one is under way
}

type save struct {
	create bool
	keep   time.Duration
	record func() *adapter.Session
	done   func(error)
}

func newSessions(s *stream, prefix string) *sessions {
	return &sessions{
		stream: s, prefix: prefix, known: make(map[string]*saved),
	}
}

// A session is written with the time at which it expires before it, as Unix time in milliseconds.
func encodeSession(s *adapter.Session, expires time.Time) ([]byte, error) {
	return cluster.AppendSession(binary.BigEndian.AppendUint64(nil, uint64(max(expires.UnixMilli(), 0))), s)
}

func decodeSession(data []byte) (s *adapter.Session, expires time.Time, err error) {
	if len(data) < 8 {
		return nil, time.Time{}, errors.New("nats: not a session")
	}
	s, err = cluster.DecodeSession(data[8:])
	return s, time.UnixMilli(int64(min(binary.BigEndian.Uint64(data), 1<<62))), err
}

func (s *sessions) subject(pid string) string { return s.prefix + token(pid) }

// save has a session saved: in its turn among what is published, or as soon as what is under way for it has been
// answered.
func (s *sessions) save(pid string, create bool, keep time.Duration, record func() *adapter.Session, done func(error)) error {
	if s.stream.b.state.Load() != up {
		return ErrDown
	}
	s.mu.Lock()
	k := s.known[pid]
	if k == nil {
		k = &saved{}
		s.known[pid] = k
	}
	w := save{create, keep, record, done}
	k.next = append(k.next, w)
	first := len(k.next) == 1
	s.mu.Unlock()
	if !first {
		return nil
	}
	if (create || k.sure) && s.stream.keepsSessions(keep) {
		s.stream.b.out.inTurn(func() {
			answer := s.publish(pid, k, w)
			if !s.stream.b.start(func() { s.finish(pid, k, answer()) }) {
				s.finish(pid, k, adapter.ErrClosed)
			}
		})
		return nil
	}
	if !s.stream.b.start(func() { s.finish(pid, k, s.prepare(pid, k, w)) }) {
		return adapter.ErrClosed
	}
	return nil
}

// finish reports how a save ended, and goes on with what has come meanwhile.
func (s *sessions) finish(pid string, k *saved, err error) {
	for {
		s.mu.Lock()
		done := k.next[0].done
		s.mu.Unlock()
		done(err)
		s.mu.Lock()
		k.next = k.next[1:]
		if len(k.next) == 0 {
			if !k.sure {
				delete(s.known, pid) // it ended, or is looked for anew
			}
			s.mu.Unlock()
			return
		}
		next := k.next[0]
		s.mu.Unlock()
		err = s.prepare(pid, k, next)
	}
}

// prepare saves a session after making sure of what it is to follow. k belongs to the caller, except for next.
func (s *sessions) prepare(pid string, k *saved, w save) error {
	ctx, cancel := context.WithTimeout(s.stream.b.ctx, confirmTimeout)
	defer cancel()
	if err := s.stream.ensureSessions(ctx, w.keep); err != nil {
		return err
	}
	if !k.sure && !w.create {
		old, seq, err := s.load(ctx, pid)
		switch {
		case err != nil:
			return err
		case old == nil || old.Owner != w.record().Owner:
			return adapter.ErrTaken
		}
		k.seq, k.sure = seq, true
	}
	answers := make(chan func() error, 1)
	s.stream.b.out.inTurn(func() { answers <- s.publish(pid, k, w) })
	select {
	case answer := <-answers:
		return answer()
	case <-s.stream.b.ctx.Done():
		return adapter.ErrClosed
	}
}

// publish writes a session behind k.seq, and returns what waits for the answer.
func (s *sessions) publish(pid string, k *saved, w save) (answer func() error) {
	failed := func(err error) func() error { return func() error { return err } }
	js, err := s.stream.b.jetStream()
	if err != nil {
		return failed(err)
	}
	rec := w.record()
	var payload []byte
	if w.keep > 0 {
		if payload, err = encodeSession(rec, time.Now().Add(w.keep)); err != nil {
			return failed(err)
		}
	}
	options := []jetstream.PublishOpt{jetstream.WithRetryAttempts(0)}
	if !w.create {
		options = append(options, jetstream.WithExpectLastSequencePerSubject(k.seq))
	}
	future, err := js.PublishMsgAsync(&gonats.Msg{Subject: s.subject(pid), Data: payload}, options...)
	if err != nil {
		return failed(fmt.Errorf("nats: %w", err))
	}
	k.sure = false
	return func() error {
		timeout := time.NewTimer(confirmTimeout)
		defer timeout.Stop()
		select {
		case ack := <-future.Ok():
			k.seq, k.sure = ack.Sequence, w.keep > 0 && !rec.Away
			return nil
		case err := <-future.Err():
			if isWrongSequence(err) {
				return adapter.ErrTaken
			}
			return fmt.Errorf("nats: %w", err)
		case <-timeout.C:
			return fmt.Errorf("nats: session: %w", context.DeadlineExceeded)
		case <-s.stream.b.ctx.Done():
			return adapter.ErrClosed
		}
	}
}

func isWrongSequence(err error) bool {
	var refused *jetstream.APIError
	return errors.As(err, &refused) && refused.ErrorCode == jetstream.JSErrCodeStreamWrongLastSequence
}

// load returns a session and the number of its message; nil if there is none, or it was taken.
func (s *sessions) load(ctx context.Context, pid string) (*adapter.Session, uint64, error) {
	js, err := s.stream.b.jetStream()
	if err != nil {
		return nil, 0, err
	}
	st, err := js.Stream(ctx, s.stream.sessionsName())
	if errors.Is(err, jetstream.ErrStreamNotFound) {
		return nil, 0, nil
	}
	if err != nil {
		return nil, 0, err
	}
	m, err := st.GetLastMsgForSubject(ctx, s.subject(pid))
	if errors.Is(err, jetstream.ErrMsgNotFound) || err == nil && len(m.Data) == 0 {
		return nil, 0, nil
	}
	if err != nil {
		return nil, 0, err
	}
	rec, expires, err := decodeSession(m.Data)
	if err != nil || time.Now().After(expires) {
		return nil, 0, err
	}
	return rec, m.Sequence, nil
}

// take takes a session of the owner, unless another one is quicker.
func (s *sessions) take(ctx context.Context, pid, owner string) (*adapter.Session, error) {
	for {
		rec, seq, err := s.load(ctx, pid)
		if rec == nil || rec.Owner != owner {
			return nil, err
		}
		js, err := s.stream.b.jetStream()
		if err != nil {
			return nil, err
		}
		_, err = js.PublishMsg(ctx, &gonats.Msg{Subject: s.subject(pid)},
			jetstream.WithRetryAttempts(0), jetstream.WithExpectLastSequencePerSubject(seq))
		if err == nil {
			return rec, nil
		}
		if !isWrongSequence(err) {
			return nil, fmt.Errorf("nats: %w", err)
		}
		// Its owner has written meanwhile, or it was taken.
	}
}

func (s *stream) sessionsName() string { return streamName(s.b.opts.Prefix) + "_SESSIONS" }

// keepsSessions reports whether the stream of sessions is there, and keeps them so long.
func (s *stream) keepsSessions(keep time.Duration) bool {
	return time.Duration(s.made.Load()) >= max(keep, 1)
}

// ensureSessions makes the stream of sessions, or has it keep them long enough.
func (s *stream) ensureSessions(ctx context.Context, keep time.Duration) error {
	s.making.Lock()
	defer s.making.Unlock()
	if s.keepsSessions(keep) {
		return nil
	}
	js, err := s.b.jetStream()
	if err != nil {
		return err
	}
	keep = max(keep, 10*time.Minute)
	if st, err := js.Stream(ctx, s.sessionsName()); err == nil {
		keep = max(keep, st.CachedInfo().Config.MaxAge) // another server may want more
	}
	_, err = js.CreateOrUpdateStream(ctx, jetstream.StreamConfig{
		Name: s.sessionsName(), Subjects: []string{s.b.opts.Prefix + ".@session.*.*"},
		Retention: jetstream.LimitsPolicy, Discard: jetstream.DiscardOld, MaxMsgsPerSubject: 1,
		MaxAge: keep, Replicas: s.opts.Replicas, Storage: s.storage(), Duplicates: time.Minute,
	})
	if err == nil {
		s.made.Store(int64(keep))
	}
	return err
}
