package service

import (
	"bytes"
	"slices"
	"strings"
	"testing"
	"time"

	"aftercare/fhir"
	"aftercare/fhir/search"
	"aftercare/service/audit"
	"aftercare/service/permission"
)

// complete asks for all records about a patient in a time.
func complete(t testing.TB, s *Service, pairs ...search.Pair) audit.Completeness {
	t.Helper()
	trail := NewTrail(audit.Record{})
	ctx := WithTrail(t.Context(), trail)
	a, err := s.Operate(ctx, Anonymous, OperationRequest{Name: "completeness", Type: "AuditEvent", Pairs: append(pairs, search.Pair{Name: "patient", Value: "p"})})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.LogTrail(ctx, trail, 200, nil); err != nil {
		t.Fatal(err)
	}
	c, err := audit.ReadCompleteness(a.Body)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// An answer of all records about a patient is known to be all of them, whatever is left out or put in.
func TestNothingIsLeftOutOfAnAnswer(t *testing.T) {
	l := tamperable(t, 60, 10)
	at := func(seconds int) string {
		return time.Date(2026, 11, 1, 9, 0, seconds, 0, time.UTC).Format(time.RFC3339)
	}
	verifier := l.auditLog.Verifier()
	other := complete(t, l.Service) // of later
	for name, c := range map[string]struct {
		pairs                 []search.Pair
		within, before, after int
	}{
		"all":             {nil, 31, 0, 0},
		"from a time on":  {[]search.Pair{{Name: "start", Value: at(50)}}, 6, 1, 0},
		"up to a time":    {[]search.Pair{{Name: "end", Value: at(9)}}, 5, 0, 1},
		"between times":   {[]search.Pair{{Name: "start", Value: at(20)}, {Name: "end", Value: at(30)}}, 5, 1, 1},
		"a day":           {[]search.Pair{{Name: "start", Value: "2026-11-01"}, {Name: "end", Value: "2026-11-01"}}, 31, 0, 0},
		"an earlier day":  {[]search.Pair{{Name: "end", Value: "2026-10-01"}}, 0, 0, 1},
		"a day to come":   {[]search.Pair{{Name: "start", Value: "2026-12-01"}}, 0, 1, 0},
		"between records": {[]search.Pair{{Name: "start", Value: at(3)}, {Name: "end", Value: at(4)}}, 0, 1, 1},
	} {
		t.Run(name, func(t *testing.T) {
			answer := complete(t, l.Service, c.pairs...)
			if _, err := answer.Verify(verifier); err != nil {
				t.Fatal(err)
			}
			within := 0
			for _, r := range answer.Records {
				leaf, err := audit.ParseLeaf(r.Leaf)
				if err != nil {
					t.Fatal(err)
				}
				if r.Position != answer.Request.Position && !leaf.Recorded.Before(answer.From) && (answer.To.IsZero() || leaf.Recorded.Before(answer.To)) {
					within++
				}
			}
			if edges := len(answer.Records) - within; within < c.within || edges != max(c.before+c.after, c.before+1) {
				t.Errorf("%d records, and %d around them", within, edges)
			}
			for i := range answer.Records {
				less := answer
				less.Records = slices.Delete(slices.Clone(answer.Records), i, i+1)
				if until, err := less.Verify(verifier); err == nil && !until.Before(less.From) { // else it says nothing of that time
					t.Errorf("it does not show that %d of %d is left out", i, len(answer.Records))
				}
				changed := answer
				changed.Records = slices.Clone(answer.Records)
				changed.Records[i].Leaf = bytes.Clone(changed.Records[i].Leaf)
				changed.Records[i].Leaf[len(changed.Records[i].Leaf)-1] ^= 1
				if _, err := changed.Verify(verifier); err == nil {
					t.Errorf("it does not show that %d of %d was changed", i, len(answer.Records))
				}
			}
			none := answer
			none.Records = nil
			if _, err := none.Verify(verifier); err == nil {
				t.Error("no records are an answer")
			}
			mixed := answer
			mixed.Patient = "q"
			if _, err := mixed.Verify(verifier); err == nil {
				t.Error("it is taken for that of another patient")
			}
			mixed = answer
			mixed.Checkpoint = other.Checkpoint
			if answer.Request.Position > other.Request.Position {
				if _, err := mixed.Verify(verifier); err == nil {
					t.Error("it is taken for one of an earlier checkpoint")
				}
			}
		})
	}
	if records := logged(t, l.store); records[len(records)-1].Operation != "completeness" || !slices.Contains(records[len(records)-1].Patients, "p") {
		t.Errorf("%+v", records[len(records)-1])
	}
}

// Proofs are for those who may read all AuditEvents.
func TestProofsAreForAuditors(t *testing.T) {
	s := open(t, withTree(t))
	note(t, s, 3, "p")
	for scope, may := range map[string]bool{
		"system/AuditEvent.rs": true, "system/*.rs": true, "system/AuditEvent.r": false, "patient/AuditEvent.rs": false, "patient/*.rs": false, "system/Patient.rs": false, "system/AuditEvent.rs?action=R": false,
	} {
		grant, _ := permission.ParseGrant(scope)
		p := Principal{Client: "app", Patient: "p", Grants: []permission.Grant{grant}}
		for _, q := range []OperationRequest{
			{Name: "checkpoint", Type: "AuditEvent"}, {Name: "proof", Type: "AuditEvent", ID: "1"},
			{Name: "consistency", Type: "AuditEvent", Pairs: []search.Pair{{Name: "from", Value: "1"}}},
			{Name: "completeness", Type: "AuditEvent", Pairs: []search.Pair{{Name: "patient", Value: "p"}}},
		} {
			integrated(t, s)
			_, err := s.Operate(t.Context(), p, q)
			if may && err != nil || !may && (err == nil || fhir.KindOf(err) != fhir.Forbidden) {
				t.Errorf("%s: $%s: %v", scope, q.Name, err)
			}
		}
	}
	s = open(t)
	if _, err := s.Operate(t.Context(), Anonymous, OperationRequest{Name: "checkpoint", Type: "AuditEvent"}); fhir.KindOf(err) != fhir.NotFound {
		t.Errorf("without a log: %v", err)
	}
}

// A time that ends before it begins would be proven to have no records.
func TestCompletenessOfNoTime(t *testing.T) {
	l := tamperable(t, 3, 3)
	pairs := []search.Pair{{Name: "patient", Value: "p"}, {Name: "start", Value: "2026-02-02"}, {Name: "end", Value: "2026-02-01"}}
	_, err := l.Operate(ctx, Anonymous, OperationRequest{Name: "completeness", Type: "AuditEvent", Pairs: pairs})
	if fhir.KindOf(err) != fhir.BadRequest || !strings.Contains(err.Error(), "before the start") {
		t.Errorf("got %v", err)
	}
	pairs[2].Value = "2026-02-02"
	if _, err := l.Operate(ctx, Anonymous, OperationRequest{Name: "completeness", Type: "AuditEvent", Pairs: pairs}); err != nil {
		t.Errorf("a day: %v", err)
	}
}
