package service

import (
	"strings"
	"testing"
	"time"

	"aftercare/fhir"
	"aftercare/service/audit"
	"aftercare/service/store"
)

// What was retired is in the tree and in the chains, and is read nowhere but in its file.
func TestRetiredRecordsStayInTheTree(t *testing.T) {
	l := tamperable(t, 60, 10)
	g := store.LogSegment{First: 1, Last: 40, Sealed: time.Now(), SHA256: []byte{1}, Name: "segment-1"}
	if err := l.auditLog.Retire(t.Context(), g, "age", audit.Record{Code: audit.LogErased, Status: 200}, nil); err != nil {
		t.Fatal(err)
	}
	integrated(t, l.Service)
	if found, err := l.verify(t, l.kept); err != nil || found.Erased != 40 || found.Records != 61 {
		t.Errorf("%+v, %v", found, err)
	}
	for id, want := range map[string]string{"1": "segment-1", "40": "segment-1", "41": "", "61": ""} {
		if _, err := l.Read(t.Context(), Anonymous, "AuditEvent", id); (want == "") != (err == nil) || want != "" && (fhir.KindOf(err) != fhir.Gone || !strings.Contains(err.Error(), want)) {
			t.Errorf("%s: %v", id, err)
		}
	}
	if last, err := l.auditLog.Retired(t.Context()); err != nil || last != 40 {
		t.Errorf("%d, %v", last, err)
	}
	// Another process may have begun with the same records. Its file may lack what was retired meanwhile.
	again := store.LogSegment{First: 1, Last: 50, Sealed: time.Now(), SHA256: []byte{3}, Name: "segment-3"}
	if err := l.auditLog.Retire(t.Context(), again, "age", audit.Record{Code: audit.LogErased, Status: 200}, nil); fhir.KindOf(err) != fhir.Conflict || !strings.Contains(err.Error(), "Another retirement") {
		t.Errorf("records were retired again: %v", err)
	}
	// A record of an erasure is never retired itself.
	next := store.LogSegment{First: 41, Last: 61, Sealed: time.Now(), SHA256: []byte{2}, Name: "segment-2"}
	if err := l.auditLog.Retire(t.Context(), next, "age", audit.Record{Code: audit.LogErased, Status: 200}, nil); err != nil {
		t.Fatal(err)
	}
	if found, err := l.verify(t, l.kept); err != nil || found.Erased != 60 || found.Opened != 2 {
		t.Errorf("%+v, %v", found, err)
	}
}
