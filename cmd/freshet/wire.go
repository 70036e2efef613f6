package main

import (
	"context"
	"errors"
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

// openTree opens the folder of t as the settings say.
func (c *config) openTree(t target, log *slog.Logger) (*tree.Tree, error) {
	options, err := c.treeOptions(t, log)
	if err == nil {
		var served *tree.Tree
		if served, err = tree.New(t.dir, options); err == nil {
			return served, nil
		}
	}
	otherwise := "freshet doctor " + shown(t.dir)
	if errors.Is(err, tree.ErrAlgorithm) {
		otherwise = "set hash, or FRESHET_HASH, to the algorithm that it is indexed with"
	}
	return nil, missing("cannot serve "+shown(t.String()), err, otherwise)
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
