package careplan

import "slices"

// SubjectType is the resource type that plans are for.
const SubjectType = "Patient"

// Software is the reference to the Device resource that stands for this service, the
// author of what it derives.
const Software = "Device/aftercare-software"

// Reads reports whether derivations read resources of a type besides SubjectType.
func (e *Engine) Reads(typ string) bool { return slices.Contains(e.inputs, typ) }
