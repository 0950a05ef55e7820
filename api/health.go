package api

import (
	"context"
	"errors"
	"net/http"
	"time"

	"aftercare/fhir"
	"aftercare/service"

	"github.com/gin-gonic/gin"
)

// health: the process answers.
func (a *api) health(g *gin.Context) { reply(g, http.StatusOK, fhir.Outcome()) }

// readyTimeout is how long the store may take to prove that it works.
const readyTimeout = 2 * time.Second

// ready: the service can work, its store included.
func (a *api) ready(g *gin.Context) {
	ctx, cancel := context.WithTimeout(g.Request.Context(), readyTimeout)
	defer cancel()
	switch err := a.service.Ready(ctx); {
	case errors.Is(err, service.ErrOutdated): // it does not get ready again, and says why
		a.fail(g, err)
		return
	case err != nil:
		a.fail(g, fhir.Errorf(fhir.Unavailable, "transient", "", "The service is not ready.").Because(err))
		return
	}
	reply(g, http.StatusOK, fhir.Outcome())
}
