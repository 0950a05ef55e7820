package path

import (
	"errors"
	"fmt"

	"github.com/gofhir/fhirpath/eval"
)

// reason is why an evaluation failed, in words that quote no value.
type reason string

func (r reason) Error() string { return string(r) }

func because(format string, args ...any) reason { return reason(fmt.Sprintf(format, args...)) }

// reasons are the library's kinds of failure. Its own messages may quote values.
var reasons = map[eval.ErrorType]string{
	eval.ErrType:              "a value has a type that does not fit",
	eval.ErrSingletonExpected: "there are several values where one is asked for",
	eval.ErrFunctionNotFound:  "a function is not known",
	eval.ErrInvalidArguments:  "a function has arguments that do not fit",
	eval.ErrDivisionByZero:    "a number is divided by zero",
	eval.ErrInvalidPath:       "a name is not known",
	eval.ErrTimeout:           "the evaluation took too long",
	eval.ErrInvalidOperation:  "an operation is not possible with these values",
	eval.ErrInvalidExpression: "the expression is not valid",
}

// Reason says why an evaluation failed. It quotes no value of the records that were read, so
// that anybody may be told.
func Reason(err error) string {
	var own reason
	var theirs *eval.EvalError
	switch {
	case errors.As(err, &own):
		return string(own)
	case errors.As(err, &theirs) && reasons[theirs.Type] != "":
		return reasons[theirs.Type]
	}
	return "the evaluation failed"
}
