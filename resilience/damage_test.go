package resilience

import (
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"
)

// recorder is a test that only notes its errors.
type recorder struct {
	testing.TB
	mu     sync.Mutex
	errors []string
}

func (r *recorder) Errorf(format string, args ...any) { r.Error(fmt.Sprintf(format, args...)) }

func (*recorder) Logf(string, ...any) {}

func (r *recorder) Error(args ...any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.errors = append(r.errors, fmt.Sprint(args...))
}

// TestDamageIsSeen damages what was stored, and what was promised, in many ways: each check must
// be able to fail.
func TestDamageIsSeen(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	path := filepath.Join(folder, "whole.db")
	p := newProgram(t, "sqlite:"+path)
	p.start(t)
	told := newLedger()
	load := startLoad(t, p.client(t), told, "damage")
	load.stop()
	one := writer{load: load, number: 3}
	for range 3 {
		for _, write := range []func() int{one.create, one.createOnce, one.update, one.patch, one.remove, one.both, one.operate,
			func() int { return one.transaction(3) }} {
			write()
		}
	}
	a := p.client(t).send("PUT /fhir/Basic/damage-shared-0", named("damage-shared-0", "kept"))
	told.wrote("Basic/damage-shared-0", a.version(), fact{})
	told.check(t, p.client(t))
	for what, forge := range map[string]func(l *ledger){
		"a version that is not there":      func(l *ledger) { l.versions[version{"Patient/none", 1}] = fact{} },
		"a version that is newer":          func(l *ledger) { l.versions[version{"Basic/damage-shared-0", 1 << 30}] = fact{} },
		"another content":                  func(l *ledger) { l.versions[version{"Basic/damage-shared-0", 1}] = fact{body: []byte("{}")} },
		"a deletion that did not happen":   func(l *ledger) { l.versions[version{"Basic/damage-shared-0", 1}] = fact{deleted: true} },
		"a write that is not there":        func(l *ledger) { l.marks["none"] = &promise{stored, 1, ""} },
		"half a write":                     func(l *ledger) { l.marks[l.any("together")].want = 99 },
		"half a write without an answer":   func(l *ledger) { *l.marks[l.any("together")] = promise{unknown, 99, ""} },
		"a write that was refused":         func(l *ledger) { l.marks[l.any("create")].outcome = refused },
		"another resource than was told":   func(l *ledger) { l.marks[l.any("once")].ref = "Patient/other" },
		"a patch that is not there":        func(l *ledger) { l.added["none"] = stored },
		"a patch that was refused":         func(l *ledger) { l.added[l.any("create")] = refused },
		"an answer that cannot be right":   func(l *ledger) { l.fault("x") },
		"a conditional create told of two": func(l *ledger) { l.mu.Unlock(); l.promised(l.any("once"), stored, 1, "x"); l.mu.Lock() },
		"one version told with two contents": func(l *ledger) {
			l.mu.Unlock()
			l.wrote("Basic/two", 1, fact{body: []byte("1")})
			l.wrote("Basic/two", 1, fact{body: []byte("2")})
			delete(l.versions, version{"Basic/two", 1})
			l.mu.Lock()
		},
	} {
		l := told.clone()
		l.mu.Lock()
		forge(l)
		l.mu.Unlock()
		r := &recorder{TB: t}
		if l.check(r, p.client(t)); len(r.errors) == 0 {
			t.Errorf("promised to hold %s: nothing is found wrong", what)
		}
	}
	// A half of a pair, and a second plan, are made over HTTP.
	for what, request := range map[string]string{
		"one of a pair":  "PUT /fhir/Basic/damage-one-3",
		"a plan of none": "POST /fhir/CarePlan",
	} {
		body := named("damage-one-3", "damage-alone")
		if what == "a plan of none" {
			body = `{"resourceType":"CarePlan","status":"active","intent":"plan","subject":{"reference":"Patient/nobody"}}`
		}
		if a := p.client(t).send(request, body); a.outcome() != stored {
			t.Fatalf("%s: %d %s", what, a.status, a.body)
		}
		r := &recorder{TB: t}
		if told.check(r, p.client(t)); len(r.errors) == 0 {
			t.Errorf("%s: nothing is found wrong", what)
		}
		p.client(t).send("DELETE /fhir/CarePlan?subject=Patient/nobody", "")
	}
	p.stop(t)
	checkTables(t, "sqlite:"+path)
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	const newest = `(SELECT max(rid) FROM resource WHERE deleted = 0)`
	for i, text := range []string{
		`DELETE FROM version WHERE rid = ` + newest,
		`DELETE FROM version WHERE version = 1 AND rid IN (SELECT rid FROM resource WHERE version > 1)`,
		`DELETE FROM resource WHERE rid = ` + newest,
		`UPDATE resource SET version = version + 1 WHERE rid = ` + newest,
		`UPDATE resource SET deleted = 1 WHERE rid = ` + newest,
		`UPDATE version SET updated = updated + 100000000000 WHERE version = 1`,
		`INSERT INTO staged VALUES (1, 1, x'00', 1)`,
		`UPDATE horizon SET begins = 7`,
		`DELETE FROM index_token WHERE rid = (SELECT max(rid) FROM index_token)`,
		`UPDATE index_token SET value = x'00' WHERE rid = (SELECT max(rid) FROM index_token)`,
		`DELETE FROM index_date WHERE rid = (SELECT max(rid) FROM index_date)`,
		`UPDATE index_date SET low = low - 1 WHERE rid = (SELECT max(rid) FROM index_date)`,
		`UPDATE index_uri SET param = param + 1 WHERE rid = (SELECT max(rid) FROM index_uri)`,
		`DELETE FROM index_reference WHERE rid = (SELECT max(rid) FROM index_reference)`,
		`INSERT INTO index_uri (rid, param, value) SELECT 123456789, param, value FROM index_uri LIMIT 1`,
	} {
		copied := filepath.Join(folder, fmt.Sprint(i, ".db"))
		if err := os.WriteFile(copied, whole, 0o600); err != nil {
			t.Fatal(err)
		}
		db := openTables(t, "sqlite:"+copied)
		if got, err := db.ExecContext(t.Context(), text); err != nil {
			t.Fatal(err)
		} else if n, _ := got.RowsAffected(); n == 0 {
			t.Errorf("%s: damages nothing", text)
		}
		r := &recorder{TB: t}
		if checkTables(r, "sqlite:"+copied); len(r.errors) == 0 {
			t.Errorf("%s: nothing is found wrong", text)
		}
	}
}

// clone is a copy that can be forged.
func (l *ledger) clone() *ledger {
	out := newLedger()
	for k, v := range l.versions {
		out.versions[k] = v
	}
	for k, v := range l.marks {
		p := *v
		out.marks[k] = &p
	}
	for k, v := range l.added {
		out.added[k] = v
	}
	return out
}

// any is the mark of a write of a kind that was stored.
func (l *ledger) any(kind string) string {
	for mark, p := range l.marks {
		if p.outcome == stored && len(mark) > len("damage-"+kind) && mark[:len("damage-"+kind)] == "damage-"+kind {
			return mark
		}
	}
	return "there is none"
}
