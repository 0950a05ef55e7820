package auth

import (
	_ "embed"
	"net/http"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"aftercare/fhir"
	"aftercare/service/permission"
)

// principal is who a token speaks for. What the token gives is the first grant, what its roles give
// the second, what the issuer or the client may at most the last; all must allow what is done.
func (a *Authority) principal(c *claims, i *issuer, atMost permission.Grant) (permission.Principal, error) {
	p := permission.Principal{
		Name: c.client(), Issuer: c.Issuer, Client: c.client(), Subject: c.Subject, TokenID: c.ID,
		Patient: c.Patient, Encounter: c.Encounter, User: strings.TrimPrefix(c.User, a.base+"/"), Purposes: c.Purposes,
	}
	if p.Name == "" { // not the subject, which may be a person
		p.Name = "a client of " + c.Issuer
	}
	if !validID(c.Patient) || !validID(c.Encounter) || slices.ContainsFunc(c.Purposes, unknownPurpose) {
		return permission.Principal{}, errClaims
	}
	roles, given, err := c.names(i.RolesClaim)
	if err != nil {
		return permission.Principal{}, err
	}
	own, _ := permission.ParseGrant(c.scope())
	if !given || len(own) > 0 {
		if own == nil {
			own = permission.Grant{}
		}
		p.Grants = append(p.Grants, own)
	}
	if given {
		p.Roles = roles
		p.Grants = append(p.Grants, a.roles.Grant(roles))
	}
	if atMost != nil {
		p.Grants = append(p.Grants, atMost)
	}
	return p, nil
}

// The headers that say what a request is for.
const (
	PurposeHeader   = "X-Purpose-Of-Use"
	EmergencyHeader = "X-Break-Glass-Reason"
)

// The codes of the value set v3-PurposeOfUse of R4
// (https://hl7.org/fhir/R4/v3/PurposeOfUse/vs.html).
//
//go:embed purposes.txt
var purposesText string

var purposes = strings.Fields(purposesText)

func unknownPurpose(code string) bool { return !slices.Contains(purposes, code) }

// breakGlass is the purpose of those who need data at once that they otherwise may not see.
const breakGlass = "BTG"

// maxReason is the longest reason for breaking the glass, in bytes.
const maxReason = 500

// withPurpose adds what the headers of a request say that it is for. The header wins over the token.
func withPurpose(p permission.Principal, h http.Header, mayBreakGlass bool) (permission.Principal, error) {
	if given := h.Values(PurposeHeader); len(given) > 0 {
		p.Purposes = nil
		for code := range strings.SplitSeq(strings.Join(given, ","), ",") {
			if code = strings.TrimSpace(code); unknownPurpose(code) {
				return permission.Principal{}, fhir.Errorf(fhir.BadRequest, "code-invalid", "http."+PurposeHeader,
					"%s must be a code of http://terminology.hl7.org/ValueSet/v3-PurposeOfUse such as TREAT, or several with commas between them.", PurposeHeader)
			}
			p.Purposes = append(p.Purposes, code)
		}
	}
	reasons := h.Values(EmergencyHeader)
	broken := slices.Contains(p.Purposes, breakGlass)
	switch {
	case !broken && len(reasons) == 0:
		return p, nil
	case !broken:
		return permission.Principal{}, fhir.Errorf(fhir.BadRequest, "business-rule", "http."+EmergencyHeader, "%s needs the purpose %s in %s.", EmergencyHeader, breakGlass, PurposeHeader)
	case !mayBreakGlass:
		return permission.Principal{}, fhir.Errorf(fhir.Forbidden, "forbidden", "", "This client may not break the glass.")
	case len(reasons) != 1 || !isReason(reasons[0]):
		return permission.Principal{}, fhir.Errorf(fhir.BadRequest, "required", "http."+EmergencyHeader, "The purpose %s needs a reason: one %s of at most %d bytes.", breakGlass, EmergencyHeader, maxReason)
	}
	p.Emergency = strings.TrimSpace(reasons[0])
	return p, nil
}

func isReason(text string) bool {
	return len(text) <= maxReason && utf8.ValidString(text) && strings.TrimSpace(text) != "" && !strings.ContainsFunc(text, unicode.IsControl)
}
