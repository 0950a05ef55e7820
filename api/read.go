package api

import (
	"net/http"
	"strconv"
	"strings"
	"time"

	"aftercare/fhir"
)

// read: GET [base]/[type]/[id] (https://hl7.org/fhir/R4/http.html#read).
func (a *api) read(c *call) error {
	r, err := a.service.Read(c.ctx(), c.principal(), c.typ, c.id)
	if err != nil {
		return err
	}
	return c.replyResource(r)
}

// vread: GET [base]/[type]/[id]/_history/[vid] (https://hl7.org/fhir/R4/http.html#vread).
func (a *api) vread(c *call) error {
	r, err := a.service.VRead(c.ctx(), c.principal(), c.typ, c.id, c.Param("version"))
	if err != nil {
		return err
	}
	return c.replyResource(r)
}

func (c *call) replyResource(r *fhir.Resource) error {
	c.describe(r)
	if unchanged(c.Request.Header, r) {
		return c.replyEmpty(http.StatusNotModified)
	}
	return c.reply(http.StatusOK, r.Body)
}

// unchanged reports whether a conditional read has this version already
// (https://hl7.org/fhir/R4/http.html#cread). If-None-Match counts before
// If-Modified-Since, whose second cannot tell two quick updates apart.
func unchanged(h http.Header, r *fhir.Resource) bool {
	if tags := h.Values("If-None-Match"); len(tags) > 0 {
		version := strconv.FormatInt(r.Version, 10)
		for tag := range strings.SplitSeq(strings.Join(tags, ","), ",") {
			tag = strings.TrimSpace(tag)
			if tag == "*" || strings.Trim(strings.TrimPrefix(tag, "W/"), `"`) == version {
				return true
			}
		}
		return false
	}
	since, err := http.ParseTime(h.Get("If-Modified-Since"))
	return err == nil && !r.LastUpdated.Truncate(time.Second).After(since)
}
