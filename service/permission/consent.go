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
// data. A provision holds for a caller that its actors, period and purposes fit; for the resource
// types of its classes, or all; and for the instances of its data, or all. The provisions in it are
// exceptions, of which one that denies wins over one that permits.
//
// What is not understood counts against sharing: a provision that denies holds whatever else it
// says, and one that permits does not hold if it has a code, a label, a data period or data that is
// related to something.
type Consent struct {
	// Patient is the id of the patient.
	Patient string
	root    provision
}

type provision struct {
	deny    bool
	unclear bool // it has something that is not understood
	actors  []actor
	low     time.Time
	high    time.Time
	classes []string
	data    []string // "Type/id"
	purpose []string
	parts   []provision
}

// actor is a reference, "Practitioner/1", or an identifier such as a client's id.
type actor struct{ reference, identifier string }

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
			p.unclear = true
		}
	}
	for _, d := range n.Each("data") {
		ref := fhir.ParseReference(d.Str("reference", "reference"), base)
		if d.Str("meaning") != instanceMeaning || !ref.Local() {
			p.unclear = true
			continue
		}
		p.data = append(p.data, ref.Type+"/"+ref.ID)
	}
	for _, purpose := range n.Each("purpose") {
		p.purpose = append(p.purpose, purpose.Str("code"))
	}
	acts := n.Each("action")
	if len(acts) > 0 && !slices.ContainsFunc(acts, isSharing) {
		p.unclear = true
	}
	for _, name := range []string{"securityLabel", "code", "dataPeriod"} {
		p.unclear = p.unclear || len(n.Each(name)) > 0
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

func readActor(reference *fhir.Node, base string) actor {
	if reference == nil {
		return actor{}
	}
	a := actor{identifier: reference.Str("identifier", "value")}
	if written := reference.Str("reference"); written != "" {
		if ref := fhir.ParseReference(written, base); ref.Local() {
			a.reference = ref.Type + "/" + ref.ID
		} else {
			a.reference = written
		}
	}
	return a
}

// Refusal is what a Consent keeps from a caller of the resources of one type.
type Refusal struct {
	// All is set where that is all of the patient's, but for the ids of Except; otherwise it is
	// those ids.
	All    bool
	Except []string
}

// None reports whether nothing is kept from the caller.
func (r Refusal) None() bool { return !r.All && len(r.Except) == 0 }

// Refuses is what the Consent keeps from a caller, of a type, at a time. The patient, and a caller
// who has broken the glass, are kept from nothing.
func (c *Consent) Refuses(p *Principal, typ string, at time.Time) Refusal {
	if p.Unbounded || p.Emergency != "" || p.is(c.Patient) {
		return Refusal{}
	}
	var d decision
	d.apply(&c.root, p, typ, at)
	r := Refusal{All: d.deny}
	for id, deny := range d.instances {
		if deny != d.deny {
			r.Except = append(r.Except, id)
		}
	}
	slices.Sort(r.Except)
	return r
}

// is reports whether the caller is the patient, or an app that was launched for the patient and
// names nobody else as its user.
func (p *Principal) is(patient string) bool {
	if p.User == "Patient/"+patient {
		return true
	}
	return p.User == "" && p.Patient == patient
}

type decision struct {
	deny      bool
	instances map[string]bool // ids of which it is otherwise
}

func (d *decision) apply(v *provision, p *Principal, typ string, at time.Time) {
	if !v.holds(p, typ, at) {
		return
	}
	d.set(v, typ)
	// Exceptions that permit come first, so that one that denies wins.
	for _, deny := range []bool{false, true} {
		for i := range v.parts {
			if v.parts[i].deny == deny {
				d.apply(&v.parts[i], p, typ, at)
			}
		}
	}
}

func (d *decision) set(v *provision, typ string) {
	if len(v.data) == 0 || v.deny && v.unclear {
		d.deny = v.deny
		clear(d.instances)
		return
	}
	for _, ref := range v.data {
		if id, ok := strings.CutPrefix(ref, typ+"/"); ok {
			if d.instances == nil {
				d.instances = map[string]bool{}
			}
			d.instances[id] = v.deny
		}
	}
}

// holds reports whether a provision is about a caller and a type.
func (v *provision) holds(p *Principal, typ string, at time.Time) bool {
	switch {
	case v.unclear && !v.deny,
		!v.low.IsZero() && at.Before(v.low), !v.high.IsZero() && !at.Before(v.high),
		len(v.actors) > 0 && !slices.ContainsFunc(v.actors, p.acts),
		len(v.classes) > 0 && !slices.Contains(v.classes, typ) && (!v.deny || !v.unclear):
		return false
	case len(v.purpose) == 0:
		return true
	case len(p.Purposes) == 0: // not stated
		return v.deny
	}
	return slices.ContainsFunc(v.purpose, func(purpose string) bool { return slices.Contains(p.Purposes, purpose) })
}

// acts reports whether the caller is an actor: the user by reference, or the client or the user by
// identifier. One that is not said stands for anybody.
func (p *Principal) acts(a actor) bool {
	switch {
	case a == actor{}:
		return true
	case a.reference != "" && (a.reference == p.User || slices.Contains(p.Organizations, a.reference)):
		return true
	}
	return a.identifier != "" && (a.identifier == p.Client || a.identifier == p.Subject)
}
