package store

import (
	"path/filepath"
	"testing"

	"aftercare/fhir"

	"pgregory.net/rapid"
)

func TestSeal(t *testing.T) {
	s, err := Open(t.Context(), "sqlite:"+filepath.Join(t.TempDir(), "test.db"), Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	rapid.Check(t, func(t *rapid.T) {
		position, question := rapid.String().Draw(t, "position"), rapid.String().Draw(t, "question")
		cursor := s.Seal(position, question)
		if got, err := s.Unseal(cursor, question); err != nil || got != position {
			t.Fatalf("got %q, %v", got, err)
		}
		refused := func(cursor, question string) {
			if got, err := s.Unseal(cursor, question); err == nil || fhir.KindOf(err) != fhir.BadRequest {
				t.Fatalf("%q for %q gives %q, %v", cursor, question, got, err)
			}
		}
		refused(cursor, question+"x")
		refused(cursor+"AAAA", question)
		refused(cursor[:len(cursor)/2], question)
		changed := []byte(cursor)
		i := rapid.IntRange(0, len(changed)-1).Draw(t, "i")
		if changed[i] == 'A' {
			changed[i] = 'B'
		} else {
			changed[i] = 'A'
		}
		refused(string(changed), question)
	})
	// Neither kind of cursor passes for the other.
	if _, err := s.Unseal(s.sign("q", 7), "q"); err == nil {
		t.Error("a page cursor is taken for a sealed position")
	}
	if _, err := s.positions(s.Seal("12345678", "q"), "q", 1); err == nil {
		t.Error("a sealed position is taken for a page cursor")
	}
}
