package careplan

import (
	"time"

	"aftercare/fhir"
)

// Engine derives care plans from compiled definitions. It may be used by many goroutines.
type Engine struct {
	zone      *time.Location
	terms     *terminology
	protocols []*protocol
	inputs    []string
	// pain are the rules for reports of pain, in the order of the definitions.
	pain []*painRules
	// words are those of what the rules say.
	words map[coding]Statement
	// systems are the code systems of the codes that triggers name.
	systems map[string]bool
	// activities are the urls of the ActivityDefinitions.
	activities map[string]bool
	// off are the policies that are switched off.
	off []string
	// team is what the CareTeams of patients are made like, nil where the site has none.
	team *team
}

// Inputs are the resource types that a derivation reads besides Patient, sorted: the
// caller puts all resources of these types that belong to the patient into Case.Inputs.
func (e *Engine) Inputs() []string { return e.inputs }

// Output is a kind of resource that derivations write. Each such resource carries an
// identifier in IdentifierSystem.
type Output struct {
	Type, IdentifierSystem string
	// OfReport: it is made of an Observation of pain. The caller puts into Case.Existing only what is
	// made of those that are looked at.
	OfReport bool
}

// Outputs lists the kinds of derived resources: the caller puts those of the patient that
// exist into Case.Existing.
func (e *Engine) Outputs() []Output {
	return []Output{
		{"CarePlan", planSystem, false}, {"Goal", goalSystem, false}, {"Task", activitySystem, false}, {"DetectedIssue", issueSystem, false},
		{"CareTeam", teamSystem, false}, {"RiskAssessment", statementSystem, false}, {"Flag", flagSystem, false},
		{"CommunicationRequest", messageSystem, false},
		{impressionType, interpretationSystem, true}, {"Task", interpretationSystem, true}, {"Flag", interpretationSystem, true},
		{"DetectedIssue", interpretationSystem, true},
	}
}

// Source is one stored resource, as the caller knows it.
type Source struct {
	Type, ID string
	Version  int64
	Node     *fhir.Node
}

func (s Source) ref() string { return s.Type + "/" + s.ID }

// Case is all that is recorded of one patient.
type Case struct {
	// Base is the public FHIR base without a trailing slash: references to it are to
	// resources of this server.
	Base string
	// Subject is the reference "Patient/x".
	Subject string
	// Patient is nil where the patient is not known here.
	Patient *Source
	// Inputs are all current resources of the types of Engine.Inputs.
	Inputs []Source
	// Existing are the derived resources that exist, of the kinds of Engine.Outputs.
	Existing []Source
	// Written are the last versions that derivations wrote, by "Type/id", of those Existing for
	// which Engine.LacksDigests asks.
	Written map[string]*fhir.Node
	// Deleted are derived resources that people have deleted, with what they held last. Those
	// that nothing asks for may be left out.
	Deleted []Source
	// Unnamed are the identifiers, as system|value by "Type/id", that people have taken off Existing.
	Unnamed map[string]string
	// Reports are the Observations of pain to be interpreted (see Engine.ReportCodes): of those in
	// Looked, or of all if AllReports, the ones that are there. What was made of one that is looked at
	// and not there any more is taken back; what was made of others stays as it is.
	Reports    []Source
	Looked     []string // references "Observation/x"
	AllReports bool
	// Taken are ids, as "Type/id", that new resources cannot have: what was moved to another
	// patient has them.
	Taken map[string]bool
	// At dates new resources (created, authoredOn, identified). An existing resource
	// keeps its own.
	At time.Time
	// Today is the local date (see Day) on which progress is judged; only the scheduler sets
	// it. Where it is zero, marks stay as they are while their windows do.
	Today time.Time
}

// Prescribed is one resource that should exist with this content. It may be equal to what
// exists already: fhir.Draft.Same tells.
type Prescribed struct {
	Type, ID string
	// Body is JSON without meta.versionId and meta.lastUpdated, and Node the same as a tree.
	Body []byte
	Node *fhir.Node
	// Basis are the records that it rests on, for Provenance.
	Basis []Source
	// Definitions are the PlanDefinitions that it follows, as url|version.
	Definitions []string
	// Kept are the activities of a plan that new facts would move, were they not begun.
	Kept []Change
}

// set puts in what is to be stored.
func (p *Prescribed) set(o object) {
	p.Node = o.node()
	p.Body = p.Node.Raw
}

// Notice is what there is to tell about one Procedure or report of pain.
type Notice struct {
	// Procedure is the reference "Procedure/x", or "Observation/x".
	Procedure string
	Issue     fhir.Issue
}

// Result is what a Case asks for: the resources in a fixed order, and one or more
// notices for every Procedure of the inputs.
type Result struct {
	Resources []Prescribed
	Notices   []Notice
	// Anchors are what reports of pain are held against, nil where the engine failed.
	Anchors *Anchors
	// Faults are failures of the engine itself, for the log. They quote no record. What they
	// concern was left as it is.
	Faults []error
}
