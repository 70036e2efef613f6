package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"freshet/fileserver"
)

func newServe() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "serve [DIR|FILE]",
		Short: "Serve a folder, or one file (the default command)",
		Long: "Serves DIR (the current folder if none is given), or one file, over HTTP to this machine, read-only unless\n" +
			"--write is given. Every request is logged to standard output, everything else to standard error. Beyond this\n" +
			"machine a password is needed: that of one of --users, or one that is made for this run. Further settings\n" +
			"and limits: freshet help config.",
		Example: examples(
			"freshet serve --write ~/shared", "to this machine, with changes allowed",
			"freshet serve --listen :8080 ~/shared", "to the network, with a password that is made and printed",
			"freshet serve --listen :8080 --public ~/shared", "to everyone on the network, read-only"),
		Args:              serveArgs,
		ValidArgsFunction: completePaths,
		RunE:              serve,
	}
	addFlags(cmd.Flags())
	return cmd
}

// serveArgs allows one argument. A first word that looks like a command is taken for a mistyped one.
func serveArgs(cmd *cobra.Command, args []string) error {
	if len(args) < 2 {
		return nil
	}
	if !cmd.HasParent() {
		if name := nearest(args[0], commandNames(cmd)); name != "" {
			return misuse("unknown command "+shown(args[0]), "", "did you mean freshet "+name+"?")
		}
	}
	return misuse("serve takes one DIR or FILE", fmt.Sprintf("%d were given", len(args)), "freshet serve "+shown(args[0]))
}

// serve is the serve command.
func serve(cmd *cobra.Command, args []string) error {
	again := func() (*config, error) { return load(cmd.Flags(), os.Environ()) }
	c, err := again()
	if err != nil {
		return err
	}
	c.again = again
	arg := "."
	if len(args) > 0 {
		arg = args[0]
	}
	target, err := c.target(cmd, arg)
	if err != nil {
		return err
	}
	return c.serve(cmd.Context(), target, cmd.OutOrStdout(), cmd.ErrOrStderr())
}

// A target is what is served: a folder, or one file in it.
type target struct {
	dir  string // absolute
	only string // the file's name, or ""
}

func (t target) String() string { return filepath.Join(t.dir, t.only) }

// target finds out what arg names.
func (c *config) target(cmd *cobra.Command, arg string) (target, error) {
	otherwise := "give a folder or file that is there and may be read"
	info, err := os.Stat(arg)
	if errors.Is(err, fs.ErrNotExist) && !cmd.HasParent() {
		otherwise = didYouMean(arg, "freshet ", commandNames(cmd), otherwise)
	}
	if err == nil && info.IsDir() {
		_, err = os.Stat(arg + "/.") // can anything in it be reached?
	}
	if err != nil {
		return target{}, missing("cannot serve "+shown(arg), err, otherwise)
	}
	path, err := filepath.Abs(arg)
	switch {
	case err != nil:
		return target{}, missing("cannot serve "+shown(arg), err, "give an absolute path")
	case info.IsDir():
		return target{dir: path}, nil
	case !info.Mode().IsRegular():
		return target{}, misuse("cannot serve "+shown(arg), "it is neither a folder nor a regular file", otherwise)
	case bool(c.Write):
		return target{}, misuse(c.source["write"]+" with a single file", "one file is served read-only",
			"freshet serve --write "+shown(filepath.Dir(arg)))
	}
	return target{filepath.Dir(path), filepath.Base(path)}, nil
}

// serve serves t until ctx ends, then lets requests under way finish.
func (c *config) serve(ctx context.Context, t target, stdout, stderr io.Writer) error {
	signal.Ignore(syscall.SIGPIPE) // whoever reads the log may go: that must not end the server
	person := c.Log == "text" && isTerminal(stderr)
	log := c.logger(stderr, person)
	main, err := c.mainAddress(t).listen(true)
	if err != nil {
		return err
	}
	defer main.Close()
	metrics, err := c.listenMetrics()
	if err != nil {
		return err
	}
	defer metrics.Close()
	served, err := c.openTree(t, log)
	if err != nil {
		return err
	}
	door, err := c.openDoor(t, main.Addr().(*net.TCPAddr))
	if err != nil {
		return errors.Join(err, served.Close())
	}
	settings := c.serverConfig(t, served, log, stdout)
	settings.Authority, settings.PlainPasswords = door.authority, settings.PlainPasswords || door.password != ""
	server := fileserver.New(settings)

	hello := &greeting{
		version: readBuild().Version,
		target:  t,
		config:  c,
		at:      main.Addr().(*net.TCPAddr),
		metrics: metrics.Addr().(*net.TCPAddr),
		door:    door,
	}
	index := &indexing{tree: served, out: stderr, log: log, person: person, brief: t.only != "", began: time.Now()}
	if person {
		c.greet(stderr, hello)
	} else {
		c.logStart(log, hello)
	}
	group, ctx := errgroup.WithContext(ctx)
	looking, looked := context.WithCancel(ctx)
	group.Go(func() error { return server.Serve(ctx, main) })
	group.Go(func() error { return serveMetrics(ctx, metrics, server.Metrics()) })
	group.Go(func() error {
		defer looked()
		if err := served.Run(ctx); err != nil && ctx.Err() == nil {
			log.Warn("not watching for changes: changed files are hashed when they are asked for", "error", err)
		}
		return nil
	})
	group.Go(func() error { index.tell(looking); return nil })
	if !person { // a terminal that is closed says the same, and means that the server is to end
		group.Go(func() error { door.reload(ctx, c, log); return nil })
	}
	err = group.Wait()
	if errors.Is(err, fileserver.ErrStillRunning) {
		return err // and the tree, which they still use, is left to the end of the process
	}
	return errors.Join(err, served.Close())
}

// mainAddress returns where t is to be served.
func (c *config) mainAddress(t target) *address {
	danger := "read " + shown(t.String())
	if c.Write {
		danger = "read and change " + shown(t.String())
	}
	return &address{key: "listen", text: c.Listen, instead: "127.0.0.1:8080", danger: danger}
}

// logger returns the log on w. A person who reads the banner there is told only what is wrong.
func (c *config) logger(w io.Writer, person bool) *slog.Logger {
	o := &slog.HandlerOptions{}
	if person {
		o.Level = slog.LevelWarn
	}
	if c.Log == "json" {
		return slog.New(slog.NewJSONHandler(w, o))
	}
	return slog.New(slog.NewTextHandler(w, o))
}

// hostNames returns the names that the server may be called by, without the patterns.
func (c *config) hostNames() []string {
	return slices.DeleteFunc(slices.Clone(c.Hosts), func(name string) bool { return strings.Contains(name, "*") })
}

// greet tells a person where the server is.
func (c *config) greet(stderr io.Writer, g *greeting) {
	if !g.at.IP.IsLoopback() {
		g.network = append(c.hostNames(), networkAddresses(g.at)...)
	}
	g.print(stderr)
}

// logStart tells the log where the server is.
func (c *config) logStart(log *slog.Logger, g *greeting) {
	log.Info("serving", "url", g.url(hostOf(g.at)), "root", g.target.String(), "write", bool(c.Write), "public", bool(c.Public),
		"version", g.version)
	if c.Metrics != "" {
		log.Info("serving metrics", "url", g.metricsURL())
	}
	if bool(c.Write) && c.Versions == 0 {
		log.Warn("replaced files are " + keeping(c))
	}
	if g.door.password != "" {
		log.Info("a password was made, for this run", "user", madeUser, "password", g.door.password)
	}
	for _, warning := range g.warnings() {
		log.Warn(warning)
	}
}

// completePaths lets the shell complete the names of files and folders.
func completePaths(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
	return nil, cobra.ShellCompDirectiveDefault
}

// completeFolders lets the shell complete the names of folders.
func completeFolders(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
	return nil, cobra.ShellCompDirectiveFilterDirs
}
