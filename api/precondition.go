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

// has reports whether the caller of a conditional read has this version already. The
// fraction of a second, which Last-Modified does not have, does not count.
func has(h http.Header, r *fhir.Resource) bool {
	since, err := http.ParseTime(h.Get("If-Modified-Since"))
	if err == nil {
		since = since.Add(time.Second - time.Nanosecond)
	}
	return service.Unchanged(r, list(h, "If-None-Match"), since)
}

// list joins the lines of a header whose value is a list.
func list(h http.Header, name string) string { return strings.Join(h.Values(name), ",") }
