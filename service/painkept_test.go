package service

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"aftercare/fhir"
)

// nodes are all stored resources of a type, by a query.
func (s *Service) nodes(t testing.TB, typ, query string) (found []*fhir.Node) {
	t.Helper()
	for _, body := range s.find(t, typ, query) {
		n, err := fhir.Parse(body)
		if err != nil {
			t.Fatal(err)
		}
		if issues := s.validator.Resource(n, ""); len(issues) > 0 {
			t.Fatalf("%s is no valid resource: %+v\n%s", typ, issues, body)
		}
		found = append(found, n)
	}
	return found
}

// painState is what there is of pain, in short: each impression with its causes, each Task, Flag and
// issue with its status, and the activity that waits.
func (s *Service) painState(t testing.TB) string {
	t.Helper()
	var lines []string
	for _, n := range s.nodes(t, "ClinicalImpression", "") {
		lines = append(lines, fmt.Sprintf("impression %s of %s: %s", n.Str("status"), n.Each("investigation", "item", "reference")[0].Text, candidateCauses(n)))
	}
	for _, typ := range []string{"Task", "Flag", "DetectedIssue"} {
		for _, n := range s.nodes(t, typ, "identifier=https://aftercare.example/fhir/identifier/interpretation|") {
			codes := ""
			for _, c := range n.Each("code", "coding", "code") {
				codes += " " + c.Text
			}
			lines = append(lines, strings.ToLower(typ)+" "+n.Str("status")+codes)
		}
	}
	for _, n := range s.nodes(t, "CarePlan", "") {
		for _, a := range n.Each("activity") {
			if a.Str("id") == "loading" {
				lines = append(lines, "loading "+a.Str("detail", "status"))
			}
		}
	}
	slices.Sort(lines)
	return strings.Join(lines, "\n")
}

func wantState(t *testing.T, s *Service, what string, lines ...string) {
	t.Helper()
	want := strings.Join(sorted(lines), "\n")
	if got := s.painState(t); got != want {
		t.Fatalf("%s:\ngot\n%s\nwant\n%s", what, got, want)
	}
}

func TestBonePainIsInterpretedAndFollowed(t *testing.T) {
	s := open(t)
	s.keep(t, `{"resourceType":"Patient","id":"p"}`, anchorIn("op", "2026-03-02", "left", `"performer":[{"function":{"coding":[{"system":"http://snomed.info/sct","code":"304292004"}]},"actor":{"reference":"Practitioner/s"}}]`))
	wantState(t, s, "before", "loading not-started")
	s.keep(t, hurting("o", "2026-03-05", "5", "compress"))
	early := []string{
		"impression in-progress of Observation/o: bone-a 13, bone-b 13", "task requested discuss-with-surgeon",
		"flag active pain-ask-surgeon", "loading on-hold",
	}
	wantState(t, s, "early bone pain", early...)
	before := s.versions(t)
	s.keep(t, hurting("o", "2026-03-05", "5", "compress"))
	s.keep(t, anchorIn("op", "2026-03-02", "left", `"performer":[{"function":{"coding":[{"system":"http://snomed.info/sct","code":"304292004"}]},"actor":{"reference":"Practitioner/s"}}]`))
	if after := s.versions(t); fmt.Sprint(before) != fmt.Sprint(after) {
		t.Fatalf("sent again: %v\n%v", before, after)
	}
	if owner := s.nodes(t, "Task", "focus=Observation/o")[0].Str("owner", "reference"); owner != "Practitioner/s" {
		t.Errorf("owner %q", owner)
	}
	s.keep(t, strings.Replace(hurting("o", "2026-03-05", "8", "compress"), `"final"`, `"amended"`, 1))
	wantState(t, s, "amended", "loading on-hold",
		"impression entered-in-error of Observation/o: bone-a 13, bone-b 13", "impression in-progress of Observation/o: bone-a 13, bone-b 13",
		"task cancelled discuss-with-surgeon", "task requested discuss-with-surgeon severe", "flag inactive pain-ask-surgeon", "flag active pain-ask-surgeon pain-severe")
	var previous string
	for _, n := range s.nodes(t, "ClinicalImpression", "status=in-progress") {
		previous = n.Str("previous", "reference")
	}
	if old := s.nodes(t, "ClinicalImpression", "status=entered-in-error")[0]; previous != "ClinicalImpression/"+old.Str("id") {
		t.Errorf("previous %q", previous)
	}
}

// Whatever a report or an operation turns out to be, what was made of it follows.
func TestWhatIsMadeOfPainFollowsTheRecords(t *testing.T) {
	if !strings.HasPrefix(newDatabase(t), "sqlite:") {
		t.Skip("what follows is decided above the engines")
	}
	const o = "Observation/o"
	made := []string{"impression in-progress of " + o + ": bone-a 13, bone-b 13", "task requested discuss-with-surgeon", "flag active pain-ask-surgeon", "loading on-hold"}
	back := []string{"impression entered-in-error of " + o + ": bone-a 13, bone-b 13", "task cancelled discuss-with-surgeon", "flag inactive pain-ask-surgeon", "loading not-started"}
	pain := hurting("o", "2026-03-05", "5", "compress")
	for name, c := range map[string]struct {
		then func(t *testing.T, s *Service)
		want []string
	}{
		"withdrawn":       {func(t *testing.T, s *Service) { s.keep(t, strings.Replace(pain, `"final"`, `"entered-in-error"`, 1)) }, back},
		"deleted":         {func(t *testing.T, s *Service) { remove(t, s, "Observation", "o") }, back},
		"no pain":         {func(t *testing.T, s *Service) { s.keep(t, hurting("o", "2026-03-05", "0", "compress")) }, back},
		"of someone else": {func(t *testing.T, s *Service) { s.keep(t, strings.Replace(pain, "Patient/p", "Patient/q", 1)) }, back},
		"something else":  {func(t *testing.T, s *Service) { s.keep(t, strings.Replace(pain, nrs, "8867-4", 1)) }, back},
		"withdrawn and given back": {func(t *testing.T, s *Service) {
			s.keep(t, strings.Replace(pain, `"final"`, `"entered-in-error"`, 1), pain)
		}, made},
		"a note added": {func(t *testing.T, s *Service) {
			s.keep(t, hurting("o", "2026-03-05", "5", "compress", `"note":[{"text":"x"}]`))
		}, made},
		"another trigger": {func(t *testing.T, s *Service) {
			s.keep(t, hurting("o", "2026-03-05", "5", "exercise"))
		}, append([]string{"impression in-progress of " + o + ": musc 11, enth 5"}, back...)},
		"operation in error": {func(t *testing.T, s *Service) {
			s.keep(t, strings.Replace(anchorIn("op", "2026-03-02", "left"), `"completed"`, `"entered-in-error"`, 1))
		}, []string{back[0], "task entered-in-error discuss-with-surgeon", "flag entered-in-error pain-ask-surgeon", "loading entered-in-error"}},
		"operation deleted": {func(t *testing.T, s *Service) { remove(t, s, "Procedure", "op") },
			[]string{back[0], back[1], back[2], "loading cancelled"}},
		"operation later": {func(t *testing.T, s *Service) { s.keep(t, anchorIn("op", "2026-03-04", "left")) },
			append([]string{"impression entered-in-error of " + o + ": bone-a 13, bone-b 13", "task cancelled discuss-with-surgeon", "flag inactive pain-ask-surgeon"}, made...)},
		"operation after the pain": {func(t *testing.T, s *Service) { s.keep(t, anchorIn("op", "2026-03-06", "left")) }, back},
		"operation long before": {func(t *testing.T, s *Service) { s.keep(t, anchorIn("op", "2025-11-02", "left")) },
			append([]string{"impression in-progress of " + o + ": bone-c 13, bone-a 9, bone-b 9", "task requested discuss-with-surgeon", "flag active pain-ask-surgeon"}, back...)},
		"death": {func(t *testing.T, s *Service) {
			s.keep(t, `{"resourceType":"Patient","id":"p","deceasedBoolean":true}`)
		}, []string{made[0], back[1], back[2], "loading cancelled"}},
		"death taken back": {func(t *testing.T, s *Service) {
			s.keep(t, `{"resourceType":"Patient","id":"p","deceasedBoolean":true}`, `{"resourceType":"Patient","id":"p"}`)
		}, made},
		"a fracture recorded": {func(t *testing.T, s *Service) {
			s.keep(t, anchorIn("op", "2026-03-02", "left", `"complication":[{"coding":[{"system":"https://aftercare.example/fhir/CodeSystem/osseointegration","code":"intraoperative-fracture"}]}]`))
		}, append([]string{"impression entered-in-error of " + o + ": bone-a 13, bone-b 13", "impression in-progress of " + o + ": bone-b 14, bone-a 13", "task cancelled discuss-with-surgeon", "flag inactive pain-ask-surgeon"}, made[1:]...)},
		"surgeon asked": {func(t *testing.T, s *Service) { s.setStatus(t, "Task", "focus="+o, "completed") },
			[]string{made[0], "task completed discuss-with-surgeon", "flag inactive pain-ask-surgeon", "loading on-hold"}},
		"surgeon asked, then corrected": {func(t *testing.T, s *Service) {
			s.setStatus(t, "Task", "focus="+o, "completed")
			s.keep(t, strings.Replace(hurting("o", "2026-03-05", "6", "compress"), `"final"`, `"corrected"`, 1))
		}, append([]string{"impression entered-in-error of " + o + ": bone-a 13, bone-b 13", "task completed discuss-with-surgeon", "flag inactive pain-ask-surgeon"}, made...)},
		"the plan deleted, and the operation sent again": {func(t *testing.T, s *Service) {
			remove(t, s, "CarePlan", strings.TrimPrefix(s.planID(t), "CarePlan/"))
			s.keep(t, anchorIn("op", "2026-03-02", "left", `"note":[{"text":"x"}]`), hurting("o2", "2026-03-09", "5", "compress"))
		}, append([]string{"impression in-progress of Observation/o2: bone-a 13, bone-b 13", "task requested discuss-with-surgeon", "flag active pain-ask-surgeon"}, made[:3]...)},
		"reviewed": {func(t *testing.T, s *Service) { s.setStatus(t, "ClinicalImpression", "", "completed") },
			append([]string{"impression completed of " + o + ": bone-a 13, bone-b 13"}, made[1:]...)},
		"reviewed, then corrected": {func(t *testing.T, s *Service) {
			s.setStatus(t, "ClinicalImpression", "", "completed")
			s.keep(t, strings.Replace(hurting("o", "2026-03-05", "6", "compress"), `"final"`, `"corrected"`, 1))
		}, append([]string{"impression completed of " + o + ": bone-a 13, bone-b 13", "task cancelled discuss-with-surgeon", "flag inactive pain-ask-surgeon"}, made...)},
		"said to be wrong by a clinician": {func(t *testing.T, s *Service) { s.setStatus(t, "ClinicalImpression", "", "entered-in-error") }, back},
		"loading released":                {func(t *testing.T, s *Service) { s.setLoading(t, "not-started") }, append([]string{"loading not-started"}, made[:3]...)},
		"loading begun":                   {func(t *testing.T, s *Service) { s.setLoading(t, "in-progress") }, append([]string{"loading in-progress"}, made[:3]...)},
		"loading released, and the same pain sent again": {func(t *testing.T, s *Service) {
			s.setLoading(t, "not-started")
			s.keep(t, hurting("o", "2026-03-05", "5", "compress", `"note":[{"text":"x"}]`), anchorIn("op", "2026-03-02", "left", `"note":[{"text":"x"}]`))
		}, append([]string{"loading not-started"}, made[:3]...)},
		"loading released, and pain again": {func(t *testing.T, s *Service) {
			s.setLoading(t, "not-started")
			s.keep(t, hurting("o2", "2026-03-09", "5", "compress"))
		}, append([]string{"impression in-progress of Observation/o2: bone-a 13, bone-b 13", "task requested discuss-with-surgeon", "flag active pain-ask-surgeon"}, made...)},
		"of two reports one withdrawn": {func(t *testing.T, s *Service) {
			s.keep(t, hurting("o2", "2026-03-09", "5", "compress"), strings.Replace(pain, `"final"`, `"entered-in-error"`, 1))
		}, append([]string{"impression in-progress of Observation/o2: bone-a 13, bone-b 13", "task requested discuss-with-surgeon", "flag active pain-ask-surgeon", "loading on-hold"}, back[:3]...)},
	} {
		t.Run(name, func(t *testing.T) {
			s := open(t)
			s.keep(t, `{"resourceType":"Patient","id":"p"}`, anchorIn("op", "2026-03-02", "left"), pain)
			wantState(t, s, "at first", made...)
			c.then(t, s)
			wantState(t, s, name, c.want...)
			for _, plan := range s.nodes(t, "CarePlan", "") {
				for _, a := range plan.Each("activity") {
					if status, why := a.Str("detail", "status"), a.Str("detail", "statusReason", "text"); status != "on-hold" && why != "" {
						t.Errorf("%s, with the reason %q", status, why)
					}
				}
			}
			before := s.versions(t)
			s.keep(t, `{"resourceType":"Patient","id":"p","active":true}`) // all is looked at again
			if name != "death" && name != "death taken back" {
				if after := s.painState(t); after != strings.Join(sorted(c.want), "\n") {
					t.Errorf("looked at again:\n%s", after)
				}
				for ref, version := range s.versions(t) {
					if before[ref] != version && !strings.HasPrefix(ref, "Patient/") {
						t.Errorf("looked at again: %s has version %s, and had %q", ref, version, before[ref])
					}
				}
			}
		})
	}
}

func sorted(list []string) []string { return slices.Sorted(slices.Values(list)) }

// setStatus is what a person does with the one resource that a query finds.
func (s *Service) setStatus(t *testing.T, typ, query, status string) {
	t.Helper()
	found := s.find(t, typ, query)
	if len(found) != 1 {
		t.Fatalf("%d of %s", len(found), typ)
	}
	n, err := fhir.Parse(found[0])
	if err != nil {
		t.Fatal(err)
	}
	s.keep(t, strings.Replace(string(found[0]), `"status":"`+n.Str("status")+`"`, `"status":"`+status+`"`, 1))
}

// setLoading is what a person does with the activity.
func (s *Service) setLoading(t *testing.T, status string) {
	t.Helper()
	body := string(s.find(t, "CarePlan", "")[0])
	from := strings.Index(body, `{"id":"loading"`)
	s.keep(t, body[:from]+strings.Replace(body[from:], `"status":"on-hold"`, `"status":"`+status+`"`, 1))
}

// What a clinician has put on hold stays so, whatever becomes of the pain.
func TestPainLeavesAHoldOfAPersonAlone(t *testing.T) {
	s := open(t)
	s.keep(t, `{"resourceType":"Patient","id":"p"}`, anchorIn("op", "2026-03-02", "left"))
	body := string(s.find(t, "CarePlan", "")[0])
	from := strings.Index(body, `{"id":"loading"`)
	s.keep(t, body[:from]+strings.Replace(body[from:], `"status":"not-started"`, `"status":"on-hold"`, 1))
	pain := hurting("o", "2026-03-05", "5", "compress")
	s.keep(t, pain, strings.Replace(pain, `"final"`, `"entered-in-error"`, 1), anchorIn("op", "2026-03-02", "left", `"note":[{"text":"x"}]`))
	wantState(t, s, "withdrawn", "impression entered-in-error of Observation/o: bone-a 13, bone-b 13", "task cancelled discuss-with-surgeon", "flag inactive pain-ask-surgeon", "loading on-hold")
}

// A report that was sent for a record that another has replaced is about the same person, and goes
// back when the two are parted.
func TestPainFollowsAPerson(t *testing.T) {
	s := open(t)
	other := strings.Replace(hurting("o", "2026-03-05", "5", "compress"), "Patient/p", "Patient/q", 1)
	linked := `{"resourceType":"Patient","id":"q","link":[{"other":{"reference":"Patient/p"},"type":"replaced-by"}]}`
	s.keep(t, `{"resourceType":"Patient","id":"p"}`, anchorIn("op", "2026-03-02", "left"), `{"resourceType":"Patient","id":"q"}`, other)
	wantState(t, s, "apart", "loading not-started")
	s.keep(t, linked)
	wantState(t, s, "one person", "impression in-progress of Observation/o: bone-a 13, bone-b 13", "task requested discuss-with-surgeon", "flag active pain-ask-surgeon", "loading on-hold")
	if got := s.nodes(t, "ClinicalImpression", "")[0].Str("subject", "reference"); got != "Patient/p" {
		t.Errorf("the subject is %s", got)
	}
	s.keep(t, strings.Replace(other, `"value":5`, `"value":6`, 1))
	if got := s.painState(t); strings.Count(got, "impression in-progress") != 1 || strings.Count(got, "task requested") != 1 {
		t.Errorf("corrected:\n%s", got)
	}
	s.keep(t, `{"resourceType":"Patient","id":"q"}`)
	if got := s.painState(t); strings.Contains(got, "in-progress") || strings.Contains(got, "requested") || !strings.Contains(got, "loading not-started") {
		t.Errorf("parted:\n%s", got)
	}
}

// Provenance tells from which versions an interpretation was made, by which rules, and what was
// replaced.
func TestProvenanceOfAnInterpretation(t *testing.T) {
	s := open(t)
	muscle := `"bodySite":{"coding":[{"system":"` + fhir.Canonical + `/CodeSystem/osseointegration","code":"muscle"}]}`
	s.keep(t, `{"resourceType":"Patient","id":"p"}`, anchorIn("op", "2026-03-02", "left"), painBody("o", nrs, "2026-07-02", "4", muscle))
	id := s.nodes(t, "ClinicalImpression", "")[0].Str("id")
	s.keep(t, painBody("o", nrs, "2026-07-02", "5", muscle))
	found := s.nodes(t, "Provenance", "target=ClinicalImpression/"+id)
	if len(found) != 2 {
		t.Fatalf("%d", len(found))
	}
	for _, n := range found {
		want := []string{"source Observation/o/_history/1", "source Procedure/op/_history/1", "source Patient/p/_history/1"}
		if len(n.Each("target")) > 1 { // the second, of the new and the old
			want = []string{"source Observation/o/_history/2", "source Procedure/op/_history/1", "source Patient/p/_history/1", "revision ClinicalImpression/" + id + "/_history/1"}
		}
		var got []string
		for _, e := range n.Each("entity") {
			got = append(got, e.Str("role")+" "+e.Str("what", "reference"))
		}
		if fmt.Sprint(sorted(got)) != fmt.Sprint(sorted(want)) || !strings.Contains(string(n.Get("policy").Raw), "pain-interpretation|") {
			t.Errorf("got %v in %s", got, n.Raw)
		}
	}
}
