package api

import (
	"net"
	"net/http"
	"strings"

	"aftercare/api/auth"
	"aftercare/fhir"
	"aftercare/service"

	"github.com/gin-gonic/gin"
)

// principalKey is where the principal of a request is kept.
const principalKey = "principal"

// callerName is the name of who asks, "" where it is not known.
func callerName(g *gin.Context) string {
	p, _ := g.Get(principalKey)
	who, _ := p.(service.Principal)
	return who.Name
}

// authenticate finds out who asks, and how often. A token that is known to be good counts for its
// client. All else counts for the address that it comes from, before it is looked at: that bounds
// what forged tokens cost.
func (a *api) authenticate(g *gin.Context) {
	var who service.Principal
	if a.auth == nil {
		who = service.Anonymous
	}
	a.calls(g, who)
	if a.auth == nil || a.needsNoToken(g) {
		if wait := a.limits.ofAddress(g.Request); wait > 0 {
			a.throttle(g, wait)
		}
		return
	}
	if _, known := a.auth.Known(g.Request); !known {
		if wait := a.limits.ofAddress(g.Request); wait > 0 {
			a.throttle(g, wait)
			return
		}
	}
	who, err := a.auth.Authenticate(g.Request)
	if err != nil {
		a.countRefusal(g, err)
		a.fail(g, err)
		return
	}
	a.calls(g, who)
	if wait := a.limits.ofCaller(who); wait > 0 {
		a.throttle(g, wait)
	}
}

// calls notes who asks, for the interaction and for the log.
func (a *api) calls(g *gin.Context, who service.Principal) {
	g.Set(principalKey, who)
	if w, ok := g.Writer.(*auditedWriter); ok {
		w.trail.By(who)
	}
}

// needsNoToken tells what everybody may ask: what the server can do, where tokens are to be had, and
// which methods an address takes. What lies outside of the base is not there.
func (a *api) needsNoToken(g *gin.Context) bool {
	path := g.Request.URL.Path
	if path != a.path && !strings.HasPrefix(path, a.path+"/") {
		return true
	}
	switch g.Request.Method {
	case http.MethodOptions:
		return true
	case http.MethodGet, http.MethodHead:
		return g.FullPath() == a.path+"/metadata" || g.FullPath() == a.path+auth.DiscoveryPath
	}
	return false
}

// authRoutes are those of tokens. They answer as OAuth says, not in FHIR.
func (a *api) authRoutes(r *gin.Engine) {
	discovery := a.auth.Discovery()
	base := r.Group(a.path, a.around()...)
	show := func(g *gin.Context) { replyAs(g, http.StatusOK, "application/json", discovery) }
	base.GET(auth.DiscoveryPath, show)
	base.HEAD(auth.DiscoveryPath, show)

	tokens := r.Group("", a.identify, a.trace, a.measure, a.record, a.rescue, a.audit, func(g *gin.Context) {
		if wait := a.limits.ofAddress(g.Request); wait > 0 {
			a.throttle(g, wait)
		}
	})
	seen := func(g *gin.Context) auth.Seen { return func(who service.Principal) { a.calls(g, who) } }
	tokens.POST(auth.TokenPath, func(g *gin.Context) { a.auth.ServeToken(g.Writer, g.Request, seen(g)) })
	tokens.POST(auth.IntrospectPath, func(g *gin.Context) { a.auth.ServeIntrospect(g.Writer, g.Request, seen(g)) })
	tokens.GET(auth.KeysPath, gin.WrapF(a.auth.ServeKeys))
	tokens.HEAD(auth.KeysPath, gin.WrapF(a.auth.ServeKeys))
}

// onlyHere lets callers of this machine pass where others need tokens. Behind a proxy of this machine
// all seem to be; it says for whom it asks.
func (a *api) onlyHere(g *gin.Context) {
	host, _, _ := net.SplitHostPort(g.Request.RemoteAddr)
	ip := net.ParseIP(host)
	h := g.Request.Header
	if a.auth == nil || ip != nil && ip.IsLoopback() && h.Get("Forwarded") == "" && h.Get("X-Forwarded-For") == "" && h.Get("Via") == "" {
		return
	}
	a.fail(g, fhir.Errorf(fhir.NotFound, "not-found", "", "There is nothing at this address for callers from elsewhere."))
}
