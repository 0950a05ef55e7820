package fhir

import "strings"

// Reference is a parsed Reference.reference
// (https://hl7.org/fhir/R4/references.html#literal).
type Reference struct {
	// Type and ID are set for a reference to a resource on this server.
	Type, ID string
	// Version is set where the reference names one.
	Version string
	// URL is the reference as written when it is not to this server: an absolute URL,
	// a urn:, or "#id" of a contained resource.
	URL string
}

// Local reports whether the reference is to a resource on this server.
func (r Reference) Local() bool { return r.Type != "" }

// ParseReference reads s; base is the server's public FHIR base without a trailing
// slash, and absolute URLs under it count as local.
func ParseReference(s, base string) Reference {
	rest := s
	if base != "" && strings.HasPrefix(s, base+"/") {
		rest = s[len(base)+1:]
	}
	part := strings.Split(rest, "/")
	switch {
	case len(part) == 2 && typeName(part[0]) && ValidID(part[1]):
		return Reference{Type: part[0], ID: part[1]}
	case len(part) == 4 && part[2] == "_history" && typeName(part[0]) && ValidID(part[1]) && ValidID(part[3]):
		return Reference{Type: part[0], ID: part[1], Version: part[3]}
	}
	return Reference{URL: s}
}

func typeName(s string) bool {
	if s == "" || s[0] < 'A' || s[0] > 'Z' {
		return false
	}
	for _, r := range s {
		if (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') {
			return false
		}
	}
	return true
}
