package audit

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"aftercare/fhir"
	"aftercare/fhir/validate"
)

var site = Site{Base: "https://fhir.hospital.example:8443/fhir", Name: "aftercare", Observer: "Device/aftercare-software"}

// records are interactions of every sort, by name.
func records() map[string]*Record {
	at := time.Date(2026, 7, 2, 7, 31, 0, 123_456_000, time.UTC)
	with := func(change func(r *Record)) *Record {
		r := &Record{
			ID: "7", Recorded: at, Code: "read", Type: "CarePlan", Target: "x", Status: 200,
			Agent: Agent{Client: "ehr", Issuer: "https://idp.example", Subject: "user-42", TokenID: "3b1f", Address: "192.0.2.17"},
			Shown: []Version{{"CarePlan", "x", 1}}, Patients: []string{"a"}, RequestID: "req-1",
			Trace: "4bf92f3577b34da6a3ce929d0e0e4736", Span: "00f067aa0ba902b7", Caller: "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b8-01",
		}
		change(r)
		return r
	}
	return map[string]*Record{
		"a read":                   with(func(*Record) {}),
		"a read of a definition":   with(func(r *Record) { r.Patients = nil }),
		"a version":                with(func(r *Record) { r.Code = "vread" }),
		"a read by a program":      with(func(r *Record) { r.Agent.Subject = "ehr" }),
		"a read without a token":   with(func(r *Record) { r.Agent = Agent{Address: "::1"} }),
		"a read in an emergency":   with(func(r *Record) { r.Purposes, r.Emergency = []string{"BTG"}, "unconscious" }),
		"not modified":             with(func(r *Record) { r.Status = 304; r.Shown = nil }),
		"a search":                 with(func(r *Record) { r.Code, r.Target, r.Query = "search-type", "", "GET CarePlan?patient=a" }),
		"a search of two patients": with(func(r *Record) { r.Code, r.Query, r.Patients = "search-type", "GET CarePlan", []string{"a", "b"} }),
		"a search that finds nothing": with(func(r *Record) {
			r.Code, r.Target, r.Query, r.Patients, r.Shown = "search-type", "", "GET CarePlan", nil, nil
		}),
		"a search of several": with(func(r *Record) {
			r.Code, r.Target, r.Query, r.Shown = "search-type", "", "GET CarePlan?_include=*", []Version{{"CarePlan", "x", 1}, {"CarePlan", "y", 1}, {"Patient", "a", 2}}
		}),
		"a create with a Provenance": with(func(r *Record) {
			r.Code, r.Status, r.Target, r.Shown = "create", 201, "", []Version{{"CarePlan", "x", 1}, {"Provenance", "p", 1}}
		}),
		"a conditional update": with(func(r *Record) { r.Code, r.Target, r.Query = "update", "", "PUT CarePlan?identifier=z" }),
		"a conditional delete": with(func(r *Record) {
			r.Code, r.Status, r.Target, r.Query = "delete", 204, "", "DELETE CarePlan?identifier=z"
		}),
		"a delete of nothing": with(func(r *Record) {
			r.Code, r.Status, r.Target, r.Query, r.Shown, r.Patients = "delete", 204, "", "DELETE CarePlan?identifier=z", nil, nil
		}),
		"a create":     with(func(r *Record) { r.Code, r.Status = "create", 201 }),
		"an update":    with(func(r *Record) { r.Code = "update" }),
		"a patch":      with(func(r *Record) { r.Code = "patch" }),
		"a delete":     with(func(r *Record) { r.Code, r.Status = "delete", 204 }),
		"a history":    with(func(r *Record) { r.Code, r.Query = "history-instance", "GET CarePlan/x/_history" }),
		"an operation": with(func(r *Record) { r.Code, r.Operation, r.Query = "operation", "explain", "GET CarePlan/x/$explain" }),
		"a capability": with(func(r *Record) { r.Code, r.Type, r.Target, r.Shown, r.Patients = "capabilities", "", "", nil, nil }),
		"a request that is none": with(func(r *Record) {
			r.Code, r.Type, r.Target, r.Shown, r.Patients, r.Status, r.Reason = "request", "", "", nil, nil, 404, "not-found"
		}),
		"a start": with(func(r *Record) {
			*r = Record{ID: "7", Recorded: at, Code: Started, Status: 200, Agent: Agent{Client: "root"}, Details: []Detail{{"version", "1"}}}
		}),
		"a token": with(func(r *Record) { r.Code, r.Type, r.Target, r.Shown, r.Patients = TokenIssued, "", "", nil, nil }),
		"no token": with(func(r *Record) {
			r.Code, r.Type, r.Target, r.Shown, r.Patients, r.Status, r.Reason = TokenIssued, "", "", nil, nil, 401, "login"
		}),
		"a refusal": with(func(r *Record) { r.Status, r.Reason, r.Shown, r.Patients = 403, "forbidden", nil, nil }),
		"a failure": with(func(r *Record) { r.Status, r.Reason, r.Shown = 500, "exception", nil }),
	}
}

// Every AuditEvent is valid R4, and is what it claims to be: all that a profile of BALP fixes, asks
// for and forbids is held against it.
func TestEventsAreWhatTheyClaim(t *testing.T) {
	validator, err := validate.New()
	if err != nil {
		t.Fatal(err)
	}
	shared := os.Getenv("AFTERCARE_SHARED")
	if shared == "" {
		shared = "../../../shared"
	}
	profiles, err := filepath.Glob(filepath.Join(shared, "profiles", "balp", "StructureDefinition-*.json"))
	if err != nil {
		t.Fatal(err)
	}
	known := map[string]*fhir.Node{}
	ours, err := filepath.Glob("../../definitions/StructureDefinition-audit-*.json")
	if err != nil || len(ours) != 3 {
		t.Fatal(ours, err)
	}
	balpHere := len(profiles) > 0
	profiles = append(profiles, ours...)
	for _, file := range profiles {
		body, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		n, err := fhir.Parse(body)
		if err != nil {
			t.Fatal(file, err)
		}
		known[n.Str("url")] = n
	}
	claimed := map[string]int{}
	for name, r := range records() {
		body, err := site.Event(r)
		if err != nil {
			t.Fatal(name, err)
		}
		n, err := fhir.Parse(body)
		if err != nil {
			t.Fatal(name, err)
		}
		if issues := validator.Resource(n, ""); len(issues) > 0 {
			t.Errorf("%s: %v", name, issues)
		}
		if name == "a delete of nothing" {
			if claims := n.Each("meta", "profile"); claims != nil {
				t.Errorf("%s: it claims to be %s", name, claims[0].Text)
			}
			continue
		}
		claim := n.Each("meta", "profile")[0].Text
		claimed[strings.TrimPrefix(claim, balp)]++
		if balpHere || !strings.HasPrefix(claim, balp) {
			hold(t, name, body, known, claim)
		}
		if strings.Contains(string(body), "req-1") != (r.RequestID != "") || strings.Contains(string(body), "4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7") != (r.Trace != "") {
			t.Errorf("%s: the ids of the request are not in it", name)
		}
	}
	for _, profile := range []string{"Read", "PatientRead", "Query", "PatientQuery", "PatientCreate", "PatientUpdate", "PatientDelete", refusalProfile, operationProfile, activityProfile} {
		if claimed[profile] == 0 {
			t.Errorf("no record leads to the profile %s", profile)
		}
	}
	if !balpHere {
		t.Skip("the profiles of BALP are not here; what they ask for was not checked")
	}
}

// What an interaction of one resource is of, and what a search asks, is the one System Object of its event;
// BALP takes any other for a second one.
func TestOneEntityIsASystemObject(t *testing.T) {
	for name, want := range map[string]string{
		"a read": "2 4 CarePlan/x/_history/1", "not modified": "2 4 CarePlan/x", "a patch": "2 4 CarePlan/x/_history/1",
		"a search of several":         "2 24, CarePlan 4 CarePlan/x/_history/1, CarePlan 4 CarePlan/y/_history/1, Patient 4 Patient/a/_history/2",
		"a search that finds nothing": "2 24",
		"a create with a Provenance":  "2 4 CarePlan/x/_history/1, Provenance 4 Provenance/p/_history/1",
		"a conditional update":        "4 24, 2 4 CarePlan/x/_history/1",
		"a delete of nothing":         "4 24",
		"an operation":                "2 24, CarePlan 4 CarePlan/x/_history/1",
	} {
		t.Run(name, func(t *testing.T) {
			r := records()[name]
			k, _ := kindOf(r.Code)
			var got []string
			for _, e := range entities(r, k) {
				if e.Role == nil || e.Role.Code != queryRole.Code && e.Role.Code != resourceRole.Code {
					continue
				}
				what := e.Type.Code + " " + e.Role.Code
				if e.What != nil {
					what += " " + e.What.Reference
				}
				got = append(got, what)
			}
			if strings.Join(got, ", ") != want {
				t.Errorf("got  %s\nwant %s", strings.Join(got, ", "), want)
			}
		})
	}
}

// hold holds an AuditEvent against the differentials of a profile and of those that it is derived from:
// fixed values of elements and slices, and how many there are.
func hold(t *testing.T, name string, body []byte, known map[string]*fhir.Node, claim string) {
	t.Helper()
	var event map[string]any
	if err := json.Unmarshal(body, &event); err != nil {
		t.Fatal(err)
	}
	checked := 0
	for n := known[claim]; n != nil; n = known[n.Str("baseDefinition")] {
		elements := n.Each("differential", "element")
		slices := map[string][]any{} // the items that are in a slice, by "entity:data"
		for _, e := range elements {
			parts := strings.Split(e.Str("id"), ".")[1:]
			if len(parts) == 1 && strings.Contains(parts[0], ":") {
				slices[parts[0]] = inSlice(event, parts[0], elements)
			}
		}
		for _, e := range elements {
			parts := strings.Split(e.Str("id"), ".")[1:]
			if len(parts) == 0 {
				continue
			}
			checked++
			roots := []any{event}
			path := parts
			if items, ok := slices[parts[0]]; ok {
				if path = parts[1:]; len(path) == 0 {
					count(t, name, e, len(items))
					continue
				}
				roots = items
			}
			if strings.Contains(strings.Join(path, "."), ":") {
				continue
			}
			for _, root := range roots {
				values := at(root, path)
				count(t, name, e, len(values))
				for _, m := range e.Members {
					if !strings.HasPrefix(m.Name, "pattern") {
						continue
					}
					var pattern any
					if err := json.Unmarshal(m.Value.Raw, &pattern); err != nil {
						t.Fatal(err)
					}
					for _, v := range values {
						if !within(pattern, v) {
							t.Errorf("%s: %s is %v, and is to be %v", name, e.Str("id"), v, pattern)
						}
					}
				}
			}
		}
	}
	if checked == 0 {
		t.Errorf("%s: nothing of %s was checked", name, claim)
	}
}

func count(t *testing.T, name string, e *fhir.Node, n int) {
	t.Helper()
	low, high := 0, 1000
	if m := e.Get("min"); m != nil {
		fmt.Sscan(string(m.Raw), &low)
	}
	if m := e.Str("max"); m != "" && m != "*" {
		fmt.Sscan(m, &high)
	}
	if n < low || n > high {
		t.Errorf("%s: %s is there %d times, and is to be there %d to %d times", name, e.Str("id"), n, low, high)
	}
}

// inSlice are the items of a list whose type has what the slice fixes for it: the profiles tell slices apart
// by that alone.
func inSlice(event map[string]any, slice string, elements []*fhir.Node) (items []any) {
	list, _, _ := strings.Cut(slice, ":")
	for _, item := range at(event, []string{list}) {
		if !slices.ContainsFunc(elements, func(e *fhir.Node) bool {
			if e.Str("id") != "AuditEvent."+slice+".type" {
				return false
			}
			for _, m := range e.Members {
				var pattern any
				if strings.HasPrefix(m.Name, "pattern") && json.Unmarshal(m.Value.Raw, &pattern) == nil {
					return !slices.ContainsFunc(at(item, []string{"type"}), func(v any) bool { return within(pattern, v) })
				}
			}
			return list == "agent" && !isUser(item) // bound to a ValueSet
		}) {
			items = append(items, item)
		}
	}
	return items
}

// isUser tells the user among agents where the profile names a set of types.
func isUser(agent any) bool {
	return fmt.Sprint(at(agent, []string{"requestor"})) == "[true]" && len(at(agent, []string{"network"})) == 0
}

// at are the values at a path, lists entered.
func at(v any, path []string) []any {
	if list, ok := v.([]any); ok {
		var all []any
		for _, item := range list {
			all = append(all, at(item, path)...)
		}
		return all
	}
	if len(path) == 0 {
		return []any{v}
	}
	object, ok := v.(map[string]any)
	if !ok || object[path[0]] == nil {
		return nil
	}
	return at(object[path[0]], path[1:])
}

// within reports whether a value has all that a pattern has.
func within(pattern, v any) bool {
	switch p := pattern.(type) {
	case map[string]any:
		object, ok := v.(map[string]any)
		for name, part := range p {
			if ok = ok && within(part, object[name]); !ok {
				return false
			}
		}
		return ok
	case []any:
		list, ok := v.([]any)
		for _, part := range p {
			ok = ok && slices.ContainsFunc(list, func(item any) bool { return within(part, item) })
		}
		return ok
	default:
		return fmt.Sprint(pattern) == fmt.Sprint(v)
	}
}
