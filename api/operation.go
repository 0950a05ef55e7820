package api

import (
	"net/http"
	"strings"

	"aftercare/fhir"
	"aftercare/service"

	"github.com/gin-gonic/gin"
)

// operationRoutes adds the routes of the named operations
// (https://hl7.org/fhir/R4/operations.html), from the table that the CapabilityStatement
// shows too.
func (a *api) operationRoutes(base *gin.RouterGroup) {
	for _, o := range service.Operations() {
		h := a.handleAs(o.Formats, a.operation(o.Name), anyParameter)
		for path, offered := range map[string]bool{
			"/$":                             o.OnSystem,
			"/:type/$":                       o.OnType,
			"/:type/:id/$":                   o.OnInstance,
			"/:type/:id/_history/:version/$": o.OnVersion,
		} {
			if !offered {
				continue
			}
			base.POST(path+o.Name, h)
			if !o.Changes {
				base.GET(path+o.Name, h)
				base.HEAD(path+o.Name, h)
			}
		}
	}
}

// operation: GET or POST [base]/.../$name. The parameters are those of the URL, and with
// POST those of a Parameters resource, if there is a body.
func (a *api) operation(name string) func(*call) error {
	return func(c *call) error {
		q := service.OperationRequest{
			Name: name, Type: c.typ, ID: c.id, Version: c.Param("version"), Pairs: c.parameters,
			Lenient: c.prefer.lenient, Format: c.format,
		}
		if c.Request.Method == http.MethodPost {
			var err error
			if q.When, err = preconditions(c.Request.Header); err != nil {
				return err
			}
			if q.When != (service.Preconditions{}) && !c.writes() {
				return fhir.Errorf(fhir.BadRequest, "not-supported", "", "$%s changes nothing, so If-Match and If-None-Match say nothing.", name)
			}
			if c.Request.ContentLength != 0 {
				if q.Body, err = readResource(c, a.maxBody); err != nil {
					return err
				}
			}
		}
		answer, err := a.service.Operate(c.ctx(), c.principal(), q)
		if err != nil {
			return err
		}
		if answer.Resource != nil {
			c.describe(answer.Resource)
		}
		if len(c.others) > 0 {
			c.Writer.Header().Add("Vary", "Accept")
		}
		if answer.Format != "" {
			return c.replyAs(answer.Format, answer.Body)
		}
		return c.reply(http.StatusOK, answer.Body)
	}
}

var errNoOperation = fhir.Errorf(fhir.NotFound, "not-supported", "", "This server does not offer that operation here; [base]/metadata lists where it offers which.")

// namesOperation reports whether the address ends in "$name".
func namesOperation(g *gin.Context) bool {
	path := g.Request.URL.Path
	return strings.HasPrefix(path[strings.LastIndexByte(path, '/')+1:], "$")
}

// isOperation tells that the address ends in an operation.
func (c *call) isOperation() bool { return strings.Contains(c.FullPath(), "/$") }
