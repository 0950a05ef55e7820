package service

import (
	"context"
	"net/http"
	"slices"
	"strings"
	"testing"

	"aftercare/fhir"
	"aftercare/service/careplan"
	"aftercare/service/store"
)

// planOf is the plan of a patient, as JSON, "" for none.
func planOf(t *testing.T, s *Service, id string) string {
	t.Helper()
	for _, n := range found(t, s, "CarePlan?patient="+id) {
		return string(n.Raw)
	}
	return ""
}

// withoutActivity is a plan without one of its activities.
func withoutActivity(t *testing.T, plan, id string) string {
	t.Helper()
	n, err := fhir.Parse([]byte(plan))
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range n.Each("activity") {
		if a.Str("id") == id {
			if out := strings.Replace(plan, string(a.Raw)+",", "", 1); out != plan {
				return out
			}
		}
	}
	t.Fatalf("no activity %s", id)
	return ""
}

func remove(t *testing.T, s *Service, typ, id string) {
	t.Helper()
	if _, err := s.Delete(ctx, Anonymous, typ, id, Preconditions{}); err != nil {
		t.Fatal(err)
	}
}

func taskFor(t *testing.T, s *Service, activity string) *fhir.Node {
	t.Helper()
	for _, n := range found(t, s, "Task?patient=p") {
		if strings.HasSuffix(n.Each("identifier", "value")[0].Text, "#"+activity) {
			return n
		}
	}
	return nil
}

func idOf(t *testing.T, body string) string {
	t.Helper()
	n, err := fhir.Parse([]byte(body))
	if err != nil {
		t.Fatal(err)
	}
	return n.Str("id")
}

func TestWhatAPersonRemoves(t *testing.T) {
	t.Run("an activity that a PUT leaves out stays out, and its Task is called off", func(t *testing.T) {
		s := open(t)
		operated(t, s, "p")
		s.mustPut(t, withoutActivity(t, planOf(t, s, "p"), "staples-complete"))
		for range 2 {
			if plan := planOf(t, s, "p"); strings.Contains(plan, `"id":"staples-complete"`) || !strings.Contains(plan, "Activity/staples-complete") {
				t.Fatalf("got %s", plan)
			}
			if task := taskFor(t, s, "staples-complete"); task.Str("status") != "cancelled" {
				t.Errorf("its Task is %s", task.Raw)
			}
			operated(t, s, "p")
			s.mustPut(t, strings.Replace(operation("p", "p"), "2026-03-02", "2026-03-09", 1))
		}
		answer, err := s.Operate(ctx, Anonymous, OperationRequest{Name: "explain", Type: "CarePlan", ID: idOf(t, planOf(t, s, "p"))})
		if err != nil || !strings.Contains(string(answer.Body), "Somebody has taken it out of the plan") {
			t.Errorf("the explanation is %s, %v", answer.Body, err)
		}
	})
	t.Run("a Task that is deleted stays deleted, and an update brings it back", func(t *testing.T) {
		s := open(t)
		operated(t, s, "p")
		task := taskFor(t, s, "staples-complete")
		remove(t, s, "Task", task.Str("id"))
		if plan := planOf(t, s, "p"); !strings.Contains(plan, "Task/staples-complete") {
			t.Errorf("the plan does not remember it: %s", plan)
		}
		s.mustPut(t, strings.Replace(operation("p", "p"), "2026-03-02", "2026-03-09", 1))
		if task := taskFor(t, s, "staples-complete"); task != nil {
			t.Fatalf("it is back: %s", task.Raw)
		}
		s.mustPut(t, string(task.Raw))
		if task := taskFor(t, s, "staples-complete"); !strings.Contains(string(task.Raw), "2026-04-06") {
			t.Errorf("it does not follow: %s", task.Raw)
		}
	})
	t.Run("a plan that is deleted ends its Tasks; another stage brings it back with what was done", func(t *testing.T) {
		s := open(t)
		stage := func(id, code, day string) string {
			return strings.NewReplacer("single-stage", code, "2026-03-02", day).Replace(operation(id, "p"))
		}
		s.mustPut(t, `{"resourceType":"Patient","id":"p","generalPractitioner":[{"reference":"Organization/gp"}]}`)
		s.mustPut(t, stage("one", "stage-1", "2026-03-02"))
		id := idOf(t, planOf(t, s, "p"))
		s.mustPut(t, strings.Replace(string(taskFor(t, s, "stage-1.staples-partial").Raw), `"status":"requested"`, `"status":"completed"`, 1))
		remove(t, s, "CarePlan", id)
		if task := taskFor(t, s, "stage-1.staples-complete"); task.Str("status") != "cancelled" {
			t.Errorf("its Task is %s", task.Str("status"))
		}
		if told := found(t, s, "CommunicationRequest?patient=p"); len(told) != 1 || told[0].Str("status") != "active" {
			t.Errorf("the practice is told %v", told)
		}
		s.mustPut(t, stage("one", "stage-1", "2026-03-05"))
		if plan := planOf(t, s, "p"); plan != "" {
			t.Fatalf("it is back: %s", plan)
		}
		s.mustPut(t, stage("two", "stage-2", "2026-08-03"))
		plan := planOf(t, s, "p")
		if idOf(t, plan) != id || taskFor(t, s, "stage-2.staples-partial") == nil {
			t.Fatalf("got %s", plan)
		}
		n, err := fhir.Parse([]byte(plan))
		if err != nil {
			t.Fatal(err)
		}
		if i := slices.IndexFunc(n.Each("activity"), func(a *fhir.Node) bool { return a.Str("id") == "stage-1.staples-partial" }); n.Each("activity")[i].Str("detail", "status") != "completed" {
			t.Errorf("what was done is lost: %s", plan)
		}
	})
	t.Run("everything deleted in one transaction", func(t *testing.T) {
		s := open(t)
		operated(t, s, "p")
		var entries []string
		for _, typ := range []string{"CarePlan", "Task", "Goal", "Procedure"} {
			for _, n := range found(t, s, typ+"?patient=p") {
				entries = append(entries, entryOf("", "", "DELETE", typ+"/"+n.Str("id"), ""))
			}
		}
		s.process(t, bundleOf("transaction", entries...))
		for _, typ := range []string{"CarePlan", "Task", "Goal"} {
			if n := len(found(t, s, typ+"?patient=p")); n != 0 {
				t.Errorf("%d of %s", n, typ)
			}
		}
	})
	t.Run("a plan whose identifier and Task whose patient a client has dropped", func(t *testing.T) {
		s := open(t)
		operated(t, s, "p")
		plan, task := planOf(t, s, "p"), taskFor(t, s, "staples-complete")
		before := len(found(t, s, "CarePlan?patient=p"))
		n, err := fhir.Parse([]byte(plan))
		if err != nil {
			t.Fatal(err)
		}
		s.mustPut(t, strings.NewReplacer(`"identifier":`+string(n.Get("identifier").Raw)+",", "", `"id":"loading",`, `"id":"loading","outcomeCodeableConcept":[{"text":"by hand"}],`).Replace(plan))
		s.mustPut(t, strings.NewReplacer(`"for":`+string(task.Get("for").Raw)+",", "", `"status":"requested"`, `"status":"completed"`).Replace(string(task.Raw)))
		s.mustPut(t, strings.Replace(operation("p", "p"), "2026-03-02", "2026-03-09", 1))
		if after := planOf(t, s, "p"); len(found(t, s, "CarePlan?patient=p")) != before || !strings.Contains(after, "by hand") || !strings.Contains(after, "identifier/care-plan") {
			t.Errorf("got %s", after)
		}
		if again := found(t, s, "Task?_id="+task.Str("id"))[0]; again.Str("status") != "completed" || !strings.Contains(planOf(t, s, "p"), "by-task") {
			t.Errorf("the Task is %s", again.Raw)
		}
	})
}

// olderPlan gives the plan of a patient the form that builds without digests left, as a version that a
// derivation wrote.
func olderPlan(t *testing.T, s *Service) {
	t.Helper()
	if err := s.store.Write(ctx, func(ctx context.Context, tx *store.Tx) error {
		var record provenance
		for _, typ := range []string{"CarePlan", "Task", "Goal"} {
			for _, n := range found(t, s, typ+"?patient=p") {
				text := string(n.Raw)
				for _, x := range []string{"written", "outcome"} {
					text = dropExtension(text, fhir.Canonical+"/StructureDefinition/"+x)
				}
				n, err := fhir.Parse([]byte(text))
				if err != nil {
					return err
				}
				stored, err := s.putDerived(ctx, tx.Put, n, fhir.NewDraft(n), n.Str("id"), s.now())
				if err != nil {
					return err
				}
				record.add(stored, outcome{Prescribed: careplan.Prescribed{Type: typ, ID: n.Str("id"), Node: n}}, s.protocols)
			}
		}
		n, err := fhir.Parse(record.body(s.now(), ""))
		if err != nil {
			return err
		}
		_, err = s.putDerived(ctx, tx.Put, n, fhir.NewDraft(n), s.newID(), s.now())
		return err
	}); err != nil {
		t.Fatal(err)
	}
}

func dropExtension(text, url string) string {
	for {
		i := strings.Index(text, `{"url":"`+url+`"`)
		if i < 0 {
			return strings.ReplaceAll(text, `"extension":[],`, "")
		}
		end := i + strings.Index(text[i:], "}") + 1
		if text[i-1] == ',' {
			i--
		} else if text[end] == ',' {
			end++
		}
		text = text[:i] + text[end:]
	}
}

func TestOlderPlansKeepWhatPeopleDid(t *testing.T) {
	const complete = `"scheduledPeriod":{"start":"2026-03-30","end":"2026-03-30"}`
	moved := strings.ReplaceAll(complete, "2026-03-30", "2026-04-02")
	for name, next := range map[string]func(t *testing.T, s *Service){
		"the write itself": func(*testing.T, *Service) {},
		"a correction": func(t *testing.T, s *Service) {
			s.mustPut(t, strings.Replace(operation("p", "p"), "2026-03-02", "2026-03-09", 1))
		},
		"the scheduler": func(t *testing.T, s *Service) {
			underLease(t, s, func(ctx context.Context, m *marker) {
				if err := m.look(ctx); err != nil {
					t.Error(err)
				}
			})
		},
	} {
		t.Run(name, func(t *testing.T) {
			clock := &dial{}
			clock.set(t, "2026-04-01T09:00")
			s := open(t, func(o *Options) { o.Now = clock.now })
			operated(t, s, "p")
			olderPlan(t, s)
			n := found(t, s, "CarePlan?patient=p")[0]
			edited := strings.Replace(withoutActivity(t, string(n.Raw), "loading"), complete, moved, 1)
			put := func(ctx context.Context, tx *store.Tx) error { // as the old build stored it
				n, err := fhir.Parse([]byte(edited))
				if err != nil {
					return err
				}
				rows, err := s.registry.Extract(n, s.zone, s.baseURL)
				if err != nil {
					return err
				}
				_, err = tx.Put(ctx, fhir.NewDraft(n), n.Str("id"), s.now(), http.MethodPut, rows)
				return err
			}
			if name == "the write itself" {
				s.mustPut(t, edited)
			} else if err := s.store.Write(ctx, put); err != nil {
				t.Fatal(err)
			}
			next(t, s)
			plan := planOf(t, s, "p")
			if !strings.Contains(plan, moved) || strings.Contains(plan, `"id":"loading"`) || !strings.Contains(plan, "/written") {
				t.Errorf("got %s", plan)
			}
			if name == "a correction" && !strings.Contains(plan, `"scheduledPeriod":{"start":"2026-03-30","end":"2026-03-30"}`) {
				t.Errorf("what nobody touched does not follow: %s", plan)
			}
		})
	}
}
