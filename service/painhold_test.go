package service

import (
	"fmt"
	"strings"
	"testing"

	"aftercare/fhir"

	"pgregory.net/rapid"
)

// painEvent is something that concerns the reports of pain of a patient, or the plan that follows
// them: what is sent, by "Type/id", "" for a deletion.
type painEvent struct{ ref, body string }

// drawPainEvent draws one. What a person does starts from what the service has.
func drawPainEvent(t *testing.T, rt *rapid.T, s *Service) painEvent {
	t.Helper()
	pick := func(label string, from ...string) string { return rapid.SampledFrom(from).Draw(rt, label) }
	switch pick("kind", "report", "report", "report", "report", "report", "report", "withdrawn", "withdrawn", "withdrawn", "loading", "loading", "operation", "plan", "made", "patient") {
	case "report":
		id := pick("id", "o1", "o2", "o3")
		side := pick("side", "", "7771000", "24028007")
		body := hurting(id, pick("day", "2026-03-05", "2026-03-09", "2026-05-01", "2026-07-02"), pick("score", "0", "5", "5", "8"), pick("trigger", "compress", "twist", "exercise"))
		if side != "" {
			body = strings.Replace(body, `"effectiveDateTime"`, `"bodySite":{"coding":[{"system":"http://snomed.info/sct","code":"`+side+`"}]},"effectiveDateTime"`, 1)
		}
		return painEvent{"Observation/" + id, body}
	case "withdrawn":
		id := pick("id", "o1", "o2", "o3")
		if rapid.Bool().Draw(rt, "deleted") {
			return painEvent{"Observation/" + id, ""}
		}
		return painEvent{"Observation/" + id, strings.Replace(hurting(id, "2026-03-05", "5", "compress"), `"final"`, `"entered-in-error"`, 1)}
	case "operation":
		body := anchorIn(pick("operation", "l", "r"), pick("operated", "2026-03-02", "2026-03-03", "2025-01-10"), pick("at", "left", "right"))
		return painEvent{"Procedure/" + body[strings.Index(body, `"id":"`)+6:][:1], strings.Replace(body, `"completed"`, `"`+pick("status", "completed", "completed", "not-done", "entered-in-error")+`"`, 1)}
	case "patient":
		return painEvent{"Patient/p", `{"resourceType":"Patient","id":"p"` + pick("patient", "", `,"active":true`, `,"deceasedBoolean":true`, `,"name":[{"text":"Kim <Lee>"}]`) + `}`}
	case "loading":
		return edited(t, rt, s, "CarePlan", func(body string) string {
			from := strings.Index(body, `{"id":"loading"`)
			if from < 0 {
				return body
			}
			status, to := pick("was", "on-hold", "not-started"), pick("is", "not-started", "on-hold", "in-progress", "completed", "scheduled")
			rest := strings.Replace(body[from:], `"status":"`+status+`"`, `"status":"`+to+`"`, 1)
			if rapid.Bool().Draw(rt, "says why") {
				rest = strings.Replace(rest, `"status":"`+to+`"`, `"status":"`+to+`", "statusReason" : {"text":"as agreed"}`, 1)
			}
			return body[:from] + rest
		})
	case "plan":
		return edited(t, rt, s, "CarePlan", func(body string) string {
			switch pick("edit", "title", "status", "reworded", "spaced", "note", "gone", "unnamed") {
			case "title":
				return strings.Replace(body, `"title":"`, `"title":"My `, 1)
			case "status":
				return strings.Replace(body, `"status":"active","intent"`, `"status":"`+pick("status", "on-hold", "completed", "revoked")+`","intent"`, 1)
			case "reworded":
				return strings.Replace(body, `"description":"`, `"description":"As told: `, 1)
			case "spaced":
				return strings.ReplaceAll(body, `"detail":{`, `"detail": { `)
			case "note":
				return strings.Replace(body, `"note":[`, `"note":[{"text":"x"},`, 1)
			case "unnamed":
				return strings.Replace(body, `"system":"`+fhir.Canonical+`/identifier/care-plan"`, `"system":"urn:x"`, 1)
			}
			return ""
		})
	}
	return edited(t, rt, s, pick("type", "ClinicalImpression", "Task", "Flag"), func(body string) string {
		switch pick("edit", "completed", "entered-in-error", "unnamed", "gone") {
		case "completed":
			for _, open := range []string{"in-progress", "requested"} {
				body = strings.Replace(body, `"status":"`+open+`"`, `"status":"completed"`, 1)
			}
			return body
		case "entered-in-error":
			for _, open := range []string{"in-progress", "requested", "active"} {
				body = strings.Replace(body, `"status":"`+open+`"`, `"status":"entered-in-error"`, 1)
			}
			return body
		case "unnamed":
			return strings.Replace(body, `"system":"`+fhir.Canonical+`/identifier/interpretation"`, `"system":"urn:x"`, 1)
		}
		return ""
	})
}

// edited is what a person makes of one resource of a type; nothing where there is none.
func edited(t *testing.T, rt *rapid.T, s *Service, typ string, edit func(body string) string) painEvent {
	t.Helper()
	all := s.find(t, typ, "")
	if len(all) == 0 {
		return painEvent{}
	}
	body := string(rapid.SampledFrom(all).Draw(rt, "resource"))
	n, err := fhir.Parse([]byte(body))
	if err != nil {
		t.Fatal(err)
	}
	return painEvent{typ + "/" + n.Str("id"), edit(body)}
}

// take has the event happen to a service.
func (e painEvent) take(s *Service) error {
	typ, id, _ := strings.Cut(e.ref, "/")
	switch {
	case e.ref == "":
		return nil
	case e.body == "":
		_, err := s.Delete(ctx, Anonymous, typ, id, Preconditions{})
		return err
	}
	_, err := s.Update(ctx, Anonymous, typ, id, []byte(e.body), Preconditions{})
	return err
}

// twins are two services to which the same happens. One keeps anchors at hand, the other derives
// all each time.
type twins struct {
	alone, whole *Service
	took         []string
	// held is how often the first changed what waits in a stored plan.
	held int
}

func newTwins(t *testing.T) *twins {
	w := &twins{alone: open(t), whole: open(t)}
	for _, s := range []*Service{w.alone, w.whole} {
		s.keep(t, `{"resourceType":"Patient","id":"p"}`, anchorIn("l", "2026-03-02", "left"), hurting("o0", "2026-03-04", "4", "exercise"))
	}
	return w
}

// happens has an event happen to both, and says where they differ then, "" for nowhere.
func (w *twins) happens(t *testing.T, e painEvent) string {
	t.Helper()
	w.took = append(w.took, e.ref+" "+e.body)
	before, _ := w.alone.atHand.get("p")
	err := e.take(w.alone)
	w.whole.atHand.keep("p", knownAnchors{}) // which fits nothing
	if other := e.take(w.whole); fmt.Sprint(err) != fmt.Sprint(other) {
		return fmt.Sprintf("%v and %v", err, other)
	}
	if after, ok := w.alone.atHand.get("p"); ok && before.anchors != nil && after.anchors == before.anchors && after.footprint != before.footprint {
		w.held++
	}
	for _, typ := range []string{"CarePlan", "ClinicalImpression", "Task", "Flag", "DetectedIssue", "Goal", "Provenance"} {
		a, b := w.alone.find(t, typ, ""), w.whole.find(t, typ, "")
		for i := range min(len(a), len(b)) {
			if string(a[i]) != string(b[i]) {
				return fmt.Sprintf("alone\n%s\nwhole\n%s", a[i], b[i])
			}
		}
		if len(a) != len(b) {
			return fmt.Sprintf("%d and %d of %s", len(a), len(b), typ)
		}
	}
	return ""
}

// What follows from reports for stored plans is the same, byte by byte, as where all is derived each
// time, whatever was sent and done before.
func TestHoldsAreThoseOfAWholeDerivation(t *testing.T) {
	if !strings.HasPrefix(newDatabase(t), "sqlite:") {
		t.Skip("what follows is decided above the engines")
	}
	rapid.Check(t, func(rt *rapid.T) {
		w := newTwins(t)
		for range rapid.IntRange(4, 16).Draw(rt, "events") {
			if differ := w.happens(t, drawPainEvent(t, rt, w.alone)); differ != "" {
				rt.Fatalf("after\n%s\n%s", strings.Join(w.took, "\n"), differ)
			}
		}
	})
}

// Loading is put on hold, left so and let go in the stored plan.
func TestHoldsNeedNoWholeDerivation(t *testing.T) {
	if !strings.HasPrefix(newDatabase(t), "sqlite:") {
		t.Skip("what follows is decided above the engines")
	}
	w := newTwins(t)
	first, second := hurting("o1", "2026-03-05", "5", "compress"), hurting("o2", "2026-03-06", "6", "pull")
	for i, c := range []struct {
		event   painEvent
		loading string
		held    int
	}{
		{painEvent{"Observation/o1", first}, "on-hold", 1},
		{painEvent{"Observation/o1", first}, "on-hold", 1},
		{painEvent{"Observation/o2", second}, "on-hold", 2},
		{painEvent{"Observation/o1", strings.Replace(first, `"value":5`, `"value":8`, 1)}, "on-hold", 3},
		{painEvent{"Observation/o2", ""}, "on-hold", 4},
		{painEvent{"Observation/o1", strings.Replace(first, `"final"`, `"entered-in-error"`, 1)}, "not-started", 5},
		{painEvent{"Observation/o2", second}, "on-hold", 6},
	} {
		if differ := w.happens(t, c.event); differ != "" {
			t.Fatalf("%d: %s", i, differ)
		}
		if got := w.alone.painState(t); w.held != c.held || !strings.Contains(got, "loading "+c.loading) {
			t.Fatalf("%d: changed %d times, and\n%s", i, w.held, got)
		}
	}
}
