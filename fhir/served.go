package fhir

import "slices"

// ServedType is a resource type that the service stores and serves. Types are data:
// no other place lists them.
type ServedType struct {
	Name string
	// ReadOnly types are written by the service alone; callers read and search them.
	ReadOnly bool
	// Logged types are not stored as resources: they are what the auditor's log is shown as. They are
	// searched by themselves alone, and nobody has them but who may read all of them.
	Logged bool
}

var servedTypes = []ServedType{
	{Name: "Patient"}, {Name: "Practitioner"}, {Name: "PractitionerRole"}, {Name: "Organization"},
	{Name: "Location"}, {Name: "HealthcareService"}, {Name: "RelatedPerson"}, {Name: "Encounter"},
	{Name: "EpisodeOfCare"}, {Name: "Condition"}, {Name: "AllergyIntolerance"}, {Name: "Procedure"},
	{Name: "CarePlan"}, {Name: "CareTeam"}, {Name: "Goal"}, {Name: "ServiceRequest"}, {Name: "Task"},
	{Name: "Appointment"}, {Name: "CommunicationRequest"}, {Name: "Communication"}, {Name: "Medication"},
	{Name: "MedicationRequest"}, {Name: "MedicationStatement"}, {Name: "MedicationAdministration"},
	{Name: "Device"}, {Name: "DeviceRequest"}, {Name: "DeviceUseStatement"}, {Name: "BodyStructure"},
	{Name: "Observation"}, {Name: "ClinicalImpression"}, {Name: "RiskAssessment"}, {Name: "DetectedIssue"},
	{Name: "Flag"}, {Name: "GuidanceResponse"}, {Name: "RequestGroup"}, {Name: "Questionnaire"},
	{Name: "QuestionnaireResponse"}, {Name: "DocumentReference"}, {Name: "Composition"}, {Name: "Media"},
	{Name: "Binary"}, {Name: "Provenance"}, {Name: "Consent"}, {Name: "Subscription"}, {Name: "Group"},
	{Name: "List"}, {Name: "PlanDefinition"}, {Name: "ActivityDefinition"}, {Name: "Library"},
	{Name: "ValueSet"}, {Name: "CodeSystem"}, {Name: "ConceptMap"}, {Name: "NamingSystem"},
	{Name: "StructureDefinition"}, {Name: "SearchParameter"}, {Name: "OperationDefinition"},
	{Name: "CapabilityStatement"}, {Name: "Basic"}, {Name: "AuditEvent", ReadOnly: true, Logged: true},
}

var storedTypes = slices.DeleteFunc(slices.Clone(servedTypes), func(t ServedType) bool { return t.Logged })

var servedByName = func() map[string]ServedType {
	m := make(map[string]ServedType, len(servedTypes))
	for _, t := range servedTypes {
		m[t.Name] = t
	}
	return m
}()

// ServedTypes lists the types in the order that the CapabilityStatement shows.
func ServedTypes() []ServedType { return servedTypes }

// StoredTypes are those of ServedTypes of which resources are stored.
func StoredTypes() []ServedType { return storedTypes }

// Served looks a type up by its exact name.
func Served(name string) (ServedType, bool) {
	t, ok := servedByName[name]
	return t, ok
}
