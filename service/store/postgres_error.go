package store

import (
	"errors"

	"aftercare/fhir"

	"github.com/jackc/pgx/v5/pgconn"
)

// lostError says that there is no connection to the database any more, or none could be made.
type lostError struct{ cause error }

func (e lostError) Error() string { return "no connection to the database: " + e.cause.Error() }
func (e lostError) Unwrap() error { return e.cause }

// lateError is the error of a statement that was sent together with the commit.
type lateError struct{ cause error }

func (e lateError) Error() string { return e.cause.Error() }
func (e lateError) Unwrap() error { return e.cause }

// Codes of PostgreSQL (https://www.postgresql.org/docs/current/errcodes-appendix.html); two
// characters stand for their class.
const (
	insufficientPrivilege = "42501"
	diskFull              = "53100"
	serializationFailure  = "40001"
	deadlockDetected      = "40P01"
	lockNotAvailable      = "55P03"
	featureNotSupported   = "0A000" // a statement that was prepared before a table changed
	integrityClass        = "23"
)

// transient are the codes and classes after which a repetition may succeed.
var transient = map[string]bool{
	"08":                true, // connection
	"53":                true, // resources: memory, connections
	"57":                true, // shutdown, recovery, cancelled, timeout
	"58":                true, // errors of the system, such as input and output
	"25":                true, // read-only, transaction aborted or idle for too long
	"28":                true, // authorization, while passwords are changed
	featureNotSupported: true,
}

// code is PostgreSQL's code of an error, "" if it is none of its.
func code(err error) string {
	var e *pgconn.PgError
	if errors.As(err, &e) {
		return e.Code
	}
	return ""
}

func (*postgresEngine) failure(err error) *fhir.Error {
	code := code(err)
	switch {
	case code == diskFull:
		return fhir.Errorf(fhir.Unavailable, "no-store", "", "The database has no space left; nothing was stored.").Because(err)
	case code == serializationFailure, code == deadlockDetected, code == lockNotAvailable:
		return fhir.Errorf(fhir.Unavailable, "lock-error", "", "The database is busy; try again later.").Because(err)
	case len(code) == 5 && code[:2] == integrityClass:
		return fhir.Errorf(fhir.Conflict, "conflict", "", "This clashes with what is stored already.").Because(err)
	case errors.As(err, new(lostError)), len(code) == 5 && (transient[code] || transient[code[:2]]):
		return fhir.Errorf(fhir.Unavailable, "transient", "", "The database cannot do this now; try again later.").Because(err)
	}
	return nil
}
