package postgres_test

import (
	"strings"
	"testing"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/sockeye-io/sockeye/adapter"
	"github.com/sockeye-io/sockeye/adapter/postgres"
)

// TestQueueFull has PostgreSQL refuse notifications as it does when nobody has taken 8 GB of them: with the same error,
// from a function that stands before its own.
func TestQueueFull(t *testing.T) {
	t.Parallel()
	s := start(t)
	own, err := pgxpool.New(t.Context(), s.DSN)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(own.Close)
	for _, sql := range []string{
		"CREATE TABLE full_now (yes bool)",
		"CREATE SCHEMA before",
		`CREATE FUNCTION before.pg_notify(channel text, payload text) RETURNS void LANGUAGE plpgsql AS $$ BEGIN
			IF EXISTS (SELECT FROM public.full_now) THEN
				RAISE 'too many notifications in the NOTIFY queue' USING ERRCODE = 'program_limit_exceeded';
			END IF;
			PERFORM pg_catalog.pg_notify(channel, payload);
		END $$`,
	} {
		if _, err := own.Exec(t.Context(), sql); err != nil {
			t.Fatal(err)
		}
	}
	h := newHost("/")
	b := open(t, s, postgres.Options{DSN: s.DSN + " search_path=before,pg_catalog,public"})
	from, to := attach(t, b, newHost("/")), attach(t, open(t, s, postgres.Options{}), h)
	together(t, from, to)
	if err := b.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := own.Exec(t.Context(), "INSERT INTO full_now VALUES (true)"); err != nil {
		t.Fatal(err)
	}
	before := b.Stats().Lost
	for _, size := range []int{10, 9000} { // in the notification, and in the table
		if err := from.Broadcast(text(t, "lost", strings.Repeat("x", size)), adapter.Target{}); err != nil {
			t.Fatal(err)
		}
		if err := b.Flush(t.Context()); err == nil || !strings.Contains(err.Error(), "could not be sent") {
			t.Errorf("%d bytes: %v", size, err)
		}
	}
	if n := b.Stats().Lost - before; n < 2 { // heartbeats are lost, too
		t.Errorf("%d messages are counted as lost", n)
	}
	var rows int
	if err := own.QueryRow(t.Context(), "SELECT count(*) FROM socket_io_attachments").Scan(&rows); err != nil || rows != 0 {
		t.Errorf("%d rows of what nobody was told of, %v", rows, err)
	}
	if !b.Stats().Connected {
		t.Error("the connection was given up")
	}
	if _, err := own.Exec(t.Context(), "DELETE FROM full_now"); err != nil {
		t.Fatal(err)
	}
	if err := from.Broadcast(text(t, "back"), adapter.Target{}); err != nil {
		t.Fatal(err)
	}
	if got := string(h.next(t).Data); got != `["back"]` {
		t.Errorf("%s came", got)
	}
}

// TestTableNames has tables whose names need quotes, or are longer than PostgreSQL keeps.
func TestTableNames(t *testing.T) {
	t.Parallel()
	s := start(t)
	pool, err := pgxpool.New(t.Context(), s.DSN)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(pool.Close)
	if _, err := pool.Exec(t.Context(), `CREATE SCHEMA "sch.em""a"`); err != nil {
		t.Fatal(err)
	}
	for i, o := range []postgres.Options{
		{Table: `it's "quoted"; DROP TABLE x`},
		{Table: strings.Repeat("t", 80)},
		{Table: "Größe.ü", Schema: `sch.em"a`},
		{Table: strings.Repeat("é", 40)}, // 80 bytes
	} {
		o.Pool, o.Prefix = pool, strings.Repeat("p", i+1)
		h := newHost("/")
		from, to := attach(t, open(t, s, o), newHost("/")), attach(t, open(t, s, o), h)
		together(t, from, to)
		for range 2 { // the second time it exists
			p := text(t, "big", strings.Repeat("x", 9000))
			if err := from.Broadcast(p, adapter.Target{}); err != nil {
				t.Fatal(err)
			}
			if got := string(h.next(t).Data); got != string(p.Data) {
				t.Errorf("table %q: %.30s came", o.Table, got)
			}
		}
	}
}
