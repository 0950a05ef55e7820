package audit

import (
	"bytes"
	"flag"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"aftercare/fhir"
	"aftercare/fhir/search"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// randomRecord has few values, so that records have many in common.
func randomRecord(rt *rapid.T) *Record {
	pick := func(name string, of ...string) string { return rapid.SampledFrom(of).Draw(rt, name) }
	codes := []string{"read", "vread", "search-type", "search-system", "create", "update", "patch", "delete", "history-instance", "operation", "capabilities", "batch", "request", "no-such-code"}
	for code := range activities {
		codes = append(codes, code)
	}
	slices.Sort(codes)
	r := &Record{
		ID: "7", Recorded: time.UnixMicro(1_800_000_000_000_000).UTC(), Code: rapid.OneOf(rapid.SampledFrom(codes), rapid.SampledFrom([]string{"read", "search-type", "operation", Started})).Draw(rt, "code"),
		Type: pick("type", "", "Patient", "CarePlan", "AuditEvent"), Target: pick("target", "", "a", "b", "c-1"),
		Query: pick("query", "", "GET CarePlan?patient=a"), Status: rapid.SampledFrom([]int{200, 201, 204, 304, 400, 403, 404, 410, 422, 500, 503}).Draw(rt, "status"),
		Reason: pick("reason", "", "not-found"), Operation: pick("operation", "", "everything"), Emergency: pick("emergency", "", "unconscious"),
		RequestID: pick("request", "", "r-1", "r-2"), Caller: pick("caller", "", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b8-01"), Trace: pick("trace", "", "4bf92f3577b34da6a3ce929d0e0e4736"), Span: "00f067aa0ba902b7",
		Agent: Agent{
			Client: pick("client", "", "app", "ehr"), Issuer: pick("issuer", "", "https://idp.example", "https://other.example"), Subject: pick("subject", "", "app", "user-42"),
			User:    pick("user", "", "Practitioner/1", "Patient/a", "Person/1", "https://ehr.example/fhir/Patient/a", "https://ehr.example/fhir/Practitioner/9/_history/2", "odd"),
			TokenID: pick("jti", "", "t1", "t2"), Address: pick("address", "", "192.0.2.17"),
		},
	}
	versions := []Version{{"Patient", "a", 1}, {"Patient", "b", 0}, {"CarePlan", "a", 1}, {"CarePlan", "a", 2}, {"Observation", "x", 1}, {"AuditEvent", "3", 1}}
	r.Shown = rapid.SliceOfN(rapid.SampledFrom(versions), 0, 4).Draw(rt, "shown")
	r.Patients = slices.Compact(slices.Sorted(slices.Values(rapid.SliceOfN(rapid.SampledFrom([]string{"a", "b", "c"}), 0, 2).Draw(rt, "patients"))))
	if r.Status >= 400 {
		r.Shown, r.Patients = nil, nil
	}
	if r.Type == "" {
		r.Target = ""
	}
	return r
}

func showRow(r search.Row) string { return r.Param.Code + " " + r.System + "|" + r.Value }

// What records are found by is what the AuditEvents are found by that they are shown as.
func TestRowsAreThoseOfTheEvent(t *testing.T) {
	registry, err := search.NewRegistry()
	if err != nil {
		t.Fatal(err)
	}
	rapid.Check(t, func(rt *rapid.T) {
		r := randomRecord(rt)
		event, err := site.Event(r)
		if err != nil {
			rt.Fatal(err)
		}
		n, err := fhir.Parse(event)
		if err != nil {
			rt.Fatal(err)
		}
		extracted, err := registry.Extract(n, time.UTC, site.Base)
		if err != nil {
			rt.Fatal(err)
		}
		var want, got []string
		for _, row := range extracted {
			// Not asked for: texts, times, and identifiers of what is no agent or entity.
			if k := row.Param.Kind; (k == search.Token || k == search.URI || k == search.Reference) && row.Param.Code != "patient:identifier" && row.Param.Code != "source:identifier" {
				want = append(want, showRow(row))
			}
		}
		for _, row := range site.Rows(r) {
			got = append(got, showRow(row))
			if systems := systemsOf[row.Param.Code]; systems != nil && !slices.Contains(systems, row.System) {
				rt.Errorf("%s: the system is not known", showRow(row))
			}
		}
		slices.Sort(want)
		slices.Sort(got)
		got = slices.Compact(got)
		if !slices.Equal(got, want) {
			rt.Fatalf("got\n%s\nwant\n%s\nof %s", strings.Join(got, "\n"), strings.Join(want, "\n"), event)
		}
	})
}

// A clause holds for a record if its terms say so.
func TestTermsSayWhatHolds(t *testing.T) {
	registry, err := search.NewRegistry()
	if err != nil {
		t.Fatal(err)
	}
	terms, err := NewTerms(bytes.Repeat([]byte{1}, SecretSize), site)
	if err != nil {
		t.Fatal(err)
	}
	queries := []string{
		"patient=a", "patient=Patient/b,c", "patient=https://ehr.example/fhir/Patient/a", "entity=Patient/a", "entity=CarePlan/a", "entity:CarePlan=a", "entity=a", "entity=c-1,3", "entity=AuditEvent/3,Observation/x",
		"agent=Practitioner/1", "agent=1", "agent=Patient/a", "agent=Device/aftercare-software", "agent=https://ehr.example/fhir/Practitioner/9", "agent:identifier=https://idp.example|app", "agent:identifier=|unknown",
		"entity:identifier=r-1", "entity:identifier=|r-2,r-1", "policy=urn:jti:t1", "source=Device/aftercare-software", "source=Device/other",
		"outcome=0", "outcome=4,8", "outcome=0,8", "outcome:not=0", "outcome:not=4,8", "outcome=http://hl7.org/fhir/audit-event-outcome|4", "action=R", "action=C,D", "action:not=R",
		"type=rest", "type:not=rest", "type=110114", "type=http://dicom.nema.org/resources/ontology/DCM|110100", "type=http://x|rest", "subtype=read,vread", "subtype=110120", "subtype:not=read",
		"entity-type=1", "entity-type=2", "entity-type=XrequestId", "entity-type:not=4", "entity-role=24", "entity-role=4,1", "entity-role:not=26",
	}
	seen := map[string]map[bool]bool{}
	for _, q := range queries {
		seen[q] = map[bool]bool{}
	}
	check := func(rt *rapid.T, r *Record) {
		has, rows := terms.Of(r), site.Rows(r)
		for _, raw := range queries {
			q := ask(rt, registry, raw)
			asked, err := terms.Asked(&q.Clauses[0])
			if err != nil {
				rt.Fatal(raw, err)
			}
			said := !slices.ContainsFunc(asked, func(any []Literal) bool {
				return !slices.ContainsFunc(any, func(l Literal) bool { return slices.Contains(has, l.Term) != l.Lacks })
			})
			if holds := Holds(&q.Clauses[0], rows); said != holds {
				rt.Fatalf("%s: the terms say %t, and it is %t, of %+v", raw, said, holds, r)
			}
			seen[raw][said] = true
		}
	}
	checks := 0
	rapid.Check(t, func(rt *rapid.T) {
		checks++
		for range 5 {
			check(rt, randomRecord(rt))
		}
	})
	for _, raw := range queries {
		always := raw == "source=Device/aftercare-software" || raw == "agent=Device/aftercare-software"
		never := raw == "source=Device/other" || raw == "type=http://x|rest"
		if checks >= 100 && (!seen[raw][true] && !never || !seen[raw][false] && !always) {
			t.Errorf("%s: only %v was seen", raw, fmt.Sprint(seen[raw]))
		}
	}
	for _, raw := range []string{"agent:identifier=app", "agent:identifier=https://idp.example|", "type=http://x|", "patient=" + strings.Repeat("a,", MaxLiterals/2) + "a", "entity=" + strings.Repeat("a,", 8) + "a"} {
		if _, err := terms.Asked(&ask(t, registry, raw).Clauses[0]); err == nil {
			t.Errorf("%s is answered", raw)
		}
	}
}

func ask(t rapid.TB, registry *search.Registry, raw string) *search.Query {
	pairs, err := search.ParsePairs(raw)
	if err != nil {
		t.Fatal(err)
	}
	q, _, err := registry.Parse("AuditEvent", pairs, search.Options{Zone: time.UTC, Base: site.Base, DefaultCount: 1, MaxCount: 1})
	if err != nil {
		t.Fatal(raw, err)
	}
	return q
}

// A service that gets another address finds what it found before, also where its address is then that of a
// server which records name.
func TestTermsAreThoseOfEachAddress(t *testing.T) {
	secret := bytes.Repeat([]byte{1}, SecretSize)
	terms, err := NewTerms(secret, site)
	if err != nil {
		t.Fatal(err)
	}
	moved := site
	moved.Base = "https://ehr.example/fhir"
	other, err := NewTerms(secret, moved)
	if err != nil {
		t.Fatal(err)
	}
	rapid.Check(t, func(rt *rapid.T) {
		r := randomRecord(rt)
		if a, b := terms.Of(r), other.Of(r); !slices.Equal(a, b) {
			rt.Fatalf("%v and %v of %+v", a, b, r)
		}
	})
}

// The index of a log that exists has the terms that records had when it was made. Where this test fails because
// records are found by something else now, a migration has to empty log_term and to put log_indexed to 0: the index
// is made anew then. Without it, what is there is not found, and the index of each log counts as tampered with.
func TestTermsStayWhatTheyWere(t *testing.T) {
	terms, err := NewTerms(bytes.Repeat([]byte{1}, SecretSize), site)
	if err != nil {
		t.Fatal(err)
	}
	var got strings.Builder
	samples := records()
	for _, name := range slices.Sorted(maps.Keys(samples)) {
		var of []string
		for _, term := range slices.Sorted(slices.Values(terms.Of(samples[name]))) {
			of = append(of, fmt.Sprintf("%04x", uint16(term)))
		}
		fmt.Fprintf(&got, "%s: %s\n", name, strings.Join(of, " "))
	}
	const file = "testdata/terms.txt"
	if *update {
		if err := os.WriteFile(file, []byte(got.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got.String()); diff != "" {
		t.Errorf("see above what has to be done (-was +is):\n%s", diff)
	}
}

var update = flag.Bool("update", false, "rewrite testdata/terms.txt")

// What is frequent costs little.
func TestAReadHasFewTerms(t *testing.T) {
	terms, err := NewTerms(bytes.Repeat([]byte{1}, SecretSize), site)
	if err != nil {
		t.Fatal(err)
	}
	if n := len(terms.Of(records()["a read"])); n > 10 {
		t.Errorf("a read has %d terms", n)
	}
	other, err := NewTerms(bytes.Repeat([]byte{2}, SecretSize), site)
	if err != nil {
		t.Fatal(err)
	}
	for _, term := range other.Of(records()["a read"]) {
		if slices.Contains(terms.Of(records()["a read"]), term) {
			t.Error("a term does not depend on the secret")
		}
	}
}

func BenchmarkTerms(b *testing.B) {
	terms, err := NewTerms(bytes.Repeat([]byte{1}, SecretSize), site)
	if err != nil {
		b.Fatal(err)
	}
	r := records()["a read"]
	for b.Loop() {
		terms.Of(r)
	}
}
