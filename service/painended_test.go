package service

import (
	"slices"
	"strings"
	"testing"
)

// What has ended keeps the time of its end, however often the records are looked at again.
func TestEndedFlagsOfPainStayAsTheyAre(t *testing.T) {
	s, set := clocked(t)
	s.keep(t, `{"resourceType":"Patient","id":"p"}`, anchorIn("op", "2026-03-02", "left"), hurting("o", "2026-03-05", "5", "compress"), hurting("o", "2026-03-05", "6", "compress"))
	ended := func() string {
		return s.nodes(t, "Flag", "status=inactive")[0].Str("meta", "versionId") + s.nodes(t, "Flag", "status=inactive")[0].Str("period", "end")
	}
	before := ended()
	set("2026-11-20T12:00:00Z")
	s.keep(t, anchorIn("op", "2026-03-02", "left", `"note":[{"text":"x"}]`))
	if after := ended(); after != before {
		t.Errorf("%s, and was %s", after, before)
	}
}

// A person who deletes an impression has dealt with it: nothing brings it back but another report.
func TestDeletedImpressionsStayDeleted(t *testing.T) {
	s := open(t)
	pain := hurting("o", "2026-03-05", "5", "compress")
	s.keep(t, `{"resourceType":"Patient","id":"p"}`, anchorIn("op", "2026-03-02", "left"), pain)
	remove(t, s, "ClinicalImpression", s.nodes(t, "ClinicalImpression", "")[0].Str("id"))
	gone := []string{"task cancelled discuss-with-surgeon", "flag inactive pain-ask-surgeon", "loading not-started"}
	wantState(t, s, "deleted", gone...)
	s.keep(t, pain)
	wantState(t, s, "the same report", gone...)
	s.keep(t, anchorIn("op", "2026-03-02", "left", `"note":[{"text":"x"}]`))
	wantState(t, s, "a note on the operation", gone...)
	s.keep(t, hurting("o", "2026-03-05", "6", "compress"))
	wantState(t, s, "corrected", append(gone[:2:2], "impression in-progress of Observation/o: bone-a 13, bone-b 13", "task requested discuss-with-surgeon", "flag active pain-ask-surgeon", "loading on-hold")...)
}

// A report of somebody who turns out to be another person is about the anchor no more.
func TestPainFollowsLinksThatAreTakenBack(t *testing.T) {
	s := open(t)
	s.keep(t, `{"resourceType":"Patient","id":"p"}`, anchorIn("op", "2026-03-02", "left"),
		`{"resourceType":"Patient","id":"q","link":[{"type":"replaced-by","other":{"reference":"Patient/p"}}]}`,
		strings.Replace(hurting("o", "2026-03-05", "5", "compress"), "Patient/p", "Patient/q", 1))
	wantState(t, s, "linked", "impression in-progress of Observation/o: bone-a 13, bone-b 13", "task requested discuss-with-surgeon", "flag active pain-ask-surgeon", "loading on-hold")
	s.keep(t, `{"resourceType":"Patient","id":"q"}`)
	wantState(t, s, "not linked", "impression entered-in-error of Observation/o: bone-a 13, bone-b 13", "task cancelled discuss-with-surgeon", "flag inactive pain-ask-surgeon", "loading not-started")
}

func TestSendersAreToldOfDeath(t *testing.T) {
	s := open(t)
	s.keep(t, `{"resourceType":"Patient","id":"p","deceasedBoolean":true}`, anchorIn("op", "2026-03-02", "left"))
	w, err := s.Update(ctx, Anonymous, "Observation", "o", []byte(hurting("o", "2026-03-05", "5", "compress")), Preconditions{})
	if err != nil {
		t.Fatal(err)
	}
	var told []string
	for _, i := range w.Issues {
		told = append(told, i.Detail)
	}
	if !slices.Contains(told, "pain-patient-deceased") {
		t.Errorf("told %v", told)
	}
}

// Where no cause is listed, a Task says what it asks and nothing else.
func TestTasksOfPainWithoutCauses(t *testing.T) {
	s := open(t)
	s.keep(t, `{"resourceType":"Patient","id":"p"}`, anchorIn("op", "2026-03-02", "left"), strings.Replace(anchorIn("out", "2026-06-01", "left"), "single-stage", "removal", 1), hurting("o", "2026-07-01", "5", "twist"))
	if got := s.nodes(t, "Task", "focus=Observation/o")[0].Str("description"); got != "Discuss with the surgeon. A clinician should review it." {
		t.Errorf("got %q", got)
	}
}
