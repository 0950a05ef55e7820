package api

import (
	"net/http"
	"strings"
	"time"

	"aftercare/fhir"
	"aftercare/service"
)

// preconditions reads If-Match and If-None-Match of a write. An empty header is a
// condition that a client failed to fill in, not no condition: taking it for none would
// overwrite what the caller wanted to keep.
func preconditions(h http.Header) (service.Preconditions, error) {
	for _, name := range []string{"If-Match", "If-None-Match"} {
		for _, value := range h.Values(name) {
			if strings.Trim(value, ", ") == "" {
				return service.Preconditions{}, fhir.Errorf(fhir.BadRequest, "invalid", "", "%s is empty; give an ETag such as W/\"3\", or *, or leave the header out.", name)
			}
		}
	}
	return service.Preconditions{IfMatch: list(h, "If-Match"), IfNoneMatch: list(h, "If-None-Match")}, nil
}

// checkConditions refuses headers that say nothing about what is asked: passed over, they
// would let happen what the caller wanted to prevent.
func (c *call) checkConditions() error {
	refuse := func(text string) error { return fhir.Errorf(fhir.BadRequest, "not-supported", "", "%s", text) }
	_, ifNoneExist := c.Request.Header["If-None-Exist"]
	bundle, create := c.typ == "", c.Request.Method == http.MethodPost && !c.isOperation()
	switch conditions := c.when != (service.Preconditions{}); {
	case bundle && (conditions || ifNoneExist):
		return refuse("A Bundle has no version of its own, so If-Match, If-None-Match and If-None-Exist say nothing; its entries have ifMatch, ifNoneMatch and ifNoneExist.")
	case create && conditions:
		return refuse("A create makes a new resource, so If-Match and If-None-Match say nothing; If-None-Exist asks that there be none.")
	case !create && ifNoneExist:
		return refuse("If-None-Exist asks something of a create by POST alone; on an update, If-None-Match: * asks that there be none.")
	}
	return nil
}

// has reports whether the caller of a conditional read has this version already. An ETag
// counts before a time. Last-Modified tells whole seconds, so that within the second of the
// last change a time means this version only if it is the only one of that second. A version
// that was asked for by number stays as it is.
func (a *api) has(c *call, r *fhir.Resource) (bool, error) {
	h := c.Request.Header
	tags := list(h, "If-None-Match")
	since, err := http.ParseTime(h.Get("If-Modified-Since"))
	if tags != "" || err != nil {
		return service.Unchanged(r, tags, time.Time{}), nil
	}
	modified := r.LastUpdated.Truncate(time.Second)
	if since.Equal(modified) && c.Param("version") == "" {
		return a.service.AloneInItsSecond(c.ctx(), r)
	}
	return !since.Before(modified), nil
}

// list joins the lines of a header whose value is a list.
func list(h http.Header, name string) string { return strings.Join(h.Values(name), ",") }
