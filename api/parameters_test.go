package api

import (
	"net/http"
	"strings"
	"testing"
)

func TestSearchFormAndURLBothCount(t *testing.T) {
	s := start(t, setup{})
	a := s.do(t, http.MethodPost, s.base+"/Patient/_search?birthdate=1815", "family=Lovelace&given=Ada", "Content-Type", formType+"; charset=utf-8").want(t, 200, "")
	for _, want := range []string{"birthdate=1815", "family=Lovelace", "given=Ada"} {
		if !strings.Contains(a.body, want) {
			t.Errorf("%s is not in %s", want, a.body)
		}
	}
	s.do(t, http.MethodPost, s.base+"/Patient/_search", "{}").want(t, 415, "not-supported")
	s.do(t, http.MethodPost, s.base+"/Patient/_search", "a=b", "Content-Type", "").want(t, 415, "not-supported")
	s.do(t, http.MethodPost, s.base+"/Patient/_search", "name=%z", "Content-Type", formType).want(t, 400, "invalid")
	s.do(t, http.MethodPost, s.base+"/Patient/_search", "name="+strings.Repeat("a", maxForm), "Content-Type", formType).want(t, 413, "too-long")
	s.do(t, http.MethodPost, s.base+"/Patient/_search", "colour=red", "Content-Type", formType).want(t, 400, "not-supported")
}
