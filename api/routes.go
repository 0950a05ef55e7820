package api

import (
	"net/http"

	"github.com/gin-gonic/gin"
)

// The routes outside of the FHIR base. They are neither traced nor audited.
const (
	healthRoute  = "/healthz"
	readyRoute   = "/readyz"
	metricsRoute = "/metrics"
)

// routes is the whole surface. Wherever GET is, HEAD is too. The names after a handler
// are the URL parameters that it takes besides _format and _pretty.
func (a *api) routes() *gin.Engine {
	r := gin.New()
	r.RedirectTrailingSlash = false
	r.RedirectFixedPath = false
	r.HandleMethodNotAllowed = true
	r.ForwardedByClientIP = false

	around := a.around()
	if a.auth != nil {
		a.authRoutes(r)
	}
	fhir := r.Group(a.path, around...)
	get := func(path string, h gin.HandlerFunc) {
		fhir.GET(path, h)
		fhir.HEAD(path, h)
	}

	get("/metadata", a.handle(a.metadata, "mode"))
	for _, base := range []string{"", "/"} {
		get(base, a.handle(a.search, anyParameter))
		fhir.POST(base, a.handle(a.process))
	}
	fhir.POST("/_search", a.handle(a.search, anyParameter))
	get("/_history", a.handle(a.history, anyParameter))

	get("/:type", a.handle(a.search, anyParameter))
	fhir.POST("/:type", a.handle(a.create))
	fhir.PUT("/:type", a.handle(a.update, anyParameter))
	fhir.PATCH("/:type", a.handle(a.patch, anyParameter))
	fhir.DELETE("/:type", a.handle(a.delete, anyParameter))
	fhir.POST("/:type/_search", a.handle(a.search, anyParameter))
	get("/:type/_history", a.handle(a.history, anyParameter))

	get("/:type/:id", a.handle(a.read, "_summary", "_elements"))
	fhir.PUT("/:type/:id", a.handle(a.update))
	fhir.PATCH("/:type/:id", a.handle(a.patch))
	fhir.DELETE("/:type/:id", a.handle(a.delete))
	get("/:type/:id/_history", a.handle(a.history, anyParameter))
	get("/:type/:id/_history/:version", a.handle(a.vread, "_summary", "_elements"))

	get("/:type/:id/:inside", a.handle(a.search, anyParameter))
	fhir.POST("/:type/:id/:inside/_search", a.handle(a.search, anyParameter))

	a.operationRoutes(fhir)

	operations := r.Group("", a.identify, a.record, a.rescue)
	operations.GET(healthRoute, a.health)
	operations.HEAD(healthRoute, a.health)
	operations.GET(readyRoute, a.ready)
	operations.HEAD(readyRoute, a.ready)
	if a.metrics != nil {
		operations.GET(metricsRoute, a.onlyHere, gin.WrapH(a.metrics))
		operations.HEAD(metricsRoute, a.onlyHere, gin.WrapH(a.metrics))
	}

	a.addresses = addresses(r.Routes())
	r.NoRoute(append(around, a.noRoute)...)
	r.NoMethod(append(around, a.noMethod)...)
	return r
}

// around is the chain that every FHIR request passes through, outermost first.
func (a *api) around() gin.HandlersChain {
	chain := gin.HandlersChain{a.identify, a.trace, a.measure, a.record, a.rescue, a.audit, a.cors, negotiateEncoding, a.authenticate}
	return chain[:len(chain):len(chain)] // so that each append makes its own copy
}

func (a *api) noRoute(g *gin.Context) {
	if namesOperation(g) {
		a.fail(g, errNoOperation)
		return
	}
	a.fail(g, errNoAddress)
}

// noMethod answers for an address that exists with other methods, OPTIONS among them. What
// the router takes for an address may be none, such as one of a type that is not served.
func (a *api) noMethod(g *gin.Context) {
	g.Writer.Header().Del("Allow") // the router's, which goes by routes alone
	methods := a.offered(g.Request.URL.Path)
	switch {
	case methods == nil:
		a.noRoute(g)
	case g.Request.Method == http.MethodOptions:
		a.allow(g)
		g.Status(http.StatusNoContent)
		g.Writer.WriteHeaderNow()
	default:
		a.fail(g, errNoMethod)
	}
}
