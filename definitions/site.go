package definitions

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strings"

	"github.com/goccy/go-yaml"

	"aftercare/fhir"
)

// site is the file that describes a care site. Every part may be left out.
type site struct {
	Organisation   *contact `yaml:"organisation"`
	Surgeon        *contact `yaml:"surgeon"`
	Rehabilitation *contact `yaml:"rehabilitation"`
	Enquiries      *struct {
		Contact contact  `yaml:",inline"`
		Days    []string `yaml:"days"`
		From    string   `yaml:"from"`
		Until   string   `yaml:"until"`
	} `yaml:"enquiries"`
	GeneralPractice *struct {
		// NotRecorded names the practice of a patient for whom none is recorded.
		NotRecorded string `yaml:"not_recorded"`
	} `yaml:"general_practice"`
}

type contact struct {
	Name  string `yaml:"name"`
	Phone string `yaml:"phone"`
	Email string `yaml:"email"`
}

// The resources that a site file makes.
const (
	siteOrganization   = "aftercare-site"
	siteSurgeon        = "aftercare-site-surgeon"
	siteRehabilitation = "aftercare-site-rehabilitation"
	siteEnquiries      = "aftercare-site-enquiries"
	siteTeam           = "aftercare-site-team"
)

// Site reads the YAML file of a care site, and returns it as resources: Organization,
// PractitionerRole (https://hl7.org/fhir/R4/practitionerrole.html), HealthcareService
// (https://hl7.org/fhir/R4/healthcareservice.html), and the CareTeam that the teams of patients
// are made like. Nothing is there that the file does not give. The error says the line of a key
// that is not known, or what a value lacks.
func Site(r io.Reader) ([]*fhir.Node, error) {
	var s site
	if err := yaml.NewDecoder(r, yaml.Strict()).Decode(&s); err != nil && !errors.Is(err, io.EOF) {
		first, _, _ := strings.Cut(yaml.FormatError(err, false, false), "\n")
		return nil, errors.New(first)
	}
	if err := s.check(); err != nil {
		return nil, err
	}
	var nodes []*fhir.Node
	for _, r := range s.resources() {
		text, err := json.Marshal(r)
		if err != nil { // maps of texts and lists: cannot happen
			panic(err)
		}
		n, err := fhir.Parse(text)
		if err != nil {
			return nil, fmt.Errorf("a value cannot be written: %w", err)
		}
		nodes = append(nodes, n)
	}
	return nodes, nil
}

var days = []string{"mon", "tue", "wed", "thu", "fri", "sat", "sun"}

var timeOfDay = regexp.MustCompile(`^([01][0-9]|2[0-3]):[0-5][0-9]$`)

func (s *site) check() error {
	var problems []error
	named := func(key string, c *contact) {
		if c != nil && strings.TrimSpace(c.Name) == "" {
			problems = append(problems, fmt.Errorf("%s.name: is missing", key))
		}
	}
	named("organisation", s.Organisation)
	named("surgeon", s.Surgeon)
	named("rehabilitation", s.Rehabilitation)
	if e := s.Enquiries; e != nil {
		named("enquiries", &e.Contact)
		if e.Contact.Phone == "" && e.Contact.Email == "" {
			problems = append(problems, errors.New("enquiries: needs a phone or an email"))
		}
		for i, d := range e.Days {
			if !slices.Contains(days, d) || slices.Contains(e.Days[:i], d) {
				problems = append(problems, fmt.Errorf("enquiries.days: %q is not a day, or is given twice; give some of %s", d, strings.Join(days, ", ")))
			}
		}
		timed := e.From != "" || e.Until != ""
		switch {
		case timed && (!timeOfDay.MatchString(e.From) || !timeOfDay.MatchString(e.Until) || e.From >= e.Until):
			problems = append(problems, errors.New(`enquiries.from, enquiries.until: give both as times of day, the earlier one first, such as "08:00" and "18:00"`))
		case timed != (len(e.Days) > 0):
			problems = append(problems, errors.New("enquiries: days, from and until belong together; give all or none"))
		}
	}
	return errors.Join(problems...)
}

// member is a list of JSON members; what is empty is left out.
type member map[string]any

func (s *site) resources() (all []member) {
	reference := func(typ, id, display string) member {
		return member{"reference": typ + "/" + id, "display": display}
	}
	var organization member
	if o := s.Organisation; o != nil {
		organization = reference("Organization", siteOrganization, o.Name)
		all = append(all, resource("Organization", siteOrganization, member{"active": true, "name": o.Name, "telecom": o.telecom()}))
	}
	of := func(m member, name string) member {
		if organization != nil {
			m[name] = organization
		}
		return m
	}
	participants := []member{{
		"extension": []member{expression("%subject")}, "role": role("Patient"),
	}}
	practice := []member{expression("%patient.generalPractitioner")}
	if g := s.GeneralPractice; g != nil && g.NotRecorded != "" {
		practice = append(practice, member{"url": fhir.Canonical + "/StructureDefinition/when-empty", "valueString": g.NotRecorded})
	}
	participants = append(participants, member{"extension": practice, "role": role("General practice")})
	if c := s.Surgeon; c != nil {
		all = append(all, resource("PractitionerRole", siteSurgeon, of(member{
			"active": true, "practitioner": member{"display": c.Name}, "code": role("Surgeon"), "telecom": c.telecom(),
		}, "organization")))
		participants = append(participants, member{"role": role("Surgeon"), "member": reference("PractitionerRole", siteSurgeon, c.Name)})
	}
	if c := s.Rehabilitation; c != nil {
		all = append(all, resource("Organization", siteRehabilitation, member{"active": true, "name": c.Name, "telecom": c.telecom()}))
		participants = append(participants, member{"role": role("Rehabilitation"), "member": reference("Organization", siteRehabilitation, c.Name)})
	}
	if organization != nil {
		participants = append(participants, member{"role": role("Care site"), "member": organization})
	}
	team := member{"status": "active", "name": "Aftercare team", "participant": participants}
	if organization != nil {
		team["managingOrganization"] = []member{organization}
	}
	if e := s.Enquiries; e != nil {
		service := of(member{
			"active": true, "name": e.Contact.Name, "telecom": e.Contact.telecom(), "comment": notUrgent,
		}, "providedBy")
		if len(e.Days) > 0 {
			service["availableTime"] = []member{{"daysOfWeek": e.Days, "availableStartTime": e.From + ":00", "availableEndTime": e.Until + ":00"}}
		}
		all = append(all, resource("HealthcareService", siteEnquiries, service))
		team["telecom"] = e.Contact.telecom()
	}
	return append(all, resource("CareTeam", siteTeam, team))
}

// notUrgent stands beside the line for enquiries wherever it is shown.
const notUrgent = "For enquiries. This is not a line for urgent help."

func (c *contact) telecom() (list []member) {
	if c.Phone != "" {
		list = append(list, member{"system": "phone", "value": c.Phone, "use": "work"})
	}
	if c.Email != "" {
		list = append(list, member{"system": "email", "value": c.Email, "use": "work"})
	}
	return list
}

func role(text string) []member { return []member{{"text": text}} }

// expression is the extension with which the member of a team is worked out for each patient.
func expression(text string) member {
	return member{
		"url":             fhir.Canonical + "/StructureDefinition/member-expression",
		"valueExpression": member{"language": "text/fhirpath", "expression": text},
	}
}

func resource(typ, id string, members member) member {
	members["resourceType"], members["id"], members["language"] = typ, id, "en-GB"
	for name, v := range members {
		if list, ok := v.([]member); ok && len(list) == 0 {
			delete(members, name)
		}
	}
	return members
}
