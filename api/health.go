package api

import (
	"context"
	"net/http"
	"time"

	"aftercare/fhir"

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
	if err := a.service.Ready(ctx); err != nil {
		a.fail(g, fhir.Errorf(fhir.Unavailable, "transient", "", "The service is not ready.").Because(err))
		return
	}
	reply(g, http.StatusOK, fhir.Outcome())
}
