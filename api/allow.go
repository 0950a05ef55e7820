package api

import (
	"net/http"
	"slices"
	"strings"

	"aftercare/fhir"
	"aftercare/service"

	"github.com/gin-gonic/gin"
)

// address is a path that there is, such as /fhir/:type/:id, with the methods of its routes.
type address struct {
	path    string
	methods []string
}

// addresses lists the paths of routes, those with fewer parameters first: where several fit
// a URL, the router takes the one that spells out more of it.
func addresses(routes gin.RoutesInfo) []address {
	var out []address
	for _, r := range routes {
		i := slices.IndexFunc(out, func(a address) bool { return a.path == r.Path })
		if i < 0 {
			i, out = len(out), append(out, address{path: r.Path})
		}
		out[i].methods = append(out[i].methods, r.Method)
	}
	slices.SortStableFunc(out, func(a, b address) int { return strings.Count(a.path, ":") - strings.Count(b.path, ":") })
	return out
}

// fit gives the values of the parameters of a path at a URL, nil if it is not of that form.
func (d *address) fit(url []string) map[string]string {
	path := strings.Split(d.path, "/")
	if len(path) != len(url) {
		return nil
	}
	values := map[string]string{}
	for i, segment := range path {
		name, parameter := strings.CutPrefix(segment, ":")
		switch {
		case parameter && url[i] != "":
			values[name] = url[i]
		case segment != url[i]:
			return nil
		}
	}
	return values
}

// offered are the methods that a URL can be asked with, nil where there is nothing that
// could be asked. It goes by the routes, and by the tables that the CapabilityStatement is
// made from: the served types, of which callers do not write some, and the operations.
func (a *api) offered(url string) []string {
	segments := strings.Split(url, "/")
	for i := range a.addresses {
		d := &a.addresses[i]
		values := d.fit(segments)
		if values == nil {
			continue
		}
		served, ok := fhir.Served(values["type"])
		if _, typed := values["type"]; typed && !ok {
			return nil
		}
		if id, instance := values["id"]; instance && !fhir.ValidID(id) {
			return nil
		}
		if inside, compartment := values["inside"]; compartment && !service.HasCompartment(served.Name, inside) {
			return nil
		}
		if o := operationAt(d.path); o != nil && served.Name != "" && !o.OfferedFor(served.Name) {
			return nil
		}
		if served.ReadOnly {
			return reading(d.methods, d.path)
		}
		return d.methods
	}
	return nil
}

// reading are the methods that change nothing at a route.
func reading(methods []string, route string) []string {
	return slices.DeleteFunc(slices.Clone(methods), func(method string) bool { return writes(method, route) })
}

// allow sets Allow to what is offered. Where the request's own method is among that and was
// refused, the resource is one that callers do not change.
func (a *api) allow(g *gin.Context) {
	methods := a.offered(g.Request.URL.Path)
	if slices.Contains(methods, g.Request.Method) {
		methods = reading(methods, g.FullPath())
	}
	methods = append(slices.Clone(methods), http.MethodOptions)
	slices.Sort(methods)
	g.Header("Allow", strings.Join(methods, ", "))
}

// writes reports whether a method changes something at a route: POST does where it creates,
// and where it calls an operation that changes what is stored.
func writes(method, route string) bool {
	switch method {
	case http.MethodGet, http.MethodHead, http.MethodOptions:
		return false
	}
	if o := operationAt(route); o != nil {
		return o.Changes
	}
	return !strings.HasSuffix(route, "/_search")
}

// operationAt is the operation that a route calls, nil for other routes.
func operationAt(route string) *service.Operation {
	_, name, ok := strings.Cut(route, "/$")
	if !ok {
		return nil
	}
	all := service.Operations()
	return &all[slices.IndexFunc(all, func(o service.Operation) bool { return o.Name == name })]
}
