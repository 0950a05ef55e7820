package careplan

import (
	"strings"
	"testing"

	"aftercare/definitions"
	"aftercare/fhir"
)

// changed loads the built-in definitions with old replaced by new, once, in one of them.
func changed(t *testing.T, id, old, new string) []*fhir.Node {
	t.Helper()
	nodes, err := definitions.Load(definitions.Files())
	if err != nil {
		t.Fatal(err)
	}
	for i, n := range nodes {
		if n.Str("resourceType")+"/"+n.Str("id") != id {
			continue
		}
		text := string(n.Raw)
		if !strings.Contains(text, old) {
			t.Fatalf("%s does not hold %s", id, old)
		}
		nodes[i] = parse(t, strings.Replace(text, old, new, 1))
		return nodes
	}
	t.Fatalf("no %s", id)
	return nil
}

const (
	umbrella   = "PlanDefinition/osseointegration-aftercare"
	nestedPlan = "PlanDefinition/osseointegration-aftercare-single-stage"
	wound      = "PlanDefinition/osseointegration-wound-care"
)

func TestCompileRefuses(t *testing.T) {
	for name, c := range map[string]struct{ id, old, new, want string }{
		"an unknown action id":             {nestedPlan, `"actionId": "neurectomy"`, `"actionId": "nobody"`, `relatedAction[0].actionId: no anchor or activity has the id "nobody"`},
		"a cycle":                          {wound, `"actionId": "wound"`, `"actionId": "pca"`, "cycle: pca -> pca"},
		"a longer cycle":                   {nestedPlan, `"actionId": "reinnervation"`, `"actionId": "watch-phantom-after-tmr"`, "cycle: watch-phantom-after-tmr -> watch-phantom-after-tmr"},
		"an unknown plan":                  {umbrella, "PlanDefinition/osseointegration-aftercare-single-stage|", "PlanDefinition/nothing|", "no active PlanDefinition"},
		"an unknown activity":              {nestedPlan, "ActivityDefinition/loading|", "ActivityDefinition/nothing|", "ActivityDefinition https://aftercare.example/fhir/ActivityDefinition/nothing"},
		"another version of a plan":        {umbrella, "aftercare-single-stage|1.0.0", "aftercare-single-stage|2.0.0", "version 2.0.0"},
		"another version of an activity":   {nestedPlan, "ActivityDefinition/loading|1.0.0", "ActivityDefinition/loading|3", "asks for version 3"},
		"plans that nest each other":       {wound, "ActivityDefinition/discharge|1.0.0", "PlanDefinition/osseointegration-aftercare-single-stage|1.0.0", "nest each other"},
		"CQL":                              {nestedPlan, `"text/fhirpath"`, `"text/cql-identifier"`, `"text/cql-identifier" is not supported`},
		"text that is not FHIRPath":        {nestedPlan, `"expression": "%facts.exists(`, `"expression": "%facts.exists((`, "not a FHIRPath expression"},
		"an unknown variable":              {nestedPlan, `"expression": "%facts`, `"expression": "%nobody`, "nobody"},
		"an unknown function":              {nestedPlan, `"expression": "%facts.exists(`, `"expression": "%facts.exist(`, "exist"},
		"a unit that is no calendar unit":  {nestedPlan, `"code": "wk"`, `"code": "h"`, `unit "h" is not supported`},
		"a unit without UCUM":              {nestedPlan, "\"unit\": \"weeks\",\n            \"system\": \"http://unitsofmeasure.org\"", `"system": "http://x"`, "must be UCUM"},
		"half a week":                      {wound, `"value": 3,`, `"value": 3.5,`, "whole number"},
		"a negative offset":                {wound, `"value": 3,`, `"value": -3,`, "whole number"},
		"a comparator":                     {wound, `"value": 3,`, `"value": 3, "comparator": "<",`, "comparator"},
		"an offset range without bounds":   {nestedPlan, `"offsetRange": {`, `"offsetRange": {}, "_offsetRange": {`, "needs low, high or both"},
		"a vague relationship":             {nestedPlan, `"relationship": "after-end"`, `"relationship": "concurrent"`, `"concurrent" is not supported`},
		"an offset that means nothing":     {nestedPlan, `"relationship": "after-end"`, `"relationship": "concurrent-with-end"`, "an offset has no meaning"},
		"a dynamic value elsewhere":        {wound, `"path": "performer"`, `"path": "title"`, `"title" is not supported`},
		"a start condition":                {nestedPlan, `"kind": "applicability"`, `"kind": "start"`, `"start" is not supported`},
		"a stop without a status":          {wound, `"valueCode": "completed"`, `"valueCode": "done"`, "resulting-status with completed"},
		"a stop with an unknown outcome":   {wound, `"valueCode": "staples-removed"`, `"valueCode": "gone"`, `outcome "gone"`},
		"a rule of progress not known":     {wound, `"url": "missed"`, `"url": "lost"`, `"lost" is not understood`},
		"a goal that does not exist":       {wound, `"goalId": [`, `"goalId": ["none",`, `no goal has the id "none"`},
		"a goal with an unknown start":     {wound, `"code": "surgery"`, `"code": "arrival"`, `no anchor has the code "arrival"`},
		"a member that would be ignored":   {nestedPlan, `"id": "loading",`, `"id": "loading", "selectionBehavior": "any",`, "selectionBehavior: is not supported"},
		"an id that is used twice":         {nestedPlan, `"id": "loading"`, `"id": "rehabilitation"`, `"rehabilitation" is used twice`},
		"an activity without an id":        {nestedPlan, `"id": "loading",`, ``, "has no id"},
		"an action that does nothing":      {nestedPlan, `"definitionCanonical": "https://aftercare.example/fhir/ActivityDefinition/loading|1.0.0"`, `"prefix": "x"`, "it does nothing"},
		"a trigger on something else":      {umbrella, `"type": "Procedure"`, `"type": "Encounter"`, `"Encounter" is not supported`},
		"a named event":                    {umbrella, `"type": "data-added"`, `"type": "named-event"`, `"named-event" is not supported`},
		"a filter on something else":       {umbrella, `"path": "code"`, `"path": "category"`, `"category" is not supported`},
		"a ValueSet that is missing":       {umbrella, "ValueSet/eligible-sites", "ValueSet/elsewhere", "no ValueSet"},
		"a pathway without a trigger":      {umbrella, `"trigger": [`, `"trigger": [], "documentation": [`, "needs a trigger"},
		"an output that is not a Task":     {wound, `"type": "Task"`, `"type": "Appointment"`, "only Task and CommunicationRequest are supported"},
		"an outcome that is not described": {umbrella, `"review-needed"`, `"whatever"`, `outcome "whatever" lacks`},
		"an activity of an odd kind":       {"ActivityDefinition/loading", `"kind": "ServiceRequest"`, `"kind": "Immunization"`, `"Immunization" cannot be the kind`},
		"an activity without words":        {"ActivityDefinition/loading", `"description":`, `"purpose":`, "both are needed"},
		"an activity never dated":          {"ActivityDefinition/loading", `"timingTiming"`, `"extension_"`, "can never be dated"},
		"a dosage":                         {"ActivityDefinition/oral-analgesia", `"kind":`, `"dosage": [], "kind":`, "dosage: is not supported"},
		"a ValueSet by filter":             {"ValueSet/laterality", `"concept":`, `"filter":`, "only listed concepts"},
		"no ValueSet of sides":             {"ValueSet/laterality", "ValueSet/laterality", "ValueSet/sides", "sides could not be told apart"},
		"a plan without a url":             {umbrella, `"url": "https://aftercare.example/fhir/PlanDefinition`, `"usage_": "https://aftercare.example/fhir/PlanDefinition`, "url: is missing"},
		"a ConceptMap without a source":    {"ConceptMap/body-sites", `"source":`, `"note":`, "source and target"},
		"an outcome without words":         {"CodeSystem/outcome", `"code": "not-triggered"`, `"code": "x"`, `outcome "not-triggered"`},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := Compile(changed(t, c.id, c.old, c.new), london(t))
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Fatalf("got %v\nwant %s", err, c.want)
			}
			if !strings.Contains(err.Error(), "https://aftercare.example/fhir/") {
				t.Errorf("no url in %v", err)
			}
		})
	}
}

func TestCompileReportsAllReasonsAtOnce(t *testing.T) {
	nodes := changed(t, nestedPlan, `"code": "wk"`, `"code": "h"`)
	for i, n := range nodes {
		if n.Str("id") == "loading" {
			nodes[i] = parse(t, strings.Replace(string(n.Raw), `"ServiceRequest"`, `"Immunization"`, 1))
		}
	}
	_, err := Compile(nodes, london(t))
	if err == nil || !strings.Contains(err.Error(), `"h"`) || !strings.Contains(err.Error(), "Immunization") {
		t.Errorf("got %v", err)
	}
}

// A hospital adds its codes and its protocol as files.
func TestHospitalDefinitions(t *testing.T) {
	nodes, err := definitions.Load(definitions.Files())
	if err != nil {
		t.Fatal(err)
	}
	t.Run("a code of its own starts the protocol", func(t *testing.T) {
		own := parse(t, `{"resourceType":"ConceptMap","id":"h","url":"http://h/map","status":"active","group":[{"source":"http://h/codes",
		 "target":"https://aftercare.example/fhir/CodeSystem/osseointegration","element":[{"code":"OI1","target":[{"code":"single-stage","equivalence":"equivalent"}]},
		 {"code":"OI0","target":[{"code":"single-stage","equivalence":"unmatched"}]}]}]}`)
		e, err := Compile(append(nodes[:len(nodes):len(nodes)], own), london(t))
		if err != nil {
			t.Fatal(err)
		}
		text := strings.NewReplacer("https://aftercare.example/fhir/CodeSystem/osseointegration", "http://h/codes", `"single-stage"`, `"OI1"`).Replace(op("a", "single-stage", "2026-03-02", ""))
		if n := len(only(t, derive(t, e, caseOf(t, text)), "CarePlan")); n != 1 {
			t.Errorf("%d plans", n)
		}
		if n := len(only(t, derive(t, e, caseOf(t, strings.Replace(text, "OI1", "OI0", 1))), "CarePlan")); n != 0 {
			t.Errorf("an unmatched code made %d plans", n)
		}
	})
	t.Run("another protocol needs no Go", func(t *testing.T) {
		activity := parse(t, `{"resourceType":"ActivityDefinition","id":"check","url":"http://h/check","status":"active","description":"Look at the hip.","code":{"text":"check"}}`)
		sites := parse(t, `{"resourceType":"ValueSet","id":"hips","url":"http://h/hips","status":"active","compose":{"include":[{"system":"http://h/sites","concept":[{"code":"hip","display":"hip"}]}]}}`)
		plan := parse(t, `{"resourceType":"PlanDefinition","id":"hip-1","url":"http://h/hip-1","title":"Hip aftercare","status":"active","action":[
		 {"id":"op","trigger":[{"type":"data-added","data":[{"type":"Procedure"}]}]},
		 {"id":"check","relatedAction":[{"actionId":"op","relationship":"after-end","offsetDuration":{"value":1,"system":"http://unitsofmeasure.org","code":"a"}}],"definitionCanonical":"http://h/check"}]}`)
		selector := parse(t, `{"resourceType":"PlanDefinition","id":"hip","url":"http://h/hip","status":"active","action":[
		 {"trigger":[{"type":"data-added","data":[{"type":"Procedure","codeFilter":[{"path":"code","code":[{"system":"http://h/codes","code":"HIP"}]},{"path":"bodySite","valueSet":"http://h/hips"}]}]}],"definitionCanonical":"http://h/hip-1"}]}`)
		e, err := Compile(append(nodes[:len(nodes):len(nodes)], activity, sites, plan, selector), london(t))
		if err != nil {
			t.Fatal(err)
		}
		r := derive(t, e, caseOf(t,
			`{"resourceType":"Procedure","id":"h","status":"completed","performedDateTime":"2024-02-29","code":{"coding":[{"system":"http://h/codes","code":"HIP"}]},"bodySite":[{"coding":[{"system":"http://h/sites","code":"hip"},{"system":"http://snomed.info/sct","code":"7771000"}]}]}`,
			op("a", "single-stage", "2026-03-02", "")))
		if len(only(t, r, "CarePlan")) != 2 {
			t.Fatalf("told %v", codesTold(r))
		}
		for _, p := range only(t, r, "CarePlan") {
			if p.Str("title") == "Hip aftercare, left hip" {
				if got := dates(p)["check"]; got != "2025-02-28" {
					t.Errorf("dated %s", got)
				}
				return
			}
		}
		t.Error("no plan for the hip")
	})
}
