package fhir

import (
	"mime"
	"strings"
)

// IsJSON reports whether a media type, without its parameters, is one that FHIR JSON goes by
// (https://hl7.org/fhir/R4/http.html#mime-type); on the way in the two general JSON types
// count as the same.
func IsJSON(mediaType string) bool {
	return mediaType == "application/fhir+json" || mediaType == "application/json" || mediaType == "text/json"
}

// IsR4 reports whether a media type's parameter fhirVersion, if any, is that of R4. The names
// of parameters are in lower case.
func IsR4(parameters map[string]string) bool {
	v, given := parameters["fhirversion"]
	return !given || v == "4.0"
}

// IsJSONFormat reports whether a value of _format asks for R4 as JSON
// (https://hl7.org/fhir/R4/http.html#parameters).
func IsJSONFormat(value string) bool {
	// An unescaped plus sign arrives as a space.
	mediaType, parameters, err := mime.ParseMediaType(strings.Replace(value, "/fhir json", "/fhir+json", 1))
	return err == nil && (mediaType == "json" || IsJSON(mediaType)) && IsR4(parameters)
}
