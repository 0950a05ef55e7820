package memory

import (
	"bytes"

	"aftercare/fhir"
)

// What a body takes while it is at work, beside itself: its tree, and the resources that are
// made of it. These are measured, with the largest Bundles that are accepted; see the tests of
// the whole process.
const (
	perByte  = 6
	perValue = 140
)

// workOf estimates what it takes to read a body and to store what is in it, in bytes. Each
// value follows one of three characters. Those inside of strings are counted too, so that the
// estimate may be too high.
func workOf(body []byte) int64 {
	values := bytes.Count(body, []byte{','}) + bytes.Count(body, []byte{'{'}) + bytes.Count(body, []byte{'['})
	return perByte*int64(len(body)) + perValue*int64(min(values, fhir.MaxValues))
}
