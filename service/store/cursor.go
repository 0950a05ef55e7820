package store

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"fmt"

	"aftercare/fhir"
	"aftercare/fhir/search"
)

// A cursor is one position or more of 8 bytes each, and 16 bytes of a keyed hash over them and the
// question they belong to, in URL-safe base64: its length depends on the kind of question alone.
const (
	positionBytes = 8
	sealBytes     = 16
)

// sign makes the cursor of positions. question is what was asked, in any form that is the
// same whenever the same is asked.
func (s *Store) sign(question string, positions ...int64) string {
	var b []byte
	for _, p := range positions {
		b = binary.BigEndian.AppendUint64(b, uint64(p))
	}
	return base64.RawURLEncoding.EncodeToString(append(b, s.seal(b, question)...))
}

// positions opens a cursor that sign made of so many positions for the same question, or gives
// BadRequest.
func (s *Store) positions(cursor, question string, n int) ([]int64, error) {
	end := n * positionBytes
	b, err := base64.RawURLEncoding.Strict().DecodeString(cursor)
	if err != nil || len(b) != end+sealBytes || len(cursor) != base64.RawURLEncoding.EncodedLen(len(b)) || !hmac.Equal(b[end:], s.seal(b[:end], question)) {
		return nil, fhir.Errorf(fhir.BadRequest, "value", "http._cursor", "This page link was not made for this query; start again from the first page.")
	}
	out := make([]int64, n)
	for i := range out {
		out[i] = int64(binary.BigEndian.Uint64(b[i*positionBytes:]))
	}
	return out, nil
}

// position is where a page of a search begins: after a resource. asOf is the place in the order of
// commits at which the first page was read, 0 for the first page and where there is no sort.
//
// The place of that resource in a sort is not in the cursor, for it may be a name: it is looked
// up again, as of then.
type position struct{ rid, asOf int64 }

func (r *Reader) openCursor(q *search.Query) (at position, err error) {
	if q.Cursor == "" {
		return at, nil
	}
	numbers, err := r.store.positions(q.Cursor, questionOf(q), cursorLength(q))
	if err != nil {
		return at, err
	}
	at.rid = numbers[0]
	if len(numbers) > 1 {
		at.asOf = numbers[1]
	}
	return at, nil
}

// closeCursor makes the cursor of a page that goes on from rid.
func (r *Reader) closeCursor(ctx context.Context, q *search.Query, from position, rid int64) (string, error) {
	if cursorLength(q) == 1 {
		return r.store.sign(questionOf(q), rid), nil
	}
	if from.asOf == 0 {
		var err error
		if from.asOf, err = r.Position(ctx); err != nil {
			return "", err
		}
	}
	return r.store.sign(questionOf(q), rid, from.asOf), nil
}

func cursorLength(q *search.Query) int {
	if len(q.Parts) > 0 {
		q = q.Parts[0]
	}
	if len(q.Sort) > 0 {
		return 2
	}
	return 1
}

func (s *Store) seal(position []byte, question string) []byte {
	h := hmac.New(sha256.New, s.cursorKey)
	fmt.Fprintf(h, "%s%s", position, question) // a hash never fails to be written to
	return h.Sum(nil)[:sealBytes]
}
