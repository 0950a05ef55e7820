package service

import (
	"slices"
	"strings"
	"testing"
)

// osseoPain is a report of pain of Patient/p with a site.
func osseoPain(id, day, score, site string) string {
	return painBody(id, nrs, day, score, `"bodySite":{"coding":[{"system":"https://aftercare.example/fhir/CodeSystem/osseointegration","code":"`+site+`"},{"system":"http://snomed.info/sct","code":"7771000"}]}`)
}

// What calls for a clinician is asked for by a Task, and flagged while that is open.
func TestReviewsAreAskedFor(t *testing.T) {
	if !strings.HasPrefix(newDatabase(t), "sqlite:") {
		t.Skip("what is asked for is decided above the engines")
	}
	part := func(code string) string {
		return strings.NewReplacer(`"single-stage"`, `"`+code+`"`, `"subject"`, `"partOf":[{"reference":"Procedure/op"}],"subject"`).Replace(anchorIn(code, "2026-03-02", "left"))
	}
	for name, c := range map[string]struct {
		also, report string
		task, flag   string // with priority; "" for none
	}{
		"a cause that fits and needs nobody":   {"", osseoPain("o", "2026-07-02", "4", "muscle"), "", ""},
		"no cause fits":                        {part("tmr"), osseoPain("o", "2026-07-02", "4", "stump-nerve"), "routine clinician-review", "pain-review"},
		"no treatment is named":                {part("traction-neurectomy"), osseoPain("o", "2026-07-02", "4", "stump-nerve"), "routine clinician-review", "pain-review"},
		"phantom pain past its course":         {part("tmr"), osseoPain("o", "2026-11-02", "4", "phantom"), "routine clinician-review", "pain-review"},
		"new phantom pain after 3 months":      {part("tmr"), osseoPain("o", "2026-07-02", "4", "phantom"), "routine clinician-review", "pain-review"},
		"phantom pain within its course":       {part("tmr"), osseoPain("o", "2026-04-02", "4", "phantom"), "", ""},
		"pain at the skin opening":             {"", osseoPain("o", "2026-04-02", "4", "stoma"), "urgent ask-infection-signs", "pain-ask-infection"},
		"severe pain for which no cause fits":  {part("tmr"), osseoPain("o", "2026-07-02", "8", "stump-nerve"), "urgent clinician-review severe", "pain-review pain-severe"},
		"a nerve after the anchor was removed": {strings.Replace(anchorIn("out", "2026-06-01", "left"), "single-stage", "removal", 1), osseoPain("o", "2026-07-02", "4", "stump-nerve"), "routine clinician-review", "pain-review"},
	} {
		t.Run(name, func(t *testing.T) {
			s := open(t)
			s.keep(t, `{"resourceType":"Patient","id":"p"}`, anchorIn("op", "2026-03-02", "left"))
			if c.also != "" {
				s.keep(t, c.also)
			}
			s.keep(t, c.report)
			task, flag := "", ""
			for _, n := range s.nodes(t, "Task", "focus=Observation/o") {
				task += n.Str("priority")
				for _, code := range n.Each("code", "coding", "code") {
					task += " " + code.Text
				}
				if roles := n.Each("performerType", "coding"); len(roles) > 0 {
					t.Errorf("asked of %s", roles[0].Raw)
				}
			}
			for _, n := range s.nodes(t, "Flag", "status=active") {
				var codes []string
				for _, code := range n.Each("code", "coding", "code") {
					if strings.HasPrefix(code.Text, "pain-") {
						codes = append(codes, code.Text)
					}
				}
				flag += strings.Join(codes, " ")
			}
			if task != c.task || flag != c.flag {
				t.Errorf("task %q and flag %q", task, flag)
			}
			for _, n := range s.nodes(t, "ClinicalImpression", "") {
				if strings.Count(n.Str("summary"), "A clinician should review it.") > 1 {
					t.Errorf("said twice: %s", n.Str("summary"))
				}
			}
		})
	}
}

// A record of the operation that comes late and changes nothing of what was found asks nobody again
// who has answered.
func TestNobodyIsAskedTheSameTwice(t *testing.T) {
	late := strings.NewReplacer(`"single-stage"`, `"tmr"`, `"subject"`, `"partOf":[{"reference":"Procedure/op"}],"subject"`).Replace(anchorIn("tmr", "2026-03-02", "left"))
	fracture := anchorIn("op", "2026-03-02", "left", `"complication":[{"coding":[{"system":"https://aftercare.example/fhir/CodeSystem/osseointegration","code":"intraoperative-fracture"}]}]`)
	superseded := "impression entered-in-error of Observation/o: bone-a 13, bone-b 13"
	same := "impression in-progress of Observation/o: bone-a 13, bone-b 13"
	s := open(t)
	s.keep(t, `{"resourceType":"Patient","id":"p"}`, anchorIn("op", "2026-03-02", "left"), hurting("o", "2026-03-05", "5", "compress"))
	s.setStatus(t, "Task", "focus=Observation/o", "completed")
	answered := []string{"task completed discuss-with-surgeon", "flag inactive pain-ask-surgeon", "loading on-hold"}
	s.keep(t, late)
	wantState(t, s, "a nerve operation of that day", append(answered[:3:3], superseded, same)...)
	s.keep(t, anchorIn("op", "2026-03-02", "left", `"note":[{"text":"x"}]`))
	wantState(t, s, "looked at again", append(answered[:3:3], superseded, same)...)
	remove(t, s, "Procedure", "tmr")
	got := s.painState(t)
	if strings.Count(got, "in-progress of") != 1 || strings.Contains(got, "task requested") {
		t.Errorf("taken back:\n%s", got)
	}
	s.keep(t, fracture)
	if got := s.painState(t); !strings.Contains(got, "bone-b 14, bone-a 13") || strings.Count(got, "task requested discuss-with-surgeon") != 1 {
		t.Errorf("with a fracture, which is another finding:\n%s", got)
	}
	open := openedTask(t)
	open.keep(t, late)
	if got := open.painState(t); strings.Count(got, "task requested") != 1 || strings.Count(got, "task cancelled") != 1 {
		t.Errorf("where nobody has answered yet:\n%s", got)
	}
}

func openedTask(t *testing.T) *Service {
	s := open(t)
	s.keep(t, `{"resourceType":"Patient","id":"p"}`, anchorIn("op", "2026-03-02", "left"), hurting("o", "2026-03-05", "5", "compress"))
	return s
}

// What was said of a report that is withdrawn after a death is withdrawn too.
func TestReportsWithdrawnAfterADeath(t *testing.T) {
	s := openedTask(t)
	pain := hurting("o", "2026-03-05", "5", "compress")
	s.keep(t, osseoPain("o2", "2026-03-06", "4", "muscle"), `{"resourceType":"Patient","id":"p","deceasedBoolean":true}`)
	ended := []string{"task cancelled discuss-with-surgeon", "flag inactive pain-ask-surgeon", "loading cancelled", "impression in-progress of Observation/o2: musc 11"}
	wantState(t, s, "dead", append(ended[:4:4], "impression in-progress of Observation/o: bone-a 13, bone-b 13")...)
	s.keep(t, strings.Replace(pain, `"final"`, `"entered-in-error"`, 1))
	withdrawn := append(ended[:4:4], "impression entered-in-error of Observation/o: bone-a 13, bone-b 13")
	wantState(t, s, "withdrawn", withdrawn...)
	s.keep(t, anchorIn("op", "2026-03-02", "left", `"note":[{"text":"x"}]`))
	wantState(t, s, "looked at again", withdrawn...)
	remove(t, s, "Observation", "o2")
	if got := s.painState(t); strings.Contains(got, "in-progress") {
		t.Errorf("deleted:\n%s", got)
	}
}

// Loading that somebody has begun keeps the status and the reason that a person gave it, whatever is
// reported; the Task and the Flag say that it should wait.
func TestPainLeavesLoadingThatHasBegun(t *testing.T) {
	const begun = "in-progress, by the physiotherapist"
	pain := hurting("o", "2026-03-05", "5", "compress")
	for name, then := range map[string][]string{
		"at once":              nil,
		"looked at again":      {anchorIn("op", "2026-03-02", "left", `"note":[{"text":"x"}]`)},
		"reported again":       {hurting("o2", "2026-03-06", "5", "compress")},
		"the report withdrawn": {strings.Replace(pain, `"final"`, `"entered-in-error"`, 1)},
	} {
		t.Run(name, func(t *testing.T) {
			s := open(t)
			s.keep(t, `{"resourceType":"Patient","id":"p"}`, anchorIn("op", "2026-03-02", "left"))
			body := string(s.find(t, "CarePlan", "")[0])
			from := strings.Index(body, `{"id":"loading"`)
			s.keep(t, body[:from]+strings.Replace(body[from:], `"status":"not-started"`, `"status":"in-progress","statusReason":{"text":"by the physiotherapist"}`, 1), pain)
			s.keep(t, then...)
			for _, a := range s.nodes(t, "CarePlan", "")[0].Each("activity") {
				if a.Str("id") != "loading" {
					continue
				}
				if got := a.Str("detail", "status") + ", " + a.Str("detail", "statusReason", "text"); got != begun {
					t.Errorf("got %q", got)
				}
			}
			asked := slices.Contains(strings.Split(s.painState(t), "\n"), "task requested discuss-with-surgeon")
			if withdrawn := name == "the report withdrawn"; asked == withdrawn {
				t.Errorf("the surgeon is asked: %t", asked)
			}
		})
	}
}

// Of more reports than are looked at again, what was made of the earliest stays as it was, and a new
// report is interpreted all the same.
func TestTheLatestReportsAreLookedAtAgain(t *testing.T) {
	s := open(t)
	s.maxReports = 2
	s.keep(t, `{"resourceType":"Patient","id":"p"}`, anchorIn("op", "2026-03-02", "left"),
		osseoPain("first", "2026-06-02", "4", "muscle-insertion"), osseoPain("second", "2026-06-03", "4", "muscle-insertion"), osseoPain("third", "2026-06-04", "4", "muscle-insertion"))
	inside := "enth 13, musc 7"
	wantState(t, s, "at first", "loading not-started", "impression in-progress of Observation/first: "+inside, "impression in-progress of Observation/second: "+inside, "impression in-progress of Observation/third: "+inside)
	s.keep(t, anchorIn("op", "2026-04-02", "left")) // now all are too early
	early := "enth 9, musc 7"
	moved := []string{
		"loading not-started", "impression in-progress of Observation/first: " + inside,
		"impression entered-in-error of Observation/second: " + inside, "impression in-progress of Observation/second: " + early,
		"impression entered-in-error of Observation/third: " + inside, "impression in-progress of Observation/third: " + early,
	}
	wantState(t, s, "operation moved", moved...)
	s.keep(t, osseoPain("fourth", "2026-07-02", "4", "muscle-insertion"))
	wantState(t, s, "one more", append(moved, "impression in-progress of Observation/fourth: "+inside)...)
}

// Whoever sends a report is told at once what is missing in it.
func TestSendersAreToldWhatAReportLacks(t *testing.T) {
	s := open(t)
	s.keep(t, `{"resourceType":"Patient","id":"p"}`, anchorIn("l", "2026-03-02", "left"), anchorIn("r", "2025-03-02", "right"))
	w, err := s.Update(ctx, Anonymous, "Observation", "o", []byte(hurting("o", "2026-04-05", "5", "pull")), Preconditions{})
	if err != nil {
		t.Fatal(err)
	}
	var told []string
	for _, i := range w.Issues {
		told = append(told, i.Detail)
	}
	slices.Sort(told)
	if want := []string{"pain-interpreted", "pain-interpreted", "pain-side-missing"}; !slices.Equal(told, want) {
		t.Errorf("told %v", told)
	}
}
