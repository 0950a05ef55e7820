package careplan

import (
	"maps"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"aftercare/fhir"
)

const startComplete = `"status":"not-started","scheduledPeriod":{"start":"2026-03-30","end":"2026-03-30"}`

// movedTo is the schedule of the second removal of staples on another day.
func movedTo(day string) string { return strings.ReplaceAll(startComplete, "2026-03-30", day) }

func TestPeoplesEditsStay(t *testing.T) {
	e := builtIn(t)
	single := op("a", "single-stage", "2026-03-02", "")
	corrected := op("a", "single-stage", "2026-03-09", "")
	told := func(t *testing.T, r Result, code string) string {
		t.Helper()
		for _, n := range r.Notices {
			if n.Issue.Detail == code {
				return n.Issue.Text
			}
		}
		return ""
	}

	t.Run("a moved date stays when nothing else changes, and nothing is written", func(t *testing.T) {
		c := edit(t, running(t, e, single), "CarePlan", startComplete, movedTo("2026-04-02"))
		c = stored(t, c, derive(t, e, c))
		if got := dates(plan1(t, derive(t, e, c)))["staples-complete"]; got != "2026-04-02" {
			t.Errorf("got %s", got)
		}
		if again := stored(t, c, derive(t, e, c)); !maps.Equal(state(t, c), state(t, again)) {
			t.Error("deriving again changes something")
		}
	})
	t.Run("its Task moves with it", func(t *testing.T) {
		c := edit(t, running(t, e, single), "CarePlan", startComplete, movedTo("2026-04-02"))
		for _, task := range only(t, derive(t, e, c), "Task") {
			if strings.HasSuffix(identifierIn(task, activitySystem), "#staples-complete") && span(task.Get("restriction", "period")) != "2026-04-02" {
				t.Errorf("got %s", task.Raw)
			}
		}
	})
	t.Run("a correction of the operation moves the others and is told", func(t *testing.T) {
		c := edit(t, running(t, e, single), "CarePlan", startComplete, movedTo("2026-04-02"))
		r := derive(t, e, replaceInput(t, c, corrected))
		got := dates(plan1(t, r))
		if got["staples-complete"] != "2026-04-02" || got["staples-partial"] != "2026-03-30" {
			t.Errorf("got %v", got)
		}
		if text := told(t, r, "kept-by-person"); !strings.Contains(text, "activity staples-complete (scheduled)") {
			t.Errorf("told %q", text)
		}
	})
	t.Run("before the first removal: told, not moved", func(t *testing.T) {
		c := edit(t, running(t, e, single), "CarePlan", startComplete, movedTo("2026-03-20"))
		r := derive(t, e, c)
		if got := dates(plan1(t, r)); got["staples-complete"] != "2026-03-20" || got["staples-partial"] != "2026-03-23" {
			t.Errorf("got %v", got)
		}
		issues := only(t, r, "DetectedIssue")
		if len(issues) != 1 || issues[0].Get("code", "coding").Items[0].Str("code") != "order-broken" {
			t.Fatalf("issues %v", issues)
		}
		c = stored(t, c, r)
		c = edit(t, c, "CarePlan", movedTo("2026-03-20"), movedTo("2026-03-24"))
		if got := only(t, derive(t, e, c), "DetectedIssue")[0].Str("status"); got != "cancelled" {
			t.Errorf("with the order restored the issue is %s", got)
		}
	})
	t.Run("set back to what the plan says, it follows the plan again", func(t *testing.T) {
		c := edit(t, running(t, e, single), "CarePlan", startComplete, movedTo("2026-04-02"))
		c = stored(t, c, derive(t, e, c))
		c = edit(t, c, "CarePlan", movedTo("2026-04-02"), startComplete)
		r := derive(t, e, replaceInput(t, c, corrected))
		if got := dates(plan1(t, r))["staples-complete"]; got != "2026-04-06" {
			t.Errorf("got %s", got)
		}
		if told(t, r, "kept-by-person") != "" {
			t.Error("told of an edit that is none")
		}
	})
	t.Run("the same in other words is no edit", func(t *testing.T) {
		c := running(t, e, single)
		c = edit(t, c, "CarePlan", `"scheduledPeriod":{"start":"2026-03-30","end":"2026-03-30"}`, `"scheduledPeriod" : { "end":"2026-03-30", "start":"2026\u002d03-30" }`)
		if got := dates(plan1(t, derive(t, e, replaceInput(t, c, corrected))))["staples-complete"]; got != "2026-04-06" {
			t.Errorf("got %s", got)
		}
	})
	t.Run("a reason that a person wrote stays, through a hold and a planned stage", func(t *testing.T) {
		reason := func(n *fhir.Node, want string) {
			t.Helper()
			why := n.Get("statusReason")
			if why.Str("text") != want || len(why.Each("coding")) != 0 {
				t.Errorf("got %s", why.Raw)
			}
		}
		c := edit(t, running(t, e, single), "CarePlan", startComplete, `"statusReason":{"text":"away until May"},`+startComplete)
		c = edit(t, c, "Task", `"status":"requested"`, `"status":"requested","statusReason":{"text":"no answer"}`)
		c = stored(t, c, derive(t, e, c))
		c = replaceInput(t, c, strings.Replace(single, "completed", "on-hold", 1))
		c = stored(t, c, derive(t, e, c))
		c = replaceInput(t, c, corrected)
		r := derive(t, e, c)
		reason(find(plan1(t, r), "staples-complete").Get("detail"), "away until May")
		found := false
		for _, task := range only(t, r, "Task") {
			if task.Get("statusReason") != nil {
				found = true
				reason(task, "no answer")
			}
		}
		if !found {
			t.Error("the reason of the Task is lost")
		}

		planned := caseOf(t, op("a", "stage-1", "2026-03-02", ""), strings.Replace(op("b", "stage-2", "2026-09-01", ""), "completed", "preparation", 1))
		planned = stored(t, planned, derive(t, e, planned))
		planned = edit(t, planned, "CarePlan", `"display":"provisional: stage 2 not yet done"}]`, `"display":"provisional: stage 2 not yet done"}],"text":"not in June"`)
		planned = stored(t, planned, derive(t, e, planned))
		if again := stored(t, planned, derive(t, e, planned)); !maps.Equal(state(t, planned), state(t, again)) {
			t.Error("deriving again changes something")
		}
		id := ""
		for _, a := range plan1(t, derive(t, e, planned)).Each("activity") {
			if why := a.Get("detail", "statusReason"); why.Str("text") == "not in June" {
				if id = a.Str("id"); len(why.Each("coding")) != 1 {
					t.Errorf("got %s", why.Raw)
				}
			}
		}
		planned = replaceInput(t, planned, op("b", "stage-2", "2026-09-01", ""))
		reason(find(plan1(t, derive(t, e, planned)), id).Get("detail"), "not in June")
	})
	t.Run("a text, a performer taken out: each part for itself", func(t *testing.T) {
		c := running(t, e, single)
		c = edit(t, c, "CarePlan", `"description":"Remove the first part of the skin staples.`, `"description":"At home, please.`)
		before := find(plan1(t, derive(t, e, running(t, e, single))), "loading").Get("detail", "performer")
		c = edit(t, c, "CarePlan", `"scheduledString":"Undated: once a clinician has released it","performer":`+string(before.Raw), `"scheduledString":"Undated: once a clinician has released it"`)
		plan := plan1(t, derive(t, e, replaceInput(t, c, corrected)))
		partial := find(plan, "staples-partial")
		if !strings.HasPrefix(partial.Str("detail", "description"), "At home, please.") || dates(plan)["staples-partial"] != "2026-03-30" {
			t.Errorf("got %s", partial.Raw)
		}
		if performer := find(plan, "loading").Get("detail", "performer"); performer != nil {
			t.Errorf("the performer is back: %s", performer.Raw)
		}
	})
	t.Run("a changed activity that is no longer asked for stays", func(t *testing.T) {
		tmr := op("t", "tmr", "2026-03-02", `"partOf":[{"reference":"Procedure/a"}]`)
		c := running(t, e, single, tmr)
		c = edit(t, c, "CarePlan", `"scheduledPeriod":{"start":"2026-03-02","end":"2026-09-02"}`, `"scheduledPeriod":{"start":"2026-03-02","end":"2026-10-02"}`)
		c = stored(t, c, derive(t, e, c))
		c = replaceInput(t, c, strings.Replace(tmr, "completed", "entered-in-error", 1))
		for range 2 {
			c = stored(t, c, derive(t, e, c))
		}
		if a := find(plan1(t, derive(t, e, c)), "watch-phantom-after-tmr"); a == nil || when(a.Get("detail")) != "2026-03-02 to 2026-10-02" {
			t.Errorf("got %v", a)
		}
	})
	t.Run("a Task that somebody moved and gave away", func(t *testing.T) {
		c := running(t, e, single)
		c = edit(t, c, "Task", `"restriction":{"period":{"start":"2026-03-30","end":"2026-03-30"}}`, `"owner":{"display":"Nurse"},"restriction":{"period":{"start":"2026-04-01"}}`)
		r := derive(t, e, replaceInput(t, c, corrected))
		tasks := only(t, r, "Task")
		i := slices.IndexFunc(tasks, func(n *fhir.Node) bool {
			return strings.HasSuffix(identifierIn(n, activitySystem), "#staples-complete")
		})
		if tasks[i].Str("owner", "display") != "Nurse" || span(tasks[i].Get("restriction", "period")) != "from 2026-04-01" || tasks[i].Str("status") != "requested" {
			t.Errorf("got %s", tasks[i].Raw)
		}
		if text := told(t, r, "kept-by-person"); !strings.Contains(text, "task staples-complete (owner, restriction)") {
			t.Errorf("told %q", text)
		}
	})
	t.Run("a Goal with another date", func(t *testing.T) {
		c := edit(t, running(t, e, single), "Goal", `"dueDate":"2026-03-07"`, `"dueDate":"2026-03-09"`)
		r := derive(t, e, replaceInput(t, c, corrected))
		if !slices.ContainsFunc(only(t, r, "Goal"), func(n *fhir.Node) bool { return strings.Contains(string(n.Raw), `"dueDate":"2026-03-09"`) }) {
			t.Error("the date is gone")
		}
	})
}

// Of any part of any activity, a person's change outlives any corrections, and the rest
// follows them as if nobody had changed anything.
func TestEditsOutliveCorrections(t *testing.T) {
	e := builtIn(t)
	start := running(t, e, op("a", "single-stage", "2026-03-02", ""))
	var ids []string
	for _, a := range plan1(t, derive(t, e, start)).Each("activity") {
		ids = append(ids, a.Str("id"))
	}
	rapid.Check(t, func(rt *rapid.T) {
		id := rapid.SampledFrom(ids).Draw(rt, "activity")
		days := rapid.SliceOfN(rapid.SampledFrom([]string{"2026-03-02", "2026-03-03", "2026-03-30", "2026-02", "2026-01-31"}), 1, 4).Draw(rt, "corrections")
		c, plain := start, start
		c.Existing = slices.Clone(start.Existing)
		for i, s := range c.Existing {
			if s.Type != "CarePlan" {
				continue
			}
			o := members(s.Node)
			var list []raw
			for _, a := range s.Node.Each("activity") {
				if a.Str("id") == id {
					detail := members(a.Get("detail")).without("scheduledString", "scheduledPeriod", "scheduledTiming")
					detail.set("scheduledPeriod", period{"2026-07-04", "2026-07-05"})
					changed := members(a)
					changed.set("detail", detail)
					a = changed.node()
				}
				list = append(list, raw{a})
			}
			o.set("activity", list)
			c.Existing[i].Node = o.node()
		}
		for _, day := range days {
			c = replaceInput(t, c, op("a", "single-stage", day, ""))
			plain = replaceInput(t, plain, op("a", "single-stage", day, ""))
			c, plain = stored(t, c, derive(t, e, c)), stored(t, plain, derive(t, e, plain))
		}
		want, got := dates(plan1(t, derive(t, e, plain))), dates(plan1(t, derive(t, e, c)))
		want[id] = "2026-07-04 to 2026-07-05"
		if !maps.Equal(got, want) {
			rt.Fatalf("got %v\nwant %v", got, want)
		}
	})
}

// stripped is a resource without the extensions of a url, wherever they are.
func stripped(t *testing.T, n *fhir.Node, url string) *fhir.Node {
	t.Helper()
	text := string(compacted(n).Raw)
	for {
		i := strings.Index(text, `{"url":"`+url+`"`)
		if i < 0 {
			break
		}
		end := i + strings.Index(text[i:], "}") + 1
		switch {
		case text[i-1] == ',':
			i--
		case text[end] == ',':
			end++
		}
		text = text[:i] + text[end:]
	}
	text = strings.ReplaceAll(text, `"extension":[],`, "")
	return parse(t, text)
}

// A plan that moves to another record of the patient names that one: nobody has changed it for that.
func TestAMergeIsNoEdit(t *testing.T) {
	e := builtIn(t)
	for name, before := range map[string]func(Case) Case{
		"with digests":      func(c Case) Case { return c },
		"of an older build": func(c Case) Case { return older(t, c) },
	} {
		t.Run(name, func(t *testing.T) {
			c := before(running(t, e, op("a", "stage-1", "2026-03-02", "")))
			c = editIn(t, c, "CarePlan", `"id":"stage-1.no-bath-soaking"`, `"scheduledPeriod":{"start":"2026-03-02"}`, `"scheduledPeriod":{"start":"2026-03-02","end":"2026-06-02"}`)
			c.Subject = "Patient/q"
			c = stored(t, c, derive(t, e, c))
			c.Written = nil
			plan := plan1(t, derive(t, e, replaceInput(t, c, op("a", "single-stage", "2026-03-02", ""))))
			if find(plan, "stage-1.shower-permitted") != nil {
				t.Error("what nobody changed is left over")
			}
			if a := find(plan, "stage-1.no-bath-soaking"); a == nil || when(a.Get("detail")) != "2026-03-02 to 2026-06-02" || !strings.Contains(string(a.Raw), "Patient/q") {
				t.Errorf("what somebody changed is %v", a)
			}
		})
	}
}
