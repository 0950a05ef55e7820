package resilience

import (
	"crypto/sha256"
	"database/sql"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"aftercare/definitions"
	"aftercare/fhir"
	"aftercare/fhir/search"
	"aftercare/service"

	_ "github.com/jackc/pgx/v5/stdlib" // drivers
	_ "modernc.org/sqlite"
)

// wrong are queries that count what must not be.
var wrong = map[string]string{
	"resources that do not point to their newest version": `SELECT count(*) FROM resource r WHERE NOT EXISTS (
		SELECT 1 FROM version v WHERE v.seq = r.seq AND v.rid = r.rid AND v.version = r.version AND v.updated = r.updated AND v.type = r.type
		AND (v.body IS NULL) = (r.deleted = 1)) OR r.version <> (SELECT max(version) FROM version v WHERE v.rid = r.rid)`,
	"resources whose versions are not 1 to n": `SELECT count(*) FROM (SELECT rid FROM version GROUP BY rid HAVING count(*) <> max(version) OR min(version) <> 1) x`,
	"versions without a resource":             `SELECT count(*) FROM version v WHERE NOT EXISTS (SELECT 1 FROM resource r WHERE r.rid = v.rid)`,
	"resources twice":                         `SELECT count(*) FROM (SELECT type, id FROM resource GROUP BY type, id HAVING count(*) > 1) x`,
	"versions that are not later than the one before": `SELECT count(*) FROM version a JOIN version b
		ON b.rid = a.rid AND b.version = a.version + 1 WHERE b.updated <= a.updated OR b.seq <= a.seq`,
	"rows that are staged":                `SELECT count(*) FROM staged`,
	"horizons that do not lie at the end": `SELECT count(*) FROM horizon WHERE begins <> 9223372036854775807`,
	"parameters that are not indexed":     `SELECT count(*) FROM indexed WHERE state <> 1`,
	"types that are not indexed":          `SELECT count(*) FROM reindexing`,
}

// indexes are the queries for the rows of each index: rid, parameter, value and what else there
// is, as text, and the system.
var indexes = []string{
	`SELECT x.rid, p.text, x.value, '' , s.text FROM index_token x JOIN symbol p ON p.id = x.param LEFT JOIN symbol s ON s.id = x.system`,
	`SELECT x.rid, p.text, x.target, '', s.text FROM index_reference x JOIN symbol p ON p.id = x.param LEFT JOIN symbol s ON s.id = x.type`,
	`SELECT x.rid, p.text, NULL, CAST(x.low AS TEXT) || ' ' || CAST(x.high AS TEXT), NULL FROM index_date x JOIN symbol p ON p.id = x.param`,
	`SELECT x.rid, p.text, x.value, '', NULL FROM index_string x JOIN symbol p ON p.id = x.param`,
	`SELECT x.rid, p.text, x.value, '', NULL FROM index_uri x JOIN symbol p ON p.id = x.param`,
	`SELECT x.rid, p.text, x.unit, CAST(x.low AS TEXT) || ' ' || CAST(x.high AS TEXT), s.text FROM index_number x JOIN symbol p ON p.id = x.param LEFT JOIN symbol s ON s.id = x.system`,
}

// openTables opens a database beside the service, or without one. url is as AFTERCARE_DATABASE.
func openTables(t testing.TB, url string) *sql.DB {
	t.Helper()
	driver, name := "pgx", url
	if path, ok := strings.CutPrefix(url, "sqlite:"); ok {
		driver, name = "sqlite", "file:"+path+"?_pragma=busy_timeout(10000)"
	}
	db, err := sql.Open(driver, name)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	return db
}

// checkTables looks at a database that nobody writes to. folders have definitions of its service.
func checkTables(t testing.TB, url string, folders ...string) {
	t.Helper()
	db := openTables(t, url)
	for what, text := range wrong {
		var n int64
		if err := db.QueryRowContext(t.Context(), text).Scan(&n); err != nil {
			t.Fatalf("%s: %v", what, err)
		}
		if n != 0 {
			t.Errorf("there are %d %s", n, what)
		}
	}
	if strings.HasPrefix(url, "sqlite:") {
		var verdict string
		if err := db.QueryRowContext(t.Context(), "PRAGMA integrity_check").Scan(&verdict); err != nil || verdict != "ok" {
			t.Errorf("integrity: %s, %v", verdict, err)
		}
	}
	checkIndex(t, db, folders...)
}

// checkIndex takes the index rows of every current resource out of its content again, and compares
// them with those that are stored.
func checkIndex(t testing.TB, db *sql.DB, folders ...string) {
	t.Helper()
	sources := []fs.FS{definitions.Files()}
	for _, folder := range folders {
		sources = append(sources, os.DirFS(folder))
	}
	known, err := definitions.Load(sources...)
	if err != nil {
		t.Fatal(err)
	}
	registry, err := service.Registry(known)
	if err != nil {
		t.Fatal(err)
	}
	zone, err := time.LoadLocation("Europe/London")
	if err != nil {
		t.Fatal(err)
	}
	have := storedRows(t, db)
	rows, err := db.QueryContext(t.Context(), `SELECT r.rid, v.body FROM resource r JOIN version v ON v.seq = r.seq WHERE r.deleted = 0`)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	resources := 0
	for rows.Next() {
		var rid int64
		var body []byte
		if err := rows.Scan(&rid, &body); err != nil {
			t.Fatal(err)
		}
		n, err := fhir.Parse(body)
		if err != nil {
			t.Fatal(err)
		}
		extracted, err := registry.Extract(n, zone, base)
		if err != nil {
			t.Fatal(err)
		}
		want := map[string]bool{}
		for i := range extracted {
			if extracted[i].Param.Kind != search.Text {
				want[rowOf(&extracted[i])] = true
				continue
			}
			for _, word := range search.Words(extracted[i].Value) {
				want[extracted[i].Param.Code+" "+word] = true
			}
		}
		if !maps.Equal(want, have[rid]) && len(want)+len(have[rid]) > 0 {
			t.Errorf("the index of a %s has %q too much, and lacks %q", n.Str("resourceType"), beyond(have[rid], want), beyond(want, have[rid]))
		}
		delete(have, rid)
		resources++
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	if len(have) > 0 {
		t.Errorf("%d index rows are of no resource that exists", len(have))
	}
	if resources == 0 {
		t.Error("there is nothing to compare")
	}
}

// beyond are the rows of a that b does not have.
func beyond(a, b map[string]bool) []string {
	return slices.DeleteFunc(slices.Sorted(maps.Keys(a)), func(row string) bool { return b[row] })
}

func storedRows(t testing.TB, db *sql.DB) map[int64]map[string]bool {
	t.Helper()
	have := map[int64]map[string]bool{}
	for _, text := range indexes {
		if err := addRows(t, db, text, have); err != nil {
			t.Fatal(err)
		}
	}
	addWords(t, db, have)
	return have
}

// addWords reads the index of words, "_text word" and "_content word".
func addWords(t testing.TB, db *sql.DB, have map[int64]map[string]bool) {
	t.Helper()
	c, err := db.Conn(t.Context()) // what is temporary belongs to one connection
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	text := `SELECT x.rowid, '_text ' || w.lexeme FROM index_text x, unnest(x.narrative) w UNION ALL SELECT x.rowid, '_content ' || w.lexeme FROM index_text x, unnest(x.content) w`
	if _, err := c.ExecContext(t.Context(), `CREATE VIRTUAL TABLE IF NOT EXISTS temp.vocabulary USING fts5vocab(main, index_text, instance)`); err == nil {
		text = `SELECT doc, CASE col WHEN 'narrative' THEN '_text ' ELSE '_content ' END || term FROM temp.vocabulary`
	}
	rows, err := c.QueryContext(t.Context(), text)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	for rows.Next() {
		var rid int64
		var word string
		if err := rows.Scan(&rid, &word); err != nil {
			t.Fatal(err)
		}
		if have[rid] == nil {
			have[rid] = map[string]bool{}
		}
		have[rid][word] = true
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
}

func addRows(t testing.TB, db *sql.DB, text string, have map[int64]map[string]bool) error {
	rows, err := db.QueryContext(t.Context(), text)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		var rid int64
		var param, value, system []byte
		var span string
		if err := rows.Scan(&rid, &param, &value, &span, &system); err != nil {
			return err
		}
		if have[rid] == nil {
			have[rid] = map[string]bool{}
		}
		have[rid][fmt.Sprintf("%s %s %s %s", param, value, normal(span), system)] = true
	}
	return rows.Err()
}

// rowOf is an index row as text.
func rowOf(r *search.Row) string {
	span, value := "", r.Value
	switch r.Param.Kind {
	case search.Date:
		span = fmt.Sprint(r.Low, " ", r.High)
	case search.Number, search.Quantity:
		span = normal(fmt.Sprint(r.NumberLow, " ", r.NumberHigh))
	}
	if len(value) > 512 && r.Param.Kind != search.Pieces { // the index holds the start of a long text, and a hash
		sum := sha256.Sum256([]byte(value))
		value = value[:512-len(sum)] + string(sum[:])
	}
	return fmt.Sprintf("%s %s %s %s", r.Param.Key(), value, span, r.System)
}

// normal writes the numbers of a span in one way: the engines print them in two.
func normal(span string) string {
	var low, high float64
	if _, err := fmt.Sscan(span, &low, &high); err != nil || !strings.ContainsAny(span, ".e") {
		return span
	}
	return fmt.Sprint(low, " ", high)
}
