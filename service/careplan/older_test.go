package careplan

import (
	"maps"
	"slices"
	"strings"
	"testing"

	"aftercare/fhir"
)

// older is a case as a build before there were digests left it, with the last versions that
// derivations wrote.
func older(t *testing.T, c Case) Case {
	t.Helper()
	c.Existing, c.Written = slices.Clone(c.Existing), map[string]*fhir.Node{}
	for i, s := range c.Existing {
		n := stripped(t, s.Node, writtenExtension)
		if s.Type == "CarePlan" {
			n = parse(t, strings.ReplaceAll(string(compacted(n).Raw), `"extension":[{"url":"`+outcomeExtension+`","valueCode":"basis"}],`, ""))
		}
		c.Existing[i].Node = n
		c.Written[s.ref()] = n
	}
	return c
}

func TestOlderPlans(t *testing.T) {
	e := builtIn(t)
	single, corrected := op("a", "single-stage", "2026-03-02", ""), op("a", "single-stage", "2026-03-09", "")
	complete := func(t *testing.T, c Case) string {
		t.Helper()
		return dates(plan1(t, derive(t, e, c)))["staples-complete"]
	}
	t.Run("each resource without digests asks for its last written version, and the next build does not", func(t *testing.T) {
		c := older(t, running(t, e, single))
		for range 2 {
			asks := 0
			for _, s := range c.Existing {
				if e.LacksDigests(s) {
					asks++
				}
			}
			if c.Written != nil && asks == 0 || c.Written == nil && asks > 0 {
				t.Errorf("%d ask; written versions at hand: %v", asks, c.Written != nil)
			}
			c = stored(t, c, derive(t, e, c))
			c.Written = nil
		}
	})
	t.Run("a date that a person moved stays, the others follow", func(t *testing.T) {
		c := edit(t, older(t, running(t, e, single)), "CarePlan", startComplete, movedTo("2026-04-02"))
		for _, c := range []Case{c, replaceInput(t, c, corrected)} {
			if got := complete(t, c); got != "2026-04-02" {
				t.Errorf("moved to %s", got)
			}
		}
		if got := dates(plan1(t, derive(t, e, replaceInput(t, c, corrected))))["staples-partial"]; got != "2026-03-30" {
			t.Errorf("the first removal is at %s", got)
		}
	})
	t.Run("what nobody touched follows", func(t *testing.T) {
		if got := complete(t, replaceInput(t, older(t, running(t, e, single)), corrected)); got != "2026-04-06" {
			t.Errorf("it is at %s", got)
		}
	})
	t.Run("where the last written version is not known, what differs is a person's", func(t *testing.T) {
		c := edit(t, older(t, running(t, e, single)), "CarePlan", startComplete, movedTo("2026-04-02"))
		c.Written = nil
		if got := complete(t, c); got != "2026-04-02" {
			t.Errorf("moved to %s", got)
		}
		c = stored(t, c, derive(t, e, c))
		got := dates(plan1(t, derive(t, e, replaceInput(t, c, corrected))))
		if got["staples-complete"] != "2026-04-02" || got["staples-partial"] != "2026-03-30" {
			t.Errorf("got %v", got)
		}
	})
	t.Run("of a Task and a Goal too", func(t *testing.T) {
		c := older(t, running(t, e, single))
		c = edit(t, c, "Task", `"restriction":{"period":{"start":"2026-03-30","end":"2026-03-30"}}`, `"owner":{"display":"Nurse"},"restriction":{"period":{"start":"2026-03-30","end":"2026-03-30"}}`)
		c = edit(t, c, "Goal", `"dueDate":"2026-03-07"`, `"dueDate":"2026-03-10"`)
		r := derive(t, e, replaceInput(t, c, corrected))
		if !slices.ContainsFunc(only(t, r, "Task"), func(n *fhir.Node) bool {
			return n.Str("owner", "display") == "Nurse" && span(n.Get("restriction", "period")) == "2026-04-06"
		}) {
			t.Error("the Task has no owner or no new date")
		}
		if !slices.ContainsFunc(only(t, r, "Goal"), func(n *fhir.Node) bool { return strings.Contains(string(n.Raw), `"dueDate":"2026-03-10"`) }) {
			t.Error("the date of the Goal is gone")
		}
	})
	t.Run("an activity that a person took out stays out, a record that a person named stays named", func(t *testing.T) {
		c := older(t, running(t, e, single, device("d", "bone-anchor", "active")))
		c = takenOut(t, c, "loading")
		c = edit(t, c, "CarePlan", `"supportingInfo":[`, `"supportingInfo":[{"reference":"Device/d"},`)
		for range 2 {
			r := derive(t, e, c)
			if find(plan1(t, r), "loading") != nil {
				t.Error("it is back")
			}
			if !slices.ContainsFunc(plan1(t, r).Each("supportingInfo", "reference"), func(n *fhir.Node) bool { return n.Text == "Device/d" }) {
				t.Error("the Device is gone")
			}
			c = stored(t, c, r)
			c.Written = nil
		}
	})
	t.Run("what was begun before is the protocol's again when it is set back", func(t *testing.T) {
		c := older(t, running(t, e, single))
		c = edit(t, c, "CarePlan", startComplete, strings.Replace(startComplete, "not-started", "scheduled", 1))
		c = stored(t, c, derive(t, e, c))
		c.Written = nil
		c = setStatus(t, c, "CarePlan", "staples-complete", "not-started")
		if got := complete(t, replaceInput(t, c, corrected)); got != "2026-04-06" {
			t.Errorf("it is at %s", got)
		}
	})
	t.Run("a plan that a person ended is left alone", func(t *testing.T) {
		c := edit(t, older(t, running(t, e, single)), "CarePlan", `"status":"active","intent"`, `"status":"revoked","intent"`)
		before := plan1(t, Result{Resources: []Prescribed{{Type: "CarePlan", Body: c.Existing[slices.IndexFunc(c.Existing, func(s Source) bool { return s.Type == "CarePlan" })].Node.Raw}}})
		if !sameContent(t, before.Raw, plan1(t, derive(t, e, c)).Raw) {
			t.Error("it was written")
		}
	})
	t.Run("a client that drops extensions loses nobody's changes", func(t *testing.T) {
		c := edit(t, running(t, e, single), "CarePlan", startComplete, movedTo("2026-04-02"))
		c = stored(t, takenOut(t, c, "loading"), derive(t, e, takenOut(t, c, "loading")))
		written := map[string]*fhir.Node{}
		for i, s := range c.Existing {
			if s.Type == "CarePlan" {
				written[s.ref()] = s.Node
				c.Existing[i].Node = stripped(t, stripped(t, s.Node, writtenExtension), removedExtension)
			}
		}
		c.Written = written
		before := state(t, c)
		c = stored(t, c, derive(t, e, replaceInput(t, c, corrected)))
		plan := plan1(t, derive(t, e, c))
		if find(plan, "loading") != nil || dates(plan)["staples-complete"] != "2026-04-02" {
			t.Errorf("got %v", dates(plan))
		}
		if maps.Equal(before, state(t, c)) {
			t.Error("nothing was written")
		}
	})
}

// takenOut is a case in whose plan a person has taken an activity out.
func takenOut(t *testing.T, c Case, id string) Case {
	t.Helper()
	c.Existing = slices.Clone(c.Existing)
	for i, s := range c.Existing {
		if s.Type != "CarePlan" || find(s.Node, id) == nil {
			continue
		}
		o := members(s.Node)
		o.set("activity", raws(slices.DeleteFunc(s.Node.Each("activity"), func(a *fhir.Node) bool { return a.Str("id") == id })))
		c.Existing[i].Node = o.node()
		return c
	}
	t.Fatalf("no plan has %s", id)
	return c
}
