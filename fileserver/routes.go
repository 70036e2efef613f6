package fileserver

import (
	"fmt"
	"log/slog"
	"net/http"

	"github.com/labstack/echo/v4"
	"github.com/labstack/echo/v4/middleware"

	"freshet/fileserver/tree"
)

const panicStackBytes = 8 << 10 // of a handler's stack that go to the log

// routes builds the router. There is one route for every path, since paths are decoded and judged in one place, the
// door; a router that matched them in another spelling would open a second one. echo gives the handlers its recovery
// and its central error handler, and they get the ResponseWriter inside echo's own, which adds a layer to each write
// and mistakes interim answers for final ones.
func (s *Server) routes() *echo.Echo {
	e := echo.New()
	e.HTTPErrorHandler = func(err error, c echo.Context) {
		s.fail(c.Response().Writer.(*reply), c.Request(), err)
	}
	recovered := middleware.RecoverWithConfig(middleware.RecoverConfig{
		StackSize:           panicStackBytes,
		DisableStackAll:     true,
		DisableErrorHandler: true, // the error goes up to HTTPErrorHandler, outside of the recovery
		LogErrorFunc:        s.logPanic,
	})
	h := recovered(func(c echo.Context) error {
		return s.enter(c.Response().Writer.(*reply), c.Request())
	})
	for _, m := range methodNames {
		e.Add(m, "/*", h)
	}
	e.RouteNotFound("/*", h) // for the methods that nobody has heard of
	return e
}

// logPanic writes a handler's panic to the log and returns it as the error that the request failed with.
func (s *Server) logPanic(c echo.Context, err error, stack []byte) error {
	r := c.Request()
	s.log.Error("panic in a handler", slog.String("method", r.Method), slog.String("uri", r.RequestURI),
		slog.Any("err", err), slog.String("stack", string(stack)))
	return fmt.Errorf("panic: %w", err)
}

// pathless answers what has no path: OPTIONS about the whole server (RFC 9110 section 9.3.7), and CONNECT.
func (s *Server) pathless(w *reply, r *http.Request) {
	if err := s.admit(w, r); err != nil {
		s.fail(w, r, err)
		return
	}
	switch {
	case r.URL.Opaque != "": // "http:a", which names no path
		s.fail(w, r, tree.ErrName)
	case r.Method == http.MethodOptions:
		s.answerOptions(w, s.allowAnywhere())
	default:
		s.fail(w, r, s.methodRefused(r.Method, s.allowAnywhere()))
	}
}
