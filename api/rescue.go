package api

import (
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"runtime"
	"runtime/debug"

	"github.com/gin-gonic/gin"
)

// rescue turns a panic into an answer of status 500. Where the answer has begun, the
// connection is cut instead, so that nobody takes half of it for the whole.
func (a *api) rescue(g *gin.Context) {
	defer func() {
		fault := recover()
		if fault == nil {
			return
		}
		if err, ok := fault.(error); ok && errors.Is(err, http.ErrAbortHandler) {
			panic(fault)
		}
		// Only the runtime's own words are logged: any other panic value may hold
		// patient data. The stack has addresses, no values.
		what := fmt.Sprintf("panic of type %T", fault)
		if r, ok := fault.(runtime.Error); ok {
			what = "panic: " + r.Error()
		}
		a.log.LogAttrs(g.Request.Context(), slog.LevelError, "panic",
			slog.String("cause", what), slog.String("stack", string(debug.Stack())))
		if g.Writer.Written() {
			_ = g.Error(errors.New(what))
			panic(http.ErrAbortHandler)
		}
		a.fail(g, errors.New(what))
	}()
	g.Next()
}
