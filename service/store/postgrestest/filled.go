package postgrestest

import (
	"sync"
	"testing"
)

// Filled is as Database, for tests of which each needs the same tables with the same rows: fill
// makes them, in the database of a URL. A test gets a database that another one has left, with its
// rows as fill left them, which takes a tenth of the time. Tests must not change the tables
// themselves.
func Filled(fill func(url string) error) func(testing.TB) string {
	var mu sync.Mutex
	var first string  // a schema that no test gets
	var free []string // schemas that tests have left
	made := func(t testing.TB) string {
		t.Helper()
		name := schema(t)
		if err := fill(inSchema(name)); err != nil {
			t.Fatal(err)
		}
		return name
	}
	return func(t testing.TB) string {
		t.Helper()
		common(t)
		mu.Lock()
		defer mu.Unlock()
		if first == "" {
			first = made(t)
		}
		var name string
		if last := len(free) - 1; last >= 0 {
			name, free = free[last], free[:last]
			shared.server.Exec(t, "postgres", again(name, first))
		} else {
			name = made(t)
		}
		t.Cleanup(func() {
			mu.Lock()
			defer mu.Unlock()
			free = append(free, name)
		})
		return inSchema(name)
	}
}

// again gives the tables of a schema the rows, and its sequences the state, of another.
func again(schema, first string) string {
	return `DO $$
DECLARE t RECORD;
BEGIN
	SET LOCAL client_min_messages = warning;
	EXECUTE (SELECT 'TRUNCATE ' || string_agg(format('` + schema + `.%I', tablename), ', ') FROM pg_tables WHERE schemaname = '` + schema + `');
	FOR t IN SELECT tablename AS name FROM pg_tables WHERE schemaname = '` + schema + `' LOOP
		EXECUTE format('INSERT INTO ` + schema + `.%I SELECT * FROM ` + first + `.%I', t.name, t.name);
	END LOOP;
	FOR t IN SELECT sequencename AS name FROM pg_sequences WHERE schemaname = '` + schema + `' LOOP
		EXECUTE format('SELECT setval(''` + schema + `.%I'', last_value, is_called) FROM ` + first + `.%I', t.name, t.name);
	END LOOP;
END $$`
}
