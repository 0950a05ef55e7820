package store

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"aftercare/fhir"
	"aftercare/fhir/search"
	"aftercare/service/store/postgrestest"
)

// site is what index rows rest on.
type site struct {
	registry *search.Registry
	zone     *time.Location
	base     string
}

const siteBase = "http://one.example/fhir"

// siteWith has some parameters beside those of R4: for each a type, a code, a kind and an
// expression.
func siteWith(t testing.TB, own ...string) site {
	t.Helper()
	var nodes []*fhir.Node
	for _, one := range own {
		p := strings.Split(one, " ")
		n, err := fhir.Parse(fmt.Appendf(nil, `{"resourceType":"SearchParameter","url":"http://x.example/SearchParameter/%s-%s","base":[%q],"code":%q,"type":%q,"expression":%q}`,
			p[0], p[1], p[0], p[1], p[2], strings.Join(p[3:], " ")))
		if err != nil {
			t.Fatal(err)
		}
		nodes = append(nodes, n)
	}
	r, err := search.NewRegistry(nodes...)
	if err != nil {
		t.Fatal(err)
	}
	return site{r, zone(t), siteBase}
}

func (w site) in(zone *time.Location) site { w.zone = zone; return w }
func (w site) at(base string) site         { w.base = base; return w }

// rows are those of a resource.
func (w site) rows(res *fhir.Resource) ([]search.Row, error) {
	return extractWith(w.registry, w.zone, w.base)(res)
}

func (w site) declare(t testing.TB, s *Store) {
	t.Helper()
	declare(t, s, w.registry, w.zone, w.base)
}

func (w site) build(t testing.TB, s *Store) {
	t.Helper()
	built(t, s, w.registry, w.zone, w.base)
}

// put stores a resource as a service of the site does.
func (w site) put(ctx context.Context, s *Store, id, body string) error {
	n, err := fhir.Parse([]byte(body))
	if err != nil {
		return err
	}
	rows, err := w.registry.Extract(n, w.zone, w.base)
	if err != nil {
		return err
	}
	return s.Write(ctx, func(ctx context.Context, tx *Tx) error {
		_, err := tx.Put(ctx, fhir.NewDraft(n), id, t0, "PUT", rows)
		return err
	})
}

func (w site) mustPut(t testing.TB, s *Store, id, body string) {
	t.Helper()
	if err := w.put(t.Context(), s, id, body); err != nil {
		t.Fatal(err)
	}
}

// ask gives the refs that a search finds, how many they are where it has _count=0, or the kind of
// its error.
func (w site) ask(t testing.TB, s *Store, query string) string {
	t.Helper()
	typ, rest, _ := strings.Cut(query, "?")
	pairs, err := search.ParsePairs(rest)
	if err != nil {
		t.Fatal(err)
	}
	q, _, err := w.registry.Parse(typ, pairs, search.Options{DefaultCount: 100, MaxCount: 100, Zone: w.zone, Base: w.base})
	if err != nil {
		t.Fatalf("%s: %v", query, err)
	}
	var refs []string
	err = s.View(t.Context(), func(ctx context.Context, r *Reader) error {
		page, err := r.Search(ctx, q, w.rows)
		if err != nil {
			return err
		}
		if len(q.Include) > 0 {
			more, err := r.Include(ctx, page.Resources, q.Include, 100)
			if err != nil {
				return err
			}
			page.Resources = append(page.Resources, more...)
		}
		for _, res := range page.Resources {
			refs = append(refs, res.Ref())
		}
		return nil
	})
	switch {
	case errors.Is(err, ErrOutdated):
		return "outdated"
	case err != nil && fhir.KindOf(err) == fhir.Unavailable:
		return "not yet"
	case err != nil:
		return err.Error()
	}
	return strings.Join(refs, " ")
}

func (w site) want(t testing.TB, s *Store, query, want string) {
	t.Helper()
	if got := w.ask(t, s, query); got != want {
		t.Errorf("%s finds %q, want %q", query, got, want)
	}
}

// whole checks that the index is as if all had been stored with the parameters of the site, and
// that nothing is left to be built.
func (w site) whole(t testing.TB, s *Store) []string {
	t.Helper()
	rows := indexIs(t, s, w.rows)
	if b, err := s.Backlog(t.Context()); err != nil || b.any() || b.Parameters > 0 {
		t.Errorf("there is a backlog of %+v, %v", b, err)
	}
	return rows
}

// declare begins a generation of the index if it has to.
func declare(t testing.TB, s *Store, r *search.Registry, zone *time.Location, base string) {
	t.Helper()
	if err := s.Declare(t.Context(), r.Fingerprints(zone, base), true); err != nil {
		t.Fatal(err)
	}
}

// extractWith are the rows of a registry.
func extractWith(r *search.Registry, zone *time.Location, base string) Rows {
	return func(res *fhir.Resource) ([]search.Row, error) {
		n, err := fhir.Parse(res.Body)
		if err != nil {
			return nil, err
		}
		return r.ExtractStored(n, zone, base, func(*search.Parameter) {})
	}
}

// built builds the index until nothing is left.
func built(t testing.TB, s *Store, r *search.Registry, zone *time.Location, base string) {
	t.Helper()
	ctx, end := context.WithTimeout(t.Context(), time.Minute)
	defer end()
	done := make(chan struct{})
	go func() {
		defer close(done)
		s.KeepIndexed(ctx, extractWith(r, zone, base))
	}()
	defer func() { end(); <-done }()
	awaitBuilt(t, s)
}

// awaitBuilt waits until others have built the index.
func awaitBuilt(t testing.TB, s *Store) {
	t.Helper()
	for began := time.Now(); ; time.Sleep(time.Millisecond) {
		b, err := s.Backlog(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if !b.any() {
			if b.Parameters != 0 {
				t.Fatalf("%d parameters are left behind", b.Parameters)
			}
			return
		}
		if time.Since(began) > time.Minute {
			t.Fatalf("there is a backlog of %+v", b)
		}
	}
}

// samples are resources with rows in all tables.
func samples(t testing.TB, w site, s *Store) {
	t.Helper()
	w.mustPut(t, s, "p", `{"resourceType":"Patient","id":"p","identifier":[{"system":"http://x","value":"1"}],"name":[{"family":"Øberg","given":["Zoë"],"text":"Zoë Ø"}],"birthDate":"1970-01-31","generalPractitioner":[{"reference":"Practitioner/g"}]}`)
	w.mustPut(t, s, "g", `{"resourceType":"Practitioner","id":"g","name":[{"family":"Green","text":"Dr Green"}]}`)
	w.mustPut(t, s, "o", `{"resourceType":"Observation","id":"o","status":"final","code":{"coding":[{"system":"http://loinc.org","code":"72514-3"}],"text":"Pain"},"subject":{"reference":"http://two.example/fhir/Patient/p"},"effectiveDateTime":"2026-01-01T00:30:00","valueQuantity":{"value":6,"system":"http://unitsofmeasure.org","code":"{score}"},
		"component":[{"code":{"coding":[{"system":"http://loinc.org","code":"x"}]},"valueQuantity":{"value":1,"system":"http://unitsofmeasure.org","code":"kg"}}],"note":[{"text":"noted"}]}`)
	w.mustPut(t, s, "q", `{"resourceType":"Observation","id":"q","status":"final","code":{"text":"Other"},"subject":{"reference":"Patient/p"},"effectiveDateTime":"2026-07-01","bodySite":{"text":"Knee"}}`)
	w.mustPut(t, s, "v", `{"resourceType":"ValueSet","id":"v","url":"http://x/v","status":"draft"}`)
	w.mustPut(t, s, "d", `{"resourceType":"Observation","id":"d","status":"final","code":{"text":"gone"},"bodySite":{"text":"Hip"}}`)
	if err := s.Write(t.Context(), func(ctx context.Context, tx *Tx) error {
		_, err := tx.Delete(ctx, "Observation", "d", t0, "DELETE")
		return err
	}); err != nil {
		t.Fatal(err)
	}
}

// A change of what rows rest on: queries that need what has changed are refused until it is built,
// no others are, and afterwards all is as if it had been so from the start.
func TestIndexFollowsItsDefinitions(t *testing.T) {
	const site1, site2 = "Observation body-site token Observation.bodySite", "Observation body-site token Observation.code"
	zones := time.FixedZone("far", -5*3600)
	for name, c := range map[string]struct {
		before, after func(t testing.TB) site
		// queries have what is found at the end; those of free are never refused.
		queries, free map[string]string
	}{
		"a new parameter": {
			func(t testing.TB) site { return siteWith(t) },
			func(t testing.TB) site {
				return siteWith(t, site1, "Patient nick string Patient.name.text", "Observation about reference Observation.subject")
			},
			map[string]string{
				"Observation?body-site:text=knee":                                   "Observation/q",
				"Observation?body-site:missing=true":                                "Observation/o", // a text is something
				"Observation?body-site:text=knee&code:text=other":                   "Observation/q",
				"Observation?patient.nick=zoe":                                      "Observation/q",
				"Patient?_has:Observation:patient:body-site:text=knee":              "Patient/p",
				"Patient?_sort=nick":                                                "Patient/p",
				"Observation?_id=q&_include=Observation:about":                      "Observation/q Patient/p",
				"Patient?_revinclude=Observation:about":                             "Patient/p Observation/q",
				"Patient?_filter=nick sw zoe":                                       "Patient/p",
				"Observation?_sort=-body-site&status=final":                         "Observation/o Observation/q",
				"Observation?body-site:not=http://loinc.org|72514-3&_id=q":          "Observation/q",
				"Patient?_has:Observation:about:status=final&_id=p&family=oberg":    "Patient/p",
				"Observation?about.nick=zo&_sort=date&_total=accurate&status=final": "Observation/q",
			},
			map[string]string{
				"Observation?code:text=pain": "Observation/o", "Observation?patient.family=ober": "Observation/q", "Patient?_sort=family": "Patient/p",
				"Patient?_revinclude=Observation:subject": "Patient/p Observation/q", "Practitioner?name=green": "Practitioner/g",
			},
		},
		"another expression": {
			func(t testing.TB) site { return siteWith(t, site1) },
			func(t testing.TB) site { return siteWith(t, site2) },
			map[string]string{"Observation?body-site=http://loinc.org|72514-3": "Observation/o", "Observation?body-site:text=knee": ""},
			map[string]string{"Observation?code:text=pain": "Observation/o"},
		},
		"another kind": {
			func(t testing.TB) site { return siteWith(t, site1) },
			func(t testing.TB) site { return siteWith(t, "Observation body-site string Observation.bodySite.text") },
			map[string]string{"Observation?body-site=kne": "Observation/q"},
			map[string]string{"Observation?code:text=pain": "Observation/o"},
		},
		"a parameter that is removed": {
			func(t testing.TB) site { return siteWith(t, site1, "Patient nick string Patient.name.text") },
			func(t testing.TB) site { return siteWith(t) },
			nil,
			map[string]string{"Observation?code:text=pain": "Observation/o", "Patient?family=oberg": "Patient/p"},
		},
		"another time zone": {
			func(t testing.TB) site { return siteWith(t) },
			func(t testing.TB) site { return siteWith(t).in(zones) },
			map[string]string{"Observation?date=2026-01-01T05:30:00Z": "Observation/o", "Observation?date=2026-01-01T00:30:00Z": "", "Patient?_has:Observation:patient:date=2026-07-01": "Patient/p"},
			map[string]string{"Observation?code:text=pain": "Observation/o", "Patient?family=oberg": "Patient/p"},
		},
		"another base": {
			func(t testing.TB) site { return siteWith(t) },
			func(t testing.TB) site { return siteWith(t).at("http://two.example/fhir") },
			map[string]string{"Observation?patient=p": "Observation/o Observation/q", "Patient?_revinclude=Observation:subject": "Patient/p Observation/o Observation/q"},
			map[string]string{"Observation?code:text=pain": "Observation/o", "Patient?birthdate=1970-01-31": "Patient/p"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			onEach(t, func(t *testing.T, url string) {
				s := openURL(t, url, Options{beat: calm})
				before, after := c.before(t), c.after(t)
				before.declare(t, s)
				samples(t, before, s)
				before.whole(t, s)
				after.declare(t, s)
				for query := range c.queries {
					after.want(t, s, query, "not yet")
				}
				for query, found := range c.free {
					after.want(t, s, query, found)
				}
				// A write that asks by it is refused, too, and one that does not is indexed.
				after.mustPut(t, s, "r", `{"resourceType":"Observation","id":"r","status":"amended","code":{"text":"x"},"bodySite":{"text":"Elbow"}}`)
				for query := range c.queries {
					if err := s.Write(t.Context(), func(ctx context.Context, tx *Tx) error {
						typ, rest, _ := strings.Cut(query, "?")
						pairs, err := search.ParsePairs(rest)
						if err != nil {
							return err
						}
						q, _, err := after.registry.Parse(typ, pairs, search.Options{DefaultCount: 2, MaxCount: 2, Zone: after.zone, Base: after.base})
						if err != nil {
							return err
						}
						if page, err := tx.Search(ctx, q, nil); err != nil || len(q.Include) == 0 {
							return err
						} else {
							_, err = tx.Include(ctx, page.Resources, q.Include, 100)
							return err
						}
					}); fhir.KindOf(err) != fhir.Unavailable {
						t.Errorf("%s in a write: %v", query, err)
					}
					break
				}
				if err := s.Write(t.Context(), func(ctx context.Context, tx *Tx) error {
					_, err := tx.Delete(ctx, "Observation", "r", t0, "DELETE")
					return err
				}); err != nil {
					t.Fatal(err)
				}
				after.build(t, s)
				for _, queries := range []map[string]string{c.queries, c.free} {
					for query, found := range queries {
						after.want(t, s, query, found)
					}
				}
				rows := after.whole(t, s)

				fresh := openURL(t, freshURL(t, url), Options{})
				after.declare(t, fresh)
				samples(t, after, fresh)
				if want := after.whole(t, fresh); len(want) != len(rows) || len(want) < 30 {
					t.Errorf("there are %d rows, and after a fresh load %d", len(rows), len(want))
				}
				for query, found := range c.queries {
					after.want(t, fresh, query, found)
				}
			})
		})
	}
}

// freshURL is another database of the same engine.
func freshURL(t testing.TB, url string) string {
	if strings.HasPrefix(url, "sqlite:") {
		return "sqlite:" + filepath.Join(t.TempDir(), "fresh.db")
	}
	return postgrestest.Database(t)
}

func TestEmptyDatabaseHasNothingToBuild(t *testing.T) {
	onEach(t, func(t *testing.T, url string) {
		s := openURL(t, url, Options{})
		w := siteWith(t)
		w.declare(t, s)
		if b, err := s.Backlog(t.Context()); err != nil || b.any() || b.Parameters > 0 {
			t.Errorf("%+v, %v", b, err)
		}
		w.want(t, s, "Patient?family=x&_sort=birthdate", "")
		w.mustPut(t, s, "p", `{"resourceType":"Patient","id":"p"}`)
		// Of types without resources nothing is to be built later, either.
		w = siteWith(t, "Observation body-site token Observation.bodySite")
		w.declare(t, s)
		w.want(t, s, "Observation?body-site=x", "")
		if b, err := s.Backlog(t.Context()); err != nil || len(b.Types) > 0 || b.Parameters > 0 {
			t.Errorf("%+v, %v", b, err)
		}
	})
}

// Who knows an earlier generation does not write. It reads, and searches by what has not changed.
func TestOutdatedProcessIsRefused(t *testing.T) {
	onEach(t, func(t *testing.T, url string) {
		before, after := siteWith(t), siteWith(t, "Observation body-site token Observation.bodySite").in(time.FixedZone("far", -5*3600))
		old := openURL(t, url, Options{beat: calm})
		before.declare(t, old)
		samples(t, before, old)
		same := openURL(t, url, Options{beat: calm})
		if err := same.Declare(t.Context(), before.registry.Fingerprints(before.zone, before.base), false); err != nil {
			t.Errorf("one with the same parameters: %v", err)
		}
		staging, err := old.Stage(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		n, err := fhir.Parse([]byte(`{"resourceType":"Patient"}`))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := staging.Add(t.Context(), t0, []New{{Draft: fhir.NewDraft(n), ID: "staged", Method: "POST"}}); err != nil {
			t.Fatal(err)
		}
		young := openURL(t, url, Options{beat: calm})
		if err := young.Declare(t.Context(), after.registry.Fingerprints(after.zone, after.base), false); !errors.Is(err, errOtherIndex) {
			t.Fatalf("one that may not begin a generation: %v", err)
		}
		before.want(t, old, "Patient?family=oberg", "Patient/p") // nothing has happened
		after.declare(t, young)

		for what, err := range map[string]error{
			"a write":   before.put(t.Context(), old, "w", `{"resourceType":"Patient","id":"w"}`),
			"the other": before.put(t.Context(), same, "w", `{"resourceType":"Patient","id":"w"}`),
			"a ping":    old.Ping(t.Context()),
			"a reveal":  old.Write(t.Context(), func(ctx context.Context, tx *Tx) error { return tx.Reveal(ctx, staging) }),
			"a request": old.Reindex(t.Context()),
			"a view": old.View(t.Context(), func(ctx context.Context, r *Reader) error {
				_, err := r.Search(ctx, &search.Query{Type: "Patient", Sort: []search.SortKey{{Param: param("Patient", "birthdate", search.Date)}}, Count: 1}, nil)
				return err
			}),
		} {
			if !errors.Is(err, ErrOutdated) || fhir.KindOf(err) != fhir.Unavailable {
				t.Errorf("%s: %v", what, err)
			}
		}
		for query, want := range map[string]string{
			"Patient?family=oberg": "Patient/p", "Patient?_id=p": "Patient/p", "Observation?patient.family=oberg": "Observation/q",
			"Patient?_has:Observation:patient:code:text=other": "Patient/p", "Patient?_revinclude=Observation:subject": "Patient/p Observation/q",
			"Patient?birthdate=1970-01-31": "outdated", "Patient?_sort=birthdate": "outdated", "Observation?patient.birthdate=1970": "outdated",
			"Patient?_has:Observation:patient:date=2026": "outdated", "Observation?date:missing=true": "outdated",
		} {
			before.want(t, old, query, want)
		}
		if _, err := get(t, old, "Patient", "p"); err != nil {
			t.Errorf("a read: %v", err)
		}
		old.KeepIndexed(t.Context(), before.rows) // it gives up by itself
		after.mustPut(t, young, "w", `{"resourceType":"Patient","id":"w"}`)
		after.build(t, young)
		after.want(t, young, "Observation?body-site:text=knee", "Observation/q")
		before.want(t, old, "Patient?birthdate=1970-01-31", "outdated") // although it is built
		before.want(t, old, "Patient?family=oberg", "Patient/p")
		staging.Discard()

		// Back again.
		again := openURL(t, url, Options{beat: calm})
		before.declare(t, again)
		before.build(t, again)
		if err := young.Ping(t.Context()); !errors.Is(err, ErrOutdated) {
			t.Errorf("the one in between: %v", err)
		}
		begun, err := again.Stage(t.Context()) // removes what is staged
		if err != nil {
			t.Fatal(err)
		}
		if err := begun.Drop(t.Context()); err != nil {
			t.Fatal(err)
		}
		before.whole(t, again)
	})
}

// What a view does not see yet is not searched, although the process knows that it is there now.
func TestViewBeforeTheBuild(t *testing.T) {
	onEach(t, func(t *testing.T, url string) {
		before, after := siteWith(t), siteWith(t, "Observation body-site token Observation.bodySite")
		s := openURL(t, url, Options{beat: calm})
		before.declare(t, s)
		samples(t, before, s)
		after.declare(t, s)
		p, _ := after.registry.Lookup("Observation", "body-site")
		q := &search.Query{Type: "Observation", Count: 10, Clauses: []search.Clause{{Param: p, Modifier: "missing", Values: []search.Value{{Missing: false}}}}}
		if err := s.View(t.Context(), func(ctx context.Context, r *Reader) error {
			if _, err := r.Get(ctx, "Patient", "p"); err != nil { // the state is fixed
				return err
			}
			after.build(t, s)
			after.want(t, s, "Observation?body-site:missing=false", "Observation/q")
			after.want(t, s, "Observation?body-site:text=knee", "Observation/q")
			page, err := r.Search(ctx, q, nil)
			if fhir.KindOf(err) != fhir.Unavailable {
				t.Errorf("%+v, %v", page, err)
			}
			return nil
		}); err != nil {
			t.Fatal(err)
		}
	})
}

// To index all again repairs what is broken, changes nothing else, and searches go on.
func TestReindexAll(t *testing.T) {
	onEach(t, func(t *testing.T, url string) {
		s := openURL(t, url, Options{beat: calm})
		w := siteWith(t, "Observation body-site token Observation.bodySite")
		w.declare(t, s)
		samples(t, w, s)
		rows := w.whole(t, s)
		if err := s.Write(t.Context(), func(ctx context.Context, tx *Tx) error {
			if err := tx.exec(ctx, `DELETE FROM index_token WHERE rid % 2 = 0`); err != nil {
				return err
			}
			return tx.exec(ctx, `INSERT INTO index_uri (rid, param, part, value) SELECT rid, (SELECT min(param) FROM index_uri), 7, id FROM resource WHERE deleted = 0`)
		}); err != nil {
			t.Fatal(err)
		}
		if err := s.Reindex(t.Context(), "Patient", "Nothing"); fhir.KindOf(err) != fhir.BadRequest {
			t.Errorf("a type that is not there: %v", err)
		}
		if b, err := s.Backlog(t.Context()); err != nil || b.any() {
			t.Errorf("%+v, %v", b, err)
		}
		if err := s.Reindex(t.Context()); err != nil {
			t.Fatal(err)
		}
		w.want(t, s, "Patient?family=oberg", "Patient/p")
		if b, err := s.Backlog(t.Context()); err != nil || len(b.Types) != len(fhir.StoredTypes()) || b.Parameters > 0 {
			t.Errorf("%+v, %v", b, err)
		}
		w.build(t, s)
		if again := w.whole(t, s); !slices.Equal(again, rows) {
			t.Errorf("there were %d rows, and are %d", len(rows), len(again))
		}
	})
}

// Two processes build while both write, and builds stop and begin again: what is stored, changed
// and deleted meanwhile is indexed right, and what was there too.
func TestBuildWhileOthersWrite(t *testing.T) {
	onEach(t, func(t *testing.T, url string) {
		sites := []site{
			siteWith(t),
			siteWith(t, "Observation body-site token Observation.bodySite", "Patient nick string Patient.name.text"),
			siteWith(t, "Observation body-site string Observation.bodySite.text").in(time.FixedZone("far", -5*3600)),
			siteWith(t, "Patient nick string Patient.name.given").at("http://two.example/fhir"),
		}
		first := openURL(t, url, Options{beat: calm})
		sites[0].declare(t, first)
		body := func(i int) (id, body string) {
			if i%3 == 0 {
				id = fmt.Sprint("p", i)
				return id, fmt.Sprintf(`{"resourceType":"Patient","id":%q,"name":[{"family":"f%d","given":["g%d"],"text":"t%d"}],"birthDate":"1970-01-%02d"}`, id, rand.IntN(9), rand.IntN(9), rand.IntN(9), 1+rand.IntN(28))
			}
			id = fmt.Sprint("o", i)
			return id, fmt.Sprintf(`{"resourceType":"Observation","id":%q,"status":"final","code":{"text":"c%d"},"bodySite":{"text":"b%d"},"subject":{"reference":"http://two.example/fhir/Patient/p%d"},"effectiveDateTime":"2026-01-%02dT10:00:00"}`, id, rand.IntN(9), rand.IntN(9), 3*rand.IntN(99), 1+rand.IntN(28))
		}
		const many = 600
		for i := range many {
			id, text := body(i)
			sites[0].mustPut(t, first, id, text)
		}
		sites[0].whole(t, first)
		for _, w := range sites[1:] {
			stores := []*Store{openURL(t, url, Options{beat: calm}), openURL(t, url, Options{beat: calm})}
			ctx, end := context.WithCancel(t.Context())
			var builders, writers sync.WaitGroup
			for _, s := range stores {
				w.declare(t, s)
				builders.Go(func() {
					for n := 1; ctx.Err() == nil; n++ { // it stops now and then, as a process does, and less and less
						turn, stop := context.WithTimeout(ctx, time.Duration(n*(5+rand.IntN(60)))*time.Millisecond)
						s.KeepIndexed(turn, w.rows)
						stop()
					}
				})
				writers.Go(func() {
					for range 150 {
						id, text := body(rand.IntN(many + 100))
						err := w.put(ctx, s, id, text)
						if rand.IntN(5) == 0 {
							err = s.Write(ctx, func(ctx context.Context, tx *Tx) error {
								typ := map[byte]string{'p': "Patient", 'o': "Observation"}[id[0]]
								_, err := tx.Delete(ctx, typ, id, t0, "DELETE")
								return err
							})
						}
						if err != nil {
							t.Error(err)
							return
						}
						if rand.IntN(40) == 0 {
							if err := s.Reindex(ctx, "Observation"); err != nil {
								t.Error(err)
							}
						}
					}
				})
			}
			writers.Wait()
			for _, s := range stores {
				awaitBuilt(t, s)
			}
			end()
			builders.Wait()
			w.whole(t, stores[0])
			w.whole(t, stores[1])
		}
	})
}

// A generation that begins in the middle of a build takes over what that one has not done.
func TestGenerationsInTheMiddleOfABuild(t *testing.T) {
	onEach(t, func(t *testing.T, url string) {
		s := openURL(t, url, Options{beat: calm})
		first := siteWith(t)
		first.declare(t, s)
		for i := range 3 * indexRead {
			first.mustPut(t, s, fmt.Sprint("o", i), fmt.Sprintf(`{"resourceType":"Observation","id":"o%d","status":"final","code":{"text":"c%d"},"bodySite":{"text":"b%d"}}`, i, i%7, i%5))
		}
		own := []string{"Observation one token Observation.bodySite", "Observation two token Observation.code", "Observation three string Observation.code.text"}
		for n := range own {
			w := siteWith(t, own[:n+1]...)
			w.declare(t, s)
			l := leaseOf(t, s)
			b := &builder{Lease: l, extract: w.rows}
			build, err := b.next(t.Context())
			if err != nil || build == nil {
				t.Fatal(build, err)
			}
			if build.after != 0 {
				t.Errorf("it begins after %d", build.after)
			}
			batch, last, err := b.read(t.Context(), build)
			if err != nil {
				t.Fatal(err)
			}
			half := batch[:len(batch)/2]
			if err := l.Write(t.Context(), func(ctx context.Context, tx *Tx) error { return tx.build(ctx, build, half[len(half)-1].rid, half) }); err != nil {
				t.Fatal(err)
			}
			// The rest of it comes too late once others were asked for.
			if err := s.Reindex(t.Context(), "Patient"); err != nil {
				t.Fatal(err)
			}
			again, err := b.next(t.Context())
			if err != nil || again.after != half[len(half)-1].rid {
				t.Errorf("it goes on after %d, %v", again.after, err)
			}
			if err := s.Reindex(t.Context(), "Observation"); err != nil {
				t.Fatal(err)
			}
			if err := l.Write(t.Context(), func(ctx context.Context, tx *Tx) error { return tx.build(ctx, build, last, batch[len(batch)/2:]) }); !errors.Is(err, errElsewhere) {
				t.Errorf("a step of a build that was asked for anew: %v", err)
			}
			if err := l.release(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		w := siteWith(t, own...)
		w.want(t, s, "Observation?one:text=b1", "not yet")
		w.build(t, s)
		w.whole(t, s)
		if found := w.ask(t, s, "Observation?one:text=b1&two:text=c1&three=c1"); !strings.Contains(found, "Observation/o1") {
			t.Errorf("%q", found)
		}
	})
}

// leaseOf takes the lease of who builds.
func leaseOf(t testing.TB, s *Store) *Lease {
	t.Helper()
	var w watch
	for range 1000 {
		l, err := s.look(t.Context(), indexLease, &w)
		if err != nil {
			t.Fatal(err)
		}
		if l != nil {
			return l
		}
		time.Sleep(time.Millisecond)
	}
	t.Fatal("the lease is not free")
	return nil
}

// A value that a new parameter cannot index does not stop the build.
func TestValueThatCannotBeIndexed(t *testing.T) {
	onEach(t, func(t *testing.T, url string) {
		s := openURL(t, url, Options{beat: calm})
		before, after := siteWith(t), siteWith(t, "Patient born date Patient.name.text", "Patient nick string Patient.name.text")
		before.declare(t, s)
		samples(t, before, s)
		after.declare(t, s)
		after.build(t, s)
		after.want(t, s, "Patient?born:missing=true&nick=zoe", "Patient/p")
		after.whole(t, s)
	})
}

func TestOrderOfTypes(t *testing.T) {
	b := &builder{first: []string{"Procedure", "Patient"}}
	types := []*typeBuild{{name: "Account"}, {name: "Task", after: 9}, {name: "Patient"}, {name: "Basic"}, {name: "Procedure"}, {name: "Observation", after: 1}}
	slices.SortFunc(types, b.compare)
	var names []string
	for _, t := range types {
		names = append(names, t.name)
	}
	if got := strings.Join(names, " "); got != "Procedure Patient Observation Task Account Basic" {
		t.Errorf("%s", got)
	}
}
