package store

import (
	"crypto/hmac"
	"encoding/base64"
	"strconv"

	"aftercare/fhir"
)

// Seal makes a cursor of a position that a caller keeps over several queries, such as
// which of them it has come to and the cursor inside that one. It is readable by whoever
// cares to, and cannot be made up. question is what was asked, in any form that is the
// same whenever the same is asked.
func (s *Store) Seal(position, question string) string {
	return base64.RawURLEncoding.EncodeToString(append(s.seal([]byte(position), sealed(len(position), question)), position...))
}

// Unseal opens a cursor that Seal made for the same question, or gives BadRequest.
func (s *Store) Unseal(cursor, question string) (string, error) {
	const size = sealBytes
	b, err := base64.RawURLEncoding.Strict().DecodeString(cursor)
	if err != nil || len(b) < size || !hmac.Equal(b[:size], s.seal(b[size:], sealed(len(b)-size, question))) {
		return "", fhir.Errorf(fhir.BadRequest, "value", "", "This page link was not made for this query; start again from the first page.")
	}
	return string(b[size:]), nil
}

// sealed keeps these hashes apart from those of sign, and says where the position ends.
func sealed(length int, question string) string {
	return "\x00sealed " + strconv.Itoa(length) + " " + question
}
