package main

import (
	"context"
	"errors"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

func main() { os.Exit(run(context.Background(), os.Args[1:], os.Stdin, os.Stdout, os.Stderr)) }

// run is the program: it does what args say and returns the exit code.
func run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	ctx, stop := interruptible(ctx)
	defer stop()
	root := newRoot()
	root.SetArgs(args)
	root.SetIn(stdin)
	root.SetOut(stdout)
	root.SetErr(stderr)
	return report(ctx, root.ExecuteContext(ctx), stderr)
}

// interruptible returns a context that the first SIGINT or SIGTERM ends, so that work under way can be finished. The second
// one ends the process at once. stop gives the signals back.
func interruptible(ctx context.Context) (_ context.Context, stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	signals, done := make(chan os.Signal, 2), make(chan struct{})
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	go func() {
		for range 2 {
			select {
			case <-signals:
			case <-done:
				return
			}
			if ctx.Err() != nil {
				os.Exit(exitInterrupted)
			}
			cancel()
		}
	}()
	return ctx, func() { signal.Stop(signals); close(done); cancel() }
}

// newRoot returns the command tree. The root command is serve under another name, so that `freshet DIR` works.
func newRoot() *cobra.Command {
	root := &cobra.Command{
		Use:   "freshet [DIR|FILE]",
		Short: "Serve a directory so that no reader sees a wrong version and no writer loses one",
		Example: examples(
			"freshet", "serve this folder to this machine, read-only",
			"freshet --write ~/shared", "serve a folder and allow changes",
			"freshet hash report.pdf", "print the tag that a file is served under"),
		Args:              serveArgs,
		ValidArgsFunction: completePaths,
		RunE:              serve,
		SilenceErrors:     true,
		SilenceUsage:      true,
		Version:           readBuild().Version,
	}
	addFlags(root.Flags())
	root.AddCommand(newServe(), newStatus(), newVerify(), newVersions(), newRestore(), newTrash(), newHash(), newDoctor(),
		newUser(), newVersion(), newCompletion(), newConfigHelp())
	root.CompletionOptions.DisableDefaultCmd = true
	root.SetFlagErrorFunc(flagFault)
	root.SetHelpTemplate(helpTemplate)
	root.SetVersionTemplate("freshet {{.Version}}\n")
	root.InitDefaultHelpCmd()
	if help, _, err := root.Find([]string{"help"}); err == nil {
		help.Short = "Help about a command"
		help.Example = examples(
			"freshet help", "what there is",
			"freshet help serve", "what there is to say about serve",
			"freshet help config", "every setting, for the file and the environment")
	}
	return root
}

// flagFault turns what pflag finds wrong into a fault.
func flagFault(cmd *cobra.Command, err error) error {
	otherwise := "freshet help " + cmd.Name()
	if !cmd.HasParent() {
		otherwise = "freshet help"
	}
	var unknown *pflag.NotExistError
	if !errors.As(err, &unknown) {
		return misuse(err.Error(), "", otherwise)
	}
	name := unknown.GetSpecifiedName()
	if unknown.GetSpecifiedShortnames() != "" {
		return misuse("unknown flag -"+name, "", otherwise)
	}
	var names []string
	cmd.Flags().VisitAll(func(f *pflag.Flag) { names = append(names, f.Name) })
	return misuse("unknown flag --"+name, "", didYouMean(name, "--", names, otherwise))
}

// commandNames returns the names of the commands that can be typed after "freshet".
func commandNames(cmd *cobra.Command) []string {
	var names []string
	for _, c := range cmd.Root().Commands() {
		names = append(names, c.Name())
	}
	return names
}
