package store

import (
	"bytes"
	"context"
	"database/sql"
	"flag"
	"fmt"
	"io/fs"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"aftercare/fhir"
	"aftercare/fhir/search"
	"aftercare/service/store/postgrestest"
)

// The dumps in testdata/schema are databases as earlier versions of the program left them, one for
// each state of the tables. scripts/dump-schema makes them; one that is there is never changed.
// PostgreSQL has none of its first state, for no version of the program had that one alone.
const (
	dumps    = "testdata/schema"
	dumpBase = "http://127.0.0.1:8080/fhir"
	dumpZone = "Europe/London"
)

// dumpEngines load a dump into an empty database, and give what opens it: as text for Open, and
// as a driver and a name.
var dumpEngines = map[string]struct {
	migrations fs.FS
	load       func(t *testing.T, dump string) (url, driver, name string)
}{
	"sqlite":   {sqliteMigrations, loadSQLite},
	"postgres": {postgresMigrations, loadPostgres},
}

func loadSQLite(t *testing.T, dump string) (url, driver, name string) {
	path := filepath.Join(t.TempDir(), "a.db")
	db := openRaw(t, "sqlite", path)
	if _, err := db.ExecContext(t.Context(), dump); err != nil {
		t.Fatal(err)
	}
	return "sqlite:" + path, "sqlite", path
}

func loadPostgres(t *testing.T, dump string) (url, driver, database string) {
	server := postgrestest.Start(t, "fsync=off")
	url = server.Database(t)
	if dump != "" {
		server.Exec(t, name(url), dump)
	}
	return url, "pgx", url
}

func openRaw(t testing.TB, driver, name string) *sql.DB {
	t.Helper()
	db, err := sql.Open(driver, name)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	return db
}

// newestMigration is the number of the last file of an engine.
func newestMigration(t testing.TB, engine string) (newest int) {
	t.Helper()
	files, err := fs.Glob(dumpEngines[engine].migrations, "migrations/"+engine+"/*.sql")
	if err != nil || len(files) == 0 {
		t.Fatal(files, err)
	}
	if _, err := fmt.Sscanf(filepath.Base(slices.Max(files)), "%d_", &newest); err != nil {
		t.Fatal(err)
	}
	return newest
}

func TestUpgrade(t *testing.T) {
	for engine := range dumpEngines {
		files, err := filepath.Glob(filepath.Join(dumps, engine+"-*.sql"))
		if err != nil {
			t.Fatal(err)
		}
		if want := fmt.Sprintf("%s-%05d.sql", engine, newestMigration(t, engine)); !slices.Contains(files, filepath.Join(dumps, want)) {
			t.Errorf("%s/%s is missing; scripts/dump-schema makes it, and the next change of the tables is tested with it", dumps, want)
		}
		for _, file := range files {
			t.Run(strings.TrimSuffix(filepath.Base(file), ".sql"), func(t *testing.T) { upgrade(t, engine, file) })
		}
	}
}

// upgrade opens a database of an earlier version and finds everything in it.
func upgrade(t *testing.T, engine, file string) {
	dump, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	url, driver, name := dumpEngines[engine].load(t, string(dump))
	before := openRaw(t, driver, name)
	kept, settings := keptVersions(t, before), keptSettings(t, before)
	if len(kept) < 20 || len(settings) == 0 {
		t.Fatalf("the dump has %d versions and %d settings", len(kept), len(settings))
	}
	if err := before.Close(); err != nil {
		t.Fatal(err)
	}

	for _, opened := range []string{"at first", "again"} {
		s := openURL(t, url, Options{})
		everyVersionIsKept(t, s, kept)
		if t.Failed() {
			t.Fatalf("when it was opened %s", opened)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
	after := openRaw(t, driver, name)
	if now := keptSettings(t, after); !maps.Equal(now, settings) {
		t.Errorf("the settings were %q and are %q", settings, now)
	}
	var has int
	if err := after.QueryRowContext(t.Context(), "SELECT max(version_id) FROM goose_db_version").Scan(&has); err != nil || has != newestMigration(t, engine) {
		t.Errorf("the tables have version %d, %v", has, err)
	}

	s := openURL(t, url, Options{beat: quick})
	checkWhole(t, s)
	declare(t, s, registry(t), zone(t), dumpBase) // as a service does when it starts
	built(t, s, registry(t), zone(t), dumpBase)
	checkWhole(t, s)
	searchesFind(t, s, kept)
	indexIsAsRebuilt(t, s)
	writingGoesOn(t, s, kept)
	checkWhole(t, s)
	indexIsAsRebuilt(t, s)
}

// keptVersion is a version as the tables of every state have it.
type keptVersion struct {
	seq, version, updated int64
	ref, method, body     string // body is "" for a deletion
}

func keptVersions(t *testing.T, db *sql.DB) (kept []keptVersion) {
	t.Helper()
	rows, err := db.QueryContext(t.Context(), `SELECT v.seq, v.version, v.updated, t.text, r.id, v.method, v.body
		FROM version v JOIN resource r ON r.rid = v.rid JOIN symbol t ON t.id = v.type ORDER BY v.seq`)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	for rows.Next() {
		var v keptVersion
		var typ, id, body []byte
		if err := rows.Scan(&v.seq, &v.version, &v.updated, &typ, &id, &v.method, &body); err != nil {
			t.Fatal(err)
		}
		v.ref, v.body = string(typ)+"/"+string(id), string(body)
		kept = append(kept, v)
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return kept
}

func keptSettings(t *testing.T, db *sql.DB) map[string]string {
	t.Helper()
	rows, err := db.QueryContext(t.Context(), `SELECT name, value FROM setting`)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	settings := map[string]string{}
	for rows.Next() {
		var name string
		var value []byte
		if err := rows.Scan(&name, &value); err != nil {
			t.Fatal(err)
		}
		settings[name] = string(value)
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return settings
}

// same compares a version with what was kept.
func (v *keptVersion) same(r *fhir.Resource) bool {
	return r.Ref() == v.ref && r.Version == v.version && r.LastUpdated.UnixMicro() == v.updated && string(r.Body) == v.body && r.Deleted == (v.body == "")
}

// everyVersionIsKept reads all versions in order, each alone, and by the histories.
func everyVersionIsKept(t *testing.T, s *Store, kept []keptVersion) {
	t.Helper()
	byRef, byType := map[string][]keptVersion{}, map[string]int{}
	for _, v := range kept {
		typ, _, _ := strings.Cut(v.ref, "/")
		byRef[v.ref] = append(byRef[v.ref], v)
		byType[typ]++
	}
	if err := s.View(t.Context(), func(ctx context.Context, r *Reader) error {
		n := 0
		if err := r.Versions(ctx, 0, 10_000, func(position int64, e HistoryEntry) error {
			if n < len(kept) && (position != kept[n].seq || e.Method != kept[n].method || !kept[n].same(e.Resource)) {
				t.Errorf("at %d stands version %d of %s by %s", position, e.Resource.Version, e.Resource.Ref(), e.Method)
			}
			n++
			return nil
		}); err != nil || n != len(kept) {
			t.Errorf("%d versions of %d, %v", n, len(kept), err)
		}
		for ref, versions := range byRef {
			typ, id, _ := strings.Cut(ref, "/")
			if now, err := r.Get(ctx, typ, id); err != nil || !versions[len(versions)-1].same(now) {
				t.Errorf("%s reads as %+v, %v", ref, now, err)
			}
			for _, v := range versions {
				if got, err := r.Version(ctx, typ, id, v.version); err != nil || !v.same(got) {
					t.Errorf("version %d of %s reads as %+v, %v", v.version, ref, got, err)
				}
			}
			page, err := r.History(ctx, HistoryQuery{Type: typ, ID: id, Count: 100})
			if err != nil || len(page.Entries) != len(versions) {
				t.Errorf("the history of %s has %d versions of %d, %v", ref, len(page.Entries), len(versions), err)
				continue
			}
			slices.Reverse(page.Entries)
			for i, e := range page.Entries {
				if !versions[i].same(e.Resource) || e.Method != versions[i].method {
					t.Errorf("the history of %s is not as it was", ref)
				}
			}
		}
		for typ, n := range byType {
			if page, err := r.History(ctx, HistoryQuery{Type: typ}); err != nil || page.Total != int64(n) {
				t.Errorf("the history of %s counts %d versions of %d, %v", typ, page.Total, n, err)
			}
		}
		return nil
	}); err != nil {
		t.Error(err)
	}
}

// searchesFind asks as callers do for what scripts/dump-schema has sent, and for each type whole.
func searchesFind(t *testing.T, s *Store, kept []keptVersion) {
	t.Helper()
	for query, want := range map[string]string{
		"Patient?identifier=https://fhir.nhs.uk/Id/nhs-number|9990001234":                 "Patient/one",
		"Patient?identifier=https://feed.example/id|" + strings.Repeat("long", 200):       "Patient/one",
		"Patient?family=angstrom-ωMEGA":                                                   "Patient/one",
		"Patient?family=Øberg":                                                            "Patient/returned",
		"Patient?birthdate=1970-01-31":                                                    "Patient/one",
		"Procedure?patient=Patient/one&date=2026-03-03":                                   "Procedure/surgery",
		"Procedure?date=2026-03-02":                                                       "", // its first date
		"Observation?subject:Patient.identifier=9990001234&code=http://loinc.org|72514-3": "Observation/pain",
		"Observation?patient=one&date=ge2026-04-20T07:59:00Z":                             "Observation/pain",
		"ValueSet?url=https://feed.example/ValueSet/local":                                "ValueSet/local",
		"CarePlan?subject=Patient/one&status=active&_count=0":                             "1",
		"Basic?_count=0": "1",
	} {
		if got := ask(t, s, query); got != want {
			t.Errorf("%s finds %q, want %q", query, got, want)
		}
	}
	now := map[string]bool{} // what exists, by ref
	for _, v := range kept {
		now[v.ref] = v.body != ""
	}
	count := map[string]int{}
	for ref, exists := range now {
		if exists {
			typ, _, _ := strings.Cut(ref, "/")
			count[typ]++
		}
	}
	for typ, n := range count {
		if got := ask(t, s, typ+"?_count=0"); got != fmt.Sprint(n) {
			t.Errorf("there are %s of the %d %s", got, n, typ)
		}
	}
	if len(count) < 6 {
		t.Errorf("the dump has %v", count)
	}
}

// ask gives the refs that a search finds, or how many they are where it has _count=0.
func ask(t *testing.T, s *Store, query string) string {
	t.Helper()
	typ, rest, _ := strings.Cut(query, "?")
	pairs, err := search.ParsePairs(rest)
	if err != nil {
		t.Fatal(err)
	}
	q, _, err := registry(t).Parse(typ, pairs, search.Options{DefaultCount: 100, MaxCount: 100, Zone: zone(t), Base: dumpBase})
	if err != nil {
		t.Fatalf("%s: %v", query, err)
	}
	page, err := find(t, s, q)
	if err != nil {
		t.Fatalf("%s: %v", query, err)
	}
	if q.Count == 0 {
		return fmt.Sprint(page.Total)
	}
	var refs []string
	for _, r := range page.Resources {
		refs = append(refs, r.Ref())
	}
	return strings.Join(refs, " ")
}

func registry(t testing.TB) *search.Registry {
	t.Helper()
	r, err := search.NewRegistry()
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func zone(t testing.TB) *time.Location {
	t.Helper()
	z, err := time.LoadLocation(dumpZone)
	if err != nil {
		t.Fatal(err)
	}
	return z
}

// indexIsAsRebuilt compares the rows of all indexes with those that today's program makes of the
// same resources. Each must have some, but that of numbers, which the first versions of the program
// did not use.
func indexIsAsRebuilt(t *testing.T, s *Store) {
	t.Helper()
	found := indexIs(t, s, extractWith(registry(t), zone(t), dumpBase))
	for _, table := range tableNames {
		if !slices.ContainsFunc(found, func(row string) bool { return strings.HasPrefix(row, table+" ") }) && table != "index_number" {
			t.Errorf("%s is empty", table)
		}
	}
}

// indexIs compares the rows of all indexes with those that an extraction makes of the same
// resources, and returns them. Nothing of that is kept.
func indexIs(t testing.TB, s *Store, extract Rows) (found []string) {
	t.Helper()
	undo := fmt.Errorf("undo")
	err := s.Write(context.WithoutCancel(t.Context()), func(ctx context.Context, tx *Tx) error {
		stored := indexRows(t, ctx, tx)
		found = slices.Sorted(maps.Keys(stored))
		type resource struct {
			rid int64
			res fhir.Resource
		}
		var all []resource
		if err := tx.rows(ctx, `SELECT r.rid, s.text, v.body FROM resource r CROSS JOIN version v CROSS JOIN symbol s WHERE v.seq = r.seq AND r.deleted = 0 AND s.id = r.type`, nil, func(scan func(...any) error) error {
			var one resource
			var typ []byte
			err := scan(&one.rid, &typ, &one.res.Body)
			one.res.Type, one.res.Body = string(typ), bytes.Clone(one.res.Body)
			all = append(all, one)
			return err
		}); err != nil {
			return err
		}
		for _, table := range tableNames {
			if err := tx.exec(ctx, "DELETE FROM "+table); err != nil {
				return err
			}
		}
		if err := tx.exec(ctx, "DELETE FROM index_text"); err != nil {
			return err
		}
		for _, one := range all {
			rows, err := extract(&one.res)
			if err != nil {
				return err
			}
			if err := tx.index(ctx, one.rid, one.res.Type, rows); err != nil {
				return err
			}
		}
		rebuilt := indexRows(t, ctx, tx)
		for row := range rebuilt {
			if !stored[row] {
				t.Errorf("the index lacks %s", row)
			}
		}
		for row := range stored {
			if !rebuilt[row] {
				t.Errorf("the index has too much: %s", row)
			}
		}
		return undo
	})
	if err != undo {
		t.Error(err)
	}
	return found
}

// indexRows are the rows of all indexes as text.
func indexRows(t testing.TB, ctx context.Context, tx *Tx) map[string]bool {
	t.Helper()
	found := map[string]bool{}
	for table, columns := range map[string][]string{
		"index_token": {"part", "value", "system"}, "index_reference": {"part", "target", "type"}, "index_date": {"part", "low", "high"},
		"index_string": {"part", "value", "exact"}, "index_uri": {"part", "value"}, "index_number": {"part", "low", "high", "unit", "system"},
	} {
		if err := tx.rows(ctx, "SELECT x.rid, s.text, x."+strings.Join(columns, ", x.")+" FROM "+table+" x JOIN symbol s ON s.id = x.param", nil, func(scan func(...any) error) error {
			var rid int64
			var param []byte
			values := make([]any, len(columns))
			dest := []any{&rid, &param}
			for i := range values {
				dest = append(dest, &values[i])
			}
			err := scan(dest...)
			for i, v := range values {
				if text, ok := v.([]byte); ok {
					values[i] = string(text)
				}
			}
			found[fmt.Sprintf("%s %d %s %v", table, rid, param, values)] = true
			return err
		}); err != nil {
			t.Error(err)
		}
	}
	return found
}

// writingGoesOn changes, adds and deletes.
func writingGoesOn(t *testing.T, s *Store, kept []keptVersion) {
	t.Helper()
	last := kept[len(kept)-1].seq
	if err := s.Write(t.Context(), func(ctx context.Context, tx *Tx) error {
		for _, id := range []string{"one", "new"} {
			n, err := fhir.Parse([]byte(`{"resourceType":"Patient","id":"` + id + `","name":[{"family":"Neu"}]}`))
			if err != nil {
				return err
			}
			rows, err := registry(t).Extract(n, zone(t), dumpBase)
			if err != nil {
				return err
			}
			if _, err := tx.Put(ctx, fhir.NewDraft(n), id, t0, "PUT", rows); err != nil {
				return err
			}
		}
		_, err := tx.Delete(ctx, "Patient", "returned", t0, "DELETE")
		return err
	}); err != nil {
		t.Fatal(err)
	}
	if got := ask(t, s, "Patient?family=neu"); got != "Patient/one Patient/new" {
		t.Errorf("the search finds %q", got)
	}
	if got := ask(t, s, "Patient?_count=0"); got != "2" {
		t.Errorf("there are %s patients", got)
	}
	if r, err := get(t, s, "Patient", "one"); err != nil || r.Version != 4 {
		t.Errorf("%+v, %v", r, err)
	}
	if err := s.View(t.Context(), func(ctx context.Context, r *Reader) error {
		if now, err := r.Last(ctx); err != nil || now != last+3 {
			t.Errorf("the last position is %d after %d, %v", now, last, err)
		}
		return nil
	}); err != nil {
		t.Error(err)
	}
}

var (
	forget = flag.String("forget", "", "`database` from which TestForget takes resources, for scripts/dump-schema")
	upto   = flag.Int64("upto", 0, "the last `rid` that TestForget takes")
)

// TestForget takes the first resources out of a database that nothing runs on.
func TestForget(t *testing.T) {
	if *forget == "" {
		t.Skip("this is a step of scripts/dump-schema")
	}
	driver, name := "pgx", *forget
	if path, ok := strings.CutPrefix(name, "sqlite:"); ok {
		driver, name = "sqlite", path
	}
	db := openRaw(t, driver, name)
	for _, table := range append(slices.Clone(tableNames), "version", "resource") {
		if _, err := db.ExecContext(t.Context(), "DELETE FROM "+table+" WHERE rid <= $1", *upto); err != nil {
			t.Error(err)
		}
	}
	const words = "index_text" // which the first states of the tables do not have
	var n int
	if err := db.QueryRowContext(t.Context(), "SELECT count(*) FROM "+words).Scan(&n); err != nil {
		return
	}
	if _, err := db.ExecContext(t.Context(), "DELETE FROM "+words+" WHERE rowid <= $1", *upto); err != nil {
		t.Error(err)
	}
}

// A program does not touch the tables of a newer one.
func TestNewerTablesAreRefused(t *testing.T) {
	for engine, e := range dumpEngines {
		t.Run(engine, func(t *testing.T) {
			url, driver, name := e.load(t, "")
			s := openURL(t, url, Options{})
			put(t, s, "Patient", "a")
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
			db := openRaw(t, driver, name)
			newer := newestMigration(t, engine) + 1
			for _, text := range []string{
				fmt.Sprintf("INSERT INTO goose_db_version (version_id, is_applied) VALUES (%d, %s)", newer, map[string]string{"sqlite": "1", "postgres": "true"}[engine]),
				"DROP TABLE staged",
			} {
				if _, err := db.ExecContext(t.Context(), text); err != nil {
					t.Fatal(err)
				}
			}
			s, err := Open(t.Context(), url, Options{Logger: slog.New(slog.DiscardHandler)})
			if err == nil {
				_ = s.Close()
				t.Fatal("it was opened")
			}
			if want := fmt.Sprintf("the database has tables of version %d, and this program knows them up to version %d; use a newer program", newer, newer-1); !strings.Contains(err.Error(), want) {
				t.Errorf("the error says: %v", err)
			}
			var has int
			if err := db.QueryRowContext(t.Context(), "SELECT max(version_id) FROM goose_db_version").Scan(&has); err != nil || has != newer {
				t.Errorf("the tables have version %d now, %v", has, err)
			}
		})
	}
}
