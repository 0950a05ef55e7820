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
	resourceType = "http://hl7.org/fhir/resource-types"
	balpEntity   = "https://profiles.ihe.net/ITI/BALP/CodeSystem/BasicAuditEntityType"
	sourceType   = "http://terminology.hl7.org/CodeSystem/security-source-type"
	purposeOfUse = "http://terminology.hl7.org/CodeSystem/v3-ActReason"
	balp         = "https://profiles.ihe.net/ITI/BALP/StructureDefinition/IHE.BasicAudit."
)

var (
	sender      = coding{dicom, "110153", "Source Role ID"}
	receiver    = coding{dicom, "110152", "Destination Role ID"}
	application = coding{dicom, "110150", "Application"}
	launcher    = coding{dicom, "110151", "Application Launcher"}
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
	acting    = kind{"E", "", launcher, application, recipient}
)

// ofOne reports whether BALP sees the interaction as that of one resource.
func (k kind) ofOne() bool { return k.profile != "" && k.profile != querying.profile }

// kinds are those of the interactions that BALP has profiles for.
var kinds = map[string]kind{
	"read": reading, "vread": reading, "search-type": querying, "search-system": querying,
	"create": creating, "update": updating, "patch": updating, "delete": deleting,
}

// others are the interactions that BALP has no profile for. What a request was meant to be is not always
// known.
var others = map[string]bool{
	"capabilities": true, "transaction": true, "batch": true, "operation": true,
	"history-instance": true, "history-type": true, "history-system": true,
}

// activity is the type and subtype of what is no RESTful interaction
// (https://hl7.org/fhir/R4/valueset-audit-event-type.html,
// https://hl7.org/fhir/R4/valueset-audit-event-sub-type.html).
type activity struct{ of, subtype coding }

// The codes of Records that are about no RESTful interaction.
const (
	Started       = "start"
	Stopped       = "stop"
	TokenIssued   = "token"
	TokenJudged   = "introspect"
	KeysShown     = "keys"
	ClientAdded   = "client-add"
	ClientRevoked = "client-revoke"
	Exported      = "export"
	Imported      = "import"
	Derived       = "derive"
	LogUsed       = "log-used"
	LogErased     = "log-erased"
)

var activities = map[string]activity{
	Started:       {coding{dicom, "110100", "Application Activity"}, coding{dicom, "110120", "Application Start"}},
	Stopped:       {coding{dicom, "110100", "Application Activity"}, coding{dicom, "110121", "Application Stop"}},
	TokenIssued:   {coding{dicom, "110114", "User Authentication"}, coding{dicom, "110122", "Login"}},
	TokenJudged:   {coding{dicom, "110114", "User Authentication"}, coding{}},
	KeysShown:     {coding{dicom, "110114", "User Authentication"}, coding{}},
	ClientAdded:   {coding{dicom, "110113", "Security Alert"}, coding{dicom, "110137", "User Security Attributes Changed"}},
	ClientRevoked: {coding{dicom, "110113", "Security Alert"}, coding{dicom, "110137", "User Security Attributes Changed"}},
	Exported:      {coding{dicom, "110106", "Export"}, coding{}},
	Imported:      {coding{dicom, "110107", "Import"}, coding{}},
	Derived:       {coding{dicom, "110100", "Application Activity"}, coding{}},
	LogUsed:       {coding{dicom, "110101", "Audit Log Used"}, coding{}},
	LogErased:     {coding{dicom, "110113", "Security Alert"}, coding{dicom, "110135", "Object Security Attributes Changed"}},
}

// kindOf is the kind of a code; rest tells interactions over FHIR.
func kindOf(code string) (k kind, rest bool) {
	if k, ok := kinds[code]; ok {
		return k, true
	}
	if _, ok := activities[code]; ok {
		return acting, false
	}
	return operating, true
}
