package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"freshet/fileserver/auth"
)

const usersFileMode = 0o600 // of a users file that is new

func newUser() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "user",
		Short: "Add, remove and list the users of a file",
		Long: "Keeps the file of users that freshet serve --users reads: lines of NAME:HASH, as htpasswd -B makes them too.\n" +
			"A server that is running reads it again on SIGHUP.",
		Example: examples(
			"freshet user add users.txt ana", "add ana, or give her another password; it is asked for",
			"freshet user rm users.txt ana", "remove her",
			"freshet user list users.txt", "who there is"),
		Args: func(cmd *cobra.Command, args []string) error {
			names := []string{"add", "rm", "list"}
			if len(args) == 0 {
				return misuse("user takes add, rm or list", "", "freshet user list FILE")
			}
			guess := didYouMean(args[0], "freshet user ", names, "freshet help user")
			return misuse("user has no command "+shown(args[0]), "", guess)
		},
		RunE: func(*cobra.Command, []string) error { return nil },
	}
	cmd.AddCommand(newUserAdd(), newUserRemove(), newUserList())
	return cmd
}

// userArgs allows FILE, and NAME if named.
func userArgs(command string, named bool) cobra.PositionalArgs {
	return func(_ *cobra.Command, args []string) error {
		switch {
		case !named && len(args) != 1:
			return misuse("user "+command+" takes a FILE", "", "freshet user "+command+" users.txt")
		case named && len(args) != 2:
			return misuse("user "+command+" takes a FILE and a NAME", "", "freshet user "+command+" users.txt ana")
		case named:
			if err := auth.CheckName(args[1]); err != nil {
				return misuse("cannot "+command+" this user", err.Error(), "freshet user "+command+" "+shown(args[0])+" ana")
			}
		}
		return nil
	}
}

func newUserAdd() *cobra.Command {
	return &cobra.Command{
		Use:   "add FILE NAME",
		Short: "Add a user, or give one another password",
		Long:  "Asks for a password on the terminal, or reads one line from standard input. FILE is made if it is not there.",
		Example: examples(
			"freshet user add users.txt ana", "the password is asked for twice",
			"freshet user add users.txt ana < password.txt", "the password is in a file",
			"freshet user add /etc/freshet/users ana", "a server that runs reads it again on SIGHUP"),
		Args: userArgs("add", true),
		RunE: func(cmd *cobra.Command, args []string) error {
			file, name := args[0], args[1]
			lines, err := readUserLines(file)
			if err != nil && !errors.Is(err, fs.ErrNotExist) {
				return err
			}
			password, err := readPassword(cmd.InOrStdin(), cmd.ErrOrStderr(), name)
			if err != nil {
				return err
			}
			line, err := auth.NewLine(name, password)
			if err != nil {
				return misuse("cannot add "+shown(name), err.Error(), "choose another password")
			}
			what := "added"
			if at := lineOf(lines, name); at >= 0 {
				lines[at], what = line, "given a new password"
			} else {
				lines = append(lines, line)
			}
			if err := writeUserLines(file, lines); err != nil {
				return err
			}
			fmt.Fprintf(cmd.OutOrStdout(), "%s was %s\n", name, what)
			return nil
		},
	}
}

func newUserRemove() *cobra.Command {
	return &cobra.Command{
		Use:   "rm FILE NAME",
		Short: "Remove a user",
		Example: examples(
			"freshet user rm users.txt ana", "ana can no longer sign in, once the file was read again",
			"freshet user rm /etc/freshet/users ana", "a server that runs reads it again on SIGHUP",
			"freshet user list users.txt", "who is left"),
		Args: userArgs("rm", true),
		RunE: func(cmd *cobra.Command, args []string) error {
			file, name := args[0], args[1]
			lines, err := readUserLines(file)
			if err != nil {
				return err
			}
			at := lineOf(lines, name)
			if at < 0 {
				return &fault{exitNotFound, "cannot remove " + shown(name), "there is no such user in " + shown(file),
					"freshet user list " + shown(file)}
			}
			if err := writeUserLines(file, append(lines[:at:at], lines[at+1:]...)); err != nil {
				return err
			}
			fmt.Fprintf(cmd.OutOrStdout(), "%s was removed\n", name)
			return nil
		},
	}
}

func newUserList() *cobra.Command {
	return &cobra.Command{
		Use:   "list FILE",
		Short: "List the users",
		Example: examples(
			"freshet user list users.txt", "one name a line",
			"freshet user add users.txt ana", "add one",
			"freshet user rm users.txt ana", "remove one"),
		Args: userArgs("list", false),
		RunE: func(cmd *cobra.Command, args []string) error {
			lines, err := readUserLines(args[0])
			if err != nil {
				return err
			}
			users, err := auth.ReadUsers(shown(args[0]), strings.NewReader(strings.Join(lines, "\n")))
			if err != nil {
				return &fault{exitFailed, "cannot list the users", err.Error(), "freshet help user"}
			}
			for _, name := range users.Names() {
				fmt.Fprintln(cmd.OutOrStdout(), name)
			}
			return nil
		},
	}
}

// readUserLines returns the lines of a users file, if it is one that a server would take.
func readUserLines(file string) ([]string, error) {
	what := "cannot use " + shown(file)
	text, err := os.ReadFile(file)
	if err != nil {
		fault := missing(what, err, "check its name")
		if errors.Is(err, fs.ErrNotExist) {
			return nil, errors.Join(fault, fs.ErrNotExist)
		}
		return nil, fault
	}
	if _, err := auth.ReadUsers(shown(file), strings.NewReader(string(text))); err != nil {
		return nil, &fault{exitFailed, what, err.Error(), "correct that line, or remove it"}
	}
	if len(text) == 0 {
		return nil, nil
	}
	return strings.Split(strings.TrimSuffix(string(text), "\n"), "\n"), nil
}

// lineOf returns the index of the line of a user, or -1.
func lineOf(lines []string, name string) int {
	for i, line := range lines {
		if strings.HasPrefix(line, name+":") {
			return i
		}
	}
	return -1
}

// writeUserLines puts lines in the place of what file had, all or nothing, under the same mode. A link stays a link.
func writeUserLines(file string, lines []string) (err error) {
	defer func() {
		if err != nil {
			err = &fault{exitFailed, "cannot write " + shown(file), reason(err), "check who may write in its folder"}
		}
	}()
	file = resolved(file)
	mode := fs.FileMode(usersFileMode)
	if info, err := os.Stat(file); err == nil {
		mode = info.Mode().Perm()
	}
	f, err := os.CreateTemp(filepath.Dir(file), "."+filepath.Base(file)+".*")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name()) // gone already if all went well
	defer f.Close()
	if err := f.Chmod(mode); err != nil {
		return err
	}
	for _, line := range lines {
		if _, err := io.WriteString(f, line+"\n"); err != nil {
			return err
		}
	}
	if err := errors.Join(f.Sync(), f.Close()); err != nil {
		return err
	}
	return os.Rename(f.Name(), file)
}

// readPassword asks for a password on a terminal, without showing it, or else reads one line.
func readPassword(stdin io.Reader, stderr io.Writer, name string) (string, error) {
	what := "cannot read a password for " + shown(name)
	in, ok := stdin.(*os.File)
	if !ok || !term.IsTerminal(int(in.Fd())) {
		line, err := bufio.NewReader(io.LimitReader(stdin, auth.PasswordBytesMax+2)).ReadString('\n')
		if err != nil && (!errors.Is(err, io.EOF) || line == "") {
			return "", misuse(what, "standard input has none", "echo PASSWORD | freshet user add FILE NAME")
		}
		return strings.TrimRight(line, "\r\n"), nil
	}
	var typed [2]string
	for i, prompt := range []string{"Password for " + name + ": ", "Once more: "} {
		fmt.Fprint(stderr, prompt)
		text, err := term.ReadPassword(int(in.Fd()))
		fmt.Fprintln(stderr)
		if err != nil {
			return "", &fault{exitFailed, what, err.Error(), "try again"}
		}
		typed[i] = string(text)
	}
	if typed[0] != typed[1] {
		return "", misuse(what, "the two are not the same", "try again")
	}
	return typed[0], nil
}
