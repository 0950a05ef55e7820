package service

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"

	"aftercare/fhir"
	"aftercare/service/permission"
)

const survey = "http://terminology.hl7.org/CodeSystem/observation-category|survey"

// principals are callers of every sort, by name.
func principals(t testing.TB) map[string]*Principal {
	t.Helper()
	roles, err := permission.ReadRoles(nil)
	if err != nil {
		t.Fatal(err)
	}
	with := func(p Principal, scopes ...string) *Principal {
		for _, list := range scopes {
			grant, others := permission.ParseGrant(list)
			if len(others) > 0 {
				t.Fatal(others)
			}
			p.Grants = append(p.Grants, grant)
		}
		return &p
	}
	role := func(p Principal, name string) *Principal {
		p.Grants = []permission.Grant{roles.Grant([]string{name})}
		return &p
	}
	all := Anonymous
	return map[string]*Principal{
		"without authentication":                    &all,
		"with no scope":                             with(Principal{}, ""),
		"an EHR":                                    role(Principal{}, "ehr"),
		"an integration engine":                     role(Principal{}, "integration-engine"),
		"an auditor":                                role(Principal{}, "auditor"),
		"an administrator":                          role(Principal{}, "administrator"),
		"the patient app of a":                      role(Principal{Patient: "a"}, "patient-app"),
		"the patient app of a, all of it":           with(Principal{Patient: "a"}, "patient/*.cruds"),
		"the patient app of nobody":                 with(Principal{}, "patient/*.cruds"),
		"the patient app of a, surveys alone":       with(Principal{Patient: "a"}, "patient/Observation.cruds?category="+survey),
		"the patient app of a, old form":            with(Principal{Patient: "a"}, "patient/Observation.read patient/Patient.read"),
		"a clinician":                               with(Principal{User: "Practitioner/p"}, "user/*.cruds"),
		"a clinician who reads plans alone":         with(Principal{User: "Practitioner/p"}, "user/CarePlan.rs"),
		"b at the portal":                           with(Principal{User: "Patient/b"}, "user/*.rs"),
		"a relative of a":                           with(Principal{User: "RelatedPerson/r", Patient: "a"}, "user/*.rs"),
		"a system that searches":                    with(Principal{}, "system/*.s"),
		"a system that reads":                       with(Principal{}, "system/*.r"),
		"a system that only creates":                with(Principal{}, "system/Observation.c"),
		"a system with surveys of all":              with(Principal{}, "system/Observation.rs?category="+survey+" system/Patient.rs"),
		"a system without Patient":                  with(Principal{}, "system/Observation.rs"),
		"an EHR, cut down to the patient":           with(Principal{Patient: "a"}, "system/*.rs", "patient/*.rs"),
		"a system narrowed by what is unknown here": with(Principal{}, "system/Observation.rs?colour=red"),
	}
}

// twoPatients stores what belongs to patients a and b and to nobody. The ids begin with whose it is.
func twoPatients(t testing.TB, s *Service) {
	t.Helper()
	put := func(bodies ...string) {
		var entries []string
		for _, body := range bodies {
			n, err := fhir.Parse([]byte(body))
			if err != nil {
				t.Fatal(err)
			}
			entries = append(entries, entryOf("", body, "PUT", n.Str("resourceType")+"/"+n.Str("id"), ""))
		}
		if _, err := s.Process(ctx, Anonymous, bundleOf("transaction", entries...), ""); err != nil {
			t.Fatal(err)
		}
	}
	observation := func(id, of, category string) string {
		return fmt.Sprintf(`{"resourceType":"Observation","id":%q,"status":"final","identifier":[{"system":"urn:x","value":%[1]q}],
			"category":[{"coding":[{"system":"http://terminology.hl7.org/CodeSystem/observation-category","code":%[2]q}]}],
			"code":{"text":"x","coding":[{"system":"urn:c","code":%[1]q}]},"subject":{"reference":"Patient/%[3]s"},"performer":[{"reference":"Practitioner/p"}],"valueString":"x"}`, id, category, of)
	}
	put(`{"resourceType":"Practitioner","id":"p","name":[{"family":"P"}]}`)
	for _, of := range []string{"a", "b"} {
		put(fmt.Sprintf(`{"resourceType":"Patient","id":%q,"identifier":[{"system":"urn:p","value":%[1]q}],"name":[{"family":"Family-%[1]s"}],"generalPractitioner":[{"reference":"Practitioner/p"}]}`, of))
		put(observation(of+"-pain", of, "survey"), observation(of+"-lab", of, "laboratory"), observation(of+"-gone", of, "survey"),
			fmt.Sprintf(`{"resourceType":"Condition","id":"%s-condition","subject":{"reference":"Patient/%[1]s"},"code":{"text":"x"}}`, of),
			fmt.Sprintf(`{"resourceType":"Task","id":"%s-task","status":"requested","intent":"order","for":{"reference":"Patient/%[1]s"},"focus":{"reference":"Condition/%[1]s-condition"}}`, of),
			fmt.Sprintf(`{"resourceType":"Device","id":"%s-device","patient":{"reference":"Patient/%[1]s"}}`, of),
			fmt.Sprintf(`{"resourceType":"CarePlan","id":"%s-plan","status":"active","intent":"plan","subject":{"reference":"Patient/%[1]s"},"title":"x"}`, of))
	}
	put(`{"resourceType":"Device","id":"n-device"}`, observation("moved", "b", "survey"),
		`{"resourceType":"Subscription","id":"s","status":"off","reason":"x","criteria":"Observation?","channel":{"type":"rest-hook"}}`)
	put(observation("moved", "a", "survey"))
	for _, of := range []string{"a", "b"} {
		if _, err := s.Delete(ctx, Anonymous, "Observation", of+"-gone", Preconditions{}); err != nil {
			t.Fatal(err)
		}
	}
}

// ask runs what a line asks for and says what came of it: a status, and what the answer carries.
func ask(t testing.TB, s *Service, p *Principal, line string) string {
	t.Helper()
	verb, rest, _ := strings.Cut(line, " ")
	path, body, _ := strings.Cut(rest, " ")
	var target target
	var err error
	if path != "" {
		if target, err = s.parseTarget(path); err != nil {
			t.Fatalf("%s: %v", line, err)
		}
	}
	said := func(err error) string {
		if err == nil {
			t.Fatalf("%s: no error", line)
		}
		kind := fhir.KindOf(err)
		if kind == fhir.Internal {
			t.Errorf("%s: %v", line, err)
		}
		return fmt.Sprint(kind.Status())
	}
	wrote := func(w Written, err error) string {
		switch {
		case err != nil:
			return said(err)
		case w.Resource == nil:
			return "nothing"
		}
		out := "found"
		switch {
		case w.Resource.Deleted && w.Changed:
			out = "deleted"
		case w.Resource.Deleted:
			out = "nothing"
		case w.Created:
			out = "created"
		case w.Changed:
			out = "updated"
		}
		if w.Hidden {
			out += ", hidden"
		}
		return out
	}
	ctx := context.Background()
	switch verb {
	case "read":
		var res *fhir.Resource
		if target.version == "" {
			res, err = s.Read(ctx, *p, target.typ, target.id)
		} else {
			res, err = s.VRead(ctx, *p, target.typ, target.id, target.version)
		}
		if err != nil {
			return said(err)
		}
		return res.ID
	case "history":
		answer, err := s.History(ctx, *p, target.typ, target.id, target.pairs)
		if err != nil {
			return said(err)
		}
		return carried(t, answer)
	case "search":
		answer, err := s.search(ctx, *p, target.scope(), target.pairs, false)
		if err != nil {
			return said(err)
		}
		return carried(t, answer)
	case "operate":
		answer, err := s.Operate(ctx, *p, OperationRequest{Name: target.operation, Type: target.typ, ID: target.id, Pairs: target.pairs, Body: []byte(body)})
		if err != nil {
			return said(err)
		}
		return carried(t, answer.Body)
	case "create":
		return wrote(s.Create(ctx, *p, target.typ, []byte(body), target.rawQuery))
	case "update":
		if target.query {
			return wrote(s.UpdateWhere(ctx, *p, target.typ, target.rawQuery, []byte(body), Preconditions{}))
		}
		return wrote(s.Update(ctx, *p, target.typ, target.id, []byte(body), Preconditions{}))
	case "patch":
		return wrote(s.Patch(ctx, *p, target.typ, target.id, JSONPatch, []byte(body), Preconditions{}))
	case "delete":
		if target.query {
			return wrote(s.DeleteWhere(ctx, *p, target.typ, target.rawQuery, Preconditions{}))
		}
		return wrote(s.Delete(ctx, *p, target.typ, target.id, Preconditions{}))
	case "transaction", "batch":
		answer, err := s.Process(ctx, *p, bundleOf(verb, strings.Split(body, " ; ")...), "representation")
		if err != nil {
			return said(err)
		}
		return carried(t, answer)
	}
	t.Fatalf("%s is not understood", line)
	return ""
}

// carried lists the resources that an answer has, at any depth, with the total if there is one.
func carried(t testing.TB, answer []byte) string {
	t.Helper()
	var bundle struct {
		ResourceType string
		Total        *int
		Entry        []struct {
			Resource json.RawMessage
			Response struct{ Status string }
		}
	}
	if err := json.Unmarshal(answer, &bundle); err != nil {
		t.Fatal(err)
	}
	if bundle.ResourceType != "Bundle" {
		return bundle.ResourceType
	}
	var refs []string
	others := 0
	for _, e := range bundle.Entry {
		var r struct {
			ResourceType, ID string
			Meta             struct{ VersionID string }
		}
		if e.Resource != nil {
			if err := json.Unmarshal(e.Resource, &r); err != nil {
				t.Fatal(err)
			}
		}
		switch {
		case r.ResourceType == "Bundle":
			refs = append(refs, "("+carried(t, e.Resource)+")")
		case r.ResourceType == "OperationOutcome":
		case r.ID == "":
			refs = append(refs, strings.Fields(e.Response.Status + " -")[0])
		case ours(r.ID):
			refs = append(refs, r.ID)
		default:
			others++
		}
	}
	slices.Sort(refs)
	out := strings.Join(refs, " ")
	if others > 0 {
		out += " +definitions"
	}
	if bundle.Total != nil && len(bundle.Entry) == 0 {
		out = fmt.Sprintf("%d in all", *bundle.Total)
	}
	if out == "" {
		return "empty"
	}
	return strings.TrimSpace(out)
}

// ours tells the resources of twoPatients, and what is made in the test, from those of the
// definitions.
func ours(id string) bool {
	return len(id) == 1 || id == "moved" || strings.HasPrefix(id, "a-") || strings.HasPrefix(id, "b-") || strings.HasPrefix(id, "n-") || strings.HasPrefix(id, "id-")
}

// What each principal gets for each question is stated in permissions.txt: under the question, each
// answer and who gets it.
func TestPermissions(t *testing.T) {
	const file = "testdata/permissions.txt"
	stated, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var questions []string
	for line := range strings.Lines(string(stated)) {
		if line = strings.TrimRight(line, "\n"); line != "" && line[0] != '#' && line[0] != ' ' {
			questions = append(questions, line)
		}
	}
	all := principals(t)
	names := make([]string, 0, len(all))
	for name := range all {
		names = append(names, name)
	}
	slices.Sort(names)
	answers := make([]map[string][]string, len(questions)) // who gets each
	for _, name := range names {
		s := open(t)
		twoPatients(t, s)
		for i, question := range questions {
			if answers[i] == nil {
				answers[i] = map[string][]string{}
			}
			answer := ask(t, s, all[name], question)
			answers[i][answer] = append(answers[i][answer], name)
		}
	}
	comment, _, _ := strings.Cut(string(stated), "\n\n")
	out := comment + "\n"
	for i, question := range questions {
		out += "\n" + question + "\n"
		for _, answer := range slices.Sorted(maps.Keys(answers[i])) {
			out += "  " + answer + ": " + strings.Join(answers[i][answer], "; ") + "\n"
		}
	}
	if *update {
		if err := os.WriteFile(file, []byte(out), 0o600); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, got := strings.Split(string(stated), "\n"), strings.Split(out, "\n")
	question := ""
	for i := range min(len(want), len(got)) {
		if want[i] != got[i] {
			t.Fatalf("%s\nis answered\n%s\nand is to be answered\n%s", question, got[i], want[i])
		}
		if !strings.HasPrefix(want[i], " ") {
			question = want[i]
		}
	}
	if len(want) != len(got) {
		t.Fatalf("there are %d lines, and there are to be %d", len(got), len(want))
	}
}
