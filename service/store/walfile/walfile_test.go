package walfile

import (
	"context"
	"database/sql"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"

	_ "modernc.org/sqlite"
	"pgregory.net/rapid"
)

type fataler interface {
	Helper()
	Fatal(args ...any)
}

func must(t fataler, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// noPowersafe is a database on a disk of which SQLite believes that it may destroy what stands beside what
// is written: it then fills the log up to a whole sector (https://sqlite.org/psow.html).
const noPowersafe = "psow=0"

// database is one open connection, by the VFS of this package where it writes.
func database(t fataler, path string, writes bool, pragmas ...string) *sql.Conn {
	t.Helper()
	must(t, Register())
	dsn := "file:" + path + "?_pragma=busy_timeout(5000)"
	if writes {
		pragmas = append(pragmas, "journal_mode(wal)", "wal_autocheckpoint(0)")
		dsn += "&vfs=" + Name
	}
	for _, p := range pragmas {
		if strings.HasPrefix(p, "psow=") {
			dsn += "&" + p
		} else {
			dsn += "&_pragma=" + p
		}
	}
	db, err := sql.Open("sqlite", dsn)
	must(t, err)
	c, err := db.Conn(context.Background())
	must(t, err)
	return c
}

func exec(t fataler, c *sql.Conn, text string, args ...any) {
	t.Helper()
	_, err := c.ExecContext(context.Background(), text, args...)
	must(t, err)
}

// content is what a connection reads, by key the size of the value.
func content(t fataler, c *sql.Conn) map[int]int {
	t.Helper()
	rows, err := c.QueryContext(context.Background(), "SELECT k, length(v) FROM kept")
	must(t, err)
	defer rows.Close()
	out := map[int]int{}
	for rows.Next() {
		var k, v int
		must(t, rows.Scan(&k, &v))
		out[k] = v
	}
	must(t, rows.Err())
	return out
}

// crashed is what is found where the process ends now, and its files are all that is left. The file of
// the shared index is not one that anybody relies on.
func crashed(t fataler, path, into string) map[int]int {
	t.Helper()
	for _, suffix := range []string{"", "-wal"} {
		data, err := os.ReadFile(path + suffix)
		must(t, err)
		must(t, os.WriteFile(into+suffix, data, 0o600))
	}
	c := database(t, into, false)
	defer c.Close()
	var verdict string
	must(t, c.QueryRowContext(context.Background(), "PRAGMA integrity_check").Scan(&verdict))
	if verdict != "ok" {
		t.Fatal("the database is broken: " + verdict)
	}
	found := content(t, c)
	must(t, os.Remove(into))
	_ = os.Remove(into + "-wal")
	_ = os.Remove(into + "-shm")
	return found
}

// TestCommitted checks that what was committed, and nothing else, is what other connections see, and what
// is left after a crash: with every way to sync, with transactions that do not fit into memory, with
// those that are undone, and with a log that begins again.
func TestCommitted(t *testing.T) {
	dir := t.TempDir()
	n := 0
	rapid.Check(t, func(t *rapid.T) {
		n++
		path := filepath.Join(dir, fmt.Sprint(n))
		w := database(t, path, true, fmt.Sprintf("page_size(%d)", rapid.SampledFrom([]int{512, 4096, 65536}).Draw(t, "page")),
			"synchronous("+rapid.SampledFrom([]string{"off", "normal", "full"}).Draw(t, "synchronous")+")",
			fmt.Sprintf("cache_size(%d)", rapid.SampledFrom([]int{10, 2000}).Draw(t, "cache")),
			rapid.SampledFrom([]string{noPowersafe, "psow=1"}).Draw(t, "powersafe"))
		defer w.Close()
		exec(t, w, "CREATE TABLE kept (k INTEGER PRIMARY KEY, v BLOB)")
		r := database(t, path, false)
		defer r.Close()
		committed := map[int]int{}
		for range rapid.IntRange(1, 8).Draw(t, "transactions") {
			exec(t, w, "BEGIN IMMEDIATE")
			now := maps.Clone(committed)
			var point map[int]int
			for range rapid.IntRange(0, 60).Draw(t, "changes") {
				k := rapid.IntRange(1, 40).Draw(t, "key")
				switch rapid.IntRange(0, 19).Draw(t, "what") {
				case 0:
					exec(t, w, "DELETE FROM kept WHERE k = ?", k)
					delete(now, k)
				case 1:
					exec(t, w, "SAVEPOINT one")
					point = maps.Clone(now)
				case 2:
					if point != nil {
						exec(t, w, "ROLLBACK TO one")
						now = maps.Clone(point)
					}
				default:
					size := rapid.IntRange(1, 20_000).Draw(t, "size")
					exec(t, w, "INSERT INTO kept VALUES (?, randomblob(?)) ON CONFLICT (k) DO UPDATE SET v = excluded.v", k, size)
					now[k] = size
				}
			}
			if rapid.IntRange(0, 4).Draw(t, "end") == 0 {
				exec(t, w, "ROLLBACK")
			} else {
				exec(t, w, "COMMIT")
				committed = now
			}
			for who, found := range map[string]map[int]int{"another connection": content(t, r), "who comes after a crash": crashed(t, path, path+"-copy"), "the same": content(t, w)} {
				if !maps.Equal(found, committed) {
					t.Fatalf("%s finds %v, and %v was committed", who, found, committed)
				}
			}
			if kind := rapid.SampledFrom([]string{"", "", "passive", "restart", "truncate"}).Draw(t, "checkpoint"); kind != "" {
				exec(t, w, "PRAGMA wal_checkpoint("+kind+")")
			}
		}
	})
}
