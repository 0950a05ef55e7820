package careplan

import (
	"slices"
	"strings"
	"testing"
)

func TestWhatAPersonAddsToSupportingInfoStays(t *testing.T) {
	e := builtIn(t)
	single := op("a", "single-stage", "2026-03-02", with("implanted d"))
	records := []string{single, device("d", "bone-anchor", "active"), device("other", "dualcone", "active"), op("x", "tmr", "2025-01-06", femurRight)}
	names := func(t *testing.T, c Case) (basis, theirs string) {
		t.Helper()
		ours, others := supportOf(plan1(t, derive(t, e, c)), nil)
		var a, b []string
		for _, n := range ours {
			a = append(a, n.Str("reference"))
		}
		for _, n := range others {
			b = append(b, n.Str("reference"))
		}
		return strings.Join(a, " "), strings.Join(b, " ")
	}
	added := `"supportingInfo":[{"reference":"Device/other"},{"reference":"Procedure/x"},{"reference":"ServiceRequest/q","display":"X-ray"},{"reference":"BodyStructure/b"},{"reference":"DeviceUseStatement/u"},`
	c := edit(t, running(t, e, records...), "CarePlan", `"supportingInfo":[`, added)
	for range 2 {
		basis, theirs := names(t, c)
		if basis != "Procedure/a Device/d" || theirs != "Device/other Procedure/x ServiceRequest/q BodyStructure/b DeviceUseStatement/u" {
			t.Errorf("got %q and %q", basis, theirs)
		}
		c = stored(t, c, derive(t, e, c))
	}
	t.Run("what the plan no longer rests on goes, what a person named stays", func(t *testing.T) {
		c := replaceInput(t, c, op("a", "single-stage", "2026-03-02", ""))
		if basis, theirs := names(t, c); basis != "Procedure/a" || !strings.HasPrefix(theirs, "Device/other Procedure/x") {
			t.Errorf("got %q and %q", basis, theirs)
		}
	})
	t.Run("it has no say in what the plan is about", func(t *testing.T) {
		c := c
		c.Inputs = slices.DeleteFunc(slices.Clone(c.Inputs), func(s Source) bool { return s.ref() == "Procedure/a" })
		if got := plan1(t, derive(t, e, c)); got.Str("status") != "revoked" || !strings.Contains(string(got.Raw), "anchor-gone") {
			t.Errorf("got %s", got.Raw)
		}
		if got := Following(c.Existing, []Source{source(t, records[3])}); len(got) != 0 {
			t.Errorf("%d resources follow a record that a person has added", len(got))
		}
		if got := Following(c.Existing, []Source{source(t, single)}); len(got) == 0 {
			t.Error("nothing follows the operation")
		}
	})
	t.Run("a request for stage 2 is named while it is planned", func(t *testing.T) {
		asked := `{"resourceType":"ServiceRequest","id":"q","status":"active","intent":"order","occurrenceDateTime":"2026-09-01","subject":{"reference":"Patient/p"},
			"code":{"coding":[{"system":"https://aftercare.example/fhir/CodeSystem/osseointegration","code":"stage-2"}]},` + femurLeft + `}`
		c := running(t, e, op("a", "stage-1", "2026-03-02", ""), asked)
		if basis, _ := names(t, c); basis != "Procedure/a ServiceRequest/q" {
			t.Errorf("got %q", basis)
		}
		c = replaceInput(t, c, strings.Replace(asked, `"active"`, `"revoked"`, 1))
		if basis, theirs := names(t, c); basis != "Procedure/a" || theirs != "" {
			t.Errorf("got %q and %q", basis, theirs)
		}
	})
}

func TestWhatAPersonWritesOfThePlanItselfStays(t *testing.T) {
	e := builtIn(t)
	single, corrected := op("a", "single-stage", "2026-03-02", ""), op("a", "single-stage", "2026-03-09", "")
	for name, x := range map[string]struct{ old, new, want string }{
		"title":       {`"title":"Osseointegration aftercare, left femur"`, `"title":"After the second try"`, `"title":"After the second try"`},
		"period":      {`"period":{"start":"2026-03-02","end":"2026-09-02"}`, `"period":{"start":"2026-03-02","end":"2027-03-02"}`, `"end":"2027-03-02"`},
		"author":      {`"author":{"reference":"Device/aftercare-software"}`, `"author":{"reference":"Practitioner/s"}`, `"author":{"reference":"Practitioner/s"}`},
		"description": {`"intent":"plan"`, `"intent":"plan","description":"agreed in clinic"`, `"description":"agreed in clinic"`},
		"note":        {`"activity":[`, `"note":[{"text":"allergic to tape"}],"activity":[`, `{"text":"allergic to tape"}`},
		"addresses":   {`"activity":[`, `"addresses":[{"reference":"Condition/c"}],"activity":[`, `"addresses":[{"reference":"Condition/c"}]`},
		"contributor": {`"activity":[`, `"contributor":[{"reference":"Practitioner/s"}],"activity":[`, `"contributor":[{"reference":"Practitioner/s"}]`},
		"category":    {`"category":[`, `"category":[{"text":"ours"},`, `{"text":"ours"}`},
		"goal":        {`"goal":[{"reference":"Goal`, `"goal":[{"reference":"Goal/own"},{"reference":"Goal`, `{"reference":"Goal/own"}`},
		"careTeam":    {`"activity":[`, `"careTeam":[{"reference":"CareTeam/own"}],"activity":[`, `{"reference":"CareTeam/own"}`},
		"extension":   {`"extension":[`, `"extension":[{"url":"http://x.example","valueCode":"y"},`, `{"url":"http://x.example","valueCode":"y"}`},
	} {
		t.Run(name, func(t *testing.T) {
			c := edit(t, running(t, e, single), "CarePlan", x.old, x.new)
			for _, text := range []string{single, corrected, unfinished(corrected, "on-hold"), corrected} {
				c = again(t, e, replaceInput(t, c, text))
				if got := string(plan1(t, derive(t, e, c)).Raw); !strings.Contains(got, x.want) {
					t.Fatalf("after %s it is gone:\n%s", text, got)
				}
			}
			if got := dates(plan1(t, derive(t, e, c)))["staples-partial"]; got != "2026-03-30" {
				t.Errorf("the plan does not follow: %s", got)
			}
		})
	}
	t.Run("what the engine writes for its own sake is written again", func(t *testing.T) {
		start := running(t, e, single)
		want := plan1(t, derive(t, e, start))
		for _, x := range [][2]string{
			{`"status":"generated","div":"<div xmlns=\"http://www.w3.org/1999/xhtml\" lang=\"en-GB\" xml:lang=\"en-GB\"><p>`, `"status":"additional","div":"<div xmlns=\"http://www.w3.org/1999/xhtml\" lang=\"en-GB\" xml:lang=\"en-GB\"><p>Old. `},
			{`"intent":"plan"`, `"intent":"order"`},
			{`{"reference":"Patient/p"}`, `{"reference":"Patient/p","display":"Somebody"}`},
		} {
			c := edit(t, start, "CarePlan", x[0], x[1])
			if got := plan1(t, derive(t, e, c)); !sameContent(t, got.Raw, want.Raw) {
				t.Errorf("after %s it is\n%s", x[1], got.Raw)
			}
		}
	})
}
