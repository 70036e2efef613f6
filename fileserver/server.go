package fileserver

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"
	"github.com/labstack/echo/v4"
	"golang.org/x/sync/semaphore"

	"freshet/fileserver/auth"
	"freshet/fileserver/tree"
	"freshet/hashing"
)

// A Config says what a Server serves and on what terms. Only Tree is required.
type Config struct {
	Tree    *tree.Tree
	Name    string // what a person calls the root
	Version string // of the program

	// Write allows changes; the Tree must have been opened for writing.
	Write bool
	// RequirePreconditions refuses every change of what exists that carries no precondition (428).
	RequirePreconditions bool

	// Authority says who is asking and what they may do, as far as Write allows it. nil: everybody may do everything.
	Authority *auth.Authority
	// PlainPasswords takes passwords on connections that are neither encrypted nor from this machine, too.
	PlainPasswords bool

	// Hosts are the names that the server may be called by, besides IP addresses, localhost and names below
	// .localhost and .local. "*.example.com" allows all names below example.com, "*" all there are. Who has signed in may
	// call it by any: a page whose name was rebound to this machine knows nobody's password.
	Hosts []string
	// Cache gives files a Cache-Control other than "no-cache". The first rule that matches counts.
	Cache []CacheRule

	Log    *slog.Logger // errors and events; nil: slog.Default()
	Access *AccessLog   // nil: none
	Limits Limits
}

// A CacheRule gives the files that Glob matches (path.Match) their Cache-Control. A Glob without a slash is matched
// against the file's name, one with a slash against its whole path, which does not begin with a slash.
type CacheRule struct{ Glob, Control string }

// A Server serves one tree. Its methods are safe for concurrent use.
type Server struct {
	config  Config
	tree    *tree.Tree
	log     *slog.Logger
	limits  Limits
	hosts   *hostList
	origins *http.CrossOriginProtection
	echo    *echo.Echo
	traffic traffic
	auth    *auth.Authority
	listed  *semaphore.Weighted // entries of listings being sent

	descents    *semaphore.Weighted // answers about folders being sent
	questions   *semaphore.Weighted // bytes of questions being read
	subscribers atomic.Int64        // who follow the feed, or wait for its next event
	heartbeat   time.Duration       // after which a stream that has nothing to say says so
	closing     context.Context     // ends when the server begins to stop
	close       context.CancelFunc

	links     *lru.Cache[hashing.Digest, []string] // names of the links in a folder, by its fingerprint
	restless  *lru.Cache[tree.Path, time.Time]     // until when no listing of a folder waits for a state
	coldUntil atomic.Int64                         // Unix nanoseconds until which no listing waits for a state

	cacheRules []cacheRule
	validators validatorCache
	started    string        // begins every request id of this process
	named      atomic.Uint64 // requests that were given an id
}

// New returns a Server. It panics if a Glob of c.Cache is malformed.
func New(c Config) *Server {
	s := &Server{
		config:   c,
		tree:     c.Tree,
		log:      c.Log,
		limits:   c.Limits.withDefaults(),
		hosts:    newHostList(c.Hosts),
		origins:  http.NewCrossOriginProtection(),
		started:  newProcessID(),
		auth:     c.Authority,
		listed:   semaphore.NewWeighted(listedEntriesMax),
		links:    newMemory[hashing.Digest, []string](linksStatesMax),
		restless: newMemory[tree.Path, time.Time](restlessMax),

		heartbeat: heartbeatTime,
		descents:  semaphore.NewWeighted(descentsMax),
		questions: semaphore.NewWeighted(questionsBytesMax),

		cacheRules: newCacheRules(c.Cache),
	}
	if s.log == nil {
		s.log = slog.Default()
	}
	if s.auth == nil {
		s.auth = auth.NewAuthority(auth.Policy{Rules: auth.Same(auth.All, auth.All)})
	}
	s.limits.ConnectionsMax = min(s.limits.ConnectionsMax, max(1, tree.DescriptorsMax()/connectionsShare))
	s.closing, s.close = context.WithCancel(context.Background())
	s.echo = s.routes()
	return s
}

// Handler returns what answers requests. A server that runs it must bound headers and connections by itself; Serve
// does.
func (s *Server) Handler() http.Handler { return http.HandlerFunc(s.serveHTTP) }

// serveHTTP answers one request, counts it and logs it, whatever becomes of it.
func (s *Server) serveHTTP(inner http.ResponseWriter, r *http.Request) {
	w := replies.Get().(*reply)
	now := time.Now()
	*w = reply{ResponseWriter: inner, server: s, request: r, start: now, moved: now}
	s.traffic.underWay.Add(1)
	defer s.finish(w)
	if emptyPath := r.URL.Path == "" && r.URL.Host != ""; emptyPath && r.Method != http.MethodOptions {
		r.URL.Path = "/" // "GET http://host" (RFC 9110 section 4.2.3)
	}
	if !strings.HasPrefix(r.URL.Path, "/") {
		s.pathless(w, r)
		return
	}
	s.echo.ServeHTTP(w, r)
}

// finish ends what serveHTTP began. A panic passes through it: net/http cuts the connection.
func (s *Server) finish(w *reply) {
	s.traffic.underWay.Add(-1)
	s.traffic.add(w.request.Method, w.status, w.bytes)
	s.config.Access.add(w.request, w, time.Now())
	*w = reply{}
	replies.Put(w)
}

// httpServer returns the net/http server with the limits that it enforces.
func (s *Server) httpServer() *http.Server {
	return &http.Server{
		Handler:                      s.Handler(),
		ReadHeaderTimeout:            s.limits.HeaderTimeMax,
		WriteTimeout:                 s.limits.BodyIdleTimeMax, // reply.Write moves it
		IdleTimeout:                  s.limits.IdleTimeMax,
		MaxHeaderBytes:               s.limits.HeaderBytesMax,
		DisableGeneralOptionsHandler: true, // OPTIONS * is answered here, with an Allow field
		ErrorLog:                     slog.NewLogLogger(s.log.Handler(), slog.LevelWarn),
	}
}

// ErrStillRunning is returned by Serve if requests were still at work when ShutdownTimeMax had passed twice. The Tree
// must not be closed then.
var ErrStillRunning = errors.New("requests are still running")

// Serve answers the connections of l until ctx ends. It then closes l, lets the requests under way finish within
// ShutdownTimeMax, cuts those that have not, and returns nil once no handler is running any more.
func (s *Server) Serve(ctx context.Context, l net.Listener) error {
	server := s.httpServer()
	failed := make(chan error, 1)
	logged := make(chan struct{})
	logCtx, stopLog := context.WithCancel(context.WithoutCancel(ctx))
	defer func() { stopLog(); <-logged }()
	go func() {
		defer close(logged)
		s.config.Access.run(logCtx)
	}()
	go func() { failed <- server.Serve(limitConnections(l, &s.traffic, s.limits.ConnectionsMax)) }()

	select {
	case err := <-failed:
		return errors.Join(fmt.Errorf("serve: %w", err), s.stop(server))
	case <-ctx.Done():
		err := s.stop(server)
		<-failed
		return err
	}
}

// untilClosing returns ctx for what waits: it ends when the server begins to stop, too.
func (s *Server) untilClosing(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(ctx)
	stop := context.AfterFunc(s.closing, cancel)
	return ctx, func() { stop(); cancel() }
}

// stop ends server gracefully, then by force, and waits for the handlers either way. Those that wait for something to happen
// end at once.
func (s *Server) stop(server *http.Server) error {
	s.close()
	ctx, cancel := context.WithTimeout(context.Background(), s.limits.ShutdownTimeMax)
	defer cancel()
	if server.Shutdown(ctx) == nil {
		return nil
	}
	_ = server.Close()
	deadline := time.Now().Add(s.limits.ShutdownTimeMax)
	for s.traffic.underWay.Load() > 0 {
		if time.Now().After(deadline) {
			return ErrStillRunning
		}
		time.Sleep(stopPollTime)
	}
	return nil
}

const stopPollTime = 5 * time.Millisecond
