package permission

import (
	"slices"
	"strings"
	"time"

	"aftercare/fhir"
)

// The codes that a Consent is read by (https://hl7.org/fhir/R4/consent.html).
const (
	consentScope    = "http://terminology.hl7.org/CodeSystem/consentscope"
	privacyScope    = "patient-privacy"
	resourceTypes   = "http://hl7.org/fhir/resource-types"
	consentAction   = "http://terminology.hl7.org/CodeSystem/consentaction"
	instanceMeaning = "instance"
)

// sharing are the actions of a provision that are about who sees data.
var sharing = []string{"access", "disclose", "use"}

// Consent is what an active Consent of scope patient-privacy says about who may see a patient's
// data. A provision is about a caller that its actors, period and purposes fit; about the resource
// types of its classes, or all; and about the instances of its data, or all. The provisions in it are
// exceptions of what it is about itself, of which one that denies wins over those that permit,
// whatever their order.
//
// What is not understood counts against sharing: where it is open whether a provision is about
// something, it is if it denies; if it permits, it does not, but what it denies in exceptions stands.
type Consent struct {
	// Patient is the id of the patient.
	Patient string
	root    provision
}

type provision struct {
	deny    bool
	actors  []actor
	low     time.Time
	high    time.Time
	classes []string
	data    map[string]bool // by "Type/id"
	purpose []string
	parts   []provision
	// open are set where it names other things than those that are understood: among its classes,
	// among its data, or at all.
	openClasses, openData, open bool
}

// actor is a reference, "Practitioner/1", or an identifier such as a client's id; neither is set for
// one that is not understood.
type actor struct{ reference, identifier string }

// actorTypes are those of which it is known whether a caller is one.
var actorTypes = []string{"Practitioner", "PractitionerRole", "Organization", "Patient", "RelatedPerson"}

// ReadConsent reads a Consent. ok is false where it says nothing about sharing: it is not active,
// of another scope, without provisions, or of a patient who is not on this server.
func ReadConsent(n *fhir.Node, base string, zone *time.Location) (c Consent, ok bool) {
	ref := fhir.ParseReference(n.Str("patient", "reference"), base)
	if n.Str("status") != "active" || ref.Type != "Patient" || !ref.Local() || n.Get("provision") == nil {
		return c, false
	}
	if !slices.ContainsFunc(n.Each("scope", "coding"), func(coding *fhir.Node) bool {
		return coding.Str("system") == consentScope && coding.Str("code") == privacyScope
	}) {
		return c, false
	}
	return Consent{ref.ID, readProvision(n.Get("provision"), false, base, zone)}, true
}

// readProvision reads a provision. Where it does not say what it does, it does the opposite of the
// one that it stands in; the first one permits.
func readProvision(n *fhir.Node, within bool, base string, zone *time.Location) provision {
	p := provision{deny: n.Str("type") == "deny" || n.Str("type") == "" && within}
	for _, a := range n.Each("actor") {
		p.actors = append(p.actors, readActor(a.Get("reference"), base))
	}
	if start, err := fhir.ParseMoment(n.Str("period", "start"), zone); err == nil {
		p.low = start.Low
	}
	if end, err := fhir.ParseMoment(n.Str("period", "end"), zone); err == nil {
		p.high = end.High
	}
	for _, class := range n.Each("class") {
		if class.Str("system") == resourceTypes {
			p.classes = append(p.classes, class.Str("code"))
		} else {
			p.openClasses = true
		}
	}
	for _, d := range n.Each("data") {
		ref := fhir.ParseReference(d.Str("reference", "reference"), base)
		if d.Str("meaning") != instanceMeaning || !ref.Local() {
			p.openData = true
			continue
		}
		if p.data == nil {
			p.data = map[string]bool{}
		}
		p.data[ref.Type+"/"+ref.ID] = true
	}
	for _, purpose := range n.Each("purpose") {
		p.purpose = append(p.purpose, purpose.Str("code"))
	}
	acts := n.Each("action")
	if len(acts) > 0 && !slices.ContainsFunc(acts, isSharing) {
		p.open = true
	}
	for _, name := range []string{"securityLabel", "code", "dataPeriod", "modifierExtension"} {
		p.open = p.open || len(n.Each(name)) > 0
	}
	for _, part := range n.Each("provision") {
		p.parts = append(p.parts, readProvision(part, !p.deny, base, zone))
	}
	return p
}

func isSharing(action *fhir.Node) bool {
	return slices.ContainsFunc(action.Each("coding"), func(coding *fhir.Node) bool {
		return coding.Str("system") == consentAction && slices.Contains(sharing, coding.Str("code"))
	})
}

func readActor(reference *fhir.Node, base string) (a actor) {
	if reference == nil {
		return a
	}
	a.identifier = reference.Str("identifier", "value")
	written := reference.Str("reference")
	ref := fhir.ParseReference(written, base)
	if typ, id, ok := lastTwo(written); !ref.Local() && ok { // of another server
		ref.Type, ref.ID = typ, id
	} else if ref.Local() {
		written = ref.Type + "/" + ref.ID
	}
	if slices.Contains(actorTypes, ref.Type) {
		a.reference = written
	}
	return a
}

// lastTwo are the last two parts of a path.
func lastTwo(path string) (first, second string, ok bool) {
	parts := strings.Split(path, "/")
	if len(parts) < 2 {
		return "", "", false
	}
	return parts[len(parts)-2], parts[len(parts)-1], true
}

// Refusal is what a Consent keeps from a caller of the resources of one type.
type Refusal struct {
	// All is set where that is all of the patient's, but for the ids of Except; otherwise it is
	// those ids.
	All    bool
	Except []string // sorted
}

// None reports whether nothing is kept from the caller.
func (r Refusal) None() bool { return !r.All && len(r.Except) == 0 }

// MaxSingled is how many resources of one type a Consent can single out. One that names more keeps
// all of the type.
const MaxSingled = 1000

// Refuses is what the Consent keeps from a caller, of a type, at a time. The patient, and a caller
// who has broken the glass, are kept from nothing.
func (c *Consent) Refuses(p *Principal, typ string, at time.Time) Refusal {
	if p.Unbounded || p.Emergency != "" || p.is(c.Patient) {
		return Refusal{}
	}
	r := Refusal{All: c.root.decide(p, typ, "", at) == denied}
	singled := slices.Compact(slices.Sorted(slices.Values(c.root.singled(typ, nil))))
	if len(singled) > MaxSingled {
		return Refusal{All: true}
	}
	for _, id := range singled {
		if deny := c.root.decide(p, typ, id, at) == denied; deny != r.All {
			r.Except = append(r.Except, id)
		}
	}
	return r
}

// singled adds the ids of a type that a provision and those in it name.
func (v *provision) singled(typ string, ids []string) []string {
	for ref := range v.data {
		if id, ok := strings.CutPrefix(ref, typ+"/"); ok {
			ids = append(ids, id)
		}
	}
	for i := range v.parts {
		ids = v.parts[i].singled(typ, ids)
	}
	return ids
}

// is reports whether the caller is the patient, or an app that was launched for the patient and
// names nobody else as its user.
func (p *Principal) is(patient string) bool {
	if p.User == "Patient/"+patient {
		return true
	}
	return p.User == "" && p.Patient == patient
}

// decision is what a provision says about one resource.
type decision int

const (
	nothing decision = iota
	permitted
	denied
)

// decide is what a provision says to a caller about the resource of a type with an id; "" stands for
// all that no provision names.
func (v *provision) decide(p *Principal, typ, id string, at time.Time) decision {
	about := v.about(p, typ, id, at)
	if about == no {
		return nothing
	}
	said := nothing
	for i := range v.parts {
		said = max(said, v.parts[i].decide(p, typ, id, at))
	}
	if said == nothing {
		said = permitted
		if v.deny {
			said = denied
		}
	}
	if said == permitted && about == maybe {
		return nothing
	}
	return said
}

// answer is whether a provision is about something; maybe where that is open.
type answer int

const (
	no answer = iota
	maybe
	yes
)

func (v *provision) about(p *Principal, typ, id string, at time.Time) answer {
	if !v.low.IsZero() && at.Before(v.low) || !v.high.IsZero() && !at.Before(v.high) {
		return no
	}
	all := yes
	if v.open || len(v.purpose) > 0 && len(p.Purposes) == 0 {
		all = maybe
	} else if len(v.purpose) > 0 && !slices.ContainsFunc(v.purpose, func(code string) bool { return slices.Contains(p.Purposes, code) }) {
		return no
	}
	return min(all,
		among(len(v.actors) == 0 || slices.ContainsFunc(v.actors, p.acts), slices.Contains(v.actors, actor{})),
		among(len(v.classes) == 0 && !v.openClasses || slices.Contains(v.classes, typ), v.openClasses),
		among(len(v.data) == 0 && !v.openData || v.data[typ+"/"+id], v.openData))
}

// among is whether something is in a list; open tells that the list has more than is understood.
func among(is, open bool) answer {
	switch {
	case is:
		return yes
	case open:
		return maybe
	}
	return no
}

// acts reports whether the caller is an actor: the user by reference, or the client or the user by
// identifier.
func (p *Principal) acts(a actor) bool {
	if a.reference != "" && (a.reference == p.User || slices.Contains(p.Organizations, a.reference) || slices.Contains(p.Positions, a.reference)) {
		return true
	}
	return a.identifier != "" && (a.identifier == p.Client || a.identifier == p.Subject)
}
