package service

import (
	"context"
	"errors"
	"strings"

	"aftercare/fhir"
	"aftercare/service/form"
	"aftercare/service/store"
)

const responseParameter = "questionnaire-response"

// extract is QuestionnaireResponse/$extract
// (https://hl7.org/fhir/uv/sdc/OperationDefinition-QuestionnaireResponse-extract.html): the
// transaction of observations that a response gives. Nothing is stored. What is amiss in the
// response is an error of kind Unprocessable with its place.
func (s *Service) extract(in *invocation) (answering, error) {
	if err := in.only(responseParameter); err != nil {
		return nil, err
	}
	a, err := in.one(responseParameter)
	switch {
	case err != nil:
		return nil, err
	case a != nil && in.ID != "":
		return nil, a.refuse("not-supported", "The address names a stored response, so none is sent beside it.")
	case a != nil && a.typ != resourceType:
		return nil, a.refuse("value", "%s is a QuestionnaireResponse, sent by POST.", responseParameter)
	case a != nil && a.node.Str("resourceType") != "QuestionnaireResponse":
		return nil, a.refuse("value", "%s is a QuestionnaireResponse.", responseParameter)
	case a == nil && in.ID == "":
		return nil, fhir.Errorf(fhir.BadRequest, "required", "", "Send a QuestionnaireResponse, alone or as the parameter %s.", responseParameter)
	}
	types := []string{"Questionnaire"}
	if in.ID != "" {
		types = append(types, in.Type)
	}
	for _, typ := range types {
		if !s.mayRead(in.principal, typ) {
			return nil, forbidden("read", typ)
		}
	}
	return func(ctx context.Context, r *store.Reader) (Answer, error) {
		stored := ""
		var response *fhir.Node
		if in.ID == "" {
			response = a.node
		} else {
			res, err := read(ctx, r, in.Type, in.ID)
			if err != nil {
				return Answer{}, err
			}
			if response, err = fhir.Parse(res.Body); err != nil {
				return Answer{}, err
			}
			stored = res.Ref()
			trailOf(ctx).shows(res)
		}
		body, err := s.extracted(ctx, r, response, stored)
		return Answer{Body: body}, err
	}, nil
}

func (s *Service) extracted(ctx context.Context, r *store.Reader, response *fhir.Node, stored string) ([]byte, error) {
	const place = "QuestionnaireResponse.questionnaire"
	url, version, _ := strings.Cut(response.Str("questionnaire"), "|")
	if url == "" {
		return nil, fhir.Errorf(fhir.Unprocessable, "required", place, "The response does not say which Questionnaire it answers.")
	}
	questionnaire, err := s.definition(ctx, r, "Questionnaire", url, version)
	switch {
	case err != nil:
		return nil, err
	case questionnaire == nil || version != "" && questionnaire.Str("version") != version:
		return nil, fhir.Errorf(fhir.Unprocessable, "not-found", place, "This server does not hold that Questionnaire in that version.")
	}
	all, err := form.Extract(questionnaire, response, stored)
	if err != nil {
		return nil, err
	}
	for _, e := range all {
		n, err := fhir.Parse(e.Body)
		if err != nil {
			return nil, err
		}
		if err := s.check(n, "Observation", ""); err != nil {
			return nil, notAnObservation(err, e.Place)
		}
	}
	return form.Bundle(all, response.Str("status") == "amended")
}

// notAnObservation says that an answer makes an Observation that could not be stored, at the
// place of the answer.
func notAnObservation(err error, place string) error {
	var was *fhir.Error
	if !errors.As(err, &was) {
		return err
	}
	e := &fhir.Error{Kind: fhir.Unprocessable, Cause: err}
	for _, i := range was.Issues {
		i.Expression = []string{place}
		e.Issues = append(e.Issues, i)
	}
	return e
}
