package auth

import (
	"strings"
	"testing"

	"aftercare/fhir"
	"aftercare/service/permission"

	"github.com/golang-jwt/jwt/v5"
)

// grants are the scopes of a principal: of each grant with spaces, and of all with bars.
func grants(p permission.Principal) string {
	var all []string
	for _, g := range p.Grants {
		var texts []string
		for _, s := range g {
			texts = append(texts, s.Text)
		}
		all = append(all, strings.Join(texts, " "))
	}
	return strings.Join(all, " | ")
}

func TestWhatTokensGive(t *testing.T) {
	atMost, _ := permission.ParseGrant("user/*.rs")
	roles := permission.Roles{}
	for name, list := range map[string]string{"nurse": "user/CarePlan.rs", "clerk": "user/Appointment.rs"} {
		roles[name], _ = permission.ParseGrant(list)
	}
	f := newFixture(t, func(o *Options) {
		o.Roles = roles
		o.Issuers = append(o.Issuers,
			Issuer{URL: "https://bounded.example", JWKS: o.Issuers[0].JWKS, AtMost: atMost},
			Issuer{URL: "https://nested.example", JWKS: o.Issuers[0].JWKS, RolesClaim: "realm_access.roles", Audience: "aftercare"})
	})
	for name, c := range map[string]struct {
		claims jwt.MapClaims
		want   string
	}{
		"scopes":                         {jwt.MapClaims{"scope": "openid user/Patient.read launch"}, "user/Patient.read"},
		"scopes as a list":               {jwt.MapClaims{"scope": []string{"openid", "user/Patient.rs"}}, "user/Patient.rs"},
		"scopes under another name":      {jwt.MapClaims{"scope": nil, "scp": []string{"user/Patient.rs"}}, "user/Patient.rs"},
		"no scopes":                      {jwt.MapClaims{"scope": "openid profile"}, ""},
		"none at all":                    {jwt.MapClaims{"scope": nil}, ""},
		"scopes of no form":              {jwt.MapClaims{"scope": "user/Patient.dus system/*"}, ""},
		"a role alone":                   {jwt.MapClaims{"scope": "openid", "role": "nurse"}, "user/CarePlan.rs"},
		"two roles":                      {jwt.MapClaims{"scope": nil, "role": []string{"nurse", "clerk"}}, "user/CarePlan.rs user/Appointment.rs"},
		"a role and scopes":              {jwt.MapClaims{"scope": "user/*.cruds", "role": "nurse"}, "user/*.cruds | user/CarePlan.rs"},
		"a role that is unknown":         {jwt.MapClaims{"scope": "user/*.cruds", "role": "king"}, "user/*.cruds | "},
		"a role that is unknown, alone":  {jwt.MapClaims{"scope": nil, "role": "king"}, ""},
		"no roles":                       {jwt.MapClaims{"scope": nil, "role": []string{}}, ""},
		"a bounded issuer":               {jwt.MapClaims{"iss": "https://bounded.example", "scope": "user/*.cruds"}, "user/*.cruds | user/*.rs"},
		"a bounded issuer, no scopes":    {jwt.MapClaims{"iss": "https://bounded.example", "scope": nil}, " | user/*.rs"},
		"roles within another claim":     {jwt.MapClaims{"iss": "https://nested.example", "aud": "aftercare", "scope": nil, "realm_access": map[string]any{"roles": []string{"clerk"}}}, "user/Appointment.rs"},
		"roles under the whole name":     {jwt.MapClaims{"iss": "https://nested.example", "aud": "aftercare", "scope": nil, "realm_access.roles": "clerk"}, "user/Appointment.rs"},
		"another issuer's name of roles": {jwt.MapClaims{"iss": "https://nested.example", "aud": "aftercare", "scope": nil, "role": "clerk"}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			p, err := f.Authenticate(request(token(t, "ES256", withClaims(f.good(), c.claims))))
			if err != nil || len(p.Grants) == 0 || grants(p) != c.want || p.Unbounded {
				t.Errorf("%q, %v", grants(p), err)
			}
		})
	}
	if _, err := f.Authenticate(request(token(t, "ES256", withClaims(f.good(), jwt.MapClaims{"iss": "https://nested.example"})))); reasonOf(err) != "audience" {
		t.Errorf("an issuer with an audience of its own: %v", err)
	}
	if _, err := f.Authenticate(request(token(t, "ES256", withClaims(f.good(), jwt.MapClaims{"iss": "https://nested.example", "aud": "aftercare", "realm_access": "x"})))); reasonOf(err) != "claims" {
		t.Errorf("roles that are no list: %v", err)
	}
}

func TestWhoTokensAreOf(t *testing.T) {
	f := newFixture(t, nil)
	for name, c := range map[string]struct {
		claims jwt.MapClaims
		want   permission.Principal
	}{
		"a launch":                       {jwt.MapClaims{"encounter": "e1", "fhirUser": base + "/Practitioner/7"}, permission.Principal{Name: "app", Client: "app", Subject: "u1", TokenID: "j1", Patient: "p1", Encounter: "e1", User: "Practitioner/7"}},
		"a user of another server":       {jwt.MapClaims{"fhirUser": "https://ehr.example/fhir/Patient/7"}, permission.Principal{Name: "app", Client: "app", Subject: "u1", TokenID: "j1", Patient: "p1", User: "https://ehr.example/fhir/Patient/7"}},
		"a server with a like name":      {jwt.MapClaims{"fhirUser": base + "x/Patient/7"}, permission.Principal{Name: "app", Client: "app", Subject: "u1", TokenID: "j1", Patient: "p1", User: base + "x/Patient/7"}},
		"client_id before azp":           {jwt.MapClaims{"client_id": "c2"}, permission.Principal{Name: "c2", Client: "c2", Subject: "u1", TokenID: "j1", Patient: "p1"}},
		"no client: no name of a person": {jwt.MapClaims{"azp": nil, "patient": nil}, permission.Principal{Name: "a client of " + idp, Subject: "u1", TokenID: "j1"}},
	} {
		t.Run(name, func(t *testing.T) {
			p, err := f.Authenticate(request(token(t, "ES256", withClaims(f.good(), c.claims))))
			if err != nil {
				t.Fatal(err)
			}
			c.want.Issuer = idp
			if p.Name != c.want.Name || p.Client != c.want.Client || p.Subject != c.want.Subject || p.TokenID != c.want.TokenID || p.Patient != c.want.Patient ||
				p.Encounter != c.want.Encounter || p.User != c.want.User || p.Issuer != c.want.Issuer {
				t.Errorf("%+v\nwant %+v", p, c.want)
			}
		})
	}
}

func TestPurposes(t *testing.T) {
	f := newFixture(t, func(o *Options) {
		o.Issuers = append(o.Issuers, Issuer{URL: "https://emergency.example", JWKS: o.Issuers[0].JWKS, BreakGlass: true})
	})
	may, mayNot := jwt.MapClaims{"iss": "https://emergency.example"}, jwt.MapClaims{}
	for name, c := range map[string]struct {
		claims    jwt.MapClaims
		headers   []string
		kind      fhir.ErrorKind
		purposes  string
		emergency string
	}{
		"none":                         {mayNot, nil, 0, "", ""},
		"of the token":                 {jwt.MapClaims{"purpose_of_use": "TREAT"}, nil, 0, "TREAT", ""},
		"several of the token":         {jwt.MapClaims{"purpose_of_use": []string{"TREAT", "HPAYMT"}}, nil, 0, "TREAT HPAYMT", ""},
		"the header wins":              {jwt.MapClaims{"purpose_of_use": "TREAT"}, []string{PurposeHeader, "HPAYMT"}, 0, "HPAYMT", ""},
		"two headers":                  {mayNot, []string{PurposeHeader, "HPAYMT", PurposeHeader, "TREAT"}, 0, "HPAYMT TREAT", ""},
		"unknown":                      {mayNot, []string{PurposeHeader, "CURIOSITY"}, fhir.BadRequest, "", ""},
		"empty":                        {mayNot, []string{PurposeHeader, ""}, fhir.BadRequest, "", ""},
		"one of two unknown":           {mayNot, []string{PurposeHeader, "TREAT,,"}, fhir.BadRequest, "", ""},
		"an emergency":                 {may, []string{PurposeHeader, "BTG", EmergencyHeader, " bewusstlos, Zoë "}, 0, "BTG", "bewusstlos, Zoë"},
		"an emergency of the token":    {jwt.MapClaims{"iss": "https://emergency.example", "purpose_of_use": "BTG"}, []string{EmergencyHeader, "x"}, 0, "BTG", "x"},
		"without the right":            {mayNot, []string{PurposeHeader, "BTG", EmergencyHeader, "x"}, fhir.Forbidden, "", ""},
		"without the right and reason": {mayNot, []string{PurposeHeader, "BTG"}, fhir.Forbidden, "", ""},
		"without a reason":             {may, []string{PurposeHeader, "BTG"}, fhir.BadRequest, "", ""},
		"two reasons":                  {may, []string{PurposeHeader, "BTG", EmergencyHeader, "x", EmergencyHeader, "y"}, fhir.BadRequest, "", ""},
		"a reason with a line break":   {may, []string{PurposeHeader, "BTG", EmergencyHeader, "x\ny"}, fhir.BadRequest, "", ""},
		"a reason that is not UTF-8":   {may, []string{PurposeHeader, "BTG", EmergencyHeader, "\xff"}, fhir.BadRequest, "", ""},
		"a reason for another purpose": {may, []string{PurposeHeader, "TREAT", EmergencyHeader, "x"}, fhir.BadRequest, "", ""},
		"emergency treatment":          {mayNot, []string{PurposeHeader, "ETREAT"}, 0, "ETREAT", ""},
	} {
		t.Run(name, func(t *testing.T) {
			p, err := f.Authenticate(request(token(t, "ES256", withClaims(f.good(), c.claims)), c.headers...))
			if c.kind != 0 {
				if fhir.KindOf(err) != c.kind || p.Name != "" {
					t.Errorf("%+v, %v", p, err)
				}
				return
			}
			if err != nil || strings.Join(p.Purposes, " ") != c.purposes || p.Emergency != c.emergency {
				t.Errorf("%+v, %v", p, err)
			}
		})
	}
}

func BenchmarkAuthenticate(b *testing.B) {
	f := newFixture(b, nil)
	mine := f.tokenFor(b, "engine", "system/Procedure.cruds system/Patient.rs")
	for name, token := range map[string]string{"of the service": mine, "of an issuer": token(b, "RS256", f.good())} {
		r := request(token)
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := f.Authenticate(r); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkVerify is what the first use of a token costs.
func BenchmarkVerify(b *testing.B) {
	f := newFixture(b, nil)
	for _, alg := range []string{"RS256", "ES256", "ES384", "ES512", "EdDSA"} {
		t := token(b, alg, f.good())
		b.Run(alg, func(b *testing.B) {
			for b.Loop() {
				if _, err := f.verify(b.Context(), t); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
