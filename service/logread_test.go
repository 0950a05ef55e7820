package service

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"aftercare/fhir"
	"aftercare/fhir/search"
	"aftercare/service/audit"
	"aftercare/service/store"
)

func TestRecordsThatAreGone(t *testing.T) {
	record := audit.Record{Code: "read", Type: "CarePlan", Status: 200, Patients: []string{"a"}}
	database := newDatabase(t)
	s := withRecords(t, slices.Repeat([]audit.Record{record}, 4), func(o *Options) { o.Store = openStore(t, database) })
	if err := s.logIndex.follow(t.Context()); err != nil {
		t.Fatal(err)
	}
	tamper(t, database, "UPDATE log SET key = NULL WHERE pos IN (2, 3)")
	tamper(t, database, "INSERT INTO log_term (term, pos) VALUES (0, 2), (0, 3)")
	tamper(t, database, "INSERT INTO log_segment (first, last, sealed, sha256, name) VALUES (3, 3, 0, $1, 'audit-2026-03')", []byte{0})
	for id, want := range map[string]struct {
		kind fhir.ErrorKind
		text string
	}{
		"2": {fhir.Gone, "erased"}, "3": {fhir.Gone, "an archive, audit-2026-03"}, "5": {fhir.NotFound, "no AuditEvent"}, "0": {fhir.NotFound, ""}, "01": {fhir.NotFound, ""},
		"-1": {fhir.NotFound, ""}, "99999999999999999999": {fhir.NotFound, ""}, "x": {fhir.NotFound, ""},
	} {
		_, err := s.Read(ctx, Anonymous, "AuditEvent", id)
		_, past := s.VRead(ctx, Anonymous, "AuditEvent", id, "1")
		_, history := s.History(ctx, Anonymous, "AuditEvent", id, nil)
		for _, err := range []error{err, past, history} {
			if fhir.KindOf(err) != want.kind || !strings.Contains(err.Error(), want.text) {
				t.Errorf("%s: %v", id, err)
			}
		}
	}
	b := bundleOfLog(t, s, Anonymous, "patient=a&_total=accurate")
	last := string(b.Entry[len(b.Entry)-1].Resource)
	if !slices.Equal(b.ids(t), []int{4, 1}) || !strings.Contains(last, "were erased, or are in an archive, and are not found here. Archives of this time: audit-2026-03.") {
		t.Errorf("%v, %s", b.ids(t), last)
	}
}

// What was erased or retired is in no answer and in no total, whatever is asked; that there is such a record
// is told where it was.
func TestSearchesPastWhatIsGone(t *testing.T) {
	var records []audit.Record
	for i := range 12 {
		r := audit.Record{Code: []string{"read", "delete", audit.Started}[i%3], Type: "CarePlan", Status: []int{200, 403}[i/3%2], Patients: []string{"a", "b"}[i%2 : i%2+1]}
		if r.Code == audit.Started || r.Status != 200 {
			r.Type, r.Patients = "", nil
		}
		records = append(records, r)
	}
	for name, change := range map[string]func(s *Service) error{
		"erased": func(s *Service) error {
			_, err := s.auditLog.Erase(t.Context(), "a", "asked for", audit.Record{Code: audit.LogErased, Status: 200})
			return err
		},
		"retired": func(s *Service) error {
			g := store.LogSegment{First: 1, Last: 7, Sealed: logBegan, SHA256: []byte{1}, Name: "segment-1"}
			return s.auditLog.Retire(t.Context(), g, "age", audit.Record{Code: audit.LogErased, Status: 200}, nil)
		},
	} {
		for _, indexed := range []bool{true, false} {
			t.Run(fmt.Sprint(name, ", indexed before: ", indexed), func(t *testing.T) {
				s := withRecords(t, records)
				if indexed {
					if err := s.logIndex.follow(t.Context()); err != nil {
						t.Fatal(err)
					}
				}
				if err := change(s); err != nil {
					t.Fatal(err)
				}
				there := bundleOfLog(t, s, Anonymous, "_count=100").ids(t)
				if len(there) < 6 || len(there) > 12 {
					t.Fatalf("%v are left", there)
				}
				for _, query := range []string{"_sort=date", "outcome=0", "outcome=4", "outcome:not=0", "outcome:not=4", "type=rest", "type:not=rest", "type=rest&outcome=0", "type=rest&outcome:not=4", "action=R", "patient=b", "patient=a", "_id=1,2,3,9"} {
					b := bundleOfLog(t, s, Anonymous, query+"&_total=accurate&_count=100")
					ids := b.ids(t)
					if b.Total == nil || *b.Total != len(ids) || slices.ContainsFunc(ids, func(id int) bool { return !slices.Contains(there, id) }) {
						t.Errorf("%s: %v, in all %d", query, ids, *b.Total)
					}
					if last := string(b.Entry[len(b.Entry)-1].Resource); !strings.Contains(last, "not found here") || strings.Contains(last, "segment-1") != (name == "retired") {
						t.Errorf("%s: %s", query, last)
					}
				}
				b := bundleOfLog(t, s, Anonymous, "_id=9,11,12")
				if ids := b.ids(t); len(ids) != len(b.Entry) && name == "retired" {
					t.Errorf("nothing of this time is gone: %v of %d", ids, len(b.Entry))
				}
			})
		}
	}
}

func TestAuditEventsAreRead(t *testing.T) {
	s := withRecords(t, []audit.Record{{Code: "read", Type: "CarePlan", Target: "x", Status: 200, Patients: []string{"a"}}})
	res, err := s.Read(ctx, Anonymous, "AuditEvent", "1")
	if err != nil || res.Version != 1 || !res.LastUpdated.Equal(logBegan) {
		t.Fatalf("%+v %v", res, err)
	}
	past, err := s.VRead(ctx, Anonymous, "AuditEvent", "1", "1")
	if err != nil || string(past.Body) != string(res.Body) {
		t.Errorf("%+v %v", past, err)
	}
	if _, err := s.VRead(ctx, Anonymous, "AuditEvent", "1", "2"); fhir.KindOf(err) != fhir.NotFound {
		t.Error(err)
	}
	for query, total := range map[string]int{"": 1, "_count=0": 1, "_since=2026-02-28": 1, "_since=2026-03-02": 0, "_at=2026-03": 1, "_at=lt2026": 0} {
		pairs, _ := search.ParsePairs(query)
		body, err := s.History(ctx, Anonymous, "AuditEvent", "1", pairs)
		var b logBundle
		if err != nil || json.Unmarshal(body, &b) != nil || *b.Total != total || (len(b.Entry) > 0) != (total > 0 && query != "_count=0") {
			t.Errorf("%q: %s %v", query, body, err)
		}
	}
	if _, err := s.History(ctx, Anonymous, "AuditEvent", "", nil); fhir.KindOf(err) != fhir.BadRequest || !strings.Contains(err.Error(), "search AuditEvent") {
		t.Error(err)
	}
	for _, query := range []string{"", "_count=1000"} {
		pairs, _ := search.ParsePairs(query)
		for _, ask := range []func() ([]byte, error){
			func() ([]byte, error) { return s.Search(ctx, Anonymous, "", pairs, false) },
			func() ([]byte, error) { return s.History(ctx, Anonymous, "", "", pairs) },
		} {
			if body, err := ask(); err != nil || strings.Contains(string(body), `"resourceType":"AuditEvent"`) {
				t.Errorf("%q: the whole system has events of the log, or %v", query, err)
			}
		}
	}
}

// Whoever may read the whole log may ask by the identifier of a patient, without the right to read
// Patients, and nobody sees a part of the log.
func TestWhoSearchesTheLog(t *testing.T) {
	s := withRecords(t, []audit.Record{
		{Code: "read", Type: "CarePlan", Target: "x", Status: 200, Patients: []string{"a"}},
		{Code: "read", Type: "CarePlan", Target: "y", Status: 200, Patients: []string{"b"}},
	})
	for _, p := range []string{`{"resourceType":"Patient","id":"a","identifier":[{"system":"http://nhs.example","value":"1"}]}`, `{"resourceType":"Patient","id":"b","identifier":[{"system":"http://nhs.example","value":"2"}]}`} {
		s.store1(t, p)
	}
	auditor := Principal{Client: "auditors", Grants: holder(t, "system/AuditEvent.rs").Grants}
	for query, want := range map[string][]int{
		"patient.identifier=http://nhs.example|1": {1}, "patient.identifier=2": {2}, "patient.identifier=http://nhs.example|1,http://nhs.example|2": {2, 1}, "patient.identifier=http://nhs.example|3": nil,
		"patient:Patient.identifier=http://nhs.example|1&outcome=0": {1}, "patient.identifier=http://nhs.example|1&patient=b": nil,
	} {
		if got := foundOf(t, s, auditor, query); !slices.Equal(got, want) {
			t.Errorf("%s: %v", query, got)
		}
	}
	clinician := Principal{User: "Practitioner/1", Grants: holder(t, "user/*.rs").Grants}
	if len(foundOf(t, s, clinician, "")) < 2 {
		t.Error("user/*.rs sees no log")
	}
	for name, p := range map[string]Principal{
		"of a patient":             {Patient: "a", Grants: holder(t, "patient/*.rs patient/AuditEvent.rs").Grants},
		"a user who is a patient":  {User: "Patient/a", Grants: holder(t, "user/*.rs").Grants},
		"narrowed":                 {Grants: holder(t, "system/AuditEvent.rs?action=R").Grants},
		"narrowed and of patients": {Patient: "a", Grants: holder(t, "system/AuditEvent.rs?action=R patient/*.rs").Grants},
		"who may only search":      {Grants: holder(t, "system/AuditEvent.s").Grants},
		"who may read the rest":    {Grants: holder(t, "system/Patient.rs system/CarePlan.rs").Grants},
		"nobody":                   {},
	} {
		pairs := []search.Pair{{Name: "patient", Value: "a"}}
		_, searched := s.Search(ctx, p, "AuditEvent", pairs, false)
		_, past := s.VRead(ctx, p, "AuditEvent", "1", "1")
		_, read := s.Read(ctx, p, "AuditEvent", "1")
		_, unknown := s.Read(ctx, p, "AuditEvent", "99")
		_, history := s.History(ctx, p, "AuditEvent", "1", nil)
		_, transaction := s.Process(ctx, p, bundleOf("transaction", `{"request":{"method":"GET","url":"AuditEvent?patient=a"}}`), "")
		for i, err := range []error{searched, past, read, unknown, history, transaction} {
			if fhir.KindOf(err) != fhir.Forbidden {
				t.Errorf("%s, %d: %v", name, i, err)
			}
		}
	}
	if _, err := s.Search(ctx, auditor, "", nil, false); fhir.KindOf(err) != fhir.Forbidden {
		t.Errorf("an auditor searches the whole system: %v", err)
	}
	// A patient's Consent keeps the record from others, and not the log from auditors.
	s.store1(t, consentOf("n-none", "a", "active", `{"type":"deny"}`))
	if got := foundOf(t, s, auditor, "patient.identifier=http://nhs.example|1"); !slices.Equal(got, []int{1}) {
		t.Errorf("with a Consent: %v", got)
	}
}

func foundOf(t testing.TB, s *Service, p Principal, query string) []int {
	b := bundleOfLog(t, s, p, query)
	return b.ids(t)
}

// In a transaction, too, the log is searched, as it was before the transaction.
func TestTheLogInBundles(t *testing.T) {
	s := withRecords(t, slices.Repeat([]audit.Record{{Code: "read", Type: "CarePlan", Status: 200}}, 3))
	for _, kind := range []string{"transaction", "batch"} {
		entries := []string{
			`{"request":{"method":"GET","url":"AuditEvent?action=R&_total=accurate"}}`, `{"request":{"method":"GET","url":"AuditEvent/2"}}`, `{"request":{"method":"GET","url":"AuditEvent/2/_history"}}`,
			entryOf("", `{"resourceType":"Patient","id":"a"}`, "PUT", "Patient/a", ""),
		}
		body, err := s.Process(ctx, Anonymous, bundleOf(kind, entries...), "")
		if err != nil {
			t.Fatal(err)
		}
		var b struct {
			Entry []struct {
				Resource struct {
					Total int
					ID    string
				}
			}
		}
		if err := json.Unmarshal(body, &b); err != nil {
			t.Fatal(err)
		}
		if b.Entry[0].Resource.Total != 3 || b.Entry[1].Resource.ID != "2" || b.Entry[2].Resource.Total != 1 {
			t.Errorf("%s: %s", kind, body)
		}
	}
	event := `{"resourceType":"AuditEvent","id":"1","type":{"code":"rest"},"recorded":"2026-01-01T00:00:00Z","agent":[{"requestor":true}],"source":{"observer":{"display":"x"}}}`
	for _, entry := range []string{
		entryOf("", event, "PUT", "AuditEvent/1", ""), entryOf("", event, "POST", "AuditEvent", ""), entryOf("", event, "POST", "AuditEvent", `,"ifNoneExist":"action=R"`),
		`{"request":{"method":"DELETE","url":"AuditEvent/1"}}`, `{"request":{"method":"DELETE","url":"AuditEvent?action=R"}}`, entryOf("", event, "PUT", "AuditEvent?action=R", ""),
		entryOf("", `{"resourceType":"Parameters","parameter":[{"name":"meta","valueMeta":{"tag":[{"code":"x"}]}}]}`, "POST", "AuditEvent/1/$meta-add", ""),
	} {
		if _, err := s.Process(ctx, Anonymous, bundleOf("transaction", entry), ""); fhir.KindOf(err) != fhir.NotAllowed {
			t.Errorf("%s: %v", entry, err)
		}
	}
	if n := len(foundLogged(t, s, "_count=100")); n != 3 {
		t.Errorf("%d records", n)
	}
}
