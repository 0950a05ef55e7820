package store

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"fmt"

	"aftercare/fhir"
)

// A cursor is a position of 8 bytes and 16 bytes of a keyed hash over the position and the
// question it belongs to, in URL-safe base64: always 32 characters.
const cursorBytes = 8 + 16

// sign makes the cursor of a position. question is what was asked, in any form that is the
// same whenever the same is asked.
func (s *Store) sign(position int64, question string) string {
	b := binary.BigEndian.AppendUint64(make([]byte, 0, cursorBytes), uint64(position))
	return base64.RawURLEncoding.EncodeToString(append(b, s.seal(b, question)...))
}

// position opens a cursor that sign made for the same question, or BadRequest.
func (s *Store) position(cursor, question string) (int64, error) {
	b, err := base64.RawURLEncoding.Strict().DecodeString(cursor)
	if err != nil || len(b) != cursorBytes || len(cursor) != base64.RawURLEncoding.EncodedLen(cursorBytes) || !hmac.Equal(b[8:], s.seal(b[:8], question)) {
		return 0, fhir.Errorf(fhir.BadRequest, "value", "", "This page link was not made for this query; start again from the first page.")
	}
	return int64(binary.BigEndian.Uint64(b)), nil
}

func (s *Store) seal(position []byte, question string) []byte {
	h := hmac.New(sha256.New, s.cursorKey)
	fmt.Fprintf(h, "%s%s", position, question) // a hash never fails to be written to
	return h.Sum(nil)[:cursorBytes-8]
}
