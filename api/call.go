package api

import (
	"context"
	"slices"
	"strings"

	"aftercare/fhir"
	"aftercare/fhir/search"
	"aftercare/service"
	"aftercare/service/memory"

	"github.com/gin-gonic/gin"
)

// call is a FHIR request whose address, parameters and formats have been checked.
type call struct {
	*gin.Context
	// typ is a served resource type, "" at system level; id is a valid id, "" above
	// instance level.
	typ, id string
	// parameters are those of the URL and of a search form, in order, decoded.
	parameters []search.Pair
	prefer     preference
	// when are the preconditions of a write.
	when service.Preconditions
	// pretty asks for an indented reply.
	pretty bool
	// others are the media types that may be answered in besides FHIR JSON; format is the one
	// that is asked for, "" for FHIR JSON.
	others []string
	format string
	// memory is what the call holds of what all may hold.
	memory *memory.Claim
}

// ctx carries the request id, the span and the client's patience.
func (c *call) ctx() context.Context { return c.Request.Context() }

// principal is who asks: nobody, who may do nothing, if nobody has said.
func (c *call) principal() service.Principal {
	p, _ := c.Get(principalKey)
	who, _ := p.(service.Principal)
	return who
}

// anyParameter stands for handlers that judge all parameters themselves.
const anyParameter = "*"

// handle makes a gin handler of an interaction. takes are the URL parameters that it
// knows; any other is refused, since a parameter that is silently ignored may be one
// that the caller relies on (DELETE ...?_cascade=).
func (a *api) handle(do func(*call) error, takes ...string) gin.HandlerFunc {
	return a.handleAs(nil, do, takes...)
}

// handleAs is handle for what may be answered in other media types too.
func (a *api) handleAs(others []string, do func(*call) error, takes ...string) gin.HandlerFunc {
	return func(g *gin.Context) {
		c := &call{Context: g, others: others, typ: g.Param("type"), id: g.Param("id"), prefer: preferences(g.Request.Header), memory: a.memory.Claim()}
		defer c.memory.Release()
		err := a.open(c, takes)
		if err == nil {
			err = do(c)
		}
		if err != nil {
			a.fail(g, err)
		}
	}
}

// open reads and checks what is in the address and the headers of a call.
func (a *api) open(c *call, takes []string) error {
	if err := c.checkAddress(); err != nil {
		// The router takes /metadata, say, for a type where the method is not one of its own.
		if methods := a.offered(c.Request.URL.Path); methods != nil && !slices.Contains(methods, c.Request.Method) && fhir.KindOf(err) != fhir.NotAllowed {
			err = errNoMethod
		}
		return err
	}
	var err error
	if c.parameters, err = readParameters(c); err != nil {
		return err
	}
	if !slices.Contains(takes, anyParameter) && !c.prefer.lenient {
		if err := refuseUnknown(c.parameters, takes); err != nil {
			return err
		}
	}
	if c.writes() {
		if c.when, err = preconditions(c.Request.Header); err != nil {
			return err
		}
		if err := c.checkConditions(); err != nil {
			return err
		}
		if err := a.takeProvenance(c); err != nil {
			return err
		}
	}
	if c.pretty, err = isPretty(c.parameters); err != nil {
		return err
	}
	c.format, err = negotiate(c.Request.Header, c.parameters, c.others)
	return err
}

// isSearchForm tells POST /:type/_search and the like, which read, from the POSTs that write.
func (c *call) isSearchForm() bool { return strings.HasSuffix(c.FullPath(), "/_search") }

func (c *call) writes() bool { return writes(c.Request.Method, c.FullPath()) }

// checkAddress refuses types that are not served, writes to types that are read-only,
// and ids that cannot exist.
func (c *call) checkAddress() error {
	// A slash that was escaped would make one segment look like two to a proxy that
	// decides by path.
	if strings.Contains(strings.ToLower(c.Request.URL.EscapedPath()), "%2f") {
		return errNoAddress
	}
	if _, typed := c.Params.Get("type"); !typed {
		return nil
	}
	served, ok := fhir.Served(c.typ)
	switch {
	case !ok:
		return fhir.Errorf(fhir.NotFound, "not-supported", "",
			"This server does not serve a resource type of that name; [base]/metadata lists those that it serves. Names are case-sensitive.")
	case c.writes() && served.ReadOnly:
		return fhir.Errorf(fhir.NotAllowed, "not-supported", "",
			"%s resources are written by the service alone; they can be read and searched.", c.typ)
	}
	if inside, compartment := c.Params.Get("inside"); compartment && !service.HasCompartment(c.typ, inside) {
		if namesOperation(c.Context) {
			return errNoOperation
		}
		return errNoAddress
	}
	if _, instance := c.Params.Get("id"); !instance || fhir.ValidID(c.id) {
		return nil
	}
	switch {
	case strings.HasPrefix(c.id, "$"):
		return fhir.Errorf(fhir.NotFound, "not-supported", "", "This server does not offer that operation; [base]/metadata lists those that it offers.")
	case c.id == "_search":
		return fhir.Errorf(fhir.NotAllowed, "not-supported", "", "_search is asked with POST and a form; with GET, search at [base]/%s?parameters.", c.typ)
	case c.writes():
		return fhir.Errorf(fhir.BadRequest, "value", "", "The id in the URL is not a FHIR id: 1 to 64 of A-Z, a-z, 0-9, '-' and '.'.")
	default:
		return fhir.Errorf(fhir.NotFound, "not-found", "", "There is no %s with that id: an id is 1 to 64 of A-Z, a-z, 0-9, '-' and '.'.", c.typ)
	}
}
