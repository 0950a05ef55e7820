package careplan

import (
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"aftercare/definitions"
	"aftercare/fhir"
	"aftercare/fhir/validate"
)

// policies are the codes of the built-in policies.
func policies(t testing.TB, nodes []*fhir.Node) (codes []string) {
	t.Helper()
	for _, n := range nodes {
		if n.Str("url") == policySystem {
			for _, c := range n.Each("concept", "code") {
				codes = append(codes, c.Text)
			}
		}
	}
	if len(codes) == 0 {
		t.Fatal("no policies")
	}
	return codes
}

func loaded(t testing.TB) []*fhir.Node {
	t.Helper()
	nodes, err := definitions.Load(definitions.Files())
	if err != nil {
		t.Fatal(err)
	}
	return nodes
}

func without(t testing.TB, off ...string) *Engine {
	t.Helper()
	e, err := Compile(loaded(t), london(t), off...)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

// With all policies off, plans are valid, say nothing of policies, and keep only dates of the
// source.
func TestWithoutPoliciesTheSourceAloneIsLeft(t *testing.T) {
	v, err := validate.New()
	if err != nil {
		t.Fatal(err)
	}
	e := without(t, policies(t, loaded(t))...)
	for _, file := range surgeryFiles(t) {
		t.Run(filepath.Base(file), func(t *testing.T) {
			c := readBundle(t, file)
			whole := map[string]map[string]string{}
			for _, p := range only(t, derive(t, builtIn(t), c), "CarePlan") {
				whole[p.Str("id")] = dates(p)
			}
			r := derive(t, e, c)
			for _, p := range r.Resources {
				check(t, v, parse(t, string(p.Body)))
				if strings.Contains(string(p.Body), "/StructureDefinition/policy") {
					t.Errorf("a %s names a policy: %s", p.Type, p.Body)
				}
			}
			for _, plan := range only(t, r, "CarePlan") {
				for id, date := range dates(plan) {
					was := whole[plan.Str("id")][id]
					switch id[strings.LastIndex(id, ".")+1:] {
					case "discharge":
						if !strings.HasPrefix(date, "Undated: ") {
							t.Errorf("%s: %s", id, date)
						}
					case "analgesia-conversion":
						if strings.Contains(date, " to ") {
							t.Errorf("%s: %s", id, date)
						}
					case "loading", "dualcone-maintenance":
						if date == was || !strings.HasPrefix(date, "Undated: ") {
							t.Errorf("%s: %s", id, date)
						}
					default:
						if date != was && !strings.HasPrefix(was, "Undated: ") {
							t.Errorf("%s: %s, with policies %s", id, date, was)
						}
					}
				}
			}
		})
	}
}

// Each policy alone can be switched off, and does something.
func TestEachPolicyCanBeSwitchedOff(t *testing.T) {
	c := caseOf(t, op("a", "single-stage", "2026-03-02", ""), op("t", "tmr", "2026-03-02", `"partOf":[{"reference":"Procedure/a"}]`),
		`{"resourceType":"Procedure","id":"pump","status":"completed","code":{"coding":[{"system":"http://snomed.info/sct","code":"241716000"}]},"partOf":[{"reference":"Procedure/a"}]}`,
		device("y", "bone-anchor", "active"), op("b", "single-stage", "2026-03-02", femurRight+`,"encounter":{"reference":"Encounter/e"}`),
		`{"resourceType":"Encounter","id":"e","status":"finished","class":{"code":"AMB"},"period":{"start":"2026-03-02","end":"2026-03-02"}}`,
		op("r", "revision", "2027-01-11", strings.Replace(with("implanted y"), "7771000", "24028007", 1)))
	plan := func(e *Engine) string {
		var all strings.Builder
		for _, p := range derive(t, e, c).Resources {
			all.Write(p.Body)
		}
		return all.String()
	}
	whole := plan(builtIn(t))
	for _, code := range policies(t, loaded(t)) {
		t.Run(code, func(t *testing.T) {
			if code == "hand-left-out" || strings.HasPrefix(code, "pain-") { // in no plan: of a value set, and of the rules for pain
				return
			}
			got := plan(without(t, code))
			if got == whole {
				t.Error("the plan is the same")
			}
			if code == "wound-care-after-revision" || code == "exchange-by-device" { // they are about which activities there are
				return
			}
			if strings.Contains(got, `"valueCode":"`+code+`"`) || !strings.Contains(whole, `"valueCode":"`+code+`"`) {
				t.Error("the plan names it where it should not, or does not where it should")
			}
		})
	}
}

func TestUnknownPolicyIsRefused(t *testing.T) {
	_, err := Compile(loaded(t), london(t), "conversion-by-day-5", "conversion-by-day-6")
	if err == nil || !strings.Contains(err.Error(), `"conversion-by-day-6"`) || !strings.Contains(err.Error(), "conversion-by-day-5,") {
		t.Errorf("got %v", err)
	}
}

// Every label of the definitions carries the code of a policy, and every policy is used.
func TestEveryPolicyLabelHasItsCode(t *testing.T) {
	nodes := loaded(t)
	known := policies(t, nodes)
	used := map[string]bool{}
	for _, n := range nodes {
		name := n.Str("resourceType") + "/" + n.Str("id")
		var walk func(n *fhir.Node)
		walk = func(n *fhir.Node) {
			if n == nil {
				return
			}
			if n.Kind == fhir.Object {
				if n.Str("url") == policyExtension && n.Get("valueString") != nil {
					if code := extensionValue(n.Get("_valueString"), policyCodeExtension, "valueCode"); !slices.Contains(known, code) {
						t.Errorf("%s: %q has the policy %q", name, n.Str("valueString"), code)
					}
				}
				if n.Str("url") == policyCodeExtension && n.Get("valueCode") != nil {
					used[n.Str("valueCode")] = true
				}
			}
			for _, m := range n.Members {
				walk(m.Value)
			}
			for _, item := range n.Items {
				walk(item)
			}
		}
		walk(n)
	}
	if got := slices.Sorted(maps.Keys(used)); !slices.Equal(got, slices.Sorted(slices.Values(known))) {
		t.Errorf("used are %v, known are %v", got, known)
	}
}

func TestPruned(t *testing.T) {
	const mark = `"extension":[{"url":"` + policyCodeExtension + `","valueCode":"x"}]`
	for name, c := range map[string][2]string{
		"nothing marked":                    {`{"a":[1,{"b":2}]}`, `{"a":[1,{"b":2}]}`},
		"another policy":                    {`{"a":{` + strings.Replace(mark, `"x"`, `"y"`, 1) + `}}`, `{"a":{` + strings.Replace(mark, `"x"`, `"y"`, 1) + `}}`},
		"an element":                        {`{"k":1,"a":{` + mark + `,"b":1}}`, `{"k":1}`},
		"one of a list":                     {`{"a":[{` + mark + `},{"b":1}]}`, `{"a":[{"b":1}]}`},
		"all of a list":                     {`{"k":1,"a":[{` + mark + `}]}`, `{"k":1}`},
		"a primitive":                       {`{"k":1,"a":"text","_a":{` + mark + `}}`, `{"k":1}`},
		"an extension whose value is gone":  {`{"k":1,"extension":[{"url":"u","valueString":"t","_valueString":{` + mark + `}}]}`, `{"k":1}`},
		"an element with nothing left":      {`{"k":1,"a":{"b":{` + mark + `}}}`, `{"k":1}`},
		"the resource itself":               {`{` + mark + `,"k":1}`, ``},
		"an extension with something left":  {`{"extension":[{"url":"u","extension":[{"url":"v","valueString":"t"}]}]}`, `{"extension":[{"url":"u","extension":[{"url":"v","valueString":"t"}]}]}`},
		"a mark in one of two extensions":   {`{"k":1,"extension":[{"url":"u","valueString":"t","_valueString":{` + mark + `}},{"url":"w","valueCode":"c"}]}`, `{"k":1,"extension":[{"url":"w","valueCode":"c"}]}`},
		"what only looks like a mark stays": {`{"url":"` + policyCodeExtension + `","valueCode":"x"}`, `{"url":"` + policyCodeExtension + `","valueCode":"x"}`},
	} {
		t.Run(name, func(t *testing.T) {
			got := pruned(parse(t, c[0]), []string{"x"})
			switch {
			case got == nil && c[1] == "":
			case got == nil || string(got.Raw) != c[1]:
				t.Errorf("got %v, want %s", got, c[1])
			}
		})
	}
}
