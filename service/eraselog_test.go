package service

import (
	"context"
	"errors"
	"testing"

	"aftercare/fhir"
	"aftercare/service/audit"
	"aftercare/service/audit/tree"
	"aftercare/service/store"
)

// What was erased cannot be read, and everything else holds.
func TestErasedRecordsStayInTheTree(t *testing.T) {
	l := tamperable(t, 60, 10)
	log := l.auditLog
	done, err := log.Erase(t.Context(), "p", "asked for", audit.Record{Code: audit.LogErased, Status: 200})
	if err != nil || done != (LogErasure{30, 15}) {
		t.Fatalf("%+v, %v", done, err)
	}
	integrated(t, l.Service)
	found, err := l.verify(t, l.kept)
	if err != nil || found.Erased != 30 || found.Opened != 31 {
		t.Errorf("%+v, %v", found, err)
	}
	if err := l.store.View(t.Context(), func(ctx context.Context, r *store.Reader) error {
		return r.Logged(ctx, 0, 100, func(row store.Logged) error {
			about := row.Position <= 60 && (row.Position-1)%4 < 2
			if (row.Key == nil) != about {
				t.Errorf("record %d: erased is %v", row.Position, row.Key == nil)
			}
			return nil
		})
	}); err != nil {
		t.Fatal(err)
	}
	if p, err := log.Prove(t.Context(), 1, 0); err != nil || p.Row.Key != nil {
		t.Errorf("%v", err)
	}
	answer := complete(t, l.Service)
	if _, err := answer.Verify(log.Verifier()); err != nil || len(answer.Records) != 31 {
		t.Errorf("%d, %v", len(answer.Records), err)
	}
	if done, err := log.Erase(t.Context(), "p", "again", audit.Record{Code: audit.LogErased, Status: 200}); err != nil || done.Records != 1 {
		t.Errorf("%+v, %v", done, err) // the request above
	}
	if _, err := log.Erase(t.Context(), "nobody", "x", audit.Record{Code: audit.LogErased, Status: 200}); err == nil {
		t.Error("nobody was erased")
	}
	// Somebody takes away one key more.
	tamper(t, l.database, "UPDATE log SET key = NULL WHERE pos = 7")
	var f *audit.Fault
	if _, err := l.verify(t); !errors.As(err, &f) || f.Position != 7 {
		t.Errorf("%v", err)
	}
}

// What is erased while the log is checked is no fault, and an export that could not account for it says so.
func TestWhatIsErasedMeanwhile(t *testing.T) {
	l := tamperable(t, 60, 10)
	log := l.auditLog
	erase := func(patient string) {
		t.Helper()
		if _, err := log.Erase(t.Context(), patient, "asked for", audit.Record{Code: audit.LogErased, Status: 200}); err != nil {
			t.Fatal(err)
		}
	}
	v := &verifying{LogCheck: LogCheck{Sealer: log.sealer, Terms: l.logIndex.terms, Verifier: log.Verifier()}, db: l.store, c: audit.NewChecker(log.sealer)}
	if err := v.start(t.Context()); err != nil {
		t.Fatal(err)
	}
	erase("p")
	if err := v.records(t.Context()); err != nil || v.last != 61 {
		t.Errorf("%d, %v", v.last, err)
	}
	if err := v.end(t.Context()); err != nil {
		t.Error(err)
	}
	export := func(start func(tree.Checkpoint, []byte) error) error {
		return log.Export(t.Context(), LogExport{Start: start, Record: func(LogProof, *audit.Record) error { return nil }, Checkpoint: func([]byte) error { return nil }})
	}
	if err := export(func(tree.Checkpoint, []byte) error { return nil }); err != nil {
		t.Error(err)
	}
	if err := l.erasedSince(t, 60); !errors.Is(err, errErasedMeanwhile) {
		t.Error(err)
	}
	if err := l.erasedSince(t, 61); err != nil {
		t.Error(err)
	}
	tamper(t, l.database, "UPDATE log SET key = NULL WHERE pos = 7")
	tamper(t, l.database, "UPDATE log SET key = NULL WHERE pos = 4")
	var f *audit.Fault
	if _, err := l.verify(t); !errors.As(err, &f) || f.Position != 4 {
		t.Errorf("%v", err)
	}
	integrated(t, l.Service)
	tamper(t, l.database, "DELETE FROM log WHERE pos = 9")
	if p, err := log.Prove(t.Context(), 9, 0); fhir.KindOf(err) != fhir.Internal {
		t.Errorf("a record that was removed is proven: %+v, %v", p, err)
	}
}

func (l *tampered) erasedSince(t *testing.T, position int64) error {
	return l.auditLog.erasedSince(t.Context(), position)
}
