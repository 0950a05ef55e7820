package main

import (
	"encoding/json"
	"errors"
	"net/http"
	"strconv"
	"strings"
	"time"

	"aftercare/fhir"
	"aftercare/service/store"

	"github.com/go-json-experiment/json/jsontext"
)

// appendVersion adds the line of a version to b: the entry that a history Bundle has of it
// (https://hl7.org/fhir/R4/http.html#history), with the resource as it is stored, byte for
// byte, and a line feed at the end.
func appendVersion(b []byte, base string, e store.HistoryEntry) ([]byte, error) {
	r := e.Resource
	status, url := "200 OK", r.Ref()
	switch {
	case r.Deleted:
		status = "204 No Content"
	case e.Created:
		status = "201 Created"
	}
	if e.Method == http.MethodPost {
		url = r.Type
	}
	b, err := appendText(append(b, `{"fullUrl":`...), base+"/"+r.Ref(), nil)
	if !r.Deleted {
		b = append(append(b, `,"resource":`...), r.Body...)
	}
	b, err = appendText(append(b, `,"request":{"method":`...), e.Method, err)
	b, err = appendText(append(b, `,"url":`...), url, err)
	b, err = appendText(append(b, `},"response":{"status":`...), status, err)
	b, err = appendText(append(b, `,"etag":`...), `W/"`+strconv.FormatInt(r.Version, 10)+`"`, err)
	b, err = appendText(append(b, `,"lastModified":`...), r.LastUpdated.UTC().Format(fhir.InstantLayout), err)
	return append(b, "}}\n"...), err
}

// appendText adds a JSON string, and keeps the first error.
func appendText(b []byte, text string, before error) ([]byte, error) {
	b, err := jsontext.AppendQuote(b, text)
	return b, errors.Join(before, err)
}

// errNotAVersion says that a line is not one that appendVersion makes.
var errNotAVersion = errors.New("this is not a version as an export writes it")

// parseVersion reads a line, without its end, that appendVersion made with this base. It
// refuses one that appendVersion would not make, and one whose resource has another type, id,
// version or time than the line says. The node is the resource, nil for a deletion.
func parseVersion(line []byte, base string) (store.HistoryEntry, *fhir.Node, error) {
	var raw struct {
		FullURL  string          `json:"fullUrl"`
		Resource json.RawMessage `json:"resource"`
		Request  struct {
			Method string `json:"method"`
		} `json:"request"`
		Response struct {
			Status       string `json:"status"`
			ETag         string `json:"etag"`
			LastModified string `json:"lastModified"`
		} `json:"response"`
	}
	var e store.HistoryEntry
	if err := json.Unmarshal(line, &raw); err != nil {
		return e, nil, errNotAVersion
	}
	ref, ok := strings.CutPrefix(raw.FullURL, base+"/")
	typ, id, _ := strings.Cut(ref, "/")
	if _, served := fhir.Served(typ); !ok || !served || !fhir.ValidID(id) {
		return e, nil, errNotAVersion
	}
	etag := strings.TrimSuffix(strings.TrimPrefix(raw.Response.ETag, `W/"`), `"`)
	version, err := strconv.ParseInt(etag, 10, 64)
	if err != nil {
		return e, nil, errNotAVersion
	}
	at, err := time.Parse(fhir.InstantLayout, raw.Response.LastModified)
	if err != nil {
		return e, nil, errNotAVersion
	}
	e = store.HistoryEntry{
		Resource: &fhir.Resource{Type: typ, ID: id, Version: version, LastUpdated: at, Body: raw.Resource, Deleted: len(raw.Resource) == 0},
		Method:   raw.Request.Method,
		Created:  strings.HasPrefix(raw.Response.Status, "201 "),
	}
	if again, err := appendVersion(make([]byte, 0, len(line)+1), base, e); err != nil || string(again[:len(again)-1]) != string(line) {
		return e, nil, errNotAVersion
	}
	if e.Resource.Deleted {
		return e, nil, nil
	}
	n, err := fhir.Parse(e.Resource.Body)
	if err != nil {
		return e, nil, err
	}
	if n.Str("resourceType") != typ || n.Str("id") != id || n.Str("meta", "versionId") != etag || n.Str("meta", "lastUpdated") != raw.Response.LastModified {
		return e, nil, errors.New("the resource has another type, id, version or time than its line says")
	}
	return e, n, nil
}
