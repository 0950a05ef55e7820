package service

import (
	"context"
	"database/sql"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	_ "modernc.org/sqlite"
)

// openTamperable is open, with the URL of the database.
func openTamperable(t testing.TB, change ...func(*Options)) (s *Service, database string) {
	t.Helper()
	o, err := defaults()
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range change {
		c(&o)
	}
	database = newDatabase(t)
	o.Store = openStore(t, database)
	if s, err = start(t.Context(), o, true); err != nil {
		t.Fatal(err)
	}
	return s, database
}

// tamper runs a statement on a database past the service, as whoever has the password of the database
// can.
func tamper(t testing.TB, database, text string, args ...any) {
	t.Helper()
	if path, ok := strings.CutPrefix(database, "sqlite:"); ok {
		db, err := sql.Open("sqlite", path+"?_pragma=busy_timeout(10000)")
		if err == nil {
			_, err = db.ExecContext(context.WithoutCancel(t.Context()), text, args...)
		}
		if err != nil {
			t.Fatal(text, err)
		}
		if err := db.Close(); err != nil {
			t.Fatal(err)
		}
		return
	}
	c, err := pgx.Connect(context.WithoutCancel(t.Context()), database)
	if err == nil {
		_, err = c.Exec(context.WithoutCancel(t.Context()), text, args...)
	}
	if err != nil {
		t.Fatal(text, err)
	}
	if err := c.Close(context.WithoutCancel(t.Context())); err != nil {
		t.Fatal(err)
	}
}
