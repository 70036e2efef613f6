package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"path/filepath"
	"time"

	"freshet/fileserver"
	"freshet/fileserver/tree"
	"freshet/hashing"
)

// openTree opens the folder of t as the settings say. Where nothing can be kept of a folder that is only read, everything is
// read again at the next start; that is worth a warning and no more.
func (c *config) openTree(t target, log *slog.Logger) (*tree.Tree, error) {
	options, err := c.treeOptions(t, log)
	if err != nil {
		return nil, c.cannotServe(t, "", err)
	}
	served, err := tree.New(t.dir, options)
	if c.State != "" || bool(c.Write) {
		return served, c.cannotServe(t, options.State, err)
	}
	const unkept = "nothing is kept: every file is read again at the next start"
	if err == nil && options.State == "" {
		_, why := t.readOnlyState()
		log.Warn(unkept, "why", why)
	}
	if err == nil || options.State == "" || errors.Is(err, tree.ErrAlgorithm) || errors.Is(err, tree.ErrStateNewer) {
		return served, c.cannotServe(t, options.State, err)
	}
	why := err
	options.State = ""
	if served, err = tree.New(t.dir, options); err == nil {
		log.Warn(unkept, "why", why)
	}
	return served, c.cannotServe(t, "", err)
}

// cannotServe makes a fault of what the tree says when it cannot be opened, with its state in a folder.
func (c *config) cannotServe(t target, state string, err error) error {
	var told *fault
	if err == nil || errors.As(err, &told) {
		return err
	}
	what := "cannot serve " + shown(t.String())
	if state == "" {
		state = filepath.Join(t.dir, tree.Reserved)
	}
	other := algorithm(hashing.BLAKE3)
	if hashing.Algorithm(c.Hash) == hashing.BLAKE3 {
		other = algorithm(hashing.XXH3)
	}
	switch {
	case errors.Is(err, tree.ErrLocked):
		return &fault{exitFailed, what, tree.ErrLocked.Error(), "stop that server first, or serve the folder without --write"}
	case errors.Is(err, tree.ErrStateBusy):
		return &fault{exitFailed, what, "another program has " + shown(state) + " open", "wait until that program has ended"}
	case errors.Is(err, tree.ErrAlgorithm):
		return &fault{exitFailed, what, "its tags have been made by " + other.String() + " so far", fmt.Sprintf("hash = %q, or remove %s "+
			"to begin anew: clients then fetch everything", other.String(), shown(filepath.Join(state, "state.db")))}
	case errors.Is(err, tree.ErrStateNewer):
		return &fault{exitFailed, what, "a newer freshet has served it", "use that one, or remove " +
			shown(filepath.Join(state, "state.db")) + " to begin anew"}
	}
	return missing(what, err, "freshet doctor "+shown(t.dir))
}

// treeOptions returns what the settings mean to the tree.
func (c *config) treeOptions(t target, log *slog.Logger) (tree.Options, error) {
	o := tree.Options{
		Write:            bool(c.Write),
		Symlinks:         tree.Symlinks(c.Symlinks),
		Only:             t.only,
		State:            c.State,
		Algorithm:        hashing.Algorithm(c.Hash),
		Log:              log,
		UploadsMax:       int(c.Uploads),
		UploadBytesMax:   int64(c.UploadSize),
		BodyBytesMax:     int64(c.BodyMemory),
		CacheBytesMax:    int64(c.CacheMemory),
		VersionsAgeMax:   c.Versions,
		VersionsFilesMax: int(c.VersionsFiles),
		HashWaitMax:      c.HashWait,
		RescanInterval:   c.Rescan,
	}
	switch {
	case bool(c.Write):
	case c.State == "":
		o.State, _ = t.readOnlyState()
	case t.contains(c.State) && filepath.Base(c.State) != tree.Reserved:
		return o, misuse(c.source["state"]+" "+shown(c.State)+" is in the folder that is served",
			"what is kept there would be served, and change what is served", "give a folder elsewhere")
	}
	if c.Versions == 0 {
		o.VersionsAgeMax = -1
	}
	bytes, err := filesystemBytes(t.dir)
	o.StageBytesMax, o.VersionsBytesMax = c.StageSize.of(bytes), c.VersionsSize.of(bytes)
	return o, err
}

// serverConfig returns what the settings mean to the server.
func (c *config) serverConfig(t target, served *tree.Tree, log *slog.Logger, access io.Writer) fileserver.Config {
	return fileserver.Config{
		Tree:                 served,
		Name:                 filepath.Base(t.String()),
		Version:              readBuild().Version,
		Write:                bool(c.Write),
		RequirePreconditions: bool(c.RequirePreconditions),
		PlainPasswords:       bool(c.PlainPasswords),
		Hosts:                c.Hosts,
		Cache:                c.Cache,
		Log:                  log,
		Access:               fileserver.NewAccessLog(access, fileserver.LogFormat(c.Log)),
		Limits: fileserver.Limits{
			HeaderBytesMax:       int(c.HeaderBytes),
			HeaderTimeMax:        c.HeaderTime,
			BodyIdleTimeMax:      c.BodyIdleTime,
			BodyProgressBytesMin: int64(c.BodyProgress),
			BufferTimeMax:        c.BufferTime,
			IdleTimeMax:          c.IdleTime,
			ConnectionsMax:       int(c.Connections),
			ShutdownTimeMax:      c.ShutdownTime,
		},
	}
}

// Limits of the listener for Prometheus, which one program asks every few seconds.
const (
	metricsHeaderTimeMax  = 10 * time.Second
	metricsAnswerTimeMax  = time.Minute
	metricsHeaderBytesMax = 16 << 10
)

// listenMetrics opens the listener for Prometheus: a closed one if there is to be none.
func (c *config) listenMetrics() (net.Listener, error) {
	if c.Metrics == "" {
		return closedListener{}, nil
	}
	a := &address{key: "metrics", text: c.Metrics, instead: "127.0.0.1:9100", danger: "read the metrics", fromFile: true}
	return a.listen(bool(c.Public))
}

// A closedListener accepts nothing.
type closedListener struct{}

func (closedListener) Accept() (net.Conn, error) { return nil, net.ErrClosed }
func (closedListener) Close() error              { return nil }
func (closedListener) Addr() net.Addr            { return &net.TCPAddr{} }

// serveMetrics answers GET /metrics until ctx ends.
func serveMetrics(ctx context.Context, listener net.Listener, metrics http.Handler) error {
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", metrics)
	server := &http.Server{
		Handler:           mux,
		ReadHeaderTimeout: metricsHeaderTimeMax,
		WriteTimeout:      metricsAnswerTimeMax,
		MaxHeaderBytes:    metricsHeaderBytesMax,
	}
	stop := context.AfterFunc(ctx, func() { _ = server.Close() })
	defer stop()
	if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) && !errors.Is(err, net.ErrClosed) {
		return err
	}
	return nil
}
