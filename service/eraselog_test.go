package service

import (
	"context"
	"errors"
	"testing"

	"aftercare/service/audit"
	"aftercare/service/store"
)

// What was erased cannot be read, and everything else holds.
func TestErasedRecordsStayInTheTree(t *testing.T) {
	l := tamperable(t, 60, 10)
	log := l.auditLog
	done, err := log.Erase(t.Context(), l.site(), "p", "asked for", audit.Record{Code: audit.LogErased, Status: 200})
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
	if done, err := log.Erase(t.Context(), l.site(), "p", "again", audit.Record{Code: audit.LogErased, Status: 200}); err != nil || done.Records != 1 {
		t.Errorf("%+v, %v", done, err) // the request above
	}
	if _, err := log.Erase(t.Context(), l.site(), "nobody", "x", audit.Record{Code: audit.LogErased, Status: 200}); err == nil {
		t.Error("nobody was erased")
	}
	// Somebody takes away one key more.
	tamper(t, l.database, "UPDATE log SET key = NULL WHERE pos = 7")
	var f *audit.Fault
	if _, err := l.verify(t); !errors.As(err, &f) || f.Position != 7 {
		t.Errorf("%v", err)
	}
}
