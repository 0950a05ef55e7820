package service

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"aftercare/fhir"
)

const osseointegrated = `"code":{"coding":[{"system":"https://aftercare.example/fhir/CodeSystem/osseointegration","code":"%s"}]}`

// anchorIn is an operation of Patient/p in one stage, in the femur at a side.
func anchorIn(id, day, side string, more ...string) string {
	code := map[string]string{"left": "7771000", "right": "24028007"}[side]
	body := `{"resourceType":"Procedure","id":"` + id + `","status":"completed",` + fmt.Sprintf(osseointegrated, "single-stage") + `,"subject":{"reference":"Patient/p"},"performedDateTime":"` + day + `",` +
		`"bodySite":[{"coding":[{"system":"http://snomed.info/sct","code":"71341001"},{"system":"http://snomed.info/sct","code":"` + code + `"}]}]`
	return body + strings.Join(append([]string{""}, more...), ",") + `}`
}

// hurting is a report of pain of Patient/p with a trigger.
func hurting(id, day, score, trigger string, more ...string) string {
	by := `"component":[{"code":{"coding":[{"system":"http://loinc.org","code":"100752-5"}]},"valueCodeableConcept":{"coding":[{"system":"https://aftercare.example/fhir/CodeSystem/osseointegration","code":"` + trigger + `"}]}}]`
	return painBody(id, nrs, day, score, append([]string{by}, more...)...)
}

// candidateCauses are the causes in an impression, the best first, with their scores.
func candidateCauses(impression *fhir.Node) string {
	var out []string
	for _, f := range impression.Each("finding") {
		score := ""
		for _, x := range f.Each("extension") {
			if strings.HasSuffix(x.Str("url"), "/finding-score") {
				score = x.Get("valueInteger").Text
			}
		}
		for _, c := range f.Each("itemCodeableConcept", "coding", "code") {
			out = append(out, c.Text+" "+score)
		}
	}
	return strings.Join(out, ", ")
}

// issueCodes are the codes of an OperationOutcome.
func issueCodes(outcome *fhir.Node) (codes []string) {
	for _, c := range outcome.Each("issue", "details", "coding", "code") {
		codes = append(codes, c.Text)
	}
	return codes
}

func TestInterpretAStoredReport(t *testing.T) {
	s := open(t)
	s.keep(t, `{"resourceType":"Patient","id":"p"}`, anchorIn("op", "2026-03-02", "left"))
	before := s.census(t)
	for _, c := range []struct{ name, report, causes, codes string }{
		{"pressing after 3 days", hurting("o", "2026-03-05", "7", "compress"), "bone-a 13, bone-b 13", "pain-side-missing pain-onset-not-known"},
		{"before the operation", hurting("o", "2026-03-01", "7", "compress"), "", "pain-before-surgery"},
		{"no pain", hurting("o", "2026-03-05", "0", "compress"), "", "pain-score-zero"},
		{"withdrawn", strings.Replace(hurting("o", "2026-03-05", "7", "compress"), `"final"`, `"entered-in-error"`, 1), "", "pain-report-withdrawn"},
		{"not measured", painBody("o", nrs, "2026-03-05", "", `"dataAbsentReason":{"text":"asleep"}`), "", "pain-not-measured"},
		{"a month for a day", painBody("o", nrs, "2026-04", "5"), "", "pain-date-not-exact"},
		{"something else", strings.Replace(painBody("o", nrs, "2026-03-05", "60"), nrs, "8867-4", 1), "", "pain-other-observation"},
		{"the other side", hurting("o", "2026-03-05", "7", "compress", `"bodySite":{"coding":[{"system":"http://snomed.info/sct","code":"24028007"}]}`), "", "pain-no-anchor-there"},
		{"somebody without an operation", strings.Replace(hurting("o", "2026-03-05", "7", "compress"), "Patient/p", "Patient/other", 1), "", "pain-no-surgery"},
		{"no patient", strings.Replace(hurting("o", "2026-03-05", "7", "compress"), `"subject":{"reference":"Patient/p"},`, "", 1), "", "pain-no-surgery"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s.keep(t, c.report)
			got := s.ask(t, "Observation/o/$interpret", "")
			causes, outcome := "", got
			if got.Str("resourceType") == "Bundle" {
				causes, outcome = candidateCauses(got.Each("entry", "resource")[0]), got.Each("entry", "resource")[1]
			}
			if causes != c.causes || strings.Join(issueCodes(outcome), " ") != c.codes {
				t.Errorf("got %q and %v\n%s", causes, issueCodes(outcome), got.Raw)
			}
		})
	}
	s.keep(t, strings.Replace(anchorIn("op", "2026-03-02", "left"), `"completed"`, `"entered-in-error"`, 1), hurting("o", "2026-03-05", "7", "compress"))
	if got := issueCodes(s.ask(t, "Observation/o/$interpret", "")); !slices.Equal(got, []string{"pain-surgery-in-error"}) {
		t.Errorf("of an operation in error: %v", got)
	}
	if after := s.census(t); after["Procedure"] != before["Procedure"] {
		t.Errorf("before %v, after %v", before, after)
	}
}

func TestInterpretWhatIsSent(t *testing.T) {
	s := open(t)
	before := s.census(t)
	send := func(parts ...string) string {
		return `{"resourceType":"Parameters","parameter":[` + strings.Join(parts, ",") + `]}`
	}
	part := func(name, resource string) string { return `{"name":"` + name + `","resource":` + resource + `}` }
	withoutID := func(body string) string { return strings.Replace(body, `"id":"op",`, "", 1) }
	opl := `{"resourceType":"Device","id":"anchor","modelNumber":"OPL"}`
	late := hurting("o", "2028-03-10", "5", "compress")
	got := s.ask(t, "$interpret-pain", send(part("observation", late), part("device", opl),
		part("procedure", withoutID(anchorIn("op", "2026-03-02", "left", `"focalDevice":[{"manipulated":{"reference":"Device/anchor"}}]`))))).Each("entry", "resource")[0]
	if causes := candidateCauses(got); causes != "bone-c 13, bone-a 9, bone-b 9" || !strings.Contains(string(got.Raw), "1.5 %") {
		t.Errorf("got %s in %s", causes, got.Raw)
	}
	if got.Get("id") != nil || got.Str("status") != "in-progress" || got.Str("subject", "reference") != "Patient/p" || got.Str("effectiveDateTime") != "2028-03-10" {
		t.Errorf("got %s", got.Raw)
	}
	both := s.ask(t, "$interpret-pain", send(part("observation", hurting("o", "2026-03-05", "5", "twist")), part("procedure", anchorIn("a", "2026-03-02", "left")), part("procedure", anchorIn("b", "2026-02-01", "right"))))
	if entries := both.Each("entry", "resource"); len(entries) != 3 || !slices.Contains(issueCodes(entries[2]), "pain-side-missing") {
		t.Errorf("a report without a side beside two anchors: %s", both.Raw)
	}
	for name, c := range map[string]struct{ report, operation string }{
		"a URL of ours and a relative one": {s.baseURL + "/Patient/p", "Patient/p"},
		"one urn:uuid":                     {"urn:uuid:6c0c5b0e-5c0c-4d5e-8d7e-3a4f1a2b3c4d", "urn:uuid:6c0c5b0e-5c0c-4d5e-8d7e-3a4f1a2b3c4d"},
		"a Patient of another server":      {"https://ehr.example/r4/Patient/7", "https://ehr.example/r4/Patient/7"},
	} {
		t.Run("one patient, named by "+name, func(t *testing.T) {
			got := s.ask(t, "$interpret-pain", send(part("observation", strings.Replace(late, "Patient/p", c.report, 1)), part("procedure", strings.Replace(anchorIn("op", "2026-03-02", "left"), "Patient/p", c.operation, 1))))
			if entries := got.Each("entry", "resource"); len(entries) == 0 || candidateCauses(entries[0]) != "bone-c 13, bone-a 9, bone-b 9" {
				t.Errorf("got %s", got.Raw)
			}
		})
	}
	for name, c := range map[string]struct {
		body, want string
		kind       fhir.ErrorKind
	}{
		"no report":                {send(part("procedure", anchorIn("op", "2026-03-02", "left"))), "observation", fhir.BadRequest},
		"no operation":             {send(part("observation", late)), "procedure", fhir.BadRequest},
		"two reports":              {send(part("observation", late), part("observation", late), part("procedure", anchorIn("op", "2026-03-02", "left"))), "more than once", fhir.BadRequest},
		"a report for a procedure": {send(part("observation", late), part("procedure", late)), "resourceType", fhir.BadRequest},
		"two with one id":          {send(part("observation", late), part("procedure", anchorIn("op", "2026-03-02", "left")), part("procedure", anchorIn("op", "2026-03-03", "left"))), "same id", fhir.BadRequest},
		"a score off its scale":    {send(part("observation", hurting("o", "2026-03-05", "11", "twist")), part("procedure", anchorIn("op", "2026-03-02", "left"))), "10", fhir.Unprocessable},
		"a text for a report":      {`{"resourceType":"Parameters","parameter":[{"name":"observation","valueString":"o"}]}`, "sent by POST as a resource", fhir.BadRequest},
		"a report alone":           {late, "Parameters", fhir.BadRequest},
		"another parameter":        {send(part("observation", late), part("consent", late)), "takes no resource", fhir.BadRequest},
		"two patients":             {send(part("observation", strings.Replace(late, "Patient/p", "Patient/q", 1)), part("procedure", anchorIn("op", "2026-03-02", "left"))), "of different patients", fhir.Unprocessable},
		"a urn:uuid and a Patient": {send(part("observation", strings.Replace(late, "Patient/p", "urn:uuid:6c0c5b0e-5c0c-4d5e-8d7e-3a4f1a2b3c4d", 1)), part("procedure", anchorIn("op", "2026-03-02", "left"))), "of different patients", fhir.Unprocessable},
		"a contained patient":      {send(part("observation", strings.Replace(late, "Patient/p", "#p", 1)), part("procedure", strings.Replace(anchorIn("op", "2026-03-02", "left"), "Patient/p", "#p", 1))), "", fhir.BadRequest},
		"an operation of nobody":   {send(part("observation", strings.Replace(late, "Patient/p", "Group/p", 1)), part("procedure", strings.Replace(anchorIn("op", "2026-03-02", "left"), "Patient/p", "Group/p", 1))), "reference to a Patient", fhir.BadRequest},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := s.Operate(ctx, Anonymous, called(t, "$interpret-pain", c.body))
			if fhir.KindOf(err) != c.kind || err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v", err)
			}
		})
	}
	if after := s.census(t); fmt.Sprint(after) != fmt.Sprint(before) {
		t.Errorf("before %v, after %v", before, after)
	}
}
