package permission

// Principal is who asks, and what for. The zero value may do nothing.
type Principal struct {
	// Name identifies the caller in logs: a client's id, never a person's name.
	Name string
	// Issuer, Client, Subject and TokenID are what the token says of itself: iss, client_id
	// (or azp), sub and jti.
	Issuer, Client, Subject, TokenID string
	// Patient and Encounter are the ids of the launch context, "" for none.
	Patient, Encounter string
	// User is who uses the client (fhirUser), "" where it is not known: a reference such as
	// "Practitioner/123" for a resource of this server, the whole URL for another server's.
	User string
	// Organizations are references to those that the user or the client belongs to, as far as the
	// token says so.
	Organizations []string
	// Positions are references to what else the user is by what is stored: the PractitionerRoles of
	// a Practitioner, and the Practitioner of a PractitionerRole.
	Positions []string
	// Roles are the names of the roles that the token gives.
	Roles []string
	// Purposes are codes of v3-PurposeOfUse, as far as they are known.
	Purposes []string
	// Emergency is the reason that was given for breaking the glass, "" where it was not broken.
	Emergency string
	// Grants bound what the caller may do: each one must allow it. No grant allows nothing,
	// unless Unbounded.
	Grants []Grant
	// Unbounded callers may do everything: those of a service without authentication, and the
	// service itself.
	Unbounded bool
}

// Anonymous is the caller where authentication is switched off.
var Anonymous = Principal{Name: "anonymous", Unbounded: true}
