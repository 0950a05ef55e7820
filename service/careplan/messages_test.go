package careplan

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"aftercare/fhir/validate"
)

// messages are the CommunicationRequests of a result: status, recipient and text.
func messages(t *testing.T, r Result) (list []string) {
	t.Helper()
	v, err := validate.New()
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range only(t, r, "CommunicationRequest") {
		check(t, v, n)
		var to []string
		for _, ref := range n.Each("recipient", "reference") {
			to = append(to, ref.Text)
		}
		list = append(list, fmt.Sprint(n.Str("status"), " ", strings.Join(to, ","), ": ", n.Each("payload", "contentString")[0].Text))
	}
	slices.Sort(list)
	return list
}

// steps derives one state of an operation after the other, and gives what is said after each.
func steps(t *testing.T, e *Engine, patient string, states ...string) (said [][]string, c Case) {
	t.Helper()
	c = Case{Subject: "Patient/p", At: at}
	for _, state := range states {
		c.Inputs = nil
		if state != "" {
			c.Inputs = caseOf(t, state).Inputs
		}
		c = patientOf(t, c, patient)
		r := derive(t, e, c)
		said = append(said, messages(t, r))
		c = stored(t, c, r)
		again := derive(t, e, c)
		for _, p := range again.Resources {
			for _, s := range c.Existing {
				if s.Type == p.Type && s.ID == p.ID && !sameContent(t, p.Body, s.Node.Raw) {
					t.Fatalf("%s changed when derived again\n%s\n%s", p.Type, s.Node.Raw, p.Body)
				}
			}
		}
	}
	return said, c
}

func operation(status, day string) string {
	return strings.Replace(op("a", "single-stage", day, ""), "completed", status, 1)
}

func TestPracticeIsToldOfOtherDates(t *testing.T) {
	said, _ := steps(t, builtIn(t), withPractice, operation("completed", "2026-03-02"), operation("completed", "2026-03-04"), operation("completed", "2026-03-06"), operation("completed", "2026-03-04"))
	if len(said[0]) != 0 {
		t.Errorf("at first: %q", said[0])
	}
	if len(said[1]) != 2 || !strings.HasPrefix(said[1][0], "active Practitioner/gp: Osseointegration aftercare, left femur. Remove the") ||
		!strings.Contains(strings.Join(said[1], " "), "This has other dates now: 2026-03-25. Before, they were: 2026-03-23.") {
		t.Errorf("moved: %q", said[1])
	}
	if got := strings.Join(said[2], "\n"); strings.Count(got, "active") != 2 || strings.Count(got, "revoked") != 2 || !strings.Contains(got, "now: 2026-03-27") {
		t.Errorf("moved again: %q", said[2])
	}
	if got := strings.Join(said[3], "\n"); strings.Count(got, "active") != 2 || strings.Count(got, "revoked") != 2 {
		t.Errorf("moved back: %q", said[3])
	}
}

func TestNobodyIsToldWhereNobodyIsRecorded(t *testing.T) {
	said, _ := steps(t, builtIn(t), "", operation("completed", "2026-03-02"), operation("completed", "2026-03-04"), operation("not-done", "2026-03-04"))
	for _, list := range said {
		if len(list) != 0 {
			t.Errorf("told %q", list)
		}
	}
}

func TestPracticeIsToldThatThePlanIsClosed(t *testing.T) {
	for name, c := range map[string]struct{ then, want string }{
		"not done":           {operation("not-done", "2026-03-02"), "The operation was not done or was given up."},
		"entered in error":   {operation("entered-in-error", "2026-03-02"), "The operation was entered in error."},
		"no longer recorded": {"", "The operation that this plan was made for is no longer recorded"},
	} {
		t.Run(name, func(t *testing.T) {
			said, _ := steps(t, builtIn(t), withPractice, operation("completed", "2026-03-02"), c.then, operation("completed", "2026-03-02"), c.then)
			want := "active Practitioner/gp: Osseointegration aftercare, left femur. " + c.want
			if len(said[1]) != 1 || !strings.HasPrefix(said[1][0], want) {
				t.Errorf("closed: %q", said[1])
			}
			if len(said[2]) != 1 || !strings.HasPrefix(said[2][0], "revoked") {
				t.Errorf("open again: %q", said[2])
			}
			if len(said[3]) != 1 || !strings.HasPrefix(said[3][0], want) {
				t.Errorf("closed again: %q", said[3])
			}
		})
	}
}

// A plan whose anchor is out is closed each time that it is derived, and told of once.
func TestPracticeIsToldOnceThatTheAnchorIsOut(t *testing.T) {
	e := builtIn(t)
	_, c := steps(t, e, withPractice, operation("completed", "2026-03-02"))
	c.Inputs = append(c.Inputs, source(t, op("z", "removal", "2026-03-10", "")))
	for range 3 {
		r := derive(t, e, c)
		if got := messages(t, r); len(got) != 1 || !strings.HasPrefix(got[0], "active Practitioner/gp: Osseointegration aftercare, left femur. The anchor was taken out.") {
			t.Fatalf("told %q", got)
		}
		c = stored(t, c, r)
	}
}

func TestOnHoldIsNoEnd(t *testing.T) {
	said, _ := steps(t, builtIn(t), withPractice, operation("completed", "2026-03-02"), operation("completed", "2026-03-04"), operation("on-hold", "2026-03-04"), operation("completed", "2026-03-04"))
	if got := strings.Join(said[2], "\n"); strings.Count(got, "on-hold Practitioner") != 2 || len(said[2]) != 2 {
		t.Errorf("on hold: %q", said[2])
	}
	if got := strings.Join(said[3], "\n"); strings.Count(got, "active Practitioner") != 2 {
		t.Errorf("open again: %q", said[3])
	}
}

// instructing has an activity that is said to the patient on the day of the operation.
func instructing(t *testing.T) *Engine {
	t.Helper()
	nodes := loaded(t)
	for i, n := range nodes {
		small := string(compacted(n).Raw)
		switch n.Str("resourceType") + "/" + n.Str("id") {
		case "ActivityDefinition/shower-permitted":
			nodes[i] = parse(t, strings.Replace(small, `"kind":"Task"`, `"topic":[{"coding":[{"system":"http://terminology.hl7.org/CodeSystem/communication-category","code":"instruction"}]}],"kind":"CommunicationRequest"`, 1))
		case "PlanDefinition/" + woundCare:
			before, after, found := strings.Cut(small, `"title":"Showering allowed",`)
			if !found {
				t.Fatal("no action")
			}
			nodes[i] = parse(t, before+`"output":[{"type":"CommunicationRequest"}],"title":"Showering allowed",`+after)
		}
	}
	e, err := Compile(nodes, london(t))
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func TestNothingIsSaidToAPatientAfterDeath(t *testing.T) {
	e := instructing(t)
	said, c := steps(t, e, "", operation("completed", "2026-03-02"))
	if len(said[0]) != 1 || !strings.HasPrefix(said[0][0], "active Patient/p: Showering") {
		t.Fatalf("said %q", said[0])
	}
	message := only(t, derive(t, e, c), "CommunicationRequest")[0]
	if got := message.Str("occurrencePeriod", "start") + message.Each("category", "coding", "code")[0].Text; got != "2026-03-02instruction" {
		t.Errorf("got %s", got)
	}
	c = patientOf(t, c, `,"deceasedBoolean":true`+withPractice)
	r := derive(t, e, c)
	if got := messages(t, r); len(got) != 1 || !strings.HasPrefix(got[0], "revoked Patient/p") {
		t.Errorf("after death: %q", got)
	}
	c = patientOf(t, stored(t, c, r), "")
	if got := messages(t, derive(t, e, c)); len(got) != 1 || !strings.HasPrefix(got[0], "active Patient/p") {
		t.Errorf("a mistake: %q", got)
	}
}
