package audit

// coding is a Coding.
type coding struct {
	System  string `json:"system"`
	Code    string `json:"code"`
	Display string `json:"display,omitempty"`
}

type concept struct {
	Coding []coding `json:"coding"`
}

// The code systems of AuditEvents.
const (
	eventType    = "http://terminology.hl7.org/CodeSystem/audit-event-type"
	interactions = "http://hl7.org/fhir/restful-interaction"
	dicom        = "http://dicom.nema.org/resources/ontology/DCM"
	participants = "http://terminology.hl7.org/CodeSystem/v3-ParticipationType"
	provenance   = "http://terminology.hl7.org/CodeSystem/provenance-participant-type"
	entityType   = "http://terminology.hl7.org/CodeSystem/audit-entity-type"
	entityRole   = "http://terminology.hl7.org/CodeSystem/object-role"
	balpEntity   = "https://profiles.ihe.net/ITI/BALP/CodeSystem/BasicAuditEntityType"
	sourceType   = "http://terminology.hl7.org/CodeSystem/security-source-type"
	purposeOfUse = "http://terminology.hl7.org/CodeSystem/v3-ActReason"
	balp         = "https://profiles.ihe.net/ITI/BALP/StructureDefinition/IHE.BasicAudit."
)

var (
	sender      = coding{dicom, "110153", "Source Role ID"}
	receiver    = coding{dicom, "110152", "Destination Role ID"}
	application = coding{dicom, "110150", "Application"}
	custodian   = coding{provenance, "custodian", "Custodian"}
	recipient   = coding{participants, "IRCP", "information recipient"}
	author      = coding{participants, "AUT", "author (originator)"}

	person        = coding{entityType, "1", "Person"}
	systemObject  = coding{entityType, "2", "System Object"}
	otherEntity   = coding{entityType, "4", "Other"}
	patientRole   = coding{entityRole, "1", "Patient"}
	resourceRole  = coding{entityRole, "4", "Domain Resource"}
	queryRole     = coding{entityRole, "24", "Query"}
	processRole   = coding{entityRole, "26", "Processing Element"}
	transactionID = coding{balpEntity, "XrequestId", ""}
)

// kind is how BALP sees an interaction: the action (http://hl7.org/fhir/audit-event-action), who sends
// data to whom, in what part the user takes it or gives it, and the name of the profile, "" where there is
// none.
type kind struct {
	action, profile      string
	client, server, user coding
}

var (
	reading   = kind{"R", "Read", receiver, sender, recipient}
	querying  = kind{"E", "Query", sender, receiver, recipient}
	creating  = kind{"C", "Create", sender, receiver, author}
	updating  = kind{"U", "Update", sender, receiver, author}
	deleting  = kind{"D", "Delete", application, custodian, author}
	operating = kind{"E", "", sender, receiver, recipient}
)

// kinds are those of the interactions. All others, such as histories and operations, are run without a
// profile of BALP.
var kinds = map[string]kind{
	"read": reading, "vread": reading, "search-type": querying, "search-system": querying,
	"create": creating, "update": updating, "patch": updating, "delete": deleting,
}
