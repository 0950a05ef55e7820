package service

import (
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"

	"aftercare/fhir"
	"aftercare/service/permission"

	"pgregory.net/rapid"
)

// disclosed are the resources in an answer, in Bundles of Bundles too, as Type/id/version.
func disclosed(t interface{ Fatal(...any) }, answer []byte) (refs []string) {
	var n struct {
		ResourceType, ID string
		Meta             struct{ VersionID string }
		Entry            []struct {
			Resource json.RawMessage
			Search   struct{ Mode string }
		}
	}
	if len(answer) == 0 { // it was refused
		return nil
	}
	if err := json.Unmarshal(answer, &n); err != nil {
		t.Fatal(err)
	}
	switch n.ResourceType {
	case "OperationOutcome", "Parameters":
		return nil
	case "Bundle":
		for _, e := range n.Entry {
			if len(e.Resource) > 0 {
				refs = append(refs, disclosed(t, e.Resource)...)
			}
		}
		return refs
	}
	return []string{n.ResourceType + "/" + n.ID + "/" + n.Meta.VersionID}
}

// randomScope is a scope of any sort for the types of these tests.
func randomScope(rt *rapid.T) string {
	scope := rapid.SampledFrom([]string{"patient", "patient", "user", "system"}).Draw(rt, "level") + "/" +
		rapid.SampledFrom([]string{"*", "*", "Patient", "Observation", "Observation", "Condition", "Task", "Device", "List", "Group", "Provenance", "Practitioner", "Appointment"}).Draw(rt, "type")
	scope += rapid.SampledFrom([]string{".rs", ".rs", ".rs", ".cruds", ".r", ".s", ".cu"}).Draw(rt, "actions")
	if strings.Contains(scope, "Observation.") && rapid.Bool().Draw(rt, "narrowed") {
		scope += "?" + rapid.SampledFrom([]string{"category=survey", "category=urn:c|survey", "code=x", "status=final&category=survey", "category=survey,lab"}).Draw(rt, "by")
	}
	return scope
}

func randomPrincipal(rt *rapid.T) (*Principal, string) {
	p := &Principal{
		Patient: rapid.SampledFrom([]string{"", "p0", "p1", "p2"}).Draw(rt, "launched for"),
		User:    rapid.SampledFrom([]string{"", "", "Practitioner/d0", "Patient/p1", "RelatedPerson/r", "https://elsewhere.example/Patient/p1"}).Draw(rt, "user"),
	}
	said := p.Patient + " " + p.User
	for range rapid.IntRange(1, 2).Draw(rt, "grants") {
		list := strings.Join(rapid.SliceOfN(rapid.Custom(func(rt *rapid.T) string { return randomScope(rt) }), 1, 3).Draw(rt, "scopes"), " ")
		grant, others := permission.ParseGrant(list)
		if len(others) > 0 {
			rt.Fatal(others)
		}
		p.Grants = append(p.Grants, grant)
		said += " [" + list + "]"
	}
	return p, said
}

// randomRecord is a resource about some of three patients, under one of a few ids, so that resources
// change hands.
func randomRecord(rt *rapid.T) string {
	patient := rapid.SampledFrom([]string{"p0", "p1", "p2"})
	of := patient.Draw(rt, "of")
	other := rapid.SampledFrom([]string{"Patient/" + patient.Draw(rt, "other"), "Practitioner/d0", "Practitioner/d1"}).Draw(rt, "other")
	k := rapid.IntRange(0, 3).Draw(rt, "k")
	switch rapid.IntRange(0, 10).Draw(rt, "kind") {
	case 0:
		return fmt.Sprintf(`{"resourceType":"Patient","id":%q,"name":[{"family":"F%s"}],"link":[{"other":{"reference":"Patient/%s"},"type":"seealso"}],"generalPractitioner":[{"reference":"Practitioner/d0"}]}`, of, of, patient.Draw(rt, "linked"))
	case 1:
		return fmt.Sprintf(`{"resourceType":"Patient","id":%q,"name":[{"family":"F%s"}]}`, of, of)
	case 2:
		return fmt.Sprintf(`{"resourceType":"Practitioner","id":"d%d","name":[{"family":"D"}]}`, k%2)
	case 3:
		return fmt.Sprintf(`{"resourceType":"Condition","id":"c%d","subject":{"reference":"Patient/%s"},"asserter":{"reference":%q}}`, k, of, other)
	case 4:
		return fmt.Sprintf(`{"resourceType":"Task","id":"t%d","status":"requested","intent":"order","for":{"reference":"Patient/%s"},"focus":{"reference":"Observation/o%d"}}`, k, of, k)
	case 5:
		return fmt.Sprintf(`{"resourceType":"List","id":"l%d","status":"current","mode":"working","subject":{"reference":"Patient/%s"},"entry":[{"item":{"reference":"Observation/o%d"}}]}`, k, of, k)
	case 6:
		return fmt.Sprintf(`{"resourceType":"Group","id":"g%d","type":"person","actual":true,"member":[{"entity":{"reference":"Patient/%s"}},{"entity":{"reference":%q}}]}`, k%2, of, other)
	case 7:
		return fmt.Sprintf(`{"resourceType":"Device","id":"v%d","patient":{"reference":"Patient/%s"}}`, k%2, of)
	case 8:
		return consentOf(fmt.Sprintf("k%d", k%2), of, rapid.SampledFrom([]string{"active", "active", "inactive"}).Draw(rt, "consent"), rapid.SampledFrom([]string{
			`{"type":"deny"}`, `{"type":"deny","provision":[{"type":"permit","data":[{"meaning":"instance","reference":{"reference":"Observation/o0"}}]}]}`,
			`{"type":"permit","provision":[{"type":"deny","actor":[{"role":{"text":"x"},"reference":{"reference":"Practitioner/d0"}}]}]}`,
			`{"type":"permit","provision":[{"type":"deny","class":[{"system":"http://hl7.org/fhir/resource-types","code":"Observation"}]}]}`,
			`{"type":"permit","provision":[{"type":"deny","data":[{"meaning":"instance","reference":{"reference":"Observation/o1"}},{"meaning":"instance","reference":{"reference":"Patient/p0"}}]}]}`,
		}).Draw(rt, "provision"))
	default:
		return fmt.Sprintf(`{"resourceType":"Observation","id":"o%d","status":%q,"category":[{"coding":[{"system":"urn:c","code":%q}]}],"code":{"coding":[{"code":"x"}]},
			"subject":{"reference":"Patient/%s"},"performer":[{"reference":%q}],"focus":[{"reference":"Observation/o%d"}]}`,
			k, rapid.SampledFrom([]string{"final", "amended"}).Draw(rt, "status"), rapid.SampledFrom([]string{"survey", "lab"}).Draw(rt, "category"), of, other, (k+1)%4)
	}
}

// leakQuestions are what is asked in TestNothingLeaks; {p} stands for a patient.
var leakQuestions = []string{
	"search Observation", "search Observation?_sort=status,-_lastUpdated", "search Observation?_count=2", "search Observation?_count=1", "search Observation?_count=1&_sort=-status", "search ?_type=Patient,Observation,Consent&_count=3", "search Observation?_include=*&_include:iterate=*",
	"search Observation?_include=Observation:focus&_include:iterate=Observation:focus", "search Observation?_include=Observation:subject&_include:iterate=Patient:link",
	"search Observation?_revinclude=*", "search Patient?_revinclude=*", "search Patient?_revinclude=Observation:performer&_revinclude:iterate=Observation:focus",
	"search Patient?_has:Observation:subject:category=survey", "search Patient?_has:Group:member:type=person", "search Patient?link:Patient.family=F{p}", "search Practitioner?_revinclude=*&_revinclude:iterate=*",
	"search Practitioner?_has:Observation:performer:status=amended", "search Observation?subject:Patient.family=F{p}", "search Observation?_list=l0", "search List?item:Observation.status=final",
	"search Observation?_filter=subject.family sw \"F\"", "search Observation?status:not=final", "search Observation?performer:missing=false", "search Task?_include=Task:focus&_include:iterate=Observation:subject",
	"search Group?_include=Group:member", "search Group", "search Device", "search Condition?_include=Condition:asserter", "search ?_id=o0", "search ?_lastUpdated=gt2000", "search ?_type=Patient,Observation",
	"search Patient/{p}/*", "search Patient/{p}/Observation?_include=Observation:focus", "operate Patient/{p}/$everything", "operate Observation/$lastn?patient={p}&code=x",
	"history _history", "history Observation/_history", "history Patient/_history", "history Observation/o0/_history", "history Observation/o1/_history", "history Patient/{p}/_history", "history Observation/_history?_count=2", "history Observation/_history?_count=1", "history _history?_count=3", "history _history?_since=2020-01-01T00:00:00Z&_count=1",
	"transaction  {\"request\":{\"method\":\"GET\",\"url\":\"Observation?_include=*\"}} ; {\"request\":{\"method\":\"GET\",\"url\":\"Patient/{p}/*\"}}",
	"batch  {\"request\":{\"method\":\"GET\",\"url\":\"Observation/_history\"}} ; {\"request\":{\"method\":\"GET\",\"url\":\"Patient/{p}/$everything\"}} ; {\"request\":{\"method\":\"GET\",\"url\":\"Observation/o0\"}}",
}

// answerTo is the body that a question is answered with, nil where it is refused.
func answerTo(rt *rapid.T, s *Service, p *Principal, line string) []byte {
	verb, rest, _ := strings.Cut(line, " ")
	path, body, _ := strings.Cut(rest, " ")
	if verb != "transaction" && verb != "batch" {
		path = rest
	}
	var at target
	var err error
	if path != "" {
		if at, err = s.parseTarget(path); err != nil {
			rt.Fatal(line, err)
		}
	}
	var answer []byte
	switch verb {
	case "search":
		answer, err = s.search(ctx, *p, at.scope(), at.pairs, false)
	case "history":
		answer, err = s.History(ctx, *p, at.typ, at.id, at.pairs)
	case "operate":
		var a Answer
		a, err = s.Operate(ctx, *p, OperationRequest{Name: at.operation, Type: at.typ, ID: at.id, Pairs: at.pairs})
		answer = a.Body
	default:
		answer, err = s.Process(ctx, *p, bundleOf(verb, strings.Split(body, " ; ")...), "")
	}
	if err != nil {
		if fhir.KindOf(err) == fhir.Internal {
			rt.Fatal(line, err)
		}
		return nil
	}
	return answer
}

var counted = regexp.MustCompile(`_count=\d+`)

// nextPage is the page after one of an answer to a question, nil after the last.
func nextPage(rt *rapid.T, s *Service, p *Principal, line string, page []byte) []byte {
	var n struct {
		Link []struct{ Relation, URL string }
	}
	if err := json.Unmarshal(page, &n); err != nil {
		rt.Fatal(err)
	}
	for _, link := range n.Link {
		if link.Relation == "next" {
			verb, _, _ := strings.Cut(line, " ")
			return answerTo(rt, s, p, verb+" "+strings.TrimPrefix(strings.TrimPrefix(link.URL, s.baseURL), "/"))
		}
	}
	return nil
}

// readsAsSearches reports whether each scope that allows to read allows to search too, and the reverse.
func readsAsSearches(p *Principal) bool {
	for _, grant := range p.Grants {
		for _, scope := range grant {
			if both := scope.Actions & searching; both != 0 && both != searching {
				return false
			}
		}
	}
	return true
}

// No answer, of whatever kind, carries a version of a resource that the caller may not read by
// itself; and a search without links has all that the caller may read of what it has for everybody.
func TestNothingLeaks(t *testing.T) {
	var s *Service
	checks, carried, withheld := 0, 0, 0
	rapid.Check(t, func(rt *rapid.T) {
		if checks%20 == 0 {
			if s != nil {
				if err := s.store.Close(); err != nil {
					rt.Fatal(err)
				}
			}
			s = open(t)
		}
		checks++
		for range rapid.IntRange(4, 12).Draw(rt, "records") {
			body := randomRecord(rt)
			n, err := fhir.Parse([]byte(body))
			if err != nil {
				rt.Fatal(err)
			}
			if _, err := s.Update(ctx, Anonymous, n.Str("resourceType"), n.Str("id"), []byte(body), Preconditions{}); err != nil {
				rt.Fatal(body, err)
			}
		}
		p, said := randomPrincipal(rt)
		known := map[string]bool{}
		mayRead := func(ref string) bool {
			may, ok := known[ref]
			if !ok {
				part := strings.Split(ref, "/")
				_, err := s.VRead(ctx, *p, part[0], part[1], part[2])
				may, known[ref] = err == nil, err == nil
			}
			return may
		}
		of := rapid.SampledFrom([]string{"p0", "p1", "p2"}).Draw(rt, "patient")
		for range 8 {
			line := strings.ReplaceAll(rapid.SampledFrom(leakQuestions).Draw(rt, "question"), "{p}", of)
			answer := answerTo(rt, s, p, line)
			got := disclosed(rt, answer)
			if strings.Contains(line, "_count=") {
				for next := answer; next != nil; got = append(got, disclosed(rt, next)...) {
					next = nextPage(rt, s, p, line, next)
				}
				whole := disclosed(rt, answerTo(rt, s, p, counted.ReplaceAllString(line, "_count=1000")))
				if !strings.Contains(line, "_sort") { // what is equal has an order of its own
					slices.Sort(got)
					slices.Sort(whole)
				}
				if !slices.Equal(got, whole) {
					rt.Fatalf("%s asks %s and gets %s page by page, and %s at once", said, line, got, whole)
				}
			}
			carried += len(got)
			for _, ref := range got {
				if !mayRead(ref) {
					rt.Fatalf("%s asks %s and gets %s", said, line, ref)
				}
			}
			if answer == nil || !readsAsSearches(p) || !strings.HasPrefix(line, "search Observation") || strings.Contains(line, "include") || strings.Contains(line, ".") || strings.Contains(line, "_list") || strings.Contains(line, "_count") {
				continue
			}
			want := slices.DeleteFunc(disclosed(rt, answerTo(rt, s, &itself, line)), func(ref string) bool {
				if mayRead(ref) {
					return false
				}
				withheld++
				return true
			})
			if !slices.Equal(got, want) {
				rt.Fatalf("%s asks %s and gets %s, which is to be %s", said, line, got, want)
			}
		}
	})
	if checks >= 200 && (carried == 0 || withheld == 0) {
		t.Errorf("%d resources were carried and %d withheld: the questions show nothing", carried, withheld)
	}
}
