package careplan

import (
	"slices"
	"strings"
	"testing"

	"aftercare/fhir"
)

func activityText(id, status, period, text string) string {
	return `{"id":"` + id + `","detail":{"status":"` + status + `","scheduledString":"` + period + `","description":"` + text + `"}}`
}

func TestChanges(t *testing.T) {
	one := activityText("a", "not-started", "x", "t")
	for name, c := range map[string]struct {
		before, after string
		want          []Change
	}{
		"nothing":                  {one, one, nil},
		"white space says nothing": {strings.ReplaceAll(one, ",", ", "), one, nil},
		"one is added":             {one, one + "," + activityText("b", "not-started", "y", "t"), []Change{{"b", "added", "", "y"}}},
		"one is removed":           {one + "," + activityText("b", "not-started", "y", "t"), one, []Change{{"b", "removed", "y", ""}}},
		"the order says nothing": {one + "," + activityText("b", "not-started", "y", "t"),
			activityText("b", "not-started", "y", "t") + "," + one, nil},
		"one is moved":               {one, activityText("a", "not-started", "z", "t"), []Change{{"a", "moved", "x", "z"}}},
		"one has another status":     {one, activityText("a", "cancelled", "x", "t"), []Change{{"a", "restated", "not-started", "cancelled"}}},
		"moved and with another one": {one, activityText("a", "cancelled", "z", "u"), []Change{{"a", "moved", "x", "z"}, {"a", "restated", "not-started", "cancelled"}}},
		"one has another text":       {one, activityText("a", "not-started", "x", "u"), []Change{{"a", "reworded", "", ""}}},
	} {
		t.Run(name, func(t *testing.T) {
			plan := func(list string) *fhir.Node { return parse(t, `{"resourceType":"CarePlan","activity":[`+list+`]}`) }
			if got := Changes(plan(c.before), plan(c.after)); !slices.Equal(got, c.want) {
				t.Errorf("got %v, want %v", got, c.want)
			}
		})
	}
}

// What a person has begun stays, and the result says where it would be now.
func TestBegunActivitiesAreNamed(t *testing.T) {
	e := builtIn(t)
	c := caseOf(t, op("a", "single-stage", "2026-03-02", ""))
	c = stored(t, c, derive(t, e, c))
	begin(t, c, "staples-partial", "in-progress")
	c.Inputs[0] = source(t, op("a", "single-stage", "2026-03-04", ""))
	for _, p := range derive(t, e, c).Resources {
		if p.Type != "CarePlan" {
			continue
		}
		if want := []Change{{"staples-partial", "kept", "2026-03-23", "2026-03-25"}}; !slices.Equal(p.Kept, want) {
			t.Errorf("kept %v", p.Kept)
		}
	}
}

// begin gives an activity of the only plan of a case another status, as a person does.
func begin(t *testing.T, c Case, id, status string) {
	t.Helper()
	for i, s := range c.Existing {
		if s.Type == "CarePlan" {
			before, after, found := strings.Cut(string(s.Node.Raw), `"id":"`+id+`"`)
			if !found {
				t.Fatalf("no activity %s", id)
			}
			after = strings.Replace(after, `"status":"not-started"`, `"status":"`+status+`"`, 1)
			c.Existing[i].Node = parse(t, before+`"id":"`+id+`"`+after)
		}
	}
}
