package postgres

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// A table holds what does not fit into notifications.
type table struct {
	b     *Broker
	name  string // quoted
	ready atomic.Bool
	fetch string
	clean string
}

func newTable(b *Broker) *table {
	id := pgx.Identifier{b.opts.Table}
	if b.opts.Schema != "" {
		id = pgx.Identifier{b.opts.Schema, b.opts.Table}
	}
	t := &table{b: b, name: id.Sanitize()}
	t.fetch = "SELECT id, payload FROM " + t.name + " WHERE id = ANY($1)"
	// Rows that another server is about to delete are left to it.
	t.clean = fmt.Sprintf(`DELETE FROM %[1]s WHERE id IN (SELECT id FROM %[1]s
		WHERE created_at < now() - $1 * interval '1 millisecond' LIMIT $2 FOR UPDATE SKIP LOCKED)`, t.name)
	return t
}

type querier interface {
	Exec(ctx context.Context, sql string, args ...any) (pgconn.CommandTag, error)
	QueryRow(ctx context.Context, sql string, args ...any) pgx.Row
}

// ensure makes the table if it is missing.
func (t *table) ensure(ctx context.Context, q querier) error {
	if t.ready.Load() {
		return nil
	}
	// Who may not make tables may still use one that exists.
	var exists bool
	if err := q.QueryRow(ctx, "SELECT to_regclass($1) IS NOT NULL", t.name).Scan(&exists); err != nil {
		return fmt.Errorf("postgres: %w", err)
	}
	if !exists {
		_, err := q.Exec(ctx, "CREATE TABLE IF NOT EXISTS "+t.name+
			" (id bigserial UNIQUE, created_at timestamptz DEFAULT now(), payload bytea)")
		// Another server may make it at this moment.
		var refused *pgconn.PgError
		if errors.As(err, &refused) && (refused.Code == uniqueViolation || refused.Code == duplicateTable) {
			err = nil
		}
		if err != nil {
			return fmt.Errorf("postgres: cannot make the table for attachments: %w", err)
		}
	}
	t.ready.Store(true)
	return nil
}

// What PostgreSQL calls errors that are expected.
const (
	uniqueViolation = "23505"
	duplicateTable  = "42P07"
	undefinedTable  = "42P01"
	queueFull       = "54000"
)

// fetchTimeout is how long it is tried to read rows, which stay in the table for longer.
const fetchTimeout = 5 * time.Second

// payloads returns those of the rows that could be read.
func (t *table) payloads(ids []int64) map[int64][]byte {
	ctx, cancel := context.WithTimeout(t.b.ctx, fetchTimeout)
	defer cancel()
	for wait := 20 * time.Millisecond; ; wait *= 2 {
		found, err := t.read(ctx, ids)
		if err == nil {
			return found
		}
		var refused *pgconn.PgError
		if ctx.Err() != nil || (errors.As(err, &refused) && !gone(err)) {
			if t.b.ctx.Err() == nil {
				t.b.log.Warn("postgres: cannot read attachments", "error", err)
			}
			return nil
		}
		t.b.pause(wait)
	}
}

func (t *table) read(ctx context.Context, ids []int64) (map[int64][]byte, error) {
	rows, err := t.b.pool.Query(ctx, t.fetch, ids)
	if err != nil {
		return nil, err
	}
	found := make(map[int64][]byte, len(ids))
	var id int64
	var payload []byte
	_, err = pgx.ForEachRow(rows, []any{&id, &payload}, func() error {
		found[id] = payload
		payload = nil
		return nil
	})
	return found, err
}

// cleanBatch is how many rows are deleted at a time.
const cleanBatch = 1000

// cleanup deletes old rows again and again.
func (t *table) cleanup() {
	interval := t.b.opts.CleanupInterval
	for {
		t.b.pause(interval + rand.N(interval/10+1)) // not all servers at a time
		if t.b.ctx.Err() != nil {
			return
		}
		if err := t.sweep(interval); err != nil && t.b.ctx.Err() == nil && t.b.in.up.Load() {
			t.b.log.Warn("postgres: cannot delete old attachments", "error", err)
		}
	}
}

func (t *table) sweep(age time.Duration) error {
	if !t.ready.Load() {
		return nil // there is nothing to delete
	}
	ctx, cancel := context.WithTimeout(t.b.ctx, age)
	defer cancel()
	for {
		tag, err := t.b.pool.Exec(ctx, t.clean, age.Milliseconds(), cleanBatch)
		if err != nil || tag.RowsAffected() < cleanBatch {
			return err
		}
	}
}
