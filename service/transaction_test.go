package service

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"aftercare/fhir"

	"pgregory.net/rapid"
)

// transactions are what a transaction comes to on what is there. want is the status of each
// entry, or, where place is not "", the entry that is refused and how.
var transactions = map[string]struct {
	before, entries []string
	want            []string
	kind            fhir.ErrorKind
	place           string
	// then is a search; found are the ids that it gives, or the subjects or members, or "*"
	// for one resource with any id.
	then, found string
}{
	// Conditional writes that would leave two where each wanted one.
	"two conditional updates, the parameters swapped": {
		entries: []string{
			entryOf("", born(patientWith("pm")), "PUT", "Patient?identifier=http://x.example|pm&birthdate=1990-01-01", ""),
			entryOf("", born(patientWith("pm")), "PUT", "Patient?birthdate=1990-01-01&identifier=http://x.example|pm", "")},
		kind: fhir.PreconditionFailed, place: "Bundle.entry[0]", then: "Patient?", found: ""},
	"two conditional updates, one by the value alone": {
		entries: []string{
			entryOf("", patientWith("pn"), "PUT", "Patient?identifier=http://x.example|pn", ""),
			entryOf("", patientWith("pn"), "PUT", "Patient?identifier=pn", "")},
		kind: fhir.PreconditionFailed, place: "Bundle.entry[0]", then: "Patient?", found: ""},
	"two conditional updates, one more exact": {
		entries: []string{
			entryOf("", born(patientWith("two")), "PUT", "Patient?identifier=http://x.example|two&birthdate=1990-01-01", ""),
			entryOf("", patientWith("two"), "PUT", "Patient?identifier=http://x.example|two", "")},
		kind: fhir.PreconditionFailed, place: "Bundle.entry[1]", then: "Patient?", found: ""},
	"a conditional update and a create": {
		entries: []string{
			entryOf("", patientWith("thr"), "POST", "Patient", ""),
			entryOf("", patientWith("thr"), "PUT", "Patient?identifier=http://x.example|thr", "")},
		kind: fhir.PreconditionFailed, place: "Bundle.entry[1]", then: "Patient?", found: ""},
	"a conditional update, and an update of another": {
		before: []string{entryOf("", put("Patient", "a", patientWith("9")), "PUT", "Patient/a", "")},
		entries: []string{
			entryOf("", patientWith("1"), "PUT", "Patient?identifier=http://x.example|1", ""),
			entryOf("", put("Patient", "a", patientWith("1")), "PUT", "Patient/a", "")},
		kind: fhir.PreconditionFailed, place: "Bundle.entry[0]", then: "Patient?identifier=9", found: "a"},
	"a conditional create, and an update of another": {
		before: []string{entryOf("", put("Patient", "a", patientWith("9")), "PUT", "Patient/a", "")},
		entries: []string{
			entryOf("", put("Patient", "a", patientWith("1")), "PUT", "Patient/a", ""),
			entryOf("", patientWith("1"), "POST", "Patient", `,"ifNoneExist":"identifier=http://x.example|1"`)},
		kind: fhir.PreconditionFailed, place: "Bundle.entry[1]", then: "Patient?identifier=9", found: "a"},
	"two conditional updates of different things": {
		entries: []string{
			entryOf("", put("Patient", "a", patientWith("1")), "PUT", "Patient?identifier=http://x.example|1", ""),
			entryOf("", put("Patient", "b", patientWith("2")), "PUT", "Patient?identifier=http://x.example|2", "")},
		want: []string{"201", "201"}, then: "Patient?", found: "a b"},
	"conditional updates by a chain": {
		entries: []string{
			entryOf("", put("Observation", "a", about("Patient/p")), "PUT", "Observation?patient.birthdate=1990-01-01", ""),
			entryOf("", put("Observation", "b", about("Patient/p")), "PUT", "Observation/b", ""),
			entryOf("", born(put("Patient", "p", patientWith("1"))), "PUT", "Patient/p", "")},
		kind: fhir.PreconditionFailed, place: "Bundle.entry[0]", then: "Observation?", found: ""},

	// One target of two entries, whatever their order.
	"a delete, and a conditional delete": {
		before:  []string{entryOf("", put("Patient", "dd", patientWith("dd")), "PUT", "Patient/dd", "")},
		entries: []string{entryOf("", "", "DELETE", "Patient/dd", ""), entryOf("", "", "DELETE", "Patient?identifier=dd", "")},
		kind:    fhir.BadRequest, place: "Bundle.entry[1]", then: "Patient?", found: "dd"},
	"a conditional delete, and a delete": {
		before:  []string{entryOf("", put("Patient", "dd", patientWith("dd")), "PUT", "Patient/dd", "")},
		entries: []string{entryOf("", "", "DELETE", "Patient?identifier=dd", ""), entryOf("", "", "DELETE", "Patient/dd", "")},
		kind:    fhir.BadRequest, place: "Bundle.entry[1]", then: "Patient?", found: "dd"},
	"two conditional deletes": {
		before:  []string{entryOf("", put("Patient", "dd", patientWith("dd")), "PUT", "Patient/dd", "")},
		entries: []string{entryOf("", "", "DELETE", "Patient?identifier=dd", ""), entryOf("", "", "DELETE", "Patient?identifier=http://x.example|dd", "")},
		kind:    fhir.BadRequest, place: "Bundle.entry[1]", then: "Patient?", found: "dd"},
	"a conditional update, and a delete": {
		before:  []string{entryOf("", put("Patient", "dd", patientWith("dd")), "PUT", "Patient/dd", "")},
		entries: []string{entryOf("", patientWith("dd"), "PUT", "Patient?identifier=http://x.example|dd", ""), entryOf("", "", "DELETE", "Patient/dd", "")},
		kind:    fhir.BadRequest, place: "Bundle.entry[1]", then: "Patient?", found: "dd"},
	"a delete, and a conditional patch": {
		before:  []string{entryOf("", put("Patient", "dd", patientWith("dd")), "PUT", "Patient/dd", "")},
		entries: []string{entryOf("", "", "DELETE", "Patient/dd", ""), entryOf("", birth, "PATCH", "Patient?identifier=dd", "")},
		kind:    fhir.BadRequest, place: "Bundle.entry[1]", then: "Patient?", found: "dd"},
	"a delete by a version, and a conditional delete": {
		before:  []string{entryOf("", put("Patient", "dd", patientWith("dd")), "PUT", "Patient/dd", "")},
		entries: []string{entryOf("", "", "DELETE", "Patient/dd", ""), entryOf("", "", "DELETE", "Patient?identifier=dd", `,"ifMatch":"W/\"1\""`)},
		kind:    fhir.BadRequest, place: "Bundle.entry[1]", then: "Patient?", found: "dd"},
	"a conditional update where one of two is deleted": {
		before: []string{entryOf("", put("Patient", "a", patientWith("1")), "PUT", "Patient/a", ""), entryOf("", put("Patient", "b", patientWith("1")), "PUT", "Patient/b", "")},
		entries: []string{
			entryOf("", "", "DELETE", "Patient/a", ""), entryOf("", patientWith("1"), "PUT", "Patient?identifier=http://x.example|1", "")},
		kind: fhir.PreconditionFailed, place: "Bundle.entry[1]", then: "Patient?", found: "a b"},
	"a delete, and a conditional create of the same": {
		before: []string{entryOf("", put("Patient", "dd", patientWith("dd")), "PUT", "Patient/dd", "")},
		entries: []string{
			entryOf(urnOne, patientWith("dd"), "POST", "Patient", `,"ifNoneExist":"identifier=http://x.example|dd"`), entryOf("", "", "DELETE", "Patient/dd", "")},
		want: []string{"201", "204"}, then: "Patient?", found: "*"},
	"a delete of one of two, and a conditional create": {
		before: []string{entryOf("", put("Patient", "a", patientWith("1")), "PUT", "Patient/a", ""), entryOf("", put("Patient", "b", patientWith("1")), "PUT", "Patient/b", "")},
		entries: []string{
			entryOf(urnOne, patientWith("1"), "POST", "Patient", `,"ifNoneExist":"identifier=http://x.example|1"`), entryOf("", "", "DELETE", "Patient/a", ""),
			entryOf("", about(urnOne), "POST", "Observation", "")},
		want: []string{"200", "204", "201"}, then: "Observation?", found: "Patient/b"},
	"a conditional delete of nothing, and a create of what it seeks": {
		entries: []string{entryOf("", "", "DELETE", "Patient?identifier=1", ""), entryOf("", put("Patient", "a", patientWith("1")), "PUT", "Patient/a", "")},
		want:    []string{"204", "201"}, then: "Patient?", found: "a"},
	"two conditional deletes of nothing": {
		entries: []string{entryOf("", "", "DELETE", "Patient?identifier=1", ""), entryOf("", "", "DELETE", "Patient?identifier=2", "")},
		want:    []string{"204", "204"}, then: "Patient?", found: ""},
	"a conditional delete of nothing with a version": {
		entries: []string{entryOf("", "", "DELETE", "Patient?identifier=1", `,"ifMatch":"W/\"1\""`), entryOf("", put("Patient", "a", patientWith("1")), "PUT", "Patient/a", "")},
		kind:    fhir.PreconditionFailed, place: "Bundle.entry[0]", then: "Patient?", found: ""},

	// Conditional references mean what is there afterwards.
	"a reference that two meet afterwards": {
		before:  []string{entryOf("", practitioner("pp", "old"), "PUT", "Practitioner/old", "")},
		entries: []string{entryOf("", practitioner("pp", ""), "POST", "Practitioner", ""), entryOf("", performedBy("Practitioner?identifier=pp"), "POST", "Observation", "")},
		kind:    fhir.PreconditionFailed, place: "Bundle.entry[1].resource.performer[0].reference", then: "Practitioner?", found: "old"},
	"a reference to what no longer meets it": {
		before: []string{entryOf("", put("Patient", "lt", patientWith("lt")), "PUT", "Patient/lt", "")},
		entries: []string{
			entryOf("", about("Patient?identifier=lt"), "POST", "Observation", ""), entryOf("", put("Patient", "lt", patientWith("lt2")), "PUT", "Patient/lt", "")},
		kind: fhir.PreconditionFailed, place: "Bundle.entry[0].resource.subject.reference", then: "Patient?identifier=lt", found: "lt"},
	"a reference to what is patched": {
		before:  []string{entryOf("", put("Patient", "a", patientWith("1")), "PUT", "Patient/a", "")},
		entries: []string{entryOf("", about("Patient?birthdate=1990-01-01"), "POST", "Observation", ""), entryOf("", birth, "PATCH", "Patient/a", "")},
		want:    []string{"201", "200"}, then: "Observation?", found: "Patient/a"},
	"a reference to what another takes over": {
		before: []string{entryOf("", put("Patient", "a", patientWith("1")), "PUT", "Patient/a", "")},
		entries: []string{
			entryOf("", about("Patient?identifier=1"), "POST", "Observation", ""),
			entryOf("", put("Patient", "b", patientWith("1")), "PUT", "Patient/b", ""), entryOf("", put("Patient", "a", patientWith("2")), "PUT", "Patient/a", "")},
		want: []string{"201", "201", "200"}, then: "Observation?", found: "Patient/b"},
	"a reference to what another takes over that waits itself": {
		before: []string{entryOf("", put("Patient", "a", patientWith("1")), "PUT", "Patient/a", ""), entryOf("", `{"resourceType":"Organization","id":"o","name":"o"}`, "PUT", "Organization/o", "")},
		entries: []string{
			entryOf("", about("Patient?identifier=1"), "POST", "Observation", ""),
			entryOf("", managed(put("Patient", "b", patientWith("1"))), "PUT", "Patient/b", ""), entryOf("", managed(put("Patient", "a", patientWith("2"))), "PUT", "Patient/a", ""),
			entryOf("", `{"resourceType":"Organization","name":"new"}`, "POST", "Organization", "")},
		want: []string{"201", "201", "200", "201"}, then: "Observation?", found: "Patient/b"},
	"a reference by a chain": {
		before:  []string{entryOf("", put("Observation", "o", about("Patient/a")), "PUT", "Observation/o", ""), entryOf("", put("Patient", "a", patientWith("1")), "PUT", "Patient/a", "")},
		entries: []string{entryOf("", member("m", "Observation?patient.identifier=1"), "PUT", "Observation/m", ""), entryOf("", put("Patient", "a", patientWith("2")), "PUT", "Patient/a", "")},
		kind:    fhir.PreconditionFailed, place: "Bundle.entry[0].resource.hasMember[0].reference", then: "Observation?", found: "Patient/a"},
	"a reference to what is not touched": {
		before:  []string{entryOf("", put("Patient", "a", patientWith("1")), "PUT", "Patient/a", "")},
		entries: []string{entryOf("", about("Patient?identifier=1"), "POST", "Observation", ""), entryOf("", practitioner("1", ""), "POST", "Practitioner", "")},
		want:    []string{"201", "201"}, then: "Observation?", found: "Patient/a"},

	// References that wait for each other.
	"references in three steps": {
		entries: []string{
			entryOf("", put("Observation", "o", `{"resourceType":"Observation","status":"final","code":{"text":"x"},"focus":[{"reference":"Condition?identifier=chc"}]}`), "PUT", "Observation/o", ""),
			entryOf("", `{"resourceType":"Condition","id":"chc","identifier":[{"value":"chc"}],"subject":{"reference":"Patient?identifier=chp"}}`, "PUT", "Condition/chc", ""),
			entryOf("", patientWith("chp"), "POST", "Patient", "")},
		want: []string{"201", "201", "201"}, then: "Observation?focus=Condition/chc", found: "*"},
	"references among one type, in steps": {
		entries: []string{
			entryOf("", member("c", "Observation?identifier=b"), "PUT", "Observation/c", ""), entryOf("", member("b", "Observation?identifier=a"), "PUT", "Observation/b", ""),
			entryOf("", member("a", "Observation/x"), "PUT", "Observation/a", "")},
		want: []string{"201", "201", "201"}, then: "Observation?identifier=b,c", found: "Observation/a Observation/b"},
	"a reference to itself": {
		entries: []string{entryOf("", member("a", "Observation?identifier=a"), "PUT", "Observation/a", "")},
		kind:    fhir.PreconditionFailed, place: "Bundle.entry[0].resource.hasMember[0].reference", then: "Observation?", found: ""},
	"a reference to itself as it was": {
		before:  []string{entryOf("", member("a", "Observation/x"), "PUT", "Observation/a", "")},
		entries: []string{entryOf("", member("a", "Observation?identifier=a"), "PUT", "Observation/a", "")},
		want:    []string{"200"}, then: "Observation?", found: "Observation/a"},
	"a reference to itself as it is no more": {
		before:  []string{entryOf("", strings.Replace(member("a", "Observation/x"), `"value":"a"`, `"value":"z"`, 1), "PUT", "Observation/a", "")},
		entries: []string{entryOf("", member("a", "Observation?identifier=z"), "PUT", "Observation/a", "")},
		kind:    fhir.PreconditionFailed, place: "Bundle.entry[0].resource.hasMember[0].reference", then: "Observation?identifier=z", found: "a"},
	"two that refer to each other": {
		entries: []string{entryOf("", member("a", "Observation?identifier=b"), "PUT", "Observation/a", ""), entryOf("", member("b", "Observation?identifier=a"), "PUT", "Observation/b", "")},
		kind:    fhir.PreconditionFailed, place: "Bundle.entry[0].resource.hasMember[0].reference", then: "Observation?", found: ""},
	"two stored ones that refer to each other": {
		before:  []string{entryOf("", member("a", "Observation/x"), "PUT", "Observation/a", ""), entryOf("", member("b", "Observation/x"), "PUT", "Observation/b", "")},
		entries: []string{entryOf("", member("a", "Observation?identifier=b"), "PUT", "Observation/a", ""), entryOf("", member("b", "Observation?identifier=a"), "PUT", "Observation/b", "")},
		want:    []string{"200", "200"}, then: "Observation?", found: "Observation/a Observation/b"},
	"a reference found too early": {
		before: []string{entryOf("", member("old", "Observation/x"), "PUT", "Observation/old", ""), entryOf("", strings.Replace(member("b2", "Observation/x"), `"value":"b2"`, `"value":"b"`, 1), "PUT", "Observation/b2", "")},
		entries: []string{ // b refers to a and a to b: of the two that meet b in the end one is there before
			entryOf("", member("a", "Observation?identifier=b"), "PUT", "Observation/a", ""), entryOf("", member("b", "Observation?identifier=a"), "PUT", "Observation/b", "")},
		kind: fhir.PreconditionFailed, place: "Bundle.entry[0].resource.hasMember[0].reference", then: "Observation?", found: "old b2"},
	"no condition at all": {
		entries: []string{entryOf("", about("Patient?"), "POST", "Observation", "")},
		kind:    fhir.BadRequest, place: "Bundle.entry[0].resource.subject.reference", then: "Observation?", found: ""},
}

// birth is a patch that adds a date of birth.
const birth = `{"resourceType":"Parameters","parameter":[{"name":"operation","part":[{"name":"type","valueCode":"add"},{"name":"path","valueString":"Patient"},{"name":"name","valueString":"birthDate"},{"name":"value","valueDate":"1990-01-01"}]}]}`

func born(patient string) string {
	return strings.Replace(patient, `{`, `{"birthDate":"1990-01-01",`, 1)
}

// managed is a patient of an organization that is named by a condition.
func managed(patient string) string {
	return strings.Replace(patient, `{`, `{"managingOrganization":{"reference":"Organization?name=o"},`, 1)
}

func practitioner(value, id string) string {
	p := `{"resourceType":"Practitioner","identifier":[{"value":"` + value + `"}]}`
	if id != "" {
		p = put("Practitioner", id, p)
	}
	return p
}

func performedBy(reference string) string {
	return `{"resourceType":"Observation","status":"final","code":{"text":"x"},"performer":[{"reference":"` + reference + `"}]}`
}

// member is an Observation whose identifier is its id, and that has another as a member.
func member(id, of string) string {
	return `{"resourceType":"Observation","id":"` + id + `","identifier":[{"value":"` + id + `"}],"status":"final","code":{"text":"x"},"hasMember":[{"reference":"` + of + `"}]}`
}

func TestConditionsOfTransactions(t *testing.T) {
	for name, c := range transactions {
		t.Run(name, func(t *testing.T) {
			s := open(t)
			if len(c.before) > 0 {
				for _, e := range s.process(t, bundleOf("batch", c.before...)).Entry {
					if e.Response.Status != "201 Created" {
						t.Fatalf("%s %s", e.Response.Status, e.Response.Outcome)
					}
				}
			}
			if c.place != "" {
				for range 2 { // it leaves nothing that changes the answer
					_, err := s.Process(ctx, Anonymous, bundleOf("transaction", c.entries...), "")
					refused(t, err, c.kind, c.place)
				}
			} else {
				var got []string
				for _, e := range s.process(t, bundleOf("transaction", c.entries...)).Entry {
					got = append(got, e.Response.Status[:3])
				}
				if !slices.Equal(got, c.want) {
					t.Errorf("got %v, want %v", got, c.want)
				}
			}
			if c.then == "" {
				return
			}
			typ, query, _ := strings.Cut(c.then, "?")
			var ids, targets []string
			for _, body := range s.find(t, typ, query) {
				n, err := fhir.Parse(body)
				if err != nil {
					t.Fatal(err)
				}
				if !s.provided[typ+"/"+n.Str("id")] {
					ids = append(ids, n.Str("id"))
					for _, target := range append(n.Each("subject", "reference"), n.Each("hasMember", "reference")...) {
						targets = append(targets, target.Text)
					}
				}
			}
			slices.Sort(ids)
			slices.Sort(targets)
			want := strings.Fields(c.found)
			slices.Sort(want)
			if c.found == "*" && len(ids) == 1 || slices.Equal(ids, want) || slices.Equal(targets, want) {
				return
			}
			t.Errorf("%s finds %v about %v, want %v", c.then, ids, targets, want)
		})
	}
}

// Whether a transaction is refused, and what is there after it, does not depend on the order
// of its entries.
func TestTheOrderOfEntriesDoesNotMatter(t *testing.T) {
	var as, shuffled *Service
	checks, accepted := 0, 0
	rapid.Check(t, func(rt *rapid.T) {
		if checks%5 == 0 {
			for _, s := range []*Service{as, shuffled} {
				if s != nil {
					if err := s.store.Close(); err != nil {
						rt.Fatal(err)
					}
				}
			}
			as, shuffled = open(t), open(t)
		}
		checks++
		for range rapid.IntRange(1, 3).Draw(rt, "bundles") {
			var entries []string
			for k := range rapid.IntRange(2, 5).Draw(rt, "entries") {
				if rapid.IntRange(0, 3).Draw(rt, "kind of entry") > 0 {
					entries = append(entries, randomEntry(rt, k))
					continue
				}
				id := rapid.SampledFrom([]string{"m", "n", "o"}).Draw(rt, "member")
				of := rapid.SampledFrom([]string{"Observation?identifier=m", "Observation?identifier=n", "Observation?patient.identifier=1", "Observation/a"}).Draw(rt, "of")
				entries = append(entries, rapid.SampledFrom([]string{
					entryOf("", member(id, of), "PUT", "Observation/"+id, ""), entryOf("", "", "DELETE", "Observation?identifier="+id, ""),
					entryOf("", "", "DELETE", "Patient?identifier=1", ""), entryOf("", patientWith("1"), "PUT", "Patient?identifier=1", ""),
				}).Draw(rt, "entry"))
			}
			other := rapid.Permutation(entries).Draw(rt, "order")
			_, err := as.Process(ctx, Anonymous, bundleOf("transaction", entries...), "")
			_, otherErr := shuffled.Process(ctx, Anonymous, bundleOf("transaction", other...), "")
			if (err == nil) != (otherErr == nil) || fhir.KindOf(err) == fhir.Internal && err != nil {
				rt.Fatalf("%s: %v\n%s: %v", entries, err, other, otherErr)
			}
			if err == nil {
				accepted++
			}
			if a, b := as.census(t), shuffled.census(t); fmt.Sprint(a) != fmt.Sprint(b) {
				rt.Fatalf("%s: %v\n%s: %v", entries, a, other, b)
			}
		}
	})
	if accepted == 0 && checks >= 20 { // of a few it may be
		t.Error("all are refused")
	}
}

// Many that wait for each other are stored, however the entries are ordered, or refused
// with the reason.
func TestConditionalReferencesThatWaitForMany(t *testing.T) {
	chain := func(n int) []byte {
		var entries []string
		for i := range n {
			of := fmt.Sprintf("Observation?identifier=w%d", i+1)
			if i == n-1 {
				of = "Observation/x"
			}
			id := fmt.Sprint("w", i)
			entries = append(entries, entryOf("", member(id, of), "PUT", "Observation/"+id, ""))
		}
		return bundleOf("transaction", entries...)
	}
	s := open(t)
	for _, e := range s.process(t, chain(lateGuesses)).Entry {
		if e.Response.Status != "201 Created" {
			t.Error(e.Response.Status)
		}
	}
	_, err := open(t).Process(ctx, Anonymous, chain(lateGuesses+5), "")
	refused(t, err, fhir.PreconditionFailed, "Bundle.entry[")
	if !strings.Contains(err.Error(), "fullUrl") {
		t.Errorf("it does not say what to do: %v", err)
	}
}
