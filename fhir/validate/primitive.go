package validate

import (
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"aftercare/fhir"
)

// primitive is a primitive type (https://hl7.org/fhir/R4/datatypes.html#primitive).
type primitive struct {
	name string
	kind fhir.Kind // the JSON kind of its values
	// valid tells whether the text, which is never empty, is of the type.
	valid func(string) bool
	// expects ends a sentence that begins with "must be".
	expects string
	// link is set for types whose value may be the address of a resource.
	link LinkKind
}

var primitives = func() map[string]*primitive {
	byName := map[string]*primitive{}
	for _, p := range []primitive{
		{"base64Binary", fhir.String, validBase64, "base64 text with its padding", 0},
		{"boolean", fhir.Bool, nil, "true or false", 0},
		{"canonical", fhir.String, validURI, "a canonical URL without white space", LinkCanonical},
		{"code", fhir.String, validCode, "a code: no white space at the ends, no more than one space in a row inside", 0},
		{"date", fhir.String, validDate, "a date that exists, as YYYY, YYYY-MM or YYYY-MM-DD", 0},
		{"dateTime", fhir.String, validDateTime, "a date or a date with time that exists, as YYYY, YYYY-MM, YYYY-MM-DD or YYYY-MM-DDThh:mm:ss with a time zone", 0},
		{"decimal", fhir.Number, nil, "a decimal number", 0},
		{"id", fhir.String, fhir.ValidID, "an id: 1 to 64 letters, digits, hyphens and dots", 0},
		{"instant", fhir.String, validInstant, "a time that exists, as YYYY-MM-DDThh:mm:ss with a time zone", 0},
		{"integer", fhir.Number, validInteger, "a whole number of 32 bits, written without fraction or exponent", 0},
		{"markdown", fhir.String, validString, "text without control characters, of at most 1048576 characters", 0},
		{"oid", fhir.String, validOID, "an OID, as urn:oid:1.2.3", LinkOID},
		{"positiveInt", fhir.Number, validPositiveInt, "a whole number from 1 to 2147483647, written without fraction or exponent", 0},
		{"string", fhir.String, validString, "text without control characters, of at most 1048576 characters", 0},
		{"time", fhir.String, validTime, "a time of day, as hh:mm:ss", 0},
		{"unsignedInt", fhir.Number, validUnsignedInt, "a whole number from 0 to 2147483647, written without fraction or exponent", 0},
		{"uri", fhir.String, validURI, "a URI without white space", LinkURI},
		{"url", fhir.String, validURI, "a URL without white space", LinkURL},
		{"uuid", fhir.String, validUUID, "a UUID in lower case, as urn:uuid:...", LinkUUID},
		{"xhtml", fhir.String, nil, "a div element of XHTML", LinkNarrative},
	} {
		byName[p.name] = &p
	}
	return byName
}()

// maxString is the limit that R4 sets for a string, in characters
// (https://hl7.org/fhir/R4/datatypes.html#string).
const maxString = 1 << 20

func validString(s string) bool {
	for i := 0; i < len(s); i++ {
		if c := s[i]; c < ' ' && c != '\t' && c != '\n' && c != '\r' {
			return false
		}
	}
	return len(s) <= maxString || utf8.RuneCountInString(s) <= maxString
}

func space(c byte) bool { return c == ' ' || c >= '\t' && c <= '\r' }

func validURI(s string) bool {
	for i := 0; i < len(s); i++ {
		if s[i] <= ' ' || s[i] == 0x7f {
			return false
		}
	}
	return true
}

func validCode(s string) bool {
	wasSpace := true
	for i := 0; i < len(s); i++ {
		isSpace := space(s[i])
		if isSpace && wasSpace || s[i] < ' ' && !isSpace {
			return false
		}
		wasSpace = isSpace
	}
	return !wasSpace
}

func validOID(s string) bool {
	arcs, ok := strings.CutPrefix(s, "urn:oid:")
	if !ok {
		return false
	}
	first, rest, more := strings.Cut(arcs, ".")
	if !more || len(first) != 1 || first[0] < '0' || first[0] > '2' {
		return false
	}
	for arc := range strings.SplitSeq(rest, ".") {
		if !digits(arc) || len(arc) > 1 && arc[0] == '0' {
			return false
		}
	}
	return true
}

func validUUID(s string) bool {
	s, ok := strings.CutPrefix(s, "urn:uuid:")
	if !ok || len(s) != 36 {
		return false
	}
	for i := 0; i < len(s); i++ {
		switch c := s[i]; i {
		case 8, 13, 18, 23:
			if c != '-' {
				return false
			}
		default:
			if (c < '0' || c > '9') && (c < 'a' || c > 'f') {
				return false
			}
		}
	}
	return true
}

// validBase64 allows white space between groups of four characters, as R4 does.
func validBase64(s string) bool {
	n, padding := 0, 0
	for i := 0; i < len(s); i++ {
		c := s[i]
		switch {
		case space(c) && n%4 == 0:
			continue
		case c == '=':
			padding++
		case padding > 0:
			return false
		case (c < 'A' || c > 'Z') && (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '+' && c != '/':
			return false
		}
		n++
	}
	return n > 0 && n%4 == 0 && padding <= 2
}

func validInteger(s string) bool {
	rest := strings.TrimPrefix(s, "-")
	if !digits(rest) || len(rest) > 1 && rest[0] == '0' {
		return false
	}
	_, err := strconv.ParseInt(s, 10, 32)
	return err == nil
}

func validUnsignedInt(s string) bool { return s[0] != '-' && validInteger(s) }

func validPositiveInt(s string) bool { return s != "0" && validUnsignedInt(s) }

func digits(s string) bool {
	for i := 0; i < len(s); i++ {
		if s[i] < '0' || s[i] > '9' {
			return false
		}
	}
	return s != ""
}

// number reads s as digits in [low, high].
func number(s string, low, high int) (int, bool) {
	n := 0
	for i := 0; i < len(s); i++ {
		if s[i] < '0' || s[i] > '9' {
			return 0, false
		}
		n = n*10 + int(s[i]-'0')
	}
	return n, n >= low && n <= high
}

func validDate(s string) bool {
	if len(s) != 4 && len(s) != 7 && len(s) != 10 {
		return false
	}
	year, ok := number(s[:4], 1, 9999)
	if !ok || len(s) == 4 {
		return ok
	}
	month, ok := number(s[5:7], 1, 12)
	if !ok || s[4] != '-' || len(s) == 7 {
		return ok && s[4] == '-'
	}
	_, ok = number(s[8:10], 1, time.Date(year, time.Month(month)+1, 0, 0, 0, 0, 0, time.UTC).Day())
	return ok && s[7] == '-'
}

func validDateTime(s string) bool {
	return len(s) <= 10 && validDate(s) || validInstant(s)
}

func validInstant(s string) bool {
	if len(s) < 20 || s[10] != 'T' || !validDate(s[:10]) {
		return false
	}
	clock, zone := s[11:len(s)-1], s[len(s)-1:]
	if zone != "Z" {
		clock, zone = s[11:max(11, len(s)-6)], s[len(s)-6:]
	}
	return validTime(clock) && validZone(zone)
}

func validZone(s string) bool {
	if s == "Z" {
		return true
	}
	if s[0] != '+' && s[0] != '-' || s[3] != ':' {
		return false
	}
	hours, ok1 := number(s[1:3], 0, 14)
	minutes, ok2 := number(s[4:6], 0, 59)
	return ok1 && ok2 && (hours < 14 || minutes == 0)
}

// validTime accepts 60 as a leap second, as R4 does.
func validTime(s string) bool {
	if len(s) < 8 || s[2] != ':' || s[5] != ':' {
		return false
	}
	_, ok1 := number(s[:2], 0, 23)
	_, ok2 := number(s[3:5], 0, 59)
	_, ok3 := number(s[6:8], 0, 60)
	return ok1 && ok2 && ok3 && (len(s) == 8 || s[8] == '.' && digits(s[9:]))
}
