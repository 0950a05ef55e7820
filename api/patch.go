package api

import (
	"mime"
	"net/http"

	"aftercare/fhir"
	"aftercare/service"
)

// jsonPatch is the media type of RFC 6902.
const jsonPatch = "application/json-patch+json"

// patch: PATCH [base]/[type]/[id], or [type]?query for the one resource that the query
// selects (https://hl7.org/fhir/R4/http.html#patch). The body is a JSON Patch, or a
// FHIRPath Patch as a Parameters resource.
func (a *api) patch(c *call) error {
	format, body, err := readPatch(c, a.maxBody)
	if err != nil {
		return err
	}
	var w service.Written
	if c.id == "" {
		w, err = a.service.PatchWhere(c.ctx(), c.principal(), c.typ, c.Request.URL.RawQuery, format, body, c.when)
	} else {
		w, err = a.service.Patch(c.ctx(), c.principal(), c.typ, c.id, format, body, c.when)
	}
	if err != nil {
		return err
	}
	return a.replyWritten(c, http.StatusOK, w)
}

// readPatch reads a patch and its language, by Content-Type.
func readPatch(c *call, limit int64) (service.PatchFormat, []byte, error) {
	format := service.FHIRPathPatch
	if mediaType, _, err := mime.ParseMediaType(c.GetHeader("Content-Type")); err == nil && mediaType == jsonPatch {
		format = service.JSONPatch
	}
	body, err := readBody(c, limit, jsonPatch+" or "+fhirJSON, func(mediaType string) bool {
		return mediaType == jsonPatch || fhir.IsJSON(mediaType)
	})
	return format, body, err
}
