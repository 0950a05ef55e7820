package search

import (
	"regexp"
	"slices"
	"strings"

	"aftercare/fhir"
)

// indexReference gives a row for a Reference that names its target, and for a canonical
// (https://hl7.org/fhir/R4/search.html#reference): type and id for a resource of this
// server, else the URL. A canonical with a version has two rows, without it and with it, as has the
// URL of a version on another server; of one on this server, the version is left out.
func indexReference(x *extraction, v value) error {
	switch v.Kind {
	case fhir.Object:
		if v.Type != "" && v.Type != "Reference" {
			return nil
		}
		if err := x.logical(v.Get("identifier")); err != nil {
			return err
		}
		ref := v.Get("reference")
		if ref == nil {
			return nil // an identifier or a display alone
		}
		s, err := text(ref)
		if err != nil {
			return err
		}
		return x.reference(s)
	case fhir.String:
		url, version, found := strings.Cut(v.Text, "|")
		if err := x.reference(url); err != nil {
			return err
		}
		if found && version != "" {
			return x.add(Row{Value: v.Text})
		}
		return nil
	default:
		return problem("a Reference or a canonical URL is needed")
	}
}

// logical adds what the modifier :identifier looks for.
func (x *extraction) logical(identifier *fhir.Node) error {
	row := Row{Param: x.entry.identifier, System: identifier.Str("system"), Value: identifier.Str("value")}
	if row.Param == nil || row.System == "" && row.Value == "" {
		return nil
	}
	return x.add(row)
}

func (x *extraction) reference(s string) error {
	ref := fhir.ParseReference(s, x.base)
	if !ref.Local() {
		// Of another server's version, too, it is the resource that is asked for.
		if current, _, found := strings.Cut(ref.URL, "/_history/"); found && schemePattern.MatchString(current) {
			if err := x.add(Row{Value: current}); err != nil {
				return err
			}
		}
		return x.add(Row{Value: ref.URL})
	}
	if targets := x.entry.param.Targets; len(targets) > 0 && !slices.Contains(targets, ref.Type) {
		return nil // DeviceUseStatement.patient is its subject, which may be a Group
	}
	return x.add(Row{System: ref.Type, Value: ref.ID})
}

// refersTo is the type of resource that a Reference points to, as far as it can be told
// without following it: from the reference, from Reference.type or from the contained
// resource; else "".
func (x *extraction) refersTo(n *fhir.Node) string {
	s := n.Str("reference")
	if id, ok := strings.CutPrefix(s, "#"); ok {
		if x.contained == nil {
			x.contained = map[string]string{}
			for _, c := range x.root.Each("contained") {
				x.contained[c.Str("id")] = c.Str("resourceType")
			}
		}
		return x.contained[id]
	}
	if ref := fhir.ParseReference(s, x.base); ref.Local() {
		return ref.Type
	}
	if typ := n.Str("type"); typ != "" {
		return typ
	}
	// An absolute URL of another server ends as one of ours does.
	s, _, _ = strings.Cut(s, "/_history/")
	part := strings.Split(s, "/")
	if len(part) < 5 { // scheme, "", host, type, id
		return ""
	}
	return fhir.ParseReference(strings.Join(part[len(part)-2:], "/"), "").Type
}

var schemePattern = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9+.\-]*:`)

// parseReference reads "id", "Type/id", an absolute URL (under our own base it means the
// same as the relative form) and a canonical URL with or without "|version".
func parseReference(a *asked, raw string) (Value, error) {
	s, err := unescape(raw)
	if err != nil {
		return Value{}, err
	}
	targets := a.entry.param.Targets
	if a.target != "" {
		targets = []string{a.target}
	}
	ref := fhir.ParseReference(s, a.base)
	switch {
	case ref.Version != "":
		return Value{}, problem("a reference to one version of a resource cannot be searched for; leave out /_history/…")
	case ref.Local():
		if len(targets) > 0 && !slices.Contains(targets, ref.Type) {
			return Value{}, problem("the type is not one that it can refer to; use " + list(targets))
		}
		return Value{System: ref.Type, Value: ref.ID}, nil
	case schemePattern.MatchString(s):
		return Value{URL: strings.TrimSuffix(s, "|")}, nil
	case !fhir.ValidID(s):
		return Value{}, problem("write id, Type/id or an absolute URL")
	case len(targets) == 1:
		return Value{System: targets[0], Value: s}, nil
	default:
		return Value{Value: s}, nil
	}
}
