package careplan

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"aftercare/fhir"
)

// device is a Device, and used a DeviceUseStatement of it with an end.
func device(id, kind, status string) string {
	return fmt.Sprintf(`{"resourceType":"Device","id":%q,"status":%q,"type":{"coding":[{"system":"https://aftercare.example/fhir/CodeSystem/osseointegration","code":%q}]}}`, id, status, kind)
}

func used(id, device, status, end string) string {
	return fmt.Sprintf(`{"resourceType":"DeviceUseStatement","id":%q,"status":%q,"subject":{"reference":"Patient/p"},"device":{"reference":"Device/%s"},"timingPeriod":{"end":%q}}`, id, status, device, end)
}

// with names Devices that an operation on the left femur has put in or taken out.
func with(actions ...string) string {
	var list []string
	for _, a := range actions {
		action, id, _ := strings.Cut(a, " ")
		list = append(list, fmt.Sprintf(`{"action":{"coding":[{"system":"http://hl7.org/fhir/device-action","code":%q}]},"manipulated":{"reference":"Device/%s"}}`, action, id))
	}
	return femurLeft + `,"focalDevice":[` + strings.Join(list, ",") + `]`
}

func unfinished(text, status string) string {
	return strings.Replace(text, `"completed"`, `"`+status+`"`, 1)
}

// A plan in these tests is its period's start, its status, the start of the plan that it
// replaces, and the dates of the last staple removal and of the earliest osseointegration.
func plansOf(t *testing.T, r Result) []string {
	t.Helper()
	starts := map[string]string{}
	for _, p := range only(t, r, "CarePlan") {
		starts["CarePlan/"+p.Str("id")] = p.Str("period", "start")
	}
	var found []string
	for _, p := range only(t, r, "CarePlan") {
		text := strings.TrimSpace(p.Str("period", "start") + " " + p.Str("status"))
		for _, n := range p.Each("replaces", "reference") {
			text += ", replaces " + starts[n.Text]
		}
		for _, id := range []string{"staples-complete", "stage-1.staples-complete", "stage-2.staples-complete", "osseointegration"} {
			if a := find(p, id); a != nil && !strings.HasPrefix(when(a.Get("detail")), "Undated") {
				text += ", " + id + " " + a.Str("detail", "status") + " " + strings.Split(when(a.Get("detail")), " to ")[0]
			}
		}
		found = append(found, text)
	}
	slices.Sort(found)
	return found
}

func TestCourses(t *testing.T) {
	e := builtIn(t)
	single, removal := op("a", "single-stage", "2026-03-02", ""), op("r", "removal", "2026-09-01", "")
	const (
		first   = "2026-03-02 active, staples-complete not-started 2026-03-30, osseointegration not-started 2026-04-13"
		removed = "2026-03-02 revoked, staples-complete stopped 2026-03-30, osseointegration stopped 2026-04-13"
		old     = "2026-03-02 revoked, staples-complete cancelled 2026-03-30, osseointegration cancelled 2026-04-13"
		second  = "2027-01-11 active, staples-complete not-started 2027-02-08, osseointegration not-started 2027-02-22"
	)
	again := op("b", "single-stage", "2027-01-11", "")
	anchors := []string{device("x", "bone-anchor", "active"), device("y", "bone-anchor", "active"), device("cone", "dualcone", "active")}
	for name, c := range map[string]struct {
		inputs []string
		plans  []string
		told   string
	}{
		"removed":                                 {[]string{single, removal}, []string{removed}, "anchor-removed"},
		"removed, and another anchor later":       {[]string{single, removal, again}, []string{removed, second}, "plan"},
		"removed and another put in on one day":   {[]string{single, op("r", "removal", "2027-01-11", ""), again}, []string{removed, second}, "plan"},
		"removed twice in the records":            {[]string{single, removal, op("r2", "removal", "2026-09-02", ""), again}, []string{removed, second}, "anchor-removed"},
		"removed before anything is known":        {[]string{removal, again}, []string{second}, "anchor-unknown"},
		"removed, and nothing else known":         {[]string{removal}, nil, "anchor-unknown"},
		"removed on an unknown day":               {[]string{single, op("r", "removal", "", "")}, []string{first}, "date-not-exact"},
		"removed in a month after the operation":  {[]string{single, op("r", "removal", "2026-09", "")}, []string{removed}, "anchor-removed"},
		"removed in the year of the operation":    {[]string{single, op("r", "removal", "2026", "")}, []string{first}, "date-not-exact"},
		"removal not done":                        {[]string{single, unfinished(removal, "not-done")}, []string{first}, "not-done"},
		"removal planned":                         {[]string{single, unfinished(removal, "preparation")}, []string{first}, "planned"},
		"removal in error":                        {[]string{single, unfinished(removal, "entered-in-error")}, []string{first}, "entered-in-error"},
		"removal at the other side":               {[]string{single, op("r", "removal", "2026-09-01", femurRight)}, []string{first}, "anchor-unknown"},
		"removal without a side":                  {[]string{single, op("r", "removal", "2026-09-01", femur)}, []string{first}, "side-conflict"},
		"removal without a site, of a part":       {[]string{single, op("r", "removal", "2026-09-01", `"partOf":[{"reference":"Procedure/a"}]`)}, []string{removed}, "anchor-removed"},
		"removal without a site":                  {[]string{single, op("r", "removal", "2026-09-01", `"note":[{"text":"x"}]`)}, []string{first}, "no-body-site"},
		"removal that names the anchor":           {append(anchors, op("a", "single-stage", "2026-03-02", with("implanted x")), op("r", "removal", "2026-09-01", strings.TrimPrefix(with("explanted x"), femurLeft+","))), []string{removed}, "anchor-removed"},
		"removal of something else":               {append(anchors, single, op("r", "removal", "2026-09-01", with("explanted cone"))), []string{first}, "review-needed"},
		"the anchor's Device inactive":            {[]string{device("x", "bone-anchor", "inactive"), op("a", "single-stage", "2026-03-02", with("implanted x"))}, []string{removed}, "plan"},
		"the dual cone's Device inactive":         {[]string{device("x", "dualcone", "inactive"), op("a", "single-stage", "2026-03-02", with("implanted x"))}, []string{first}, "plan"},
		"another anchor after an inactive Device": {append(anchors, device("z", "bone-anchor", "inactive"), op("a", "single-stage", "2026-03-02", with("implanted z")), op("b", "single-stage", "2027-01-11", with("implanted y"))), []string{removed, second}, "plan"},
		"the use of the anchor ended":             {append(anchors, op("a", "single-stage", "2026-03-02", with("implanted x")), used("u", "x", "completed", "2026-08-01"), again), []string{removed, second}, "plan"},
		"the use of the anchor ends later":        {append(anchors, op("a", "single-stage", "2026-03-02", with("implanted x")), used("u", "x", "completed", "2028-08-01"), again), []string{"draft"}, "operations-conflict"},
		"the use intended to end":                 {append(anchors, op("a", "single-stage", "2026-03-02", with("implanted x")), used("u", "x", "intended", "2026-08-01")), []string{first}, "plan"},
		"exchanged, sent as such":                 {[]string{single, op("b", "anchor-exchange", "2027-01-11", "")}, []string{old, strings.Replace(second, " active,", " active, replaces 2026-03-02,", 1)}, "plan"},
		"a revision that put in an anchor":        {append(anchors, single, op("b", "revision", "2027-01-11", with("explanted x", "implanted y"))), []string{old, strings.Replace(second, " active,", " active, replaces 2026-03-02,", 1)}, "plan"},
		"exchanged, and recorded twice":           {[]string{single, op("b", "anchor-exchange", "2027-01-11", ""), op("b2", "anchor-exchange", "2027-01-11T10:00:00Z", "")}, []string{old, strings.Replace(second, " active,", " active, replaces 2026-03-02,", 1)}, "plan"},
		"exchanged before anything is known":      {[]string{op("b", "anchor-exchange", "2027-01-11", "")}, []string{second}, "plan"},
		"exchanged on an unknown day":             {[]string{single, op("b", "anchor-exchange", "", "")}, []string{first}, "date-not-exact"},
		"removed and exchanged on one day":        {[]string{single, op("r", "removal", "2027-01-11", ""), op("b", "anchor-exchange", "2027-01-11", "")}, []string{removed, strings.Replace(second, " active,", " active, replaces 2026-03-02,", 1)}, "plan"},
		"soft tissue revised":                     {[]string{single, op("b", "soft-tissue-revision", "2026-05-04", "")}, []string{old, "2026-03-02 active, replaces 2026-03-02, staples-complete not-started 2026-06-01, osseointegration not-started 2026-04-13"}, "plan"},
		"soft tissue revised, insertion unknown":  {[]string{op("b", "soft-tissue-revision", "2026-05-04", "")}, []string{"2026-05-04 active, staples-complete not-started 2026-06-01"}, "insertion-unknown"},
		"soft tissue revised after removal":       {[]string{single, removal, op("b", "soft-tissue-revision", "2026-10-05", "")}, []string{removed}, "anchor-already-out"},
		"soft tissue revised between the stages": {[]string{op("a", "stage-1", "2026-03-02", ""), op("b", "soft-tissue-revision", "2026-05-04", ""), op("c", "stage-2", "2026-08-03", "")}, []string{
			"2026-03-02 active, replaces 2026-03-02, stage-2.staples-complete not-started 2026-08-31, osseointegration not-started 2026-04-13",
			"2026-03-02 revoked, replaces 2026-03-02, staples-complete cancelled 2026-06-01, osseointegration cancelled 2026-04-13",
			"2026-03-02 revoked, stage-1.staples-complete cancelled 2026-03-30, osseointegration cancelled 2026-04-13"}, "plan"},
		"the dual cone exchanged":                 {[]string{single, op("b", "dualcone-exchange", "2026-05-04", "")}, []string{first}, "dualcone-exchanged"},
		"a revision that names only a dual cone":  {append(anchors, single, op("b", "revision", "2026-05-04", with("implanted cone"))), []string{first}, "dualcone-exchanged"},
		"a revision whose kind is not told":       {[]string{single, op("b", "revision", "2026-05-04", "")}, []string{first}, "review-needed"},
		"a revision that only took an anchor out": {append(anchors, single, op("b", "revision", "2026-05-04", with("explanted x"))), []string{first}, "review-needed"},
		"a second operation, no removal recorded": {[]string{single, again}, []string{"draft"}, "operations-conflict"},
	} {
		t.Run(name, func(t *testing.T) {
			x := caseOf(t, c.inputs...)
			r := derive(t, e, x)
			if got := plansOf(t, r); !slices.Equal(got, sorted(c.plans)) {
				t.Errorf("plans\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(sorted(c.plans), "\n"))
			}
			if !slices.Contains(codesTold(r), c.told) {
				t.Errorf("told %v", codesTold(r))
			}
			x = stored(t, x, r)
			if again := stored(t, x, derive(t, e, x)); !maps.Equal(state(t, x), state(t, again)) {
				t.Errorf("deriving again changes\n%v\nto\n%v", plansOf(t, r), plansOf(t, derive(t, e, x)))
			}
		})
	}
}

func sorted(list []string) []string {
	list = slices.Clone(list)
	slices.Sort(list)
	return list
}

// Of a plan that another replaces, what counts is work: nobody can do what is only allowed,
// forbidden or watched for.
func TestAReplacedPlanIsCompletedWhenItsWorkIsDone(t *testing.T) {
	e := builtIn(t)
	start := running(t, e, op("a", "single-stage", "2026-03-02", ""))
	var work []string
	for _, a := range plan1(t, derive(t, e, start)).Each("activity") {
		switch id := a.Str("id"); id {
		case "shower-permitted", "no-bath-soaking", "wound-air-exposure", "dressing-outdoors", "osseointegration", "watch-enthesopathy":
		default:
			work = append(work, id)
		}
	}
	for _, a := range work {
		start = setStatus(t, start, "CarePlan", a, "completed")
	}
	start = stored(t, start, derive(t, e, start))
	first := func(c Case) *fhir.Node {
		t.Helper()
		for _, s := range c.Existing {
			if s.Type == "CarePlan" && s.Node.Str("period", "start") == "2026-03-02" {
				return s.Node
			}
		}
		t.Fatal("no plan")
		return nil
	}
	end := func(c Case) Case {
		c = replaceInput(t, c, op("b", "soft-tissue-revision", "2027-01-11", ""))
		return stored(t, c, derive(t, e, c))
	}
	if got := first(end(start)); got.Str("status") != "completed" {
		t.Errorf("it is %s", got.Str("status"))
	}
	for _, a := range work {
		if got := first(end(setStatus(t, start, "CarePlan", a, "in-progress"))); got.Str("status") != "revoked" {
			t.Errorf("with %s under way it is %s", a, got.Str("status"))
		}
	}
	added := edit(t, start, "CarePlan", `"activity":[`, `"activity":[{"id":"xray","detail":{"status":"scheduled","description":"X-ray"}},`)
	if got := first(end(added)); got.Str("status") != "revoked" {
		t.Errorf("with what a clinician has added still open it is %s", got.Str("status"))
	}
	if got := find(first(end(start)), "watch-enthesopathy").Str("detail", "status"); got != "cancelled" {
		t.Errorf("the watch is %s", got)
	}
}
