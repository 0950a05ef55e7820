package fhir

import (
	"bytes"
	"encoding/json"
	"strconv"
	"time"
)

// Resource is one version of a resource: its envelope, and its JSON as it is served.
type Resource struct {
	Type string
	// ID is the logical id, 1 to 64 of [A-Za-z0-9-.].
	ID string
	// Version counts from 1; it is meta.versionId.
	Version int64
	// LastUpdated is meta.lastUpdated, in UTC with microseconds.
	LastUpdated time.Time
	// Body is the JSON with id, meta.versionId and meta.lastUpdated set; empty when Deleted.
	Body []byte
	// Deleted marks the version that a DELETE made.
	Deleted bool
}

// Ref is the relative reference "Type/id".
func (r *Resource) Ref() string { return r.Type + "/" + r.ID }

// ValidID reports whether s is an R4 id (https://hl7.org/fhir/R4/datatypes.html#id).
func ValidID(s string) bool {
	for i := range len(s) {
		if c := s[i]; (c < 'A' || c > 'Z') && (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '-' && c != '.' {
			return false
		}
	}
	return len(s) >= 1 && len(s) <= 64
}

// InstantLayout is how the service writes meta.lastUpdated.
const InstantLayout = "2006-01-02T15:04:05.000000Z07:00"

// Draft is a resource that is ready to be given an id, a version and a time. All
// other content is that of the parsed resource, byte for byte but for white space
// between tokens; resourceType, id and meta come first.
type Draft struct {
	Type string
	// ID is the id in the content, "" if there was none.
	ID   string
	meta []byte // the members of meta that are kept, each with a leading comma
	tail []byte // all other members, each with a leading comma
}

// NewDraft splits a parsed resource for stamping. The caller has checked that n is an
// object with a resourceType.
func NewDraft(n *Node) *Draft {
	d := &Draft{Type: n.Str("resourceType"), ID: n.Str("id"), tail: make([]byte, 0, len(n.Raw)+1)}
	for _, m := range n.Members {
		switch m.Name {
		case "resourceType", "id":
		case "meta":
			for _, mm := range m.Value.Members {
				if mm.Name != "versionId" && mm.Name != "lastUpdated" {
					d.meta = appendMember(d.meta, mm)
				}
			}
		default:
			d.tail = appendMember(d.tail, m)
		}
	}
	return d
}

func appendMember(b []byte, m Member) []byte {
	b = append(b, ',')
	if plainWord(m.Name) {
		b = append(append(append(b, '"'), m.Name...), '"')
	} else {
		name, err := json.Marshal(m.Name)
		if err != nil { // a decoded JSON string: cannot happen
			panic(err)
		}
		b = append(b, name...)
	}
	return appendCompact(append(b, ':'), m.Value.Raw)
}

// appendCompact appends JSON that was parsed, without the white space between its tokens.
func appendCompact(b, raw []byte) []byte {
	from, quoted := 0, false
	for i := 0; i < len(raw); i++ {
		switch raw[i] {
		case '"':
			quoted = !quoted
		case '\\': // only in a string; what follows ends nothing
			i++
		case ' ', '\t', '\n', '\r':
			if !quoted {
				b = append(b, raw[from:i]...)
				from = i + 1
			}
		}
	}
	return append(b, raw[from:]...)
}

// Stamp makes the stored resource.
func (d *Draft) Stamp(id string, version int64, at time.Time) *Resource {
	at = at.UTC().Truncate(time.Microsecond)
	b := make([]byte, 0, len(d.meta)+len(d.tail)+160)
	b = append(b, `{"resourceType":"`...)
	b = append(b, d.Type...)
	b = append(b, `","id":"`...)
	b = append(b, id...)
	b = append(b, `","meta":{"versionId":"`...)
	b = strconv.AppendInt(b, version, 10)
	b = append(b, `","lastUpdated":"`...)
	b = at.AppendFormat(b, InstantLayout)
	b = append(b, '"')
	b = append(b, d.meta...)
	b = append(b, '}')
	b = append(b, d.tail...)
	b = append(b, '}')
	return &Resource{Type: d.Type, ID: id, Version: version, LastUpdated: at, Body: b}
}

// WithID is d with another id.
func (d *Draft) WithID(id string) *Draft {
	c := *d
	c.ID = id
	return &c
}

// Same reports whether two drafts have the same content, id and member order included.
func (d *Draft) Same(o *Draft) bool {
	return d.Type == o.Type && d.ID == o.ID && bytes.Equal(d.meta, o.meta) && bytes.Equal(d.tail, o.tail)
}
